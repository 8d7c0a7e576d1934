"""What is recorded when an execution goes on that the end of the server has interrupted."""

from __future__ import annotations

from actors.events import (
    TERMINAL,
    AttemptInterrupted,
    Event,
    ExecutionCancelled,
    ExecutionQuarantined,
    TaskFinished,
    TaskStarted,
    TaskStopped,
)
from actors.outcome import ErrorInfo, Outcome
from actors.plan import END, Plan, PlannedTask
from actors.routing import decide, follow, go_on
from actors.state import ExecutionState

Events = tuple[Event, ...]

INTERRUPTED = ErrorInfo(
    "Interrupted",
    "the server ended while the task was running, and the task may run at most once (at_most_once)",
)
"""The error of a task that was interrupted and is not to be run again."""


def recover(plan: Plan, state: ExecutionState, at: float) -> Events:
    """Return how an execution goes on that is as *state* says, and of which nothing runs.

    An attempt that was running was interrupted: the task is run again, or has failed if it may run
    only once. What was being cancelled is cancelled: nothing of it is running any more.

    Returns:
        What is to be recorded, as one batch; nothing if the execution waits to be resumed.
    """
    if state.status == "cancelling":
        return _cancelled(state, at)
    if state.running:
        return _interrupted(plan, state, at, may_go_on=state.status == "running")
    return (go_on(plan, state, at),) if state.status == "running" else ()


def quarantine(plan: Plan, state: ExecutionState, recoveries: int, at: float) -> Events:
    """Return what is to be recorded of an execution that is not recovered once more.

    Args:
        plan: what it runs.
        state: how it stands.
        recoveries: how often it was recovered without having come any further.
        at: the time: seconds since 1970-01-01 UTC.
    """
    if state.status == "cancelling":
        return _cancelled(state, at)  # which runs nothing, and so does no harm
    events = _interrupted(plan, state, at, may_go_on=False)
    if events and isinstance(events[-1], TERMINAL):
        return events
    return (*events, ExecutionQuarantined(at=at, recoveries=recoveries))


def _interrupted(plan: Plan, state: ExecutionState, at: float, *, may_go_on: bool) -> Events:
    events: list[Event] = []
    for started in state.running.values():
        name, visit, attempt = started.task, started.visit, started.attempt
        events.append(AttemptInterrupted(at=at, task=name, visit=visit, attempt=attempt))
        task = plan.tasks[name]
        if task.at_most_once:
            finished = _failed(task, started, at)
            events.append(finished)
            target = END if finished.transition is None else finished.transition.target
            if may_go_on or target == END:
                events.append(follow(plan, state, finished, target))
        elif may_go_on:
            events.append(TaskStarted(at=at, task=name, visit=visit, attempt=attempt + 1))
    return tuple(events)


def _failed(task: PlannedTask, started: TaskStarted, at: float) -> TaskFinished:
    outcome = Outcome("failure", 0.0, error=INTERRUPTED)
    return TaskFinished(
        at=at,
        task=task.name,
        visit=started.visit,
        attempt=started.attempt,
        outcome=outcome,
        transition=decide(task, outcome),
    )


def _cancelled(state: ExecutionState, at: float) -> Events:
    requested = at if state.cancellation is None else state.cancellation.requested_at
    stopped = [
        TaskStopped(
            at=at,
            task=started.task,
            attempt=started.attempt,
            how="killed",
            seconds=max(0.0, at - requested),
        )
        for started in state.running.values()
    ]
    return (*stopped, ExecutionCancelled(at=at))
