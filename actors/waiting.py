"""What an execution waits for: for a time, for a signal, or for somebody who asks."""

from __future__ import annotations

from typing import ClassVar, Final

from actors.ending import go_on_ending
from actors.events import (
    AttemptFailed,
    ExecutionParked,
    ScopeStarted,
    SignalReceived,
    TaskStarted,
    WaitStarted,
)
from actors.forks import timed_out
from actors.hosting import HostedExecution
from actors.messages import RunTask, ScopeDue, SignalSettled, WaitBegun, WakeUp
from actors.outcome import Outcome
from actors.paths import FINALLY
from actors.plan import Signal
from actors.recording import Actions, Handlers
from actors.waits import Waits, earliest_due

PARK_SECONDS: Final = 1.0
"""An execution that waits for longer than this is kept in the journal alone."""


class WaitingExecution(HostedExecution):
    """An execution of which nothing need run: what waits is only remembered."""

    __slots__ = ()

    # When nothing runs.

    def settle(self) -> None:
        """Have the execution parked, or woken, if all that goes on is waiting."""
        state = self.state
        is_stopping = self._is_left_alone or self._disorder is not None
        if is_stopping or self.is_host_closed or not state.seq:
            return
        if state.has_ended:
            if not self._lane.is_closed:  # what was to have it go on could not be recorded
                self._put_away()
            return
        if self._may_end_go_on():
            self._go_on_ending()
            return
        if state.status == "paused":
            self._hooks.execution_idle(self._supervisor)
        if state.status not in {"running", "paused"}:
            return
        due = earliest_due(self._plan, state, self._waits)
        if due is not None and due <= self._clock.now() + PARK_SECONDS:
            self._hooks.wake_at(self._supervisor, due)
        elif self._may_be_parked():
            if state.is_parked_until(due):
                self._hooks.execution_parked(self._supervisor, due)
            else:
                self.record((ExecutionParked(at=self._clock.now(), due=due),))

    def _go_on_ending(self) -> None:
        following = go_on_ending(self._plan, self.state, self.execution_id, self._clock.now())
        is_closing = following[0] == ScopeStarted(at=following[0].at, scope=FINALLY)
        if is_closing and self._is_grace_over and self.state.status == "cancelling":
            # What had to stop, or compensation, has used the first one up.
            self._hooks.execution_cancelling(self._supervisor)
        self.record(following)

    def _may_end_go_on(self) -> bool:
        """Whether the end has begun, and the next of it may start: none does during a pause."""
        state = self.state
        return (
            state.ending is not None
            and state.status in {"running", "cancelling"}
            and not state.is_ending_busy
            and not self._is_being_cancelled
        )

    def _may_be_parked(self) -> bool:
        """Whether the execution waits, and nobody asks."""
        state = self.state
        return (
            state.status == "running"
            and not self._routed
            and state.is_waiting
            and not self._hooks.is_wanted(self._supervisor)
        )

    def _parked(self, event: ExecutionParked) -> None:
        if self._mail is None:
            self._hooks.execution_parked(self._supervisor, event.due)

    def _put_away(self) -> None:
        """Have the execution cost nothing until somebody asks something of it."""
        if not self._hooks.is_wanted(self._supervisor):
            self._hooks.execution_parked(self._supervisor, None)

    # Time.

    def _waiting(self, event: WaitStarted | AttemptFailed) -> None:
        if self._waits is None:
            self._waits = Waits()
        self._waits.add(event)
        if event.due is not None:
            self._set_timer(self._waits)
        if isinstance(event, WaitStarted) and event.signal is not None:
            self._offer_signal(event.signal)

    def _wait_begun(self, message: WaitBegun) -> None:
        run = message.run
        if self._is_current(run) and not self._is_stopping(run):
            begun = WaitStarted(
                at=self._clock.now(),
                scope=run.scope,
                task=run.task.name,
                visit=run.started.visit,
                attempt=run.started.attempt,
                due=message.due,
                signal=message.signal,
            )
            self.record((begun,))

    def _set_timer(self, waits: Waits) -> None:
        """Have this woken when the first scope is due, also while others are busy."""
        due = waits.next_due(self.state)
        if due is not None:
            self._hooks.wake_at(self._supervisor, due)

    def wake_up(self, _: WakeUp) -> None:
        """Have everything go on whose waiting is over."""
        if self.state.status == "quarantined":
            self._put_away()
        elif self._waits is not None:
            for due, scope in self._waits.take_due(self.state, self._clock.now()):
                self.send(ScopeDue(scope, due))
            self._set_timer(self._waits)

    def _scope_due(self, message: ScopeDue) -> None:
        state = self.state
        scope = state.find(message.scope)
        wait = None if scope is None else scope.wait
        if scope is None or wait is None or wait.due != message.due:
            return
        if self._is_being_cancelled or self._is_over_for(message.scope) or self.is_host_closed:
            return
        if self._is_left_alone:
            return  # it is due at the next start as well
        if isinstance(wait, WaitStarted):
            assert scope.running is not None
            run = self._run_of(scope.running)
            if wait.signal is None:
                outcome = Outcome("success", self._clock.now() - run.started.at)
            else:
                error = timed_out(wait.task)
                outcome = Outcome("failure", self._clock.now() - run.started.at, error=error)
            self._route(run, outcome)
        elif state.status != "paused":
            started = TaskStarted(
                at=self._clock.now(),
                scope=wait.scope,
                task=wait.task,
                visit=wait.visit,
                attempt=wait.attempt + 1,
            )
            self.record((started,))

    # Signals.

    def _signal_received(self, event: SignalReceived) -> None:
        self._offer_signal(event.name)

    def _offer_signal(self, name: str) -> None:
        """Give the oldest signal of this name to the task that has waited for one longest."""
        signals, state = self.state.signals.get(name), self.state
        if not signals or self._waits is None or self._is_being_cancelled:
            return
        if name in self._offered or self._environment is None:
            return  # the oldest one is not taken yet: it would be given twice; or nothing runs
        wait = self._waits.take_listener(state, name)
        if wait is not None:
            self._offered[name] = wait.scope
            started = state.scope(wait.scope).running
            assert started is not None
            run = self._run_of(started)
            self._route(run, Outcome("success", self._clock.now() - run.started.at, signals[0]))

    def _signal_settled(self, message: SignalSettled) -> None:
        self._offered.pop(message.name, None)
        self._offer_signal(message.name)

    def _routed_back(self, run: RunTask) -> None:
        self._routed.discard(run.scope)
        construct = run.task.construct
        if isinstance(construct, Signal) and self._offered.get(construct.name) == run.scope:
            self.send(SignalSettled(construct.name))  # handled when what follows is recorded

    def _listen(self) -> None:
        """Note what is waited for, and give it the signals that are there already."""
        self._waits = Waits()
        self._waits.add_all(self.state)
        for name in list(self.state.signals):
            self._offer_signal(name)
        self._set_timer(self._waits)

    _HANDLERS: ClassVar[Handlers] = {
        WaitBegun: _wait_begun,
        WakeUp: wake_up,
        ScopeDue: _scope_due,
        SignalSettled: _signal_settled,
    }

    _ACTIONS: ClassVar[Actions] = {
        AttemptFailed: _waiting,
        WaitStarted: _waiting,
        SignalReceived: _signal_received,
        ExecutionParked: _parked,
    }
