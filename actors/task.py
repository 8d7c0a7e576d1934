"""The task actor: runs one attempt of a task and reports how it ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import anyio
from msgspec import Raw

from actors.actor import HostedActor, is_being_cancelled
from actors.expressions import ExpressionError
from actors.forks import timed_out
from actors.messages import (
    ApplyConditions,
    AttemptStopped,
    RunTask,
    WaitBegun,
)
from actors.openings import opening
from actors.outcome import ErrorInfo, Outcome, describe_error, is_a
from actors.plan import Signal
from actors.ports import Attempt, Clock
from actors.router import ROUTER, values_of
from actors.routing import expression_error

MAX_WAIT: Final = 3_155_760_000.0
"""Seconds that a task may wait: a hundred years."""


class TaskActor(HostedActor[RunTask]):
    """Runs one attempt of a task that has code of its own.

    It is the outermost frame around the user's code. Whatever that raises ends here: SystemExit
    and KeyboardInterrupt, which would stop the event loop; a CancelledError that nobody asked for,
    which would pass for a cancellation. Only two things come out: an outcome, told to the router,
    or that the attempt stopped because it was cancelled, told to the supervisor.
    """

    async def run(self) -> None:
        """Run the attempt, for as long as it may take.

        Cancelling it cancels the activity and waits for what the activity does about it. It does
        not raise then either: the supervisor knows that it cancelled.
        """
        message = self._message
        environment, task, begun = message.environment, message.task, message.started
        monotonic, runner = environment.clock.monotonic, task.runner
        attempt = Attempt(environment.execution_id, begun, message.context, environment.grace)
        started = monotonic()
        try:
            if begun.scope:
                attempt.opening = opening(environment.supervisor.state, begun.scope)
            if task.arguments is not None:
                attempt.arguments = evaluated(message)
            assert runner is not None
            if task.timeout is None and task.deadline is None:
                data = await runner.run(attempt)
            else:
                data = await _run_within(message, attempt, environment.clock)
        except BaseException as error:  # noqa: BLE001 - see the class: nothing may leave this frame
            self._report_raised(message, attempt, error, monotonic() - started)
        else:
            outcome = Outcome("success", monotonic() - started, Raw(data))
            ROUTER.send(ApplyConditions(message, outcome))

    def _report_raised(
        self, message: RunTask, attempt: Attempt, error: BaseException, seconds: float
    ) -> None:
        if not is_being_cancelled():
            info = _described(error, message)
            outcome = Outcome("failure", seconds, error=info)
            ROUTER.send(ApplyConditions(message, outcome))
            return
        rest = _without_cancellation(error)
        clean_up_error = None if rest is None else describe_error(rest)
        message.environment.supervisor.send(
            AttemptStopped(message, attempt.stop_kind, clean_up_error)
        )


class WaitActor(HostedActor[RunTask]):
    """Finds out what a task waits for, and until when; the waiting itself is nobody's."""

    async def run(self) -> None:
        """Tell the supervisor; not a checkpoint."""
        message = self._message
        try:
            begun = self._begun(message)
        except (ExpressionError, ValueError, TypeError, OverflowError) as error:
            outcome = Outcome("failure", 0.0, error=_described(error, message))
            ROUTER.send(ApplyConditions(message, outcome))
        else:
            message.environment.supervisor.send(begun)

    def _begun(self, message: RunTask) -> WaitBegun:
        task, started = message.task, message.since
        if isinstance(task.construct, Signal):
            due = None if task.timeout is None else started + task.timeout
            return WaitBegun(message, due, task.construct.name)
        arguments = evaluated(message)
        if "until" in arguments:
            return WaitBegun(message, instant(arguments["until"]))
        return WaitBegun(message, started + duration(arguments["seconds"]))


class _TimedOutError(Exception):
    """The attempt has taken longer than it may."""


async def _run_within(message: RunTask, attempt: Attempt, clock: Clock) -> bytes:
    """Run the attempt for as long as it may take; it has left its code when this returns.

    Raises:
        _TimedOutError: the time is over, whatever the attempt has made of that; from the error that
            its clean-up has raised, if it has.
        BaseException: whatever the attempt has raised before.
    """
    assert message.task.runner is not None
    left = seconds_left(message, clock)
    if left == 0 and not message.task.goes_on:  # a sub-flow that runs already has to be stopped
        raise _TimedOutError
    cancelled = anyio.get_cancelled_exc_class()
    data, clean_up_error = b"", None
    with anyio.move_on_after(left) as scope:
        try:
            data = await message.task.runner.run(attempt)
        except cancelled:
            raise
        except BaseException as error:
            if not scope.cancel_called:
                raise
            clean_up_error = error
    if scope.cancel_called:
        raise _TimedOutError from clean_up_error
    return data


def seconds_left(message: RunTask, clock: Clock) -> float | None:
    """Return how long the attempt may take, from now on; None if there is no limit."""
    task = message.task
    if task.timeout is None and task.deadline is None:
        return None
    ends = []
    if task.timeout is not None:
        ends.append(message.started.at + task.timeout)
    if task.deadline is not None:
        ends.append(message.since + task.deadline)
    return max(0.0, min(ends) - clock.now())


def evaluated(message: RunTask) -> Any:
    """Return what the task's arguments come to.

    Raises:
        ExpressionError: they have no value.
    """
    assert message.task.arguments is not None
    return message.task.arguments.evaluate(values_of(message))


def duration(value: Any) -> float:
    """Return the seconds that a task is to wait.

    Raises:
        ValueError: *value* is no such number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_WAIT:
        msg = f"'seconds' came to {value!r}; it has to be a number from 0 to {MAX_WAIT:.0f}"
        raise ValueError(msg)
    return float(value)


def instant(value: Any) -> float:
    """Return the time that *value* names in ISO 8601, as seconds since 1970-01-01 UTC.

    Raises:
        ValueError: it does not, or has no offset.
    """
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        at = None
    if at is None or at.tzinfo is None:
        msg = (
            f"'until' came to {value!r}; it has to be a time in ISO 8601 with its offset, "
            "as 2030-01-31T12:00:00Z"
        )
        raise ValueError(msg)
    return at.timestamp()


def _described(error: BaseException, message: RunTask) -> ErrorInfo:
    if is_a(error, _TimedOutError):
        cause = None if error.__cause__ is None else describe_error(error.__cause__)
        return timed_out(message.task.name, cause)
    if is_a(error, ExpressionError):
        shown = ExpressionError(f"{error.field} of task '{message.task.name}': {error}")
        return expression_error(shown)
    return describe_error(error)


def _without_cancellation(error: BaseException) -> BaseException | None:
    """Return what *error* says beside that the activity was cancelled; None if nothing."""
    cancelled = anyio.get_cancelled_exc_class()
    if is_a(error, BaseExceptionGroup):
        return error.split(cancelled)[1]
    return None if is_a(error, cancelled, _TimedOutError) else error
