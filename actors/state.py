"""The state of an execution: the fold of its events.

The supervisor owns one of these and changes it with `evolve` alone, after the journal has the
event; a recovery, or a look at an ended execution, folds the same events into the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from actors.context import Context
from actors.events import (
    CancelRequested,
    Event,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionStarted,
    TaskFinished,
    TaskStarted,
    TaskStopped,
)
from actors.outcome import ErrorInfo, Outcome

ExecutionStatus = Literal["pending", "running", "cancelling", "completed", "failed", "cancelled"]


class Cancellation(msgspec.Struct):
    """That the execution was asked to stop, and the receipt: how each running task did.

    Attributes:
        requested_at: when: seconds since 1970-01-01 UTC.
        reason: why, in the words of whoever asked.
        tasks: the tasks that were running then, in the order in which they ended.
    """

    requested_at: float
    reason: str | None
    tasks: tuple[TaskStopped, ...] = ()


_NOTHING = Context()


class ExecutionState(msgspec.Struct):
    """What is known about an execution.

    Attributes:
        seq: how many events made this state.
        current_task: the task that runs or ran last; "end" after the transition to the end.
        results: the last outcome of every task that has finished, in the order of finishing.
        visits: how often each task was started.
        running: how the attempts that have not ended were started, by task.
        has_failures: whether any task has failed.
        error: why the execution failed, and `error_task` where.
    """

    flow_id: str = ""
    flow_version: int = 0
    status: ExecutionStatus = "pending"
    seq: int = 0
    current_task: str = ""
    context: Context = _NOTHING
    started_at: float = 0.0
    ended_at: float | None = None
    results: dict[str, Outcome] = msgspec.field(default_factory=dict)
    visits: dict[str, int] = msgspec.field(default_factory=dict)
    running: dict[str, TaskStarted] = msgspec.field(default_factory=dict)
    has_failures: bool = False
    error: ErrorInfo | None = None
    error_task: str | None = None
    cancellation: Cancellation | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the execution has ended; nothing changes it any more then."""
        return self.ended_at is not None


def evolve(state: ExecutionState, events: Sequence[Event]) -> None:
    """Apply *events*, in place. Never fails on events that this program has written."""
    for event in events:
        _EVOLVERS[type(event)](state, event)
    state.seq += len(events)


def fold(events: Sequence[Event]) -> ExecutionState:
    """Return the state that *events* lead to."""
    state = ExecutionState()
    evolve(state, events)
    return state


def _execution_started(state: ExecutionState, event: ExecutionStarted) -> None:
    state.flow_id = event.flow_id
    state.flow_version = event.flow_version
    state.status = "running"
    state.current_task = event.start_task
    state.context = Context.from_json(event.context)
    state.started_at = event.at


def _task_started(state: ExecutionState, event: TaskStarted) -> None:
    state.current_task = event.task
    state.visits[event.task] = event.visit
    state.running[event.task] = event


def _task_finished(state: ExecutionState, event: TaskFinished) -> None:
    task, outcome = event.task, event.outcome
    state.running.pop(task, None)
    if task in state.results:  # a repeated task moves to the end: results are in run order
        del state.results[task]
    state.results[task] = outcome
    state.context = state.context.extended(f"{task}_result", outcome.data)
    if outcome.error is not None:
        state.has_failures = True
    if event.transition is not None:
        state.current_task = event.transition.target


def _cancel_requested(state: ExecutionState, event: CancelRequested) -> None:
    state.status = "cancelling"
    state.cancellation = Cancellation(event.at, event.reason)


def _task_stopped(state: ExecutionState, event: TaskStopped) -> None:
    state.running.pop(event.task, None)
    if state.cancellation is not None:
        state.cancellation.tasks = (*state.cancellation.tasks, event)


def _execution_completed(state: ExecutionState, event: ExecutionCompleted) -> None:
    state.status = "completed"
    state.ended_at = event.at


def _execution_failed(state: ExecutionState, event: ExecutionFailed) -> None:
    state.status = "failed"
    state.ended_at = event.at
    state.error = event.error
    state.error_task = event.task


def _execution_cancelled(state: ExecutionState, event: ExecutionCancelled) -> None:
    state.status = "cancelled"
    state.ended_at = event.at


_EVOLVERS: dict[type[Event], Callable[[ExecutionState, Any], None]] = {
    ExecutionStarted: _execution_started,
    TaskStarted: _task_started,
    TaskFinished: _task_finished,
    CancelRequested: _cancel_requested,
    TaskStopped: _task_stopped,
    ExecutionCompleted: _execution_completed,
    ExecutionFailed: _execution_failed,
    ExecutionCancelled: _execution_cancelled,
}
