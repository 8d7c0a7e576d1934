"""What actors tell each other. Messages live in memory only; what is recorded are events."""

from __future__ import annotations

import msgspec

from actors.actor import Reply
from actors.context import Context
from actors.events import ExecutionStarted, Transition
from actors.outcome import ErrorInfo, Outcome, StopKind
from actors.plan import PlannedTask


class Message(msgspec.Struct, frozen=True):
    """What all messages have in common."""


class StartExecution(Message, frozen=True):
    """To the supervisor, from the engine: begin."""

    started: ExecutionStarted
    reply: Reply[None]


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


class CancelExecution(Message, frozen=True):
    """To the supervisor, from the engine: cancel.

    The reply is True if the execution is being cancelled, False if it has ended.
    """

    reason: str | None
    reply: Reply[bool]


class GraceEnded(Message, frozen=True):
    """To the supervisor, from the engine: what has not stopped by now will not be waited for."""


class BugFound(Message, frozen=True):
    """To the supervisor, from itself: handling a message, or running the host, has raised."""

    error: Exception


class HostClosed(Message, frozen=True):
    """To the supervisor, from its host task: no code of the execution is running any more."""


SupervisorMessage = (
    StartExecution
    | TaskDecided
    | AttemptStopped
    | CancelExecution
    | GraceEnded
    | BugFound
    | HostClosed
)
