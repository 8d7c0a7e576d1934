"""Sub-flows: tasks that start an execution of another flow and wait for its end."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import anyio
import msgspec

from actors.actor import is_being_cancelled
from actors.events import TaskStarted
from actors.openings import opening
from actors.outcome import NULL, ErrorInfo, ReportedError
from actors.paths import task_path
from actors.ports import Attempt
from actors.state import ExecutionState
from actors.values import encode_value
from flowmgr.errors import (
    EngineBusyError,
    EngineClosedError,
    ExecutionDamagedError,
    ExecutionEndedError,
    ExecutionNotFoundError,
    FlowmgrError,
    JournalError,
    JournalUnavailableError,
    SubflowDepthError,
)
from flowmgr.executions import Execution

logger = logging.getLogger(__name__)

KEY_SECONDS: Final = 10.0**9
"""How long it is remembered which execution a task has started: for longer than anybody asks."""

MAX_DEPTH: Final = 20
"""Executions that a sub-flow may be inside of; flows that run each other would have no end."""

PAUSE: Final = 0.5
"""Seconds before the journal is asked once more about a sub-flow, if it has failed."""

OVER: Final = (ExecutionEndedError, ExecutionNotFoundError, ExecutionDamagedError)
"""The errors that say that nothing of an execution will run."""

CLOSING_PAUSE: Final = 0.05
"""Seconds between two looks at whether the engine stops its executions, which it is about to do."""


class Child(msgspec.Struct, frozen=True):
    """What a task wants to be run.

    Attributes:
        flow_id: the flow, and `version` which version of it; the latest if None.
        context: what it begins with, a JSON object.
        parent: the execution that the task belongs to.
        started: the attempt of the task that asks.
    """

    flow_id: str
    version: int | None
    context: object
    parent: str
    started: TaskStarted

    @property
    def parent_task(self) -> str:
        """The path of the task in its execution."""
        return task_path(self.started.scope, self.started.task)

    def key_in(self, parent: ExecutionState) -> str:
        """Return the key under which it is started; see `child_key`."""
        return child_key(parent, self.started)

    def depth_in(self, parent: ExecutionState) -> int:
        """Return how many executions it is inside of.

        Raises:
            SubflowDepthError: they are more than may be.
        """
        depth = parent.depth + 1
        if depth > MAX_DEPTH:
            msg = (
                f"Flow '{self.flow_id}' would run inside of {depth} executions; {MAX_DEPTH} are "
                "allowed. Do its flows run each other?"
            )
            raise SubflowDepthError(msg)
        return depth


class Children(Protocol):
    """Where sub-flows are started: the engine."""

    @property
    def is_closing(self) -> bool:
        """Whether what is cancelled now goes on at the next start."""

    async def start_child(self, child: Child, *, is_stopping: bool) -> str | None:
        """Start it, unless it was started before, and return the id of its execution.

        If its task *is_stopping*, it is not started any more; None if it was not before.
        """

    async def wait(self, execution_id: str) -> Execution:
        """Wait until an execution has ended."""

    async def taken_up(self, execution_id: str) -> None:
        """Wait until an execution that cannot go on is taken up; see `Views.taken_up`."""

    async def cancel(self, execution_id: str, *, by: str | None, reason: str | None) -> Execution:
        """Cancel an execution."""

    async def code_left(self, execution_id: str, parent: str) -> None:
        """Wait until no code of an execution that has ended is running, for *parent*."""

    async def has_output(self, execution: Execution) -> bool:
        """Whether the flow of an execution says what its output is."""


def child_key(parent: ExecutionState, started: TaskStarted) -> str:
    """Return the key under which an attempt of a task has started its execution.

    It is the same whenever this attempt asks, also after a recovery, and no other attempt has it.
    """
    path = task_path(started.scope, started.task)
    return f"{path}/{started.visit}/{started.attempt}{opening(parent, started.scope)}"


class SubflowRunner:
    """Runs a flow as an execution of its own, linked to the one that the task belongs to."""

    __slots__ = ("_children", "_flow_id", "_version")

    def __init__(self, flow_id: str, version: int | None, children: Children) -> None:
        self._flow_id = flow_id
        self._version = version
        self._children = children

    async def run(self, attempt: Attempt) -> bytes:
        """Start the execution, or find the one that was started before, and wait for its end.

        Its output is the result; if the flow has none, the result of its last task.

        Cancelling this cancels that execution, and waits until nothing of it is running; unless
        the engine is closing: then it goes on by itself at the next start.

        Raises:
            ReportedError: it failed or was cancelled, or it could not be started.
        """
        child = Child(
            flow_id=self._flow_id,
            version=self._version,
            context={} if attempt.arguments is msgspec.UNSET else attempt.arguments,
            parent=attempt.execution_id,
            started=attempt.started,
        )
        try:
            execution_id = await self._start(child)
            if execution_id is None:
                await anyio.sleep_forever()  # which raises at once: it is cancelled
                raise AssertionError
            ended = await self._wait(execution_id, attempt)
            is_bare = ended.output == NULL and not await self._has_output(ended)
        except EngineClosedError:
            await anyio.sleep_forever()  # until the engine stops this as well
            raise
        except FlowmgrError as error:
            is_retryable = isinstance(error, EngineBusyError)
            info = ErrorInfo(type(error).__name__, str(error), retryable=is_retryable)
            raise ReportedError(info) from error
        return _result(ended, is_last_tasks=is_bare and bool(ended.task_results))

    async def _start(self, child: Child) -> str | None:
        """Start the execution; None if it was not before, and is not to be any more.

        While the journal fails, it is asked again and again, also if this is cancelled: nothing
        else knows of an execution that an attempt before a crash has started.
        """
        while True:
            is_stopping = is_being_cancelled()  # also when it goes on after a crash only for that
            with anyio.CancelScope(shield=True):  # or it could be started without anybody knowing
                try:
                    return await self._children.start_child(child, is_stopping=is_stopping)
                except JournalError as error:
                    await self._pause(error)

    async def _has_output(self, ended: Execution) -> bool:
        while True:
            try:
                return await self._children.has_output(ended)
            except JournalError as error:
                await self._pause(error)

    async def _wait(self, execution_id: str, attempt: Attempt) -> Execution:
        try:
            try:
                return await self._insist(execution_id, lambda: self._children.wait(execution_id))
            except EngineClosedError:
                await anyio.sleep_forever()  # until the engine, or something else, stops this
                raise
        except anyio.get_cancelled_exc_class():
            if not self._children.is_closing:
                with anyio.CancelScope(shield=True):
                    await self._stop(execution_id, attempt)
            raise

    async def _stop(self, execution_id: str, attempt: Attempt) -> None:
        """Cancel the execution, and wait until nothing of it is running, however long that takes.

        Code that it has abandoned is waited for as well: nothing may follow this attempt before
        that has ended. A parent that is being cancelled abandons this task when its grace is over.

        If the engine is closing and does not take the execution up any more, as it is parked,
        paused or stranded, it is left to the next start, which stops it before what is around it
        goes on: that may not end before.
        """
        reason = f"execution {attempt.execution_id} has stopped task '{attempt.started.task}'"

        async def stopped() -> Execution:
            await self._children.cancel(execution_id, by="flowmgr", reason=reason)
            return await self._children.wait(execution_id)

        try:
            await self._insist(execution_id, stopped)
        except EngineClosedError:
            while not self._children.is_closing:  # noqa: ASYNC110 - it has no event
                await anyio.sleep(CLOSING_PAUSE)
            return
        except OVER:
            pass
        await self._children.code_left(execution_id, attempt.execution_id)

    async def _insist(
        self, execution_id: str, ended: Callable[[], Awaitable[Execution]]
    ) -> Execution:
        """Ask for the end of the execution until it has come.

        While the journal fails, *ended* is asked again and again. An execution that cannot go on
        (it is stranded) is waited for: it would go on later, with what follows from here done.

        Raises:
            EngineClosedError: the engine is stopping.
            FlowmgrError: one of `OVER`.
        """
        while True:
            try:
                return await ended()
            except (EngineClosedError, *OVER):
                raise
            except (EngineBusyError, JournalError) as error:
                await self._pause(error)
            except FlowmgrError as error:
                logger.error("execution %s is waited for: %s", execution_id, error)  # noqa: TRY400
                await self._children.taken_up(execution_id)

    async def _pause(self, error: FlowmgrError) -> None:
        """Wait a while before what has failed with *error* is asked again.

        Raises:
            EngineClosedError: the engine is closing, so it is not to be asked again.
        """
        if not isinstance(error, EngineBusyError | JournalUnavailableError):  # which others show
            logger.warning("the journal is asked about a sub-flow again in %s s: %s", PAUSE, error)
        await anyio.sleep(PAUSE)
        if self._children.is_closing:
            msg = "The engine is closing"
            raise EngineClosedError(msg) from error


def _result(execution: Execution, *, is_last_tasks: bool) -> bytes:
    """Return what an execution comes to, as JSON.

    Args:
        execution: the execution, which has ended.
        is_last_tasks: whether its flow has no output, so that it is the result of its last task.

    Raises:
        ReportedError: it has not completed.
    """
    if execution.status == "completed":
        if is_last_tasks:
            return bytes(next(reversed(execution.task_results.values())).data)
        return bytes(execution.output)
    about = {"execution_id": execution.execution_id, "status": execution.status}
    if execution.error is not None:
        about["error"] = execution.error.as_value()  # type: ignore[assignment]
    kind, what = "SubflowCancelled", f"was {execution.status}"
    if execution.status == "failed":
        kind, what = "SubflowFailed", "failed"
    why = "" if execution.error is None else f": {execution.error.type}: {execution.error.message}"
    message = f"flow '{execution.flow_id}' {what}{why}"
    raise ReportedError(ErrorInfo(kind, message, msgspec.Raw(encode_value(about))))
