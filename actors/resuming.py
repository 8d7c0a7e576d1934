"""How an execution goes on that has stood still: after a restart, a pause or a quarantine."""

from __future__ import annotations

from typing import ClassVar

from actors.bodies import task_of
from actors.events import CancelRequested, ExecutionResumed, TaskStarted
from actors.fork import ForkActor
from actors.messages import GoOn, RunTask, TakeUp, WakeUp
from actors.paths import COMPENSATION, FINALLY, ROOT, is_opened_by_a_task, split_task, task_path
from actors.recording import Actions, Handlers
from actors.state import Fork, ScopeState
from actors.waiting import WaitingExecution


class ResumableExecution(WaitingExecution):
    """An execution that is taken up from what its state says is running."""

    __slots__ = ()

    def take_up(self, _: TakeUp) -> None:
        """Run what the state says is running, and have go on what is idle.

        Not before it is resumed or cancelled, if it is in quarantine.
        """
        if self.state.status == "quarantined":
            self._put_away()
            return
        if not self.state.has_ended:
            self._take_up_scopes()
        self._is_taken_up = True
        self._set_deadline()

    def _take_up_scopes(self) -> None:
        state = self.state
        self._listen()
        if state.status == "cancelling" and state.ending is not None:
            self._is_grace_over = FINALLY not in state.scopes
            if not self._is_grace_over:
                self._hooks.execution_cancelling(self._supervisor)
        for path in (ROOT, COMPENSATION, FINALLY):
            scope = state.find(path)
            if scope is not None:
                self._run_again(path, scope)
                if scope.is_idle:
                    self.send(GoOn(path))
        if self._is_being_cancelled:  # what goes on of it is told so, and waited for
            self.stop()
            self._hooks.execution_cancelling(self._supervisor)

    def _run_again(self, path: str, scope: ScopeState) -> None:
        """Run what is running in a scope, and in those inside of it, but not yet on a lane."""
        fork, started = scope.fork, scope.running
        if scope.wait is not None or started is None:
            return
        task = task_of(self._plan, self.state, path, started.task)
        if fork is not None and (fork.task, fork.attempt) == (task.name, started.attempt):
            self._reopen_fork(started, fork)
        elif task.construct is not None or task.goes_on:
            self._run_task(started, goes_on=True)
        elif is_opened_by_a_task(path):  # otherwise it has been on the lane since its start
            self._run_task(started)

    def _reopen_fork(self, event: TaskStarted, fork: Fork) -> None:
        """Run an attempt that goes on, with all that is open in it.

        That is on its lanes before the attempt runs: so whatever stops the attempt stops it too.
        """
        lane = self._lane_of(event.scope)
        if lane is not None and self._environment is not None:
            run = self._run_of(event)
            actor = ForkActor(run, is_reopened=True)
            lane.resume(actor)
            self._take_up_fork(run, actor, fork)

    def _take_up_fork(self, run: RunTask, actor: ForkActor, fork: Fork) -> None:
        self._forks[task_path(run.scope, run.task.name)] = actor
        for path, scope in fork.scopes.items():
            self._run_again(path, scope)
        if fork.is_joined:
            actor.stop()
        else:
            self._fill(run.scope, actor, fork)

    def _resumed(self, _: ExecutionResumed) -> None:
        if not self._is_taken_up:  # it was in quarantine
            self.take_up(TakeUp())
            return
        self._listen()
        self.wake_up(WakeUp())
        self.send(GoOn(ROOT))
        for path, actor in self._forks.items():
            around = split_task(path)[0]
            fork = self.state.scope(around).fork
            if fork is not None and not fork.is_joined:
                self._fill(around, actor, fork)

    def _stop(self, _: CancelRequested) -> None:
        self._cancel_requested = self._clock.monotonic()
        if not self._is_taken_up:  # it was in quarantine, and its sub-flows are to be told
            self.take_up(TakeUp())
        if self.state.ending is None:
            self.stop()
        self._hooks.execution_cancelling(self._supervisor)

    _HANDLERS: ClassVar[Handlers] = {
        TakeUp: take_up,
    }

    _ACTIONS: ClassVar[Actions] = {
        ExecutionResumed: _resumed,
        CancelRequested: _stop,
    }
