"""The rules of routing, as pure functions: what follows from how a task ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from actors.bodies import body_of, task_of
from actors.ending import conclude, execution_values
from actors.events import (
    EndingStarted,
    Event,
    ExecutionCompleted,
    ScopeFinished,
    TaskFinished,
    TaskStarted,
    Transition,
)
from actors.expressions import ExpressionError, Values
from actors.forks import after_scope
from actors.outcome import MAX_MESSAGE, NULL, ErrorInfo, Outcome
from actors.paths import COMPENSATION, FINALLY, ROOT
from actors.plan import END, Condition, Plan, PlannedTask
from actors.state import ExecutionState

Events = tuple[Event, ...]

UNCONDITIONAL_END: Final = Transition(None, matched=False, target=END)


def decide(
    task: PlannedTask, outcome: Outcome, values: Callable[[], Mapping[str, Any]] = dict
) -> Transition:
    """Apply the conditions of *task* to how it ended.

    The first condition that holds decides. A task without one leads to the end.

    Args:
        task: the task.
        outcome: how it ended.
        values: makes what conditions can speak of; called only if one does.

    Raises:
        ExpressionError: a condition has no answer; the message names it.
    """
    made: Mapping[str, Any] | None = None
    for condition in task.conditions:
        if condition.when is not None:
            made = values() if made is None else made
            if not _holds(task, condition, made):
                continue
        return condition.transition(outcome)
    return UNCONDITIONAL_END


def _holds(task: PlannedTask, condition: Condition, values: Mapping[str, Any]) -> bool:
    assert condition.when is not None
    try:
        return condition.when.evaluate(values) is True
    except ExpressionError as error:
        msg = f"condition '{condition.on_success.condition}' of task '{task.name}': {error}"
        raise ExpressionError(msg) from error


def due_again(  # noqa: PLR0917 - what is asked of a clock and of chance is given from outside
    run_failures: int, task: PlannedTask, error: ErrorInfo, since: float, at: float, chance: float
) -> float | None:
    """Return when a task whose attempt has just failed is to be tried again; None for never.

    Args:
        run_failures: how many attempts of the visit had failed before.
        task: the task.
        error: why this one failed.
        since: when the first attempt of the visit began.
        at: the time now.
        chance: a random number from 0 to 1, for the jitter.
    """
    retry = task.retry
    if retry is None or not retry.allows(error, run_failures + 1):
        return None
    due = at + retry.interval(run_failures + 1, chance)
    if task.deadline is not None and due >= since + task.deadline:
        return None
    return due


def follow(plan: Plan, state: ExecutionState, finished: TaskFinished, target: str) -> Events:
    """Return what is to be recorded behind *finished*, which leads to *target*.

    At the end of its body a scope ends as its last task did.
    """
    scope, at, is_compensable = finished.scope, finished.at, finished.is_compensable
    if target != END:
        return enter(plan, state, scope, target, at, is_compensable=is_compensable)
    outcome, task = finished.outcome, finished.task
    if not scope and outcome.error is None and plan.closing is None and plan.output is None:
        return (ExecutionCompleted(at=at),)
    return end_scope(plan, state, scope, outcome, task, at, is_compensable=is_compensable)


def end_scope(  # noqa: PLR0917
    plan: Plan,
    state: ExecutionState,
    scope: str,
    outcome: Outcome,
    task: str,
    at: float,
    *,
    is_compensable: bool = False,
) -> Events:
    """Return what is to be recorded when a scope comes to its end.

    Args:
        plan: what the execution runs.
        state: how it stands.
        scope: the path of the scope.
        outcome: how it ends.
        task: the task that it ends in.
        at: the time: seconds since 1970-01-01 UTC.
        is_compensable: whether that task, which finishes just now, can be compensated.
    """
    if scope == ROOT:
        status: Final = "completed" if outcome.error is None else "failed"
        ending = EndingStarted(at=at, status=status, error=outcome.error, task=task)
        return conclude(plan, state, ending, is_compensable=is_compensable)
    if scope == COMPENSATION:
        return ()  # what is compensated next is decided when this is recorded
    if scope == FINALLY:
        return (ScopeFinished(at=at, scope=scope, outcome=outcome),)
    return after_scope(plan, state, scope, outcome, at)


def enter(
    plan: Plan,
    state: ExecutionState,
    scope: str,
    task: str,
    at: float,
    *,
    is_compensable: bool = False,
) -> Events:
    """Return what is to be recorded when a scope comes to *task*: that it starts or may not.

    It may not start more often than the body allows: then the scope fails.

    Args:
        plan: what the execution runs.
        state: how it stands.
        scope: the path of the scope.
        task: the task.
        at: the time: seconds since 1970-01-01 UTC.
        is_compensable: whether the task before it, which finishes just now, can be compensated.
    """
    body, current = (body_of(plan, scope), state.scopes[scope]) if scope else (plan, state)
    visit = current.visits.get(task, 0) + 1
    if visit <= body.max_visits:
        return (TaskStarted(at=at, scope=scope, task=task, visit=visit),)
    allowed = f"{body.max_visits} (max_visits)"
    message = f"visit {visit} of task '{task}' is more than the flow allows: {allowed}"
    error = ErrorInfo("MaxVisitsExceeded", message)
    outcome = Outcome("failure", 0.0, error=error)
    return end_scope(plan, state, scope, outcome, task, at, is_compensable=is_compensable)


def go_on(plan: Plan, state: ExecutionState, scope: str, execution_id: str, at: float) -> Events:
    """Return what is to be recorded when a scope goes on in which nothing runs or waits.

    The attempt that was stopped, or that failed and ended the scope, is followed by the next
    attempt of the same visit. Otherwise the scope goes where its last task leads.

    Args:
        plan: what the execution runs.
        state: how it stands.
        scope: the path of the scope, which is open.
        execution_id: its id.
        at: the time: seconds since 1970-01-01 UTC.
    """
    current = state.scope(scope)
    if current.stopped_task is None and current.next_task is not None:
        return enter(plan, state, scope, current.next_task, at)
    failed = state.error_task if scope == ROOT else None
    task = current.stopped_task or failed or current.current_task
    if current.stopped_task is None:
        if task == END:
            last = next(reversed(current.results))
            return end_scope(plan, state, scope, current.results[last], last, at)
        outcome = current.results.get(task)
        if outcome is not None and outcome.error is None:
            return _decide_again(plan, state, scope, task, execution_id, at)
    visit, attempt = current.visits.get(task, 1), current.attempts.get(task, 0) + 1
    return (TaskStarted(at=at, scope=scope, task=task, visit=visit, attempt=attempt),)


def _decide_again(  # noqa: PLR0917
    plan: Plan,
    state: ExecutionState,
    scope: str,
    name: str,
    execution_id: str,
    at: float,
) -> Events:
    """Return what follows a task that has finished, but whose conditions have not decided."""
    current = state.scope(scope)
    outcome, visit = current.results[name], current.visits.get(name, 1)
    task = task_of(plan, state, scope, name)

    def values() -> Values:
        about = {"name": name, "visit": visit, "attempt": current.attempts.get(name, 1)}
        execution = partial(execution_values, plan, execution_id, state)
        return Values(current.context, task=about, execution=execution, outcome=outcome)

    try:
        target = decide(task, outcome, values).target
    except ExpressionError as error:
        failure = Outcome("failure", 0.0, error=expression_error(error))
        return end_scope(plan, state, scope, failure, name, at)
    if target == END:
        return end_scope(plan, state, scope, outcome, name, at)
    return enter(plan, state, scope, target, at)


def expression_error(error: Exception) -> ErrorInfo:
    """Return how an expression that has no value is recorded: another attempt is of no use."""
    return ErrorInfo("ExpressionError", str(error)[:MAX_MESSAGE], NULL, retryable=False)
