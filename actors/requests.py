"""What is recorded when somebody asks something of an execution, as pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from actors.allowing import check_status
from actors.bodies import NoSuchBodyError, body_of
from actors.ending import conclude
from actors.events import (
    CancelRequested,
    Event,
    ExecutionPaused,
    ExecutionResumed,
    ExecutionRetried,
    SignalReceived,
    TaskStarted,
)
from actors.messages import (
    CancelExecution,
    NotAllowedError,
    OperatorRequest,
    PauseExecution,
    ResumeExecution,
    RetryExecution,
    SendSignal,
    SkipTask,
)
from actors.paths import COMPENSATION, ROOT, task_path
from actors.plan import Parallel, Plan, PlannedTask
from actors.routing import go_on
from actors.skipping import skip
from actors.state import ExecutionState, ScopeState

Events = tuple[Event, ...]

MAX_KEPT: Final = 1_000
"""Signals of one name that are kept until tasks take them."""


def decide_request(
    plan: Plan, state: ExecutionState, request: OperatorRequest, execution_id: str, at: float
) -> Events:
    """Return what *request* leads to, to be recorded as one batch.

    Args:
        plan: what the execution runs, or is to run from now on.
        state: how it stands.
        request: what is asked for.
        execution_id: the execution's id.
        at: the time: seconds since 1970-01-01 UTC.

    Returns:
        The events; none if what is asked for has been done already.

    Raises:
        NotAllowedError: the execution's status does not allow it.
    """
    if isinstance(request, RetryExecution):
        return _retry(plan, state, request, execution_id, at)
    if isinstance(request, SkipTask):
        return skip(plan, state, request, execution_id, at)
    return _DECISIONS[type(request)](state, request, at)


def _cancel(state: ExecutionState, request: CancelExecution, at: float) -> Events:
    if state.status in {"cancelling", "cancelled"}:
        return ()
    check_status(state, "cancelled", "running", "paused", "quarantined")
    return (CancelRequested(at=at, by=request.by, reason=request.reason),)


def _pause(state: ExecutionState, request: PauseExecution, at: float) -> Events:
    if state.status == "paused":
        return ()
    check_status(state, "paused", "running")
    if state.ending is not None:
        msg = "has come to its end, which cannot be paused"
        raise NotAllowedError(msg)
    return (ExecutionPaused(at=at, by=request.by, reason=request.reason),)


def _resume(state: ExecutionState, request: ResumeExecution, at: float) -> Events:
    if state.status == "running":
        return ()
    check_status(state, "resumed", "paused", "quarantined")
    return (ExecutionResumed(at=at, by=request.by, reason=request.reason),)


def _signal(state: ExecutionState, request: SendSignal, at: float) -> Events:
    if request.key is not None and request.key in state.signal_keys:
        return ()
    check_status(state, "sent a signal", "running", "paused")
    if len(state.signals.get(request.name, ())) >= MAX_KEPT:
        msg = f"keeps {MAX_KEPT:,} signals '{request.name}' that no task has taken yet, and no more"
        raise NotAllowedError(msg)
    received = SignalReceived(
        at=at,
        by=request.by,
        reason=request.reason,
        name=request.name,
        value=request.value,
        key=request.key,
    )
    return (received,)


def _retry(
    plan: Plan, state: ExecutionState, request: RetryExecution, execution_id: str, at: float
) -> Events:
    check_status(state, "retried", "failed", "cancelled")
    if COMPENSATION in state.scopes:
        msg = "has compensated its finished tasks, so it cannot go on; rerun it instead"
        raise NotAllowedError(msg)
    if state.status == "failed" and state.ending is not None and state.ending.status == "completed":
        following = conclude(plan, state, replace(state.ending, at=at))  # only its end has failed
    else:
        following = go_on(plan, state, ROOT, execution_id, at)
    for event in following:
        if isinstance(event, TaskStarted) and event.task not in plan.tasks:
            raise _no_such_task(plan, event.task)
    _check_scopes(plan, state)
    retried = ExecutionRetried(
        at=at, by=request.by, reason=request.reason, flow_version=plan.flow_version
    )
    return (retried, *following)


def _check_scopes(plan: Plan, state: ExecutionState) -> None:
    """Refuse a plan with which a scope could not go on as it has begun.

    Raises:
        NotAllowedError: it lacks the task at which a scope would go on, or that task is to open
            other branches than it has opened.
    """
    for path, scope in state.all_scopes():
        name = scope.stopped_task or scope.next_task or next(reversed(scope.results), None)
        if name is None:
            continue
        try:
            task = body_of(plan, path).tasks.get(name)
        except NoSuchBodyError:
            task = None
        if task is None and path != ROOT:  # what is started there says so itself
            raise _no_such_task(plan, task_path(path, name))
        if task is not None and _has_begun_otherwise(task, scope):
            raise _other_branches(plan, task_path(path, name))


def _has_begun_otherwise(task: PlannedTask, scope: ScopeState) -> bool:
    """Whether the scope would go on inside of *task*, which has opened other branches there."""
    fork, construct = scope.fork, task.construct
    if fork is None or fork.task != task.name or not isinstance(construct, Parallel):
        return False
    if scope.stopped_task != task.name:
        outcome = scope.results.get(task.name)
        if scope.next_task is not None or outcome is None or outcome.error is None:
            return False  # it is over, or begins anew
    return fork.total != len(construct.branches)


def _no_such_task(plan: Plan, task: str) -> NotAllowedError:
    return NotAllowedError(
        f"goes on at task '{task}', which version {plan.flow_version} of flow "
        f"'{plan.flow_id}' does not have; retry it on a version that has it, or rerun it"
    )


def _other_branches(plan: Plan, task: str) -> NotAllowedError:
    return NotAllowedError(
        f"goes on inside of task '{task}', which has other branches in version "
        f"{plan.flow_version} of flow '{plan.flow_id}'; retry it on a version that has the same, "
        "or rerun it"
    )


_DECISIONS: Final[dict[type[OperatorRequest], Callable[..., Events]]] = {
    CancelExecution: _cancel,
    PauseExecution: _pause,
    ResumeExecution: _resume,
    SendSignal: _signal,
}
