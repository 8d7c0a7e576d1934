"""The rules of routing, as pure functions: what follows from how a task ended."""

from __future__ import annotations

from typing import Final

from actors.events import (
    Event,
    ExecutionCompleted,
    ExecutionFailed,
    TaskFinished,
    TaskStarted,
    Transition,
)
from actors.outcome import ErrorInfo, Outcome
from actors.plan import END, Plan, PlannedTask
from actors.state import ExecutionState

UNCONDITIONAL_END: Final = Transition(None, matched=False, target=END)


def decide(task: PlannedTask, outcome: Outcome) -> Transition:
    """Apply the conditions of *task* to how it ended.

    The first condition decides. A task without conditions leads to the end.
    """
    for condition in task.conditions:
        return condition.on_success if outcome.error is None else condition.on_failure
    return UNCONDITIONAL_END


def follow(plan: Plan, state: ExecutionState, finished: TaskFinished, target: str) -> Event:
    """Return what is to be recorded behind *finished*, which leads to *target*.

    The execution fails if its last task did and led to the end, and if a task would run more often
    than the plan allows; it completes if its last task succeeded.
    """
    at, error = finished.at, finished.outcome.error
    if target != END:
        return enter(plan, state, target, at)
    if error is None:
        return ExecutionCompleted(at=at)
    return ExecutionFailed(at=at, error=error, task=finished.task)


def enter(plan: Plan, state: ExecutionState, task: str, at: float) -> Event:
    """Return what is to be recorded when the execution comes to *task*: that it starts or may not.

    It may not start more often than the plan allows: then the execution fails.
    """
    visit = state.visits.get(task, 0) + 1
    if visit <= plan.max_visits:
        return TaskStarted(at=at, task=task, visit=visit)
    message = (
        f"task '{task}' would run for the {visit}th time; "
        f"the flow allows {plan.max_visits} (max_visits)"
    )
    return ExecutionFailed(at=at, error=ErrorInfo("MaxVisitsExceeded", message), task=task)


def go_on(plan: Plan, state: ExecutionState, at: float) -> Event:
    """Return what is to be recorded when an execution goes on in which nothing runs.

    The attempt that was stopped, or that failed and ended the execution, is followed by the next
    attempt of the same visit. Otherwise the execution goes where its last task leads.
    """
    if state.stopped_task is None and state.next_task is not None:
        return enter(plan, state, state.next_task, at)
    task = state.stopped_task or state.error_task
    if task is None:
        task = state.current_task  # it finished while the execution was being cancelled
        outcome = state.results.get(task)
        if outcome is not None and outcome.error is None and task in plan.tasks:
            target = decide(plan.tasks[task], outcome).target
            return ExecutionCompleted(at=at) if target == END else enter(plan, state, target, at)
    visit, attempt = state.visits.get(task, 1), state.attempts.get(task, 0) + 1
    return TaskStarted(at=at, task=task, visit=visit, attempt=attempt)
