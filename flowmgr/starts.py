"""What an execution is to begin with: a request for a new one, or a repetition of another one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from actors.context import Context
from actors.events import Event, ExecutionStarted, Scalar, TaskStarted
from actors.evolving import fold
from actors.outcome import NULL
from actors.paths import ROOT, split_task, task_path
from actors.plan import Plan
from actors.values import decode_value
from flowmgr.errors import ContextError, InputError, KeyReusedError, Problem

MAX_KEY_LENGTH: Final = 255


class StartRequest(msgspec.Struct, frozen=True):
    """A request to start an execution.

    Attributes:
        flow: the id of a registered flow, or the document of a flow that is only run.
        context: the values to begin with.
        version: the flow's version; the latest if None.
        metadata: what the execution can be looked up by, beside its flow's own metadata.
        key: the idempotency key: of several equal requests with it, one starts an execution.
    """

    flow: str | Mapping[str, Any]
    context: Any = None
    version: int | None = None
    metadata: Any = None
    key: str | None = None

    def scope(self) -> str:
        """Return what the key belongs to: the flow; all flows that are only run have one scope."""
        return self.flow if isinstance(self.flow, str) else ""

    def fingerprint(self) -> str:
        """Return the SHA-256 of what is asked for, in hexadecimal: equal requests, equal text.

        The order of keys in objects does not count.
        """
        asked = [self.flow, self.context, self.version, self.metadata]
        return hashlib.sha256(_canonical.encode(asked)).hexdigest()

    def check_same(self, fingerprint: str) -> None:
        """Return if the key was used for an equal request, which had this fingerprint.

        Raises:
            KeyReusedError: it was another one.
        """
        if fingerprint != self.fingerprint():
            of_flow = f" of flow '{self.flow}'" if isinstance(self.flow, str) else ""
            msg = (
                f"Idempotency key '{self.key}' has been used for another request to start an "
                f"execution{of_flow}; use a new key for a new request"
            )
            raise KeyReusedError(msg)


def check_key(key: str | None) -> None:
    """Return if *key* can be an idempotency key, or is none.

    Raises:
        InputError: it is empty, too long, or has other characters than printable ASCII.
    """
    is_fine = key is None or (key.isascii() and key.isprintable() and key.strip())
    if not is_fine or len(key or "") > MAX_KEY_LENGTH:
        msg = f"An idempotency key has 1 to {MAX_KEY_LENGTH} printable ASCII characters"
        raise InputError(msg)


class Repetition(msgspec.Struct, frozen=True):
    """What a rerun asks for.

    Attributes:
        task: the task to begin with; that of the first execution if None.
        context: values that replace those of the first execution, as JSON.
        by: who asks.
        reason: why.
    """

    task: str | None
    context: bytes
    by: str | None
    reason: str | None


def repeated(
    execution_id: str, events: Sequence[Event], plan: Plan, rerun: Repetition, at: float
) -> ExecutionStarted:
    """Return the start of an execution that repeats another one from a task on.

    Its context is the one that the task was first given, or if it never ran, the last one there
    was; with the values of *rerun* over it.

    Args:
        execution_id: the execution to repeat.
        events: its history.
        plan: what to run.
        rerun: what is asked for.
        at: the time: seconds since 1970-01-01 UTC.

    Raises:
        InputError: the plan has no such task.
    """
    first = events[0]
    assert isinstance(first, ExecutionStarted)
    task = rerun.task or (first.start_task if first.rerun_of is None else plan.start_task)
    task = _own_task(plan, task)
    values = _context_before(events, task).raw() | Context.from_json(rerun.context).raw()
    return ExecutionStarted(
        at=at,
        by=rerun.by,
        reason=rerun.reason,
        flow_id=plan.flow_id,
        flow_version=plan.flow_version,
        start_task=task,
        context=msgspec.Raw(Context.of(values).to_json()),
        definition=NULL if plan.flow_version else first.definition,
        metadata=first.metadata,
        rerun_of=execution_id,
    )


def _own_task(plan: Plan, wanted: str) -> str:
    """Return the name of a task of the flow's own body.

    Args:
        plan: the flow.
        wanted: the name, or the path in an execution, of a task.

    Raises:
        InputError: the body has no such task.
    """
    if wanted in plan.tasks:
        return wanted
    message = f"There is no task '{wanted[:128]}' in flow '{plan.flow_id}'"
    if plan.flow_version:
        message = (
            f"There is no task '{wanted[:128]}' in version {plan.flow_version} of flow "
            f"'{plan.flow_id}'"
        )
    hint = None
    if wanted.startswith("/"):
        around, name = split_task(wanted)
        while around:  # the outermost task is the one that the flow's own body has
            around, name = split_task(around)
        if task_path(ROOT, name) == wanted and name in plan.tasks:
            return name
        if name in plan.tasks:
            message = (
                f"Task '{wanted[:128]}' is inside of task '{name}'; a rerun begins with a task of "
                "the flow's own body"
            )
            hint = f"Rerun it from '{name}', or retry it to go on where it has failed"
            message = f"{message}. {hint}"
    raise InputError(message, [Problem("/task", "unknown_task", message, hint)])


def _context_before(events: Sequence[Event], task: str) -> Context:
    position = len(events)
    for number, event in enumerate(events):
        if isinstance(event, TaskStarted) and event.scope == ROOT and event.task == task:
            position = number
            break
    return fold(events[:position]).context


def check_input(plan: Plan, context: bytes) -> None:
    """Return if the flow takes *context*, which is JSON.

    Raises:
        ContextError: it does not; with everything that its schema finds wrong.
    """
    found = [] if plan.input is None else plan.input.problems(decode_value(context))
    if found:
        problems = [Problem(pointer, "not_as_input", message) for pointer, message in found]
        message = f"The context is not as flow '{plan.flow_id}' wants it: {found[0][1]}"
        raise ContextError(message, problems)


def merged_metadata(plan: Plan, given: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return the metadata of an execution: the flow's, with what was *given* for it over it."""
    return {**plan.metadata, **given} if given else plan.metadata


_canonical = msgspec.json.Encoder(order="sorted")
