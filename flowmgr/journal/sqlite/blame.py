"""Which attempts may be what ends the engine, and when an execution has come further than that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from actors.events import (
    AttemptInterrupted,
    CancelRequested,
    Event,
    ExecutionResumed,
    ExecutionRetried,
    TaskFinished,
    TaskSkipped,
    TaskStopped,
)
from actors.paths import task_path

Blamed = frozenset[str]
"""Task paths of the attempts that the end of the engine has interrupted and that are not over."""

NOBODY: Final[Blamed] = frozenset()

_ON_REQUEST: Final = (TaskSkipped, CancelRequested, ExecutionResumed, ExecutionRetried)
"""Events behind which other code runs than before, which is not to blame for what that has done."""


def still_blamed(blamed: Blamed, events: Iterable[Event]) -> Blamed | None:
    """Return who is to blame behind *events*; None if the execution has come further by them.

    It has when a task finishes and nothing is left that was interrupted. One branch that finishes
    its tasks says nothing of another, whose task ends the engine each time before it is through.
    """
    for event in events:
        if isinstance(event, AttemptInterrupted):
            blamed |= {task_path(event.scope, event.task)}
        elif isinstance(event, TaskStopped):
            blamed = _without(blamed, task_path(event.scope, event.task))
        elif isinstance(event, TaskFinished):
            blamed = _without(blamed, task_path(event.scope, event.task))
            if not blamed:
                return None
        elif isinstance(event, _ON_REQUEST):
            return None
    return blamed


def _without(blamed: Blamed, path: str) -> Blamed:
    """Return those who are neither the task nor inside of it."""
    within = f"{path}/"
    return frozenset(each for each in blamed if each != path and not each.startswith(within))
