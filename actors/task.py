"""The task actor: runs one attempt of a task and reports how it ended."""

from __future__ import annotations

import math

import anyio
import msgspec

from actors.actor import Actor, HostedActor
from actors.messages import ApplyConditions, AttemptStopped, RunTask, SupervisorMessage
from actors.outcome import Outcome, describe_error
from actors.ports import Attempt, Clock


class TaskEnvironment(msgspec.Struct, frozen=True):
    """What the task actors of one execution share."""

    execution_id: str
    supervisor: Actor[SupervisorMessage]
    router: Actor[ApplyConditions]
    clock: Clock
    grace: float


class TaskActor(HostedActor[RunTask]):
    """Runs one visit of a task.

    It is the outermost frame around the user's code. Whatever that raises ends here: SystemExit
    and KeyboardInterrupt, which would stop the event loop; a CancelledError that nobody asked for,
    which would pass for a cancellation. Only two things come out: an outcome, told to the router,
    or that the attempt stopped because its execution was cancelled, told to the supervisor.
    """

    __slots__ = ("_environment",)

    def __init__(self, message: RunTask, environment: TaskEnvironment) -> None:
        super().__init__(message)
        self._environment = environment

    async def run(self) -> None:
        """Run the attempt.

        Cancelling it cancels the activity and waits for what the activity does about it. It does
        not raise then either: the supervisor knows that it cancelled.
        """
        message = self._message
        environment = self._environment
        monotonic = environment.clock.monotonic
        task = message.task
        attempt = Attempt(
            environment.execution_id, task.name, message.attempt, message.context, environment.grace
        )
        started = monotonic()
        try:
            data = await task.runner.run(attempt)
        except BaseException as error:  # noqa: BLE001 - see the class: nothing may leave this frame
            self._report_raised(message, attempt, error, monotonic() - started)
        else:
            outcome = Outcome("success", monotonic() - started, msgspec.Raw(data))
            environment.router.send(ApplyConditions(message, outcome))

    def _report_raised(
        self, message: RunTask, attempt: Attempt, error: BaseException, seconds: float
    ) -> None:
        if not is_being_cancelled():
            outcome = Outcome("failure", seconds, error=describe_error(error))
            self._environment.router.send(ApplyConditions(message, outcome))
            return
        rest = _without_cancellation(error)
        clean_up_error = None if rest is None else describe_error(rest)
        self._environment.supervisor.send(
            AttemptStopped(message, attempt.stop_kind, clean_up_error)
        )


def is_being_cancelled() -> bool:
    """Whether a scope around this frame is cancelled; true of a cancellation that was asked for."""
    return anyio.current_effective_deadline() == -math.inf


def _without_cancellation(error: BaseException) -> BaseException | None:
    """Return what *error* says beside that the activity was cancelled; None if nothing."""
    cancelled = anyio.get_cancelled_exc_class()
    if isinstance(error, BaseExceptionGroup):
        return error.split(cancelled)[1]
    return None if isinstance(error, cancelled) else error
