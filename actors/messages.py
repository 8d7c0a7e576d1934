"""What actors tell each other. Messages live in memory only; what is recorded are events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.actor import Reply
from actors.context import Context
from actors.events import Event, ExecutionStarted, TaskStarted, Transition
from actors.outcome import ErrorInfo, Outcome, StopKind
from actors.plan import Plan, PlannedTask
from actors.ports import Clock, StartKey

if TYPE_CHECKING:
    from actors.fork import ForkActor
    from actors.recording import RecordingActor


class Message(msgspec.Struct, frozen=True):
    """What all messages have in common."""


class StartExecution(Message, frozen=True):
    """To the supervisor, from the engine: begin.

    Attributes:
        started: what is recorded first.
        reply: is given True when it is recorded.
        key: what makes this the only one of several equal requests that starts an execution.
        further: what is recorded with it behind the start of its task, so that it begins inside of
            that task.
    """

    started: ExecutionStarted
    reply: Reply[bool]
    key: StartKey | None = None
    further: tuple[Event, ...] = ()


class RecoverExecution(Message, frozen=True):
    """To the supervisor, from the engine: go on from where the journal ends.

    Attributes:
        reply: is given True when what follows is recorded, False if nothing does.
        quarantined_after: go on no more: after so many recoveries that led to nothing.
    """

    reply: Reply[bool]
    quarantined_after: int | None = None


class Environment(msgspec.Struct, frozen=True):
    """What the task actors of an execution share, and its router.

    Attributes:
        execution_id: the execution.
        plan: what it runs.
        supervisor: its supervisor, to which they report; expressions ask its state how it ends.
        clock: where the time comes from.
        grace: seconds that a cancelled attempt has for its clean-up.
    """

    execution_id: str
    plan: Plan
    supervisor: RecordingActor
    clock: Clock
    grace: float


class RunTask(Message, frozen=True):
    """To a task actor, from the supervisor: run this attempt.

    Attributes:
        started: the attempt, as it is recorded.
        task: what to run.
        context: the values that the scope has.
        environment: what the execution gives to all attempts.
        since: when the first attempt of the visit began: seconds since 1970-01-01 UTC.
        failures: how many attempts of the visit have failed.
        undoes: how the task finished that this one compensates; None if it does not.
    """

    started: TaskStarted
    task: PlannedTask
    context: Context
    environment: Environment
    since: float
    failures: int = 0
    undoes: Outcome | None = None

    @property
    def scope(self) -> str:
        """The path of the scope that the task is in."""
        return self.started.scope


class ApplyConditions(Message, frozen=True, gc=False):
    """To the router, from a task actor: this attempt ended by itself; where to now?

    It never waits anywhere, so the garbage collector need not look at it.

    Attributes:
        run: what the task actor was asked to do.
        outcome: how it ended.
    """

    run: RunTask
    outcome: Outcome


class TaskDecided(Message, frozen=True):
    """To the supervisor, from the router: the attempt's outcome and where it leads."""

    run: RunTask
    outcome: Outcome
    transition: Transition


class AttemptToRepeat(Message, frozen=True):
    """To the supervisor, from the router: the attempt failed, and the next one is due then."""

    run: RunTask
    outcome: Outcome
    due: float


class RoutingFailed(Message, frozen=True):
    """To the supervisor, from the router: a condition of the finished task has no answer."""

    run: RunTask
    outcome: Outcome
    error: ErrorInfo


class WaitBegun(Message, frozen=True):
    """To the supervisor, from a task actor: what the task does is wait.

    Attributes:
        run: the task.
        due: until when at the latest: seconds since 1970-01-01 UTC; None for ever.
        signal: the name of the signal that ends the waiting; None if only the time does.
    """

    run: RunTask
    due: float | None
    signal: str | None = None


class ForkOpened(Message, frozen=True):
    """To the supervisor, from a fork actor: scopes can be opened.

    Attributes:
        run: the task that they belong to.
        fork: the actor, in which they are opened.
        items: what a map is to run for, a JSON list; null for a parallel task.
    """

    run: RunTask
    fork: ForkActor
    items: msgspec.Raw


class ForkClosed(Message, frozen=True):
    """To the supervisor, from a fork actor: no code of the scopes is running any more.

    Attributes:
        run: the task that they belong to.
        is_late: whether they were stopped because the time of the task is over.
        seconds: how long the task's attempt took.
    """

    run: RunTask
    is_late: bool
    seconds: float


class AttemptStopped(Message, frozen=True):
    """To the supervisor, from a task actor: the attempt ended because it was cancelled."""

    run: RunTask
    how: StopKind
    error: ErrorInfo | None = None


class OperatorRequest(Message, frozen=True, kw_only=True):
    """To the supervisor, from the engine: what somebody asks of the execution.

    Attributes:
        reply: is given True when it is recorded; False if there is nothing to record any more; a
            `NotAllowedError` if the execution's status does not allow it.
        by: who asks, as they say themselves.
        reason: why, in their words.
    """

    reply: Reply[bool]
    by: str | None = None
    reason: str | None = None


class CancelExecution(OperatorRequest, frozen=True, kw_only=True):
    """Stop, and end as cancelled."""


class PauseExecution(OperatorRequest, frozen=True, kw_only=True):
    """Start no further task."""


class ResumeExecution(OperatorRequest, frozen=True, kw_only=True):
    """Go on after a pause, or out of quarantine."""


class RetryExecution(OperatorRequest, frozen=True, kw_only=True):
    """Go on after having failed or been cancelled.

    Attributes:
        plan: what to go on with: the flow version that the execution is pinned to from now on;
            None for the one that it is pinned to when this is decided.
    """

    plan: Plan | None


class SkipTask(OperatorRequest, frozen=True, kw_only=True):
    """Go on as if the task that waits or has failed had succeeded.

    Attributes:
        task: the task; None for the one that there is.
        result: the result that it is to have, as JSON.
    """

    task: str | None
    result: msgspec.Raw


class SendSignal(OperatorRequest, frozen=True, kw_only=True):
    """Take a signal, for a task that waits for it or will.

    Attributes:
        name: the signal's name.
        value: its value, as JSON, which is as the flow wants it.
        key: a further signal with the same key is ignored.
    """

    name: str
    value: msgspec.Raw
    key: str | None = None


class NotAllowedError(Exception):
    """The execution's status, or the task that it is at, does not allow what was asked for.

    The message goes on behind the name of the execution, as in "has completed; only …".
    """


class EndedMeanwhileError(Exception):
    """The execution had ended before the request was handled, and can go on, but not here.

    Its supervisor has ended with it: ask the one that takes it up from the journal.
    """


class TakeUp(Message, frozen=True):
    """To the supervisor, from itself: what the journal has, and is interrupted, goes on."""


class GoOn(Message, frozen=True):
    """To the supervisor, from itself: something has to follow in this scope.

    Attributes:
        scope: the scope's path.
    """

    scope: str


class SignalSettled(Message, frozen=True):
    """To the supervisor, from itself: the task that was given a signal has taken it, or will not.

    Attributes:
        name: the signal's name.
    """

    name: str


class ScopeDue(Message, frozen=True):
    """To the supervisor, from itself: what a scope waits for is due.

    Attributes:
        scope: the scope's path.
        due: when it was due.
    """

    scope: str
    due: float


class TimeOver(Message, frozen=True):
    """To the supervisor, from its host task: the flow's time is over; all tasks were stopped."""


class GraceEnded(Message, frozen=True):
    """To the supervisor, from the engine: what has not stopped by now will not be waited for."""


class WakeUp(Message, frozen=True):
    """To the supervisor, from the engine: see what is due by now, and whether to be parked.

    It may come early, and when nothing is due.
    """


class BugFound(Message, frozen=True):
    """To the supervisor, from itself: handling a message, or running the host, has raised.

    That is a bug of ours, unless an activity has left a cancel scope open.

    Attributes:
        error: what was raised.
        host: the number of the host whose running has raised; None if it was something else.
    """

    error: Exception
    host: int | None = None


class HostClosed(Message, frozen=True):
    """To the supervisor, from its host task: no code that ran on it is running any more.

    Attributes:
        number: which of the supervisor's hosts it was, from 1.
    """

    number: int


SupervisorMessage = (
    StartExecution
    | RecoverExecution
    | TaskDecided
    | AttemptToRepeat
    | RoutingFailed
    | WaitBegun
    | ForkOpened
    | ForkClosed
    | AttemptStopped
    | TakeUp
    | GoOn
    | ScopeDue
    | SignalSettled
    | TimeOver
    | OperatorRequest
    | GraceEnded
    | WakeUp
    | BugFound
    | HostClosed
)
