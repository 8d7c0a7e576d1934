"""What the engine has made of a story, beside what the model says."""

import collections

from actors.events import TaskFinished, TaskStarted
from actors.paths import COMPENSATION
from actors.values import decode_value
from tests.fuzz.scopes import Ending

LATE = 0.1
"""Seconds that something may be late: timers wait a little longer than they have to."""


def seen(found):
    """What the engine has made of a story, as the model says it."""
    execution, events, began = found.first.execution, found.first.events, found.began
    output = decode_value(execution.output)
    return Ending(
        status=execution.status,
        error=execution.error and execution.error.type,
        error_task=execution.error_task,
        context=dict(execution.context),
        output=output,
        results=[
            (name, outcome.value, outcome.error is not None)
            for name, outcome in execution.task_results.items()
        ],
        finished=[
            (
                event.at - began,
                member.name + event.scope,
                _name(event),
                event.visit,
                event.outcome.error is None,
            )
            for member in found.members
            for event in member.events
            if isinstance(event, TaskFinished)
        ],
        compensated=[
            _name(event)
            for event in events
            if isinstance(event, TaskStarted) and event.scope == COMPENSATION and event.attempt == 1
        ],
        ended_at=events[-1].at - began,
    )


def _name(event):
    """The name of a task; of a compensation without what makes it unique."""
    return event.task.split("#")[0]


def differences(found, expected):
    """What is not as the model says, in sentences."""
    is_other = []
    for field in ("status", "error", "error_task", "context", "output", "results", "compensated"):
        one, other = getattr(found, field), getattr(expected, field)
        if one != other:
            is_other.append(f"{field}: {one!r}; the model says {other!r}")
    names = [sorted(tuple(each[1:]) for each in ending.finished) for ending in (found, expected)]
    if names[0] != names[1]:
        lists = [collections.Counter(each) for each in names]
        is_other.append(f"finished, and not in the model: {list((lists[0] - lists[1]).elements())}")
        is_other.append(f"in the model, and not finished: {list((lists[1] - lists[0]).elements())}")
    else:
        pairs = zip(
            sorted(found.finished, key=lambda each: (each[1:], each[0])),
            sorted(expected.finished, key=lambda each: (each[1:], each[0])),
            strict=True,
        )
        is_other += [
            f"finished at another time: {one}; the model says {other[0]}"
            for one, other in pairs
            if abs(one[0] - other[0]) > LATE
        ]
    if abs(found.ended_at - expected.ended_at) > LATE:
        is_other.append(f"ended at {found.ended_at}; the model says {expected.ended_at}")
    return is_other
