"""The rules of routing, as pure functions: what follows from how a task ended."""

from __future__ import annotations

import msgspec

from actors.events import (
    Event,
    ExecutionCompleted,
    ExecutionFailed,
    TaskFinished,
    TaskStarted,
    TransitionTaken,
)
from actors.outcome import ErrorInfo, Outcome
from actors.plan import END, Plan, PlannedTask
from actors.state import ExecutionState


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Where a finished task leads, and what decided it.

    Attributes:
        condition: the condition that decided; None when the task has none.
        matched: whether the outcome was the one that the condition names.
        target: the next task, or `END`.
    """

    condition: str | None
    matched: bool
    target: str


def decide(task: PlannedTask, outcome: Outcome) -> Decision:
    """Apply the conditions of *task* to how it ended.

    The first condition decides: an outcome equal to the condition's leads to its target for a
    match, any other to its other target. A task without conditions leads to the end.
    """
    for condition in task.conditions:
        matched = outcome.status == condition.outcome
        target = condition.on_match if matched else condition.otherwise
        return Decision(condition.name, matched, target)
    return Decision(None, False, END)  # noqa: FBT003


def follow(
    plan: Plan, state: ExecutionState, finished: TaskFinished, decision: Decision
) -> tuple[Event, Event]:
    """Return what is to be recorded behind *finished*: the transition, and what follows.

    The execution fails if its last task did and led to the end, and if a task would run more often
    than the plan allows; it completes if its last task succeeded.
    """
    task, outcome, at = finished.task, finished.outcome, finished.at
    target = decision.target
    taken = TransitionTaken(
        at=at, source=task, condition=decision.condition, matched=decision.matched, target=target
    )
    if target == END:
        if outcome.error is None:
            return taken, ExecutionCompleted(at=at)
        return taken, ExecutionFailed(at=at, error=outcome.error, task=task)
    visit = state.visits.get(target, 0) + 1
    if visit > plan.max_visits:
        message = (
            f"task '{target}' would run for the {visit}th time; "
            f"the flow allows {plan.max_visits} (max_visits)"
        )
        error = ErrorInfo("MaxVisitsExceeded", message)
        return taken, ExecutionFailed(at=at, error=error, task=target)
    return taken, TaskStarted(at=at, task=target, visit=visit)
