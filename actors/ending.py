"""The end of an execution: compensation, the flow's `finally`, and the terminal event."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from actors.bodies import task_of
from actors.events import (
    EndingStarted,
    Event,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ScopeFinished,
    ScopeStarted,
    ScopeStopped,
    TaskFinished,
    TaskStarted,
    TaskStopped,
)
from actors.expressions import ExpressionError, Values
from actors.forks import open_scope, open_scopes
from actors.outcome import NULL, ErrorInfo, Outcome, StopKind
from actors.paths import COMPENSATION, FINALLY
from actors.plan import Map, Parallel, Plan
from actors.state import ExecutionState
from actors.values import ValueRefusedError, encode_value

Events = tuple[Event, ...]


def conclude(
    plan: Plan, state: ExecutionState, ending: EndingStarted, *, is_compensable: bool = False
) -> Events:
    """Return what is to be recorded when the execution's own scope has come to its end.

    Args:
        plan: what it runs.
        state: how it stands.
        ending: how it is going to end.
        is_compensable: whether the task that is recorded just before this can be compensated.

    Returns:
        The terminal event, or the beginning of the end if more belongs to it.
    """
    is_undone = ending.status != "completed" and (is_compensable or bool(state.compensable))
    has_output = ending.status == "completed" and plan.output is not None
    if plan.closing is not None or is_undone or has_output:
        return (ending,)
    return (_terminal(ending, ending.at),)


def go_on_ending(plan: Plan, state: ExecutionState, execution_id: str, at: float) -> Events:
    """Return what is to be recorded next at the end of an execution, of whose end nothing runs."""
    ending = state.ending
    assert ending is not None
    is_closed = FINALLY in state.scopes
    is_cancelled = state.status == "cancelling"
    if ending.status != "completed" or (is_cancelled and is_closed):
        following = _next_compensation(state, at)
        if following:
            return following
    if plan.closing is not None and not is_closed:
        return open_scope(plan.closing, FINALLY, at)
    if is_cancelled:
        return (ExecutionCancelled(at=at),)
    if ending.status != "completed":
        return (_terminal(ending, at),)
    return _complete(plan, state, execution_id, at)


def _complete(plan: Plan, state: ExecutionState, execution_id: str, at: float) -> Events:
    """Return what is to be recorded when all has run of an execution that is to complete."""
    closing = state.scopes.get(FINALLY)
    error = None if closing is None or closing.outcome is None else closing.outcome.error
    if error is not None:
        return _failed_at_the_end(state, error, "finally", at)
    if plan.output is None:
        return (ExecutionCompleted(at=at),)
    execution = partial(execution_values, plan, execution_id, state)
    values = Values(state.context, task={}, execution=execution)
    try:
        output = msgspec.Raw(encode_value(plan.output.evaluate(values)))
    except (ExpressionError, ValueRefusedError) as raised:
        info = ErrorInfo("ExpressionError", f"the flow's output: {raised}")
        return _failed_at_the_end(state, info, "output", at)
    return (ExecutionCompleted(at=at, output=output),)


def conclude_cut(state: ExecutionState, at: float) -> Events:
    """Return what is to be recorded when a cancelled execution's ``finally`` has been stopped."""
    cancelled = EndingStarted(at=at, status="cancelled")
    assert state.ending is not None
    if state.ending.status != "completed" or not _next_compensation(state, at):
        return (ExecutionCancelled(at=at),)
    return (ScopeStopped(at=at, scope=FINALLY), cancelled)


def cut_off(plan: Plan, state: ExecutionState, error: ErrorInfo, at: float) -> Events:
    """Return what is to be recorded when all that ran was stopped although nobody had asked for it.

    The execution fails. What belongs to its end has failed by itself if it ran already, and the
    rest of that follows.

    Args:
        plan: what the execution runs.
        state: how it stands.
        error: why it was stopped.
        at: the time: seconds since 1970-01-01 UTC.
    """
    if state.ending is None:
        ending = EndingStarted(at=at, status="failed", error=error, task=state.current_task)
        return (*stop_all(plan, state, "stopped", at), *conclude(plan, state, ending))
    outcome = Outcome("failure", 0.0, error=error)
    closing, undoing = state.scopes.get(FINALLY), state.scopes.get(COMPENSATION)
    if closing is not None and closing.is_open and closing.wait is None:
        inside = () if closing.fork is None else open_scopes(closing.fork)
        # Or what waits there for its next attempt would begin it, beside what follows.
        left = [ScopeStopped(at=at, scope=path) for path, _ in inside]
        failed = ScopeFinished(at=at, scope=FINALLY, outcome=outcome)
        return (*stop_all(plan, state, "stopped", at), *left, failed)
    if undoing is None or undoing.wait is not None:
        return ()
    name = undoing.stopped_task if undoing.running is None else undoing.running.task
    if name is None:
        return ()
    return (
        TaskFinished(
            at=at,
            scope=COMPENSATION,
            task=name,
            visit=undoing.visits[name],
            attempt=undoing.attempts[name],
            outcome=outcome,
            transition=None,
        ),
    )


def _failed_at_the_end(state: ExecutionState, error: ErrorInfo, task: str, at: float) -> Events:
    """Return what is to be recorded when what was to complete fails in what belongs to its end."""
    compensation = _next_compensation(state, at)
    if not compensation:
        return (ExecutionFailed(at=at, error=error, task=task),)
    return (EndingStarted(at=at, status="failed", error=error, task=task), *compensation)


def _next_compensation(state: ExecutionState, at: float) -> Events:
    """Return the start of what compensates the task that finished last of those that are left."""
    scope = state.scopes.get(COMPENSATION)
    done = {} if scope is None else scope.results
    for name in reversed(state.compensable):
        if name not in done:
            started = TaskStarted(at=at, scope=COMPENSATION, task=name)
            opened = (ScopeStarted(at=at, scope=COMPENSATION),) if scope is None else ()
            return (*opened, started)
    return ()


def stop_all(
    plan: Plan, state: ExecutionState, how: StopKind, at: float, seconds: float = 0.0
) -> tuple[TaskStopped, ...]:
    """Return what is to be recorded of all attempts that run or wait; inner ones come first.

    A task that only waits, or that has opened scopes in which no other ones are left, has no code
    that could end in any other way than by being stopped.

    Args:
        plan: what the execution runs.
        state: how the execution stands.
        how: how those ended that run code.
        at: the time: seconds since 1970-01-01 UTC.
        seconds: how long after the request to cancel that was.
    """
    stopped: list[TaskStopped] = []
    with_code: set[str] = set()  # scopes
    for path, started in reversed(list(state.all_running())):
        construct = task_of(plan, state, path, started.task).construct
        if isinstance(construct, Parallel | Map):
            fork = state.scope(path).fork
            has_code = fork is not None and not with_code.isdisjoint(fork.scopes)
        else:
            has_code = construct is None
        if has_code:
            with_code.add(path)
        ended = TaskStopped(
            at=at,
            scope=path,
            task=started.task,
            attempt=started.attempt,
            how=how if has_code else "stopped",
            seconds=seconds,
        )
        stopped.append(ended)
    return tuple(stopped)


def execution_values(plan: Plan, execution_id: str, state: ExecutionState) -> dict[str, Any]:
    """Return what expressions know about the execution.

    From where its end begins they know how it is going to end, as far as that is recorded now:
    a cancellation, and what fails in its end, still change it.
    """
    # What is evaluated when it has ended is about what is to run again then.
    ending = None if state.has_ended else state.ending
    status, error = "running", None
    if ending is not None:
        status = "cancelled" if state.status == "cancelling" else ending.status
        if ending.error is not None:
            error = {**ending.error.as_value(), "task": ending.task}
    return {
        "id": execution_id,
        "flow_id": plan.flow_id,
        "flow_version": plan.flow_version,
        "status": status,
        "error": error,
    }


def _terminal(ending: EndingStarted, at: float) -> Event:
    if ending.status == "completed":
        return ExecutionCompleted(at=at, output=NULL)
    if ending.status == "cancelled" or ending.error is None:
        return ExecutionCancelled(at=at)
    return ExecutionFailed(at=at, error=ending.error, task=ending.task)
