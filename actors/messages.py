"""What actors tell each other. Messages live in memory only; what is recorded are events."""

from __future__ import annotations

import msgspec

from actors.actor import Reply
from actors.context import Context
from actors.events import ExecutionStarted, Transition
from actors.outcome import ErrorInfo, Outcome, StopKind
from actors.plan import Plan, PlannedTask
from actors.ports import StartKey


class Message(msgspec.Struct, frozen=True):
    """What all messages have in common."""


class StartExecution(Message, frozen=True):
    """To the supervisor, from the engine: begin.

    Attributes:
        started: what is recorded first.
        reply: is given True when it is recorded.
        key: what makes this the only one of several equal requests that starts an execution.
    """

    started: ExecutionStarted
    reply: Reply[bool]
    key: StartKey | None = None


class RecoverExecution(Message, frozen=True):
    """To the supervisor, from the engine: go on from where the journal ends.

    Attributes:
        reply: is given True when what follows is recorded, False if nothing does.
        quarantined_after: go on no more: after so many recoveries that led to nothing.
    """

    reply: Reply[bool]
    quarantined_after: int | None = None


class RunTask(Message, frozen=True):
    """To a task actor, from the supervisor: run this attempt.

    Attributes:
        task: what to run.
        visit: how many times the execution has come to the task, from 1.
        attempt: which attempt of the visit this is, from 1.
        context: the values that the execution has.
    """

    task: PlannedTask
    visit: int
    attempt: int
    context: Context


class ApplyConditions(Message, frozen=True):
    """To the router, from a task actor: this attempt ended by itself; where to now?

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
        plan: what to go on with: the flow version that the execution is pinned to from now on.
    """

    plan: Plan


class SkipTask(OperatorRequest, frozen=True, kw_only=True):
    """Go on as if the task that waits or has failed had succeeded.

    Attributes:
        task: the task; None for the one that there is.
        result: the result that it is to have, as JSON.
    """

    task: str | None
    result: msgspec.Raw


class NotAllowedError(Exception):
    """The execution's status, or the task that it is at, does not allow what was asked for.

    The message goes on behind the name of the execution, as in "is completed; only …".
    """


class GraceEnded(Message, frozen=True):
    """To the supervisor, from the engine: what has not stopped by now will not be waited for."""


class BugFound(Message, frozen=True):
    """To the supervisor, from itself: handling a message, or running the host, has raised."""

    error: Exception


class HostClosed(Message, frozen=True):
    """To the supervisor, from its host task: no code of the execution is running any more."""


SupervisorMessage = (
    StartExecution
    | RecoverExecution
    | TaskDecided
    | AttemptStopped
    | OperatorRequest
    | GraceEnded
    | BugFound
    | HostClosed
)
