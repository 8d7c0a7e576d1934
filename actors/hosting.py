"""The host task of an execution: what it runs, and what its end means."""

from __future__ import annotations

from typing import ClassVar, Final

import anyio

from actors.bodies import task_of
from actors.ending import conclude, conclude_cut, cut_off, stop_all
from actors.events import EndingStarted
from actors.holding import ScopeHolder
from actors.lane import Lane
from actors.messages import BugFound, GraceEnded, HostClosed, TimeOver
from actors.outcome import ErrorInfo, StopKind
from actors.paths import FINALLY
from actors.recording import Handlers
from actors.recovery import given_up

_STRAY_CANCELLATION: Final = ErrorInfo(
    "StrayCancellation",
    "the task was cancelled although nobody had asked for it: "
    "an activity has cancelled a scope that is not its own, or left one open",
)
"""Why an execution fails whose host task has ended although something still ran on it."""


class HostedExecution(ScopeHolder):
    """An execution whose own lane runs on a host task."""

    __slots__ = ()

    async def host(self) -> None:
        """Run the execution's tasks; the body of its host task.

        Cancelling it stops the tasks that are running. When it returns, or raises, no code that ran
        on it is running any more.
        """
        number = self._host_number
        try:
            if self._plan.timeout is not None:
                await self._host_within_time()
            if await self._lane.host():
                self.is_host_disturbed = True
        except Exception as error:  # noqa: BLE001 - a bug of ours ends this execution, no other
            self.is_host_disturbed = True
            self.send(BugFound(error, number))
        finally:
            self.hosts -= 1
            if self.state.has_ended and not self._pending:
                self._close_host()  # nothing is left to decide
            else:
                self.send(HostClosed(number))

    async def _host_within_time(self) -> None:
        """Run the execution's tasks until its time is over; its end is to follow."""
        lane = self._lane
        self._is_free = False
        self._time_offset = anyio.current_time() - self._clock.monotonic()
        with anyio.CancelScope() as self._time:
            self._set_deadline()
            self.is_host_disturbed |= await lane.host()
        if self._time.cancel_called and not self.state.has_ended:
            self._lane = Lane()
            self.send(TimeOver())

    @property
    def is_over(self) -> bool:
        """Whether the execution has ended, or is no longer run without having ended."""
        return self.state.has_ended or (self.is_host_closed and not self._pending)

    def _time_over(self, _: TimeOver) -> None:
        state = self.state
        if state.has_ended or state.ending is not None or self._is_being_cancelled:
            return
        at = self._clock.now()
        error = ErrorInfo("TimedOut", f"the flow took longer than {self._plan.timeout} s (timeout)")
        ending = EndingStarted(at=at, status="failed", error=error, task=state.current_task)
        self.record(
            (*stop_all(self._plan, state, "stopped", at), *conclude(self._plan, state, ending))
        )

    def _grace_ended(self, _: GraceEnded) -> None:
        state = self.state
        if state.status != "cancelling":
            return
        self._is_grace_over = True
        if state.ending is None or self._is_end_stopped:
            if self._hooks.has_abandoned_all(self._supervisor, self._running_subflows()):
                self._record_cancelled("abandoned")
            else:  # a sub-flow has a grace of its own, and keeps to it
                self._hooks.execution_cancelling(self._supervisor)
        elif FINALLY in state.scopes and state.scopes[FINALLY].is_open:
            self._is_end_stopped = True
            self.stop()
            self._hooks.execution_cancelling(self._supervisor)

    def _running_subflows(self) -> int:
        return sum(
            task_of(self._plan, self.state, path, started.task).goes_on
            for path, started in self.state.all_running()
        )

    def _host_closed(self, message: HostClosed) -> None:
        if message.number != self._host_number:
            return  # it was given up, and another one has taken its place
        state = self.state
        if not self.is_host_closed:
            self.is_host_closed = True
            if self._is_being_cancelled:
                if not self._is_left_alone or not self._has_untold():
                    self._record_cancelled("stopped")
            elif not self._is_left_alone and not state.has_ended:
                self._record_cut_off()
        if self._pending:  # the end is being recorded: it is not over before it is
            self.send(message)
        elif state.ending is not None and not state.has_ended and not self._is_left_alone:
            self._host_again()
        else:
            self._close_host()

    def _has_untold(self) -> bool:
        """Whether there are sub-flows that nobody has waited for, as the engine was closing."""
        if self._is_end_stopped:
            return self._running_subflows() > 0
        return any(given_up(self._plan, self.state, self._clock.now()))

    def _close_host(self) -> None:
        self.is_host_closed = True
        self._environment = None
        self._forks = {}
        self.stop_host = self._lane.close
        self._hooks.host_closed(self._supervisor)
        if self._ended is not None or self._changed is not None:
            self.notify()

    def _record_cancelled(self, how: StopKind) -> None:
        state, at = self.state, self._clock.now()
        seconds = self._clock.monotonic() - self._cancel_requested
        if state.ending is None:
            ended = conclude(self._plan, state, EndingStarted(at=at, status="cancelled"))
        else:
            ended = conclude_cut(state, at)
        self._is_end_stopped = False
        self.record((*stop_all(self._plan, state, how, at, seconds), *ended))

    def _record_cut_off(self) -> None:
        """Record that the host has ended by itself; what is paused just goes on when resumed."""
        error = self._disorder
        if error is None and self.state.status in {"running", "cancelling"}:
            error = _STRAY_CANCELLATION
        if error is not None:
            events = cut_off(self._plan, self.state, error, self._clock.now())
            if events:
                self.record(events)

    _HANDLERS: ClassVar[Handlers] = {
        TimeOver: _time_over,
        GraceEnded: _grace_ended,
        HostClosed: _host_closed,
    }
