"""What is recorded when an execution goes on that the end of the server has interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from actors.bodies import task_of
from actors.ending import conclude, execution_values, stop_all
from actors.events import (
    AttemptInterrupted,
    EndingStarted,
    Event,
    ExecutionCancelled,
    ExecutionQuarantined,
    TaskFinished,
    TaskStarted,
    TaskStopped,
)
from actors.expressions import ExpressionError, Values
from actors.forks import is_being_stopped, is_flow_late, is_late
from actors.outcome import ErrorInfo, Outcome
from actors.plan import Plan, PlannedTask
from actors.routing import UNCONDITIONAL_END, decide
from actors.state import ExecutionState

Events = tuple[Event, ...]

INTERRUPTED = ErrorInfo(
    "Interrupted",
    "the server ended while the task was running, and the task may run at most once (at_most_once)",
    retryable=False,
)
"""The error of a task that was interrupted and is not to be run again."""

GIVEN_UP = ErrorInfo(
    "Interrupted",
    "the server ended while the task was running, again and again, so it is given up",
    retryable=False,
)
"""The error of a task at whose side the server has ended too often."""


def recover(plan: Plan, state: ExecutionState, execution_id: str, at: float) -> Events:
    """Return how an execution goes on that is as *state* says, and of which nothing runs.

    Attempts that were running were interrupted: their tasks are run again, or have failed if they
    may run only once. Tasks that run no code of their own go on. What was being cancelled has
    stopped: nothing of it is running any more, but the sub-flows that are waited for.

    Args:
        plan: what it runs.
        state: how it stands.
        execution_id: the execution's id.
        at: the time: seconds since 1970-01-01 UTC.

    Returns:
        What is to be recorded, as one batch; nothing if there is nothing to say. Scopes that are
        idle then have to go on.
    """
    if state.status == "cancelling" and state.ending is None:
        return _cancelled(plan, state, at)
    return _interrupted(plan, state, execution_id, at, may_start=state.status != "paused")


def quarantine(
    plan: Plan, state: ExecutionState, recoveries: int, execution_id: str, at: float
) -> Events:
    """Return what is to be recorded of an execution that is not recovered once more as it is.

    It is quarantined, until somebody resumes it. If it is being cancelled, what runs of its end has
    failed, and the rest of that follows; its sub-flows are waited for.

    Args:
        plan: what it runs.
        state: how it stands.
        recoveries: how often it was recovered without having come any further.
        execution_id: the execution's id.
        at: the time: seconds since 1970-01-01 UTC.
    """
    if state.status == "cancelling" and state.ending is None:
        if any(given_up(plan, state, at)):
            return _cancelled(plan, state, at)  # as it has to wait for its sub-flows
        # It runs nothing any more, and so does no harm; nor does it do anything else.
        return (*_stopped(plan, state, at), ExecutionCancelled(at=at))
    if state.status == "cancelling":
        # Nobody could resume it, and what else belongs to its end is not to be left out.
        return _interrupted(plan, state, execution_id, at, may_start=False, is_given_up=True)
    events = _interrupted(plan, state, execution_id, at, may_start=False)
    return (*events, ExecutionQuarantined(at=at, recoveries=recoveries))


def given_up(plan: Plan, state: ExecutionState, at: float) -> Iterator[TaskStarted]:
    """Return the attempts that go on by themselves, although what is around them is stopped.

    The server has ended before they were told, or before the time of what is around them was over,
    which it is at the time *at*.
    """
    is_cancelled = state.status == "cancelling" and state.ending is None
    is_over = is_cancelled or is_flow_late(plan, state, at)
    for path, started in state.all_running():
        if task_of(plan, state, path, started.task).goes_on and (
            is_over or is_being_stopped(state, path) or is_late(plan, state, path, at)
        ):
            yield started


def _interrupted(
    plan: Plan,
    state: ExecutionState,
    execution_id: str,
    at: float,
    *,
    may_start: bool,
    is_given_up: bool = False,
) -> Events:
    events: list[Event] = []
    for path, started in state.all_running():
        if _has_code(task_of(plan, state, path, started.task)):
            events += _interrupted_attempt(
                plan,
                state,
                started,
                execution_id,
                at,
                may_start=may_start,
                is_given_up=is_given_up,
            )
    return tuple(events)


def _has_code(task: PlannedTask) -> bool:
    """Whether code of the task itself has ended with the server."""
    return task.construct is None and not task.goes_on


def _interrupted_attempt(
    plan: Plan,
    state: ExecutionState,
    started: TaskStarted,
    execution_id: str,
    at: float,
    *,
    may_start: bool,
    is_given_up: bool,
) -> Events:
    name, visit, attempt, path = started.task, started.visit, started.attempt, started.scope
    if is_being_stopped(state, path):
        stopped = TaskStopped(
            at=at, scope=path, task=name, attempt=attempt, how="killed", seconds=0.0
        )
        return (stopped,)
    interrupted = AttemptInterrupted(at=at, scope=path, task=name, visit=visit, attempt=attempt)
    task = task_of(plan, state, path, name)
    if is_given_up or task.at_most_once:
        error = GIVEN_UP if is_given_up else INTERRUPTED
        return (interrupted, _failed(plan, state, started, error, execution_id, at))
    if not may_start:
        return (interrupted,)
    again = TaskStarted(at=at, scope=path, task=name, visit=visit, attempt=attempt + 1)
    return (interrupted, again)


def _failed(  # noqa: PLR0917
    plan: Plan,
    state: ExecutionState,
    started: TaskStarted,
    error: ErrorInfo,
    execution_id: str,
    at: float,
) -> TaskFinished:
    task = task_of(plan, state, started.scope, started.task)
    outcome = Outcome("failure", 0.0, error=error)
    before = state.scope(started.scope).context
    context = before.behind(started.task, outcome.data, is_merged=False)
    about = {"name": task.name, "visit": started.visit, "attempt": started.attempt}

    def values() -> Values:
        execution = partial(execution_values, plan, execution_id, state)
        return Values(context, task=about, execution=execution, outcome=outcome)

    try:
        transition = decide(task, outcome, values)
    except ExpressionError:
        transition = UNCONDITIONAL_END  # it has failed in any case
    return TaskFinished(
        at=at,
        scope=started.scope,
        task=started.task,
        visit=started.visit,
        attempt=started.attempt,
        outcome=outcome,
        transition=transition,
    )


def _cancelled(plan: Plan, state: ExecutionState, at: float) -> Events:
    if any(given_up(plan, state, at)):
        killed = {  # and what runs no code stays with what is in it
            (path, started.task)
            for path, started in state.all_running()
            if _has_code(task_of(plan, state, path, started.task))
        }
        return tuple(
            each for each in _stopped(plan, state, at) if (each.scope, each.task) in killed
        )
    ending = EndingStarted(at=at, status="cancelled")
    return (*_stopped(plan, state, at), *conclude(plan, state, ending))


def _stopped(plan: Plan, state: ExecutionState, at: float) -> tuple[TaskStopped, ...]:
    requested = at if state.cancellation is None else state.cancellation.requested_at
    return stop_all(plan, state, "killed", at, max(0.0, at - requested))
