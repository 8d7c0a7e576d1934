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
    at, outcome = finished.at, finished.outcome
    if target == END:
        if outcome.error is None:
            return ExecutionCompleted(at=at)
        return ExecutionFailed(at=at, error=outcome.error, task=finished.task)
    visit = state.visits.get(target, 0) + 1
    if visit > plan.max_visits:
        message = (
            f"task '{target}' would run for the {visit}th time; "
            f"the flow allows {plan.max_visits} (max_visits)"
        )
        error = ErrorInfo("MaxVisitsExceeded", message)
        return ExecutionFailed(at=at, error=error, task=target)
    return TaskStarted(at=at, task=target, visit=visit)
