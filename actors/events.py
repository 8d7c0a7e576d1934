"""What is recorded about an execution: facts, in the past tense.

Events are what the journal keeps, so they are read by later versions of this program: a field may
be added with a default, and none is ever renamed, removed or given another meaning.
"""

from __future__ import annotations

from typing import Final

import msgspec

from actors.outcome import NULL, ErrorInfo, Outcome, StopKind

FORMAT: Final = 1
"""The version of the events' format that this program writes; it reads this and all before."""

Scalar = str | int | float | bool
"""What metadata may have for a value, so that executions can be looked up by it."""


def is_scalar(value: object) -> bool:
    """Whether *value* is text, a number, true or false."""
    return isinstance(value, str | int | float)


class Event(msgspec.Struct, frozen=True, tag_field="type", kw_only=True, gc=False):
    """A recorded fact.

    Attributes:
        at: when it was recorded: seconds since 1970-01-01 UTC.
        v: the version of the format that it was written in.
    """

    at: float
    v: int = FORMAT


class OperatorEvent(Event, frozen=True, kw_only=True):
    """A recorded fact that somebody has asked for.

    Attributes:
        by: who, as they said themselves.
        reason: why, in their words.
    """

    by: str | None = None
    reason: str | None = None


class Transition(msgspec.Struct, frozen=True, gc=False):
    """Where a finished task leads, and what decided it.

    Attributes:
        condition: the condition that decided; None when the task has none.
        matched: whether the outcome was the one that the condition names.
        target: the next task, or "end".
    """

    condition: str | None
    matched: bool
    target: str


class ExecutionStarted(OperatorEvent, tag=True, frozen=True, kw_only=True):
    """An execution was accepted. Its flow version is pinned from here on.

    Attributes:
        flow_id: the flow's id.
        flow_version: its version; 0 for an inline flow.
        start_task: the task it begins with.
        context: the client's context, a JSON object.
        definition: the definition of an inline flow, as JSON; ``null`` for a registered one.
        metadata: what the execution can be looked up by.
        rerun_of: the execution that this one repeats, from `start_task` on.
    """

    flow_id: str
    flow_version: int
    start_task: str
    context: msgspec.Raw
    definition: msgspec.Raw = NULL
    metadata: dict[str, Scalar] = {}
    rerun_of: str | None = None


class TaskStarted(Event, tag=True, frozen=True, kw_only=True):
    """A task's attempt began.

    Attributes:
        task: the task's name.
        visit: how many times the execution has come to this task, from 1.
        attempt: which attempt of this visit it is, from 1.
    """

    task: str
    visit: int = 1
    attempt: int = 1


class TaskFinished(Event, tag=True, frozen=True, kw_only=True):
    """A task ended by itself, its activity having returned or raised, and the conditions decided.

    Attributes:
        task: the task's name.
        visit: how many times the execution had come to this task, from 1.
        attempt: which attempt of this visit it was, from 1.
        outcome: how it ended.
        transition: where that led; None if the execution was being cancelled.
    """

    task: str
    visit: int
    attempt: int
    outcome: Outcome
    transition: Transition | None = None


class AttemptInterrupted(Event, tag=True, frozen=True, kw_only=True):
    """The server ended while the attempt was running. It did not fail, and is not counted as if.

    Attributes:
        task: the task's name.
        visit: the visit's number.
        attempt: the attempt's number.
    """

    task: str
    visit: int
    attempt: int


class TaskSkipped(OperatorEvent, tag=True, frozen=True, kw_only=True):
    """A task that waited or had failed was given a result instead of being run.

    Attributes:
        task: the task's name.
        visit: the visit's number, from 1.
        result: the result, as JSON.
        transition: where that led.
    """

    task: str
    visit: int
    result: msgspec.Raw
    transition: Transition


class ExecutionPaused(OperatorEvent, tag=True, frozen=True, kw_only=True):
    """No further task is started until the execution is resumed; what runs goes on."""


class ExecutionResumed(OperatorEvent, tag=True, frozen=True, kw_only=True):
    """The execution goes on, after it was paused or quarantined."""


class ExecutionRetried(OperatorEvent, tag=True, frozen=True, kw_only=True):
    """An execution that had failed or was cancelled goes on.

    Attributes:
        flow_version: the version that it is pinned to from here on; 0 for an inline flow.
    """

    flow_version: int


class ExecutionQuarantined(Event, tag=True, frozen=True, kw_only=True):
    """The execution is not run any more: the server has ended too often while it was running.

    Attributes:
        recoveries: how often it was recovered without having come any further.
    """

    recoveries: int


class CancelRequested(OperatorEvent, tag=True, frozen=True, kw_only=True):
    """Someone asked for the execution to be cancelled. What follows is stopping, not routing."""


class TaskStopped(Event, tag=True, frozen=True, kw_only=True):
    """An attempt ended because its execution was cancelled: one line of the receipt.

    Attributes:
        task: the task's name.
        attempt: the attempt's number.
        how: how it ended.
        seconds: from the request to cancel until it had ended.
        error: what its clean-up raised, if it did.
    """

    task: str
    attempt: int
    how: StopKind
    seconds: float
    error: ErrorInfo | None = None


class ExecutionCompleted(Event, tag=True, frozen=True, kw_only=True):
    """The execution ended, and its last task succeeded."""


class ExecutionFailed(Event, tag=True, frozen=True, kw_only=True):
    """The execution ended because a task failed and nothing was to follow, or a rule was broken.

    Attributes:
        error: what went wrong.
        task: the task it went wrong in.
    """

    error: ErrorInfo
    task: str


class ExecutionCancelled(Event, tag=True, frozen=True, kw_only=True):
    """The execution is cancelled: nothing of it is running any more.

    The exception is what a `TaskStopped` before it names as abandoned.
    """


ExecutionEvent = (
    ExecutionStarted
    | TaskStarted
    | AttemptInterrupted
    | TaskFinished
    | TaskSkipped
    | ExecutionPaused
    | ExecutionResumed
    | ExecutionRetried
    | ExecutionQuarantined
    | CancelRequested
    | TaskStopped
    | ExecutionCompleted
    | ExecutionFailed
    | ExecutionCancelled
)
"""The closed union of what a journal may hold."""

TERMINAL = (ExecutionCompleted, ExecutionFailed, ExecutionCancelled)
"""The events that end an execution. Exactly one of them is the last event of an ended one.

Only `ExecutionRetried` and `TaskSkipped` may follow one: they make it go on.
"""
