"""How an execution begins that repeats another one, from a task on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from actors.context import Context
from actors.events import (
    Event,
    ExecutionStarted,
    ForkStarted,
    ScopeFinished,
    ScopeStarted,
    TaskStarted,
)
from actors.forks import open_scope
from actors.outcome import NULL
from actors.paths import child, split
from actors.plan import Body, Map, Parallel, Plan
from actors.state import Fork
from flowmgr.earlier import Opened, as_it_was
from flowmgr.errors import InputError
from flowmgr.ways import Step, find_way, refusal

Events = tuple[Event, ...]

MAX_NAMED: Final = 10
"""Branches that an error names."""

MAX_BYTES: Final = 512 * 1024 * 1024
"""Bytes that an execution may begin with: all earlier results. SQLite has twice as many in a row.
"""


class Repetition(msgspec.Struct, frozen=True):
    """What a rerun asks for.

    Attributes:
        task: the task to begin with, by its name or its path; that of the first execution if None.
        context: values that replace those of the first execution, as JSON.
        by: who asks.
        reason: why.
    """

    task: str | None
    context: bytes
    by: str | None
    reason: str | None


class Beginning(msgspec.Struct, frozen=True):
    """What an execution begins with.

    Attributes:
        started: its start, with a task of the flow's own body.
        further: what is recorded behind the start of that task so that it begins inside of it, as
            if the server had ended there; nothing if it begins with that task itself.
    """

    started: ExecutionStarted
    further: Events = ()


def repeated(
    execution_id: str, events: Sequence[Event], plan: Plan, rerun: Repetition, at: float
) -> Beginning:
    """Return the beginning of an execution that repeats another one from a task on.

    The task has the context that it was first given, or if it never ran, the last one there was;
    with the values of *rerun* over it. If it is inside of others, these are open at once. What is
    beside it there keeps its result if it had succeeded, and otherwise begins anew.

    Args:
        execution_id: the execution to repeat.
        events: its history.
        plan: what to run.
        rerun: what is asked for.
        at: the time: seconds since 1970-01-01 UTC.

    Raises:
        InputError: the plan has no such task, or it is not one to begin with; or there are too many
            results before it.
    """
    first = events[0]
    assert isinstance(first, ExecutionStarted)
    wanted = rerun.task
    if wanted is None:
        wanted = first.start_task if first.rerun_of is None else plan.start_task
    way = find_way(plan, wanted)
    context, opened = as_it_was(events, way)
    _check(plan, opened)
    changes = Context.from_json(rerun.context).raw()
    further: Events = ()
    if opened:
        further = _opened_again(opened, way.task, changes, at)
    else:
        context = Context.of(context.raw() | changes)
    started = ExecutionStarted(
        at=at,
        by=rerun.by,
        reason=rerun.reason,
        flow_id=plan.flow_id,
        flow_version=plan.flow_version,
        start_task=way.steps[0].task.name if way.steps else way.task,
        context=msgspec.Raw(context.to_json()),
        definition=NULL if plan.flow_version else first.definition,
        metadata=first.metadata,
        rerun_of=execution_id,
    )
    _check_size(started, further)
    return Beginning(started, further)


def _check_size(started: ExecutionStarted, further: Events) -> None:
    """Refuse a beginning that cannot be recorded in one piece.

    Raises:
        InputError: it cannot.
    """
    size = len(msgspec.json.encode((started, *further)))
    if size > MAX_BYTES:
        message = (
            f"The execution would begin with {size:,} bytes of earlier results, and {MAX_BYTES:,} "
            "are allowed"
        )
        raise refusal("too_large", message, "Rerun it from an earlier task")


def _check(plan: Plan, opened: Sequence[Opened]) -> None:
    """Refuse scopes in which the execution cannot begin.

    Raises:
        InputError: it cannot.
    """
    for each in opened:
        construct, opener = each.step.task.construct, each.step.opener
        if isinstance(construct, Map) != (each.fork.binds is not None):
            message = (
                f"Task '{opener}' is another one in version {plan.flow_version} of flow "
                f"'{plan.flow_id}': parallel in one, and a map in the other"
            )
            raise refusal("other_task", message, f"Rerun it from '{opener}'")
        if isinstance(construct, Parallel):
            kept = [split(path)[2] for path in each.kept]
            if len(kept) >= construct.needed:
                raise _decided(each.step, construct, kept)


def _decided(step: Step, construct: Parallel, kept: Sequence[str]) -> InputError:
    opener = step.opener
    named = ", ".join(f"'{branch}'" for branch in kept[:MAX_NAMED])
    message = (
        f"'{step.path}' would be stopped at once: branches that succeed keep their results, and "
        f"task '{opener}' needs {construct.needed}, which it has ({named})"
    )
    hint = f"Rerun it from '{opener}', so that all of its branches run"
    return refusal("decided", message, hint)


def _opened_again(
    opened: Sequence[Opened], task: str, changes: dict[str, msgspec.Raw], at: float
) -> Events:
    """Return what opens the scopes again, and in the innermost starts *task*.

    The start of the outermost task comes before that.

    Args:
        opened: the scopes, the outermost first.
        task: the task to begin with.
        changes: the values that the innermost scope has beside those that it had.
        at: the time: seconds since 1970-01-01 UTC.
    """
    inside: Events = ()
    for each in reversed(opened):
        path = each.step.path
        values = _values(each)
        if not inside:
            values |= changes
        context = msgspec.Raw(Context.of(values).to_json())
        begun = ScopeStarted(at=at, scope=path, context=context)
        started = TaskStarted(at=at, scope=path, task=task)
        inside = _forked(each, (begun, started, *inside), at)
        task = each.step.task.name
    return inside


def _values(opened: Opened) -> dict[str, msgspec.Raw]:
    """Return the context of a scope, with its item if the flow has another name for it by now."""
    values, fork, construct = opened.context.raw(), opened.fork, opened.step.task.construct
    if isinstance(construct, Map) and construct.binds != fork.binds:
        values[construct.binds] = fork.items[int(split(opened.step.path)[2])]
    return values


def _forked(opened: Opened, inside: Events, at: float) -> Events:
    """Return what opens the scopes of a task: as many at once as may be, and those that are kept.

    Args:
        opened: the scope on the way.
        inside: what is recorded of that one.
        at: the time: seconds since 1970-01-01 UTC.
    """
    step, fork, kept = opened.step, opened.fork, opened.kept
    construct, scope, task = step.task.construct, step.scope, step.task.name
    if isinstance(construct, Map):
        items = msgspec.Raw(msgspec.json.encode(fork.items))
        started = ForkStarted(
            at=at, scope=scope, task=task, branches=fork.total, items=items, binds=construct.binds
        )
        places = construct.max_concurrency or fork.total
    else:
        assert isinstance(construct, Parallel)
        places = len(construct.branches)
        started = ForkStarted(at=at, scope=scope, task=task, branches=places)
    places -= 1  # which is that of the scope on the way
    recorded: list[Event] = [started]
    for path, body in _bodies(step, fork):
        if path == step.path:
            recorded += inside
        elif path in kept:
            recorded.append(ScopeStarted(at=at, scope=path))
            recorded.append(ScopeFinished(at=at, scope=path, outcome=kept[path]))
        elif places:
            places -= 1
            recorded += open_scope(body, path, at)
    return tuple(recorded)


def _bodies(step: Step, fork: Fork) -> Iterator[tuple[str, Body]]:
    """Return the scopes that a task opens in the end, by their path, and what each runs."""
    construct, scope, task = step.task.construct, step.scope, step.task.name
    if isinstance(construct, Map):
        for position in range(fork.total):
            yield child(scope, task, position), construct.body
    elif isinstance(construct, Parallel):
        for name, body in construct.branches.items():
            yield child(scope, task, name), body
