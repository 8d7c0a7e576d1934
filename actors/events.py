"""What is recorded about an execution: facts, in the past tense.

Events are what the journal keeps, so they are read by later versions of this program: a field may
be added with a default, and none is ever renamed, removed or given another meaning.
"""

from __future__ import annotations

from typing import Final, Literal

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


class ScopeEvent(Event, frozen=True, kw_only=True):
    """A recorded fact about one scope of the execution (see `actors.paths`).

    Attributes:
        scope: the scope's path; "" for the execution's own.
    """

    scope: str = ""


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
        start_task: the task of the flow's own body that it begins with, or inside of.
        context: the client's context, a JSON object.
        definition: the definition of an inline flow, as JSON; ``null`` for a registered one.
        metadata: what the execution can be looked up by.
        rerun_of: the execution that this one repeats, from `start_task` on or from within it.
        parent: the execution that this one is a sub-flow of, and `parent_task` the path of the
            task in it that waits for this one.
        depth: how many executions this one is inside of.
    """

    flow_id: str
    flow_version: int
    start_task: str
    context: msgspec.Raw
    definition: msgspec.Raw = NULL
    metadata: dict[str, Scalar] = {}
    rerun_of: str | None = None
    parent: str | None = None
    parent_task: str | None = None
    depth: int = 0


class TaskStarted(ScopeEvent, tag=True, frozen=True, kw_only=True):
    """A task's attempt began.

    Attributes:
        task: the task's name.
        visit: how many times the execution has come to this task, from 1.
        attempt: which attempt of this visit it is, from 1.
    """

    task: str
    visit: int = 1
    attempt: int = 1


class TaskFinished(ScopeEvent, tag=True, frozen=True, kw_only=True):
    """A task ended by itself, its activity having returned or raised, and the conditions decided.

    Attributes:
        task: the task's name.
        visit: how many times the execution had come to this task, from 1.
        attempt: which attempt of this visit it was, from 1.
        outcome: how it ended.
        transition: where that led; None if the execution was being cancelled, the task's scope
            was being stopped, or a condition could not be evaluated.
        is_merged: whether the fields of the result went into the context, each by itself.
        is_compensable: whether the task is to be compensated if the execution does not complete.
    """

    task: str
    visit: int
    attempt: int
    outcome: Outcome
    transition: Transition | None = None
    is_merged: bool = False
    is_compensable: bool = False


class AttemptFailed(ScopeEvent, tag=True, frozen=True, kw_only=True):
    """An attempt failed, and another one follows.

    Attributes:
        task: the task's name.
        visit: the visit's number.
        attempt: the attempt's number.
        outcome: how it failed.
        due: when the next attempt starts: seconds since 1970-01-01 UTC.
    """

    task: str
    visit: int
    attempt: int
    outcome: Outcome
    due: float


class WaitStarted(ScopeEvent, tag=True, frozen=True, kw_only=True):
    """A task waits, and nothing of it runs.

    Attributes:
        task: the task's name.
        visit: the visit's number.
        attempt: the attempt's number.
        due: when the waiting ends at the latest: seconds since 1970-01-01 UTC; None for never.
        signal: the name of the signal that is waited for; None if only the time is.
    """

    task: str
    visit: int
    attempt: int
    due: float | None
    signal: str | None = None


class ForkStarted(ScopeEvent, tag=True, frozen=True, kw_only=True):
    """A task is about to open scopes.

    Attributes:
        task: the task's name.
        branches: how many scopes it is to open in the end.
        items: what a map runs for, a JSON list; null for a parallel task.
        binds: the name that an item has in its scope's context.
    """

    task: str
    branches: int
    items: msgspec.Raw = NULL
    binds: str | None = None


class ScopeStarted(ScopeEvent, tag=True, frozen=True, kw_only=True):
    """A scope was opened; what it begins with follows. `scope` is its own path.

    Attributes:
        context: what it has in place of the context around it, a JSON object; null for that.
    """

    context: msgspec.Raw = NULL


class ForkResumed(ScopeEvent, tag=True, frozen=True, kw_only=True):
    """In a further attempt of a task, those of its scopes that have not succeeded go on.

    Attributes:
        task: the task's name.
    """

    task: str


class ScopeFinished(ScopeEvent, tag=True, frozen=True, kw_only=True):
    """A scope came to its end.

    Attributes:
        outcome: how: with the result, or the error, of its last task.
    """

    outcome: Outcome


class ScopeStopped(ScopeEvent, tag=True, frozen=True, kw_only=True):
    """A scope was stopped before its end, and nothing of it is running any more."""


class JoinReached(ScopeEvent, tag=True, frozen=True, kw_only=True):
    """Whether a task succeeds is decided; those of its scopes that are still open are stopped.

    Attributes:
        task: the task's name.
    """

    task: str


class SignalReceived(OperatorEvent, tag=True, frozen=True, kw_only=True):
    """A signal was sent to the execution. It is kept until a task takes it.

    Attributes:
        name: the signal's name.
        value: its value, as JSON.
        key: what the sender has made it unique by; a further one with the same key is ignored.
    """

    name: str
    value: msgspec.Raw
    key: str | None = None


class SignalTaken(ScopeEvent, tag=True, frozen=True, kw_only=True):
    """A task took the oldest signal of this name; it is the task's result.

    Attributes:
        task: the task's name.
        name: the signal's name.
    """

    task: str
    name: str


class ExecutionParked(Event, tag=True, frozen=True, kw_only=True):
    """All that is going on in the execution is waiting, so it is kept in the journal alone.

    Whatever is recorded next is recorded by an execution that was taken up again.

    Attributes:
        due: when that has to be at the latest: seconds since 1970-01-01 UTC; None for never.
    """

    due: float | None


class EndingStarted(Event, tag=True, frozen=True, kw_only=True):
    """The execution has come to its end, and what belongs to every end follows.

    That is the compensation of finished tasks, unless it completes, and the flow's ``finally``.

    Attributes:
        status: how the execution is going to end.
        error: why it fails.
        task: the task it fails in.
    """

    status: Literal["completed", "failed", "cancelled"]
    error: ErrorInfo | None = None
    task: str = ""


class AttemptInterrupted(ScopeEvent, tag=True, frozen=True, kw_only=True):
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
        scope: the path of the scope that the task is in.
    """

    task: str
    visit: int
    result: msgspec.Raw
    transition: Transition
    scope: str = ""


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


class TaskStopped(ScopeEvent, tag=True, frozen=True, kw_only=True):
    """An attempt ended because its execution, or its scope, was stopped.

    If the execution was cancelled, this is one line of the receipt.

    Attributes:
        task: the task's name.
        attempt: the attempt's number.
        how: how it ended.
        seconds: from the request to cancel until it had ended; 0 if only its scope was stopped.
        error: what its clean-up raised, if it did.
    """

    task: str
    attempt: int
    how: StopKind
    seconds: float
    error: ErrorInfo | None = None


class ExecutionCompleted(Event, tag=True, frozen=True, kw_only=True):
    """The execution ended, and its last task succeeded.

    Attributes:
        output: what the flow's ``output`` makes of it, as JSON.
    """

    output: msgspec.Raw = NULL


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
    | AttemptFailed
    | WaitStarted
    | ForkStarted
    | ScopeStarted
    | ForkResumed
    | ScopeFinished
    | ScopeStopped
    | JoinReached
    | SignalReceived
    | SignalTaken
    | ExecutionParked
    | EndingStarted
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
