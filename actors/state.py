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
    AttemptInterrupted,
    CancelRequested,
    Event,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionPaused,
    ExecutionQuarantined,
    ExecutionResumed,
    ExecutionRetried,
    ExecutionStarted,
    Scalar,
    TaskFinished,
    TaskSkipped,
    TaskStarted,
    TaskStopped,
    Transition,
)
from actors.outcome import ErrorInfo, Outcome
from actors.plan import END

ExecutionStatus = Literal[
    "pending",
    "running",
    "paused",
    "quarantined",
    "cancelling",
    "completed",
    "failed",
    "cancelled",
]
"""How an execution stands.

``pending``: not recorded yet. ``paused``: no further task is started, one that runs goes on.
``quarantined``: not run any more, because it cannot be: the server ends when it runs, or its record
is damaged. ``cancelling``: asked to stop. The last three are ends.
"""


class Cancellation(msgspec.Struct):
    """That the execution was asked to stop, and the receipt: how each running task did.

    Attributes:
        requested_at: when: seconds since 1970-01-01 UTC.
        reason: why, in the words of whoever asked.
        tasks: the tasks that were running then, in the order in which they ended.
        by: who asked, as they said themselves.
    """

    requested_at: float
    reason: str | None
    tasks: tuple[TaskStopped, ...] = ()
    by: str | None = None


_NOTHING = Context()


class ExecutionState(msgspec.Struct):
    """What is known about an execution.

    Attributes:
        seq: how many events made this state.
        current_task: the task that runs or ran last; "end" after the transition to the end.
        next_task: where the last transition leads, until that task is started: not yet, or not at
            all, if the execution is paused or has ended.
        stopped_task: the task whose attempt ended without an outcome (it was cancelled, or the
            server ended), until it is started again.
        results: the last outcome of every task that has finished, in the order of finishing.
        visits: how often each task was started.
        running: how the attempts that have not ended were started, by task.
        attempts: the number of the last attempt of each task's last visit.
        interruptions: how many attempts ended because the server did.
        metadata: what the execution can be looked up by.
        rerun_of: the execution that this one repeats.
        has_failures: whether any task has failed.
        error: why the execution failed, and `error_task` where.
    """

    flow_id: str = ""
    flow_version: int = 0
    status: ExecutionStatus = "pending"
    seq: int = 0
    current_task: str = ""
    next_task: str | None = None
    stopped_task: str | None = None
    context: Context = _NOTHING
    started_at: float = 0.0
    ended_at: float | None = None
    results: dict[str, Outcome] = msgspec.field(default_factory=dict)
    visits: dict[str, int] = msgspec.field(default_factory=dict)
    running: dict[str, TaskStarted] = msgspec.field(default_factory=dict)
    attempts: dict[str, int] = msgspec.field(default_factory=dict)
    interruptions: int = 0
    metadata: dict[str, Scalar] = {}
    rerun_of: str | None = None
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
    state.metadata = event.metadata
    state.rerun_of = event.rerun_of


def _task_started(state: ExecutionState, event: TaskStarted) -> None:
    state.current_task = event.task
    state.next_task = state.stopped_task = None
    state.visits[event.task] = event.visit
    state.attempts[event.task] = event.attempt
    state.running[event.task] = event


def _attempt_interrupted(state: ExecutionState, event: AttemptInterrupted) -> None:
    state.running.pop(event.task, None)
    state.stopped_task = event.task
    state.interruptions += 1


def _task_finished(state: ExecutionState, event: TaskFinished) -> None:
    state.running.pop(event.task, None)
    _keep_outcome(state, event.task, event.outcome)
    if event.outcome.error is not None:
        state.has_failures = True
    if event.transition is not None:
        _lead_on(state, event.transition)


def _task_skipped(state: ExecutionState, event: TaskSkipped) -> None:
    if state.has_ended:
        _reopen(state)
    state.visits[event.task] = event.visit
    _keep_outcome(state, event.task, Outcome("success", 0.0, event.result))
    _lead_on(state, event.transition)


def _keep_outcome(state: ExecutionState, task: str, outcome: Outcome) -> None:
    if state.stopped_task == task:
        state.stopped_task = None
    if task in state.results:  # a repeated task moves to the end: results are in run order
        del state.results[task]
    state.results[task] = outcome
    state.context = state.context.extended(f"{task}_result", outcome.data)


def _lead_on(state: ExecutionState, transition: Transition) -> None:
    state.current_task = transition.target
    state.next_task = None if transition.target == END else transition.target


def _execution_paused(state: ExecutionState, _: ExecutionPaused) -> None:
    state.status = "paused"


def _execution_resumed(state: ExecutionState, _: ExecutionResumed) -> None:
    state.status = "running"


def _execution_quarantined(state: ExecutionState, _: ExecutionQuarantined) -> None:
    state.status = "quarantined"


def _execution_retried(state: ExecutionState, event: ExecutionRetried) -> None:
    state.flow_version = event.flow_version
    _reopen(state)


def _reopen(state: ExecutionState) -> None:
    state.status = "running"
    state.ended_at = None
    state.error = state.error_task = state.cancellation = None


def _cancel_requested(state: ExecutionState, event: CancelRequested) -> None:
    state.status = "cancelling"
    state.cancellation = Cancellation(event.at, event.reason, by=event.by)


def _task_stopped(state: ExecutionState, event: TaskStopped) -> None:
    if state.running.pop(event.task, None) is not None:
        state.stopped_task = event.task
    if state.cancellation is not None:
        state.cancellation.tasks = (*state.cancellation.tasks, event)


def _execution_completed(state: ExecutionState, event: ExecutionCompleted) -> None:
    state.status = "completed"
    state.ended_at = event.at


def _execution_failed(state: ExecutionState, event: ExecutionFailed) -> None:
    state.status = "failed"
    state.ended_at = event.at
    state.running.clear()
    state.error = event.error
    state.error_task = event.task


def _execution_cancelled(state: ExecutionState, event: ExecutionCancelled) -> None:
    state.status = "cancelled"
    state.ended_at = event.at


_EVOLVERS: dict[type[Event], Callable[[ExecutionState, Any], None]] = {
    ExecutionStarted: _execution_started,
    TaskStarted: _task_started,
    AttemptInterrupted: _attempt_interrupted,
    TaskFinished: _task_finished,
    TaskSkipped: _task_skipped,
    ExecutionPaused: _execution_paused,
    ExecutionResumed: _execution_resumed,
    ExecutionRetried: _execution_retried,
    ExecutionQuarantined: _execution_quarantined,
    CancelRequested: _cancel_requested,
    TaskStopped: _task_stopped,
    ExecutionCompleted: _execution_completed,
    ExecutionFailed: _execution_failed,
    ExecutionCancelled: _execution_cancelled,
}
