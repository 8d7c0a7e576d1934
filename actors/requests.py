"""What is recorded when somebody asks something of an execution, as pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from actors.events import (
    CancelRequested,
    Event,
    ExecutionCompleted,
    ExecutionPaused,
    ExecutionResumed,
    ExecutionRetried,
    TaskSkipped,
    TaskStarted,
)
from actors.messages import (
    CancelExecution,
    NotAllowedError,
    OperatorRequest,
    PauseExecution,
    ResumeExecution,
    RetryExecution,
    SkipTask,
)
from actors.outcome import Outcome
from actors.plan import END, Plan
from actors.routing import decide, enter, go_on
from actors.state import ExecutionState, ExecutionStatus

Events = tuple[Event, ...]


def decide_request(
    plan: Plan, state: ExecutionState, request: OperatorRequest, at: float
) -> Events:
    """Return what *request* leads to, to be recorded as one batch.

    Args:
        plan: what the execution runs.
        state: how it stands.
        request: what is asked for.
        at: the time: seconds since 1970-01-01 UTC.

    Returns:
        The events; none if what is asked for has been done already.

    Raises:
        NotAllowedError: the execution's status does not allow it.
    """
    return _DECISIONS[type(request)](plan, state, request, at)


def _cancel(_: Plan, state: ExecutionState, request: CancelExecution, at: float) -> Events:
    if state.status in {"cancelling", "cancelled"}:
        return ()
    _check(state, "cancelled", "running", "paused", "quarantined")
    return (CancelRequested(at=at, by=request.by, reason=request.reason),)


def _pause(_: Plan, state: ExecutionState, request: PauseExecution, at: float) -> Events:
    if state.status == "paused":
        return ()
    _check(state, "paused", "running")
    return (ExecutionPaused(at=at, by=request.by, reason=request.reason),)


def _resume(plan: Plan, state: ExecutionState, request: ResumeExecution, at: float) -> Events:
    if state.status == "running":
        return ()
    _check(state, "resumed", "paused", "quarantined")
    resumed = ExecutionResumed(at=at, by=request.by, reason=request.reason)
    if state.running:
        return (resumed,)  # what ran when it was paused runs still
    return (resumed, go_on(plan, state, at))


def _retry(_: Plan, state: ExecutionState, request: RetryExecution, at: float) -> Events:
    _check(state, "retried", "failed", "cancelled")
    plan = request.plan
    following = go_on(plan, state, at)
    if isinstance(following, TaskStarted) and following.task not in plan.tasks:
        msg = (
            f"goes on at task '{following.task}', which version {plan.flow_version} of flow "
            f"'{plan.flow_id}' does not have; retry it on a version that has it, or rerun it"
        )
        raise NotAllowedError(msg)
    retried = ExecutionRetried(
        at=at, by=request.by, reason=request.reason, flow_version=plan.flow_version
    )
    return (retried, following)


def _skip(plan: Plan, state: ExecutionState, request: SkipTask, at: float) -> Events:
    _check(state, "given a result instead of running a task", "paused", "failed")
    if state.running:
        running = next(iter(state.running))
        msg = f"is running task '{running}'; only a task that waits or has failed can be skipped"
        raise NotAllowedError(msg)
    task = state.stopped_task or state.next_task or state.error_task or state.current_task
    if request.task not in {None, task}:
        msg = f"is at task '{task}'; task '{request.task}' cannot be skipped"
        raise NotAllowedError(msg)
    is_new_visit = task == state.next_task and state.stopped_task is None
    visit = state.visits.get(task, 0) + is_new_visit
    transition = decide(plan.tasks[task], Outcome("success", 0.0, request.result))
    skipped = TaskSkipped(
        at=at,
        by=request.by,
        reason=request.reason,
        task=task,
        visit=visit,
        result=request.result,
        transition=transition,
    )
    if transition.target == END:
        return (skipped, ExecutionCompleted(at=at))
    if state.status == "paused":
        return (skipped,)
    return (skipped, enter(plan, state, transition.target, at))


def _check(state: ExecutionState, done: str, *allowed: ExecutionStatus) -> None:
    """Return if the status is one of *allowed*.

    Raises:
        NotAllowedError: it is not; the message says which statuses allow it.
    """
    if state.status not in allowed:
        *others, last = allowed
        listed = f"{', '.join(others)} and {last}" if others else last
        stands = _ENDED.get(state.status, f"is {state.status}")
        msg = f"{stands}; only {listed} executions can be {done}"
        raise NotAllowedError(msg)


_ENDED = {"completed": "has completed", "failed": "has failed", "cancelled": "was cancelled"}

_DECISIONS: Final[dict[type[OperatorRequest], Callable[..., Events]]] = {
    CancelExecution: _cancel,
    PauseExecution: _pause,
    ResumeExecution: _resume,
    RetryExecution: _retry,
    SkipTask: _skip,
}
