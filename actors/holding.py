"""The scopes that an execution holds: the lanes that their tasks run on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, cast

import anyio

from actors.bodies import task_of
from actors.events import (
    EndingStarted,
    Event,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionRetried,
    ForkResumed,
    JoinReached,
    ScopeFinished,
    ScopeStopped,
    TaskSkipped,
    TaskStarted,
)
from actors.fork import ForkActor
from actors.forks import flow_end, free_places, is_being_stopped, is_flow_late, waiting_for_a_place
from actors.hooks import Surroundings
from actors.lane import Lane
from actors.messages import ApplyConditions, Environment, GoOn, RunTask
from actors.outcome import ErrorInfo, Outcome
from actors.paths import COMPENSATION, is_of_the_end, is_opened_by_a_task, opener, split, task_path
from actors.plan import Construct, Plan, Signal, Wait
from actors.recording import Actions, RecordingActor
from actors.router import ROUTER
from actors.state import ExecutionState, Fork
from actors.task import TaskActor, WaitActor
from actors.waits import Waits

if TYPE_CHECKING:
    from actors.execution import ExecutionSupervisor


class ScopeHolder(RecordingActor):
    """Runs what its state says is running, and does what follows from what is recorded.

    The tasks run on lanes: the execution's own, which its host task runs, and one for each scope
    that a task opens, inside of that task. What waits is only remembered.

    Attributes:
        is_host_closed: whether no code runs on the host task any more.
        is_host_disturbed: whether an activity has cancelled the task that it runs in, or left a
            scope open in it.
        hosts: how many host tasks run code of it, or will: more than one if one was given up.
        stop_host: cancels the host task; the engine sets it.
    """

    __slots__ = (
        "_cancel_requested",
        "_clock",
        "_disorder",
        "_environment",
        "_forks",
        "_hooks",
        "_host_number",
        "_is_end_stopped",
        "_is_free",
        "_is_grace_over",
        "_is_retired",
        "_is_taken_up",
        "_lane",
        "_offered",
        "_plan",
        "_routed",
        "_time",
        "_time_offset",
        "_waits",
        "hosts",
        "is_host_closed",
        "is_host_disturbed",
        "stop_host",
    )

    def __init__(
        self,
        execution_id: str,
        plan: Plan,
        surroundings: Surroundings,
        state: ExecutionState | None = None,
    ) -> None:
        super().__init__(execution_id, surroundings.journal, state)
        clock, grace = surroundings.clock, surroundings.grace
        self.hosts = 1
        self.is_host_closed = False
        self.is_host_disturbed = False
        self._lane = Lane()
        self.stop_host: Callable[[], None] = self._lane.close  # the engine sets the real one
        self._plan = plan
        self._clock = clock
        self._hooks = surroundings.hooks
        # None when the host has closed: it refers back to this, and reference counting is to do.
        self._environment: Environment | None = Environment(execution_id, plan, self, clock, grace)
        self._forks: dict[str, ForkActor] = {}  # by the path of their task
        self._time: anyio.CancelScope | None = None  # what the flow's timeout ends
        self._time_offset = 0.0  # of the event loop's time to the monotonic clock
        self._routed: set[str] = set()  # scopes whose wait is over, and whose router is being asked
        self._offered: dict[str, str] = {}  # the scope that is about to take it, by signal
        self._waits: Waits | None = None  # made when something waits
        self._disorder: ErrorInfo | None = None  # why the host is stopped: a scope was left open
        self._cancel_requested = 0.0  # on the monotonic clock
        self._host_number = 1
        self._is_free = True  # no time bounds it, and nothing has stopped it: what follows starts
        self._is_end_stopped = False  # of an execution that was being cancelled
        self._is_grace_over = False  # a `finally` that begins later has one of its own
        self._is_retired = False
        self._is_taken_up = True  # False before what goes on after a recovery is on its lanes

    @property
    def _supervisor(self) -> ExecutionSupervisor:
        """This, as the world outside knows it."""
        return cast("ExecutionSupervisor", self)

    # Stopping.

    def stop(self) -> None:
        """Stop the tasks that are running and run no further one; not a checkpoint."""
        self._is_free = False
        self._lane.stop()
        for fork in self._forks.values():
            fork.stop_lanes()
        self.stop_host()

    def retire(self) -> None:
        """Stop for good, and record nothing about it; not a checkpoint.

        What is asked of it from now on is refused: nothing would run what that leads to.
        """
        self._is_retired = True
        self.stop()

    def _host_again(self) -> None:
        self._host_number += 1
        self.hosts += 1
        self._lane = Lane()
        self._forks.clear()
        self._disorder = None
        self.is_host_closed = False
        self._hooks.host_again(self._supervisor)

    def never_began(self) -> None:
        """Stop: the start could not be recorded."""
        self.stop()

    def was_lost(self) -> None:
        """Stop for good: what runs would lead to what is not recorded."""
        self.retire()

    def journal_failed(self, error: Exception) -> None:
        """Stop the engine: without a journal no promise can be kept.

        When it closes, and nothing runs any more, none depends on what is not recorded.
        """
        if self.hosts or not self._hooks.is_closing:
            self._hooks.journal_failed(error)

    def _end(self, _: Event) -> None:
        self._lane.close()
        self._hooks.execution_ended(self._supervisor)

    def _set_deadline(self) -> None:
        """Have the tasks stopped when the flow's time is over, up to where its end begins.

        Not before all that goes on after a recovery is on its lane: or it would not be told.
        """
        state = self.state
        end = flow_end(self._plan, state)
        if self._time is None:
            return
        if end is None or state.has_ended or not self._is_taken_up:
            self._time.deadline = math.inf
        else:
            left = max(0.0, end - self._clock.now()) if state.seq else self._plan.timeout or 0.0
            self._time.deadline = self._clock.monotonic() + self._time_offset + left

    # What is asked on the way.

    @property
    def _is_being_cancelled(self) -> bool:
        """Whether all that runs is being stopped because somebody has cancelled the execution."""
        return self.state.status == "cancelling" and (
            self.state.ending is None or self._is_end_stopped
        )

    @property
    def _is_left_alone(self) -> bool:
        """Whether what stops now goes on later: nothing is to be recorded about it."""
        return self._is_retired or self._hooks.is_closing

    def _is_time_over(self, path: str) -> bool:
        """Whether the time of the flow, or of a task around the scope, is over: it is stopping."""
        if self._is_flow_over():
            return True
        while is_opened_by_a_task(path):
            actor = self._forks.get(opener(path))
            if actor is not None and actor.is_late:
                return True
            path = split(path)[0]
        return False

    def _is_flow_over(self) -> bool:
        plan, state = self._plan, self.state
        if plan.timeout is None or state.ending is not None:
            return False
        if self._time is None or not self._is_taken_up:  # nothing is stopped yet
            return is_flow_late(plan, state, self._clock.now())
        return self._time.cancel_called

    def _is_over_for(self, path: str) -> bool:
        """Whether nothing is to start in a scope any more: it is stopped, or all but the end is."""
        state = self.state
        is_of_what_ended = state.ending is not None and not is_of_the_end(path)
        is_stopping = is_being_stopped(state, path) or self._is_time_over(path)
        return is_of_what_ended or is_stopping

    def _is_current(self, run: RunTask) -> bool:
        """Whether *run* is what the state says is running; a late report of another is ignored."""
        started = run.started
        scope = self.state.scopes.get(started.scope) if started.scope else self.state
        return scope is not None and scope.running is started

    def _is_stopping(self, run: RunTask) -> bool:
        """Whether the task is being stopped, so that nothing follows it."""
        if self.state.status == "cancelling" and self._is_being_cancelled:
            return True
        path = run.scope
        if self._disorder is not None:
            return True
        return self._is_time_over(path) or (bool(path) and is_being_stopped(self.state, path))

    # Running tasks.

    def _run_task(self, event: TaskStarted, *, goes_on: bool = False) -> None:
        """Run an attempt; one that goes on also if it is stopped first: it has to pass that on."""
        path = event.scope
        may_be_late = path or self._plan.timeout is not None
        if may_be_late and not goes_on and self._is_time_over(path):
            return  # it was over before the start was recorded
        lane = self._lane_of(path) if path else self._lane
        if lane is None or self._environment is None:
            return
        run = self._run_of(event)
        construct = run.task.construct
        actor = TaskActor(run) if construct is None else _actor_type(construct)(run)
        if goes_on:
            lane.resume(actor)
        else:
            lane.spawn(actor)

    def _run_of(self, event: TaskStarted) -> RunTask:
        """Return what the task actor is to do whose attempt has started."""
        state, path, environment = self.state, event.scope, self._environment
        assert environment is not None
        if not path:
            task = self._plan.tasks[event.task]
            return RunTask(event, task, state.context, environment, state.since, state.failures)
        task, scope = task_of(self._plan, state, path, event.task), state.scopes[path]
        context, undoes = scope.context, None
        if path == COMPENSATION:
            done = state.compensable[event.task]
            context, undoes = done.context, done.outcome
        return RunTask(event, task, context, environment, scope.since, scope.failures, undoes)

    def _lane_of(self, path: str) -> Lane | None:
        """Return what the tasks of a scope run on; None as long as nothing holds the scope."""
        if not is_opened_by_a_task(path):
            return self._lane
        actor = self._forks.get(opener(path))
        return None if actor is None else actor.lane(path)

    def _route(self, run: RunTask, outcome: Outcome) -> None:
        self._routed.add(run.scope)
        ROUTER.send(ApplyConditions(run, outcome))

    # Scopes inside of tasks.

    def _scope_finished(self, event: ScopeFinished) -> None:
        actor = self._forks.get(opener(event.scope))
        if actor is not None:
            actor.close_lane(event.scope)
            if actor.pending:
                self.send(GoOn(actor.pending.popleft()))

    def _scope_stopped(self, event: ScopeStopped) -> None:
        actor = self._forks.get(opener(event.scope))
        if actor is not None:
            actor.close_lane(event.scope)

    def _join_reached(self, event: JoinReached) -> None:
        actor = self._forks.get(task_path(event.scope, event.task))
        fork = self.state.scope(event.scope).fork
        if actor is None or fork is None:
            return
        if any(scope.is_open for scope in fork.scopes.values()):
            actor.stop()
        else:
            actor.close()

    def _fork_resumed(self, event: ForkResumed) -> None:
        actor = self._forks.get(task_path(event.scope, event.task))
        fork = self.state.scope(event.scope).fork
        if actor is not None and fork is not None:
            self._fill(event.scope, actor, fork)

    def _fill(self, scope: str, actor: ForkActor, fork: Fork) -> None:
        """Have as many scopes of a task go on, or opened, as there may be at once."""
        task = task_of(self._plan, self.state, scope, fork.task)
        free = free_places(task, fork)
        actor.pending.clear()
        for path in waiting_for_a_place(task, scope, fork):
            if free:
                free -= 1
                self.send(GoOn(path))
            elif path in fork.scopes or fork.is_resumed:
                actor.pending.append(path)
            else:
                return

    # The execution.

    def _reopened(self, _: ExecutionRetried | TaskSkipped) -> None:
        self._set_deadline()

    def _ending_started(self, _: EndingStarted) -> None:
        self._set_deadline()
        if self.state.status == "cancelling" and not self.is_host_closed:
            self._host_again()  # it was given up: something on it has not stopped

    _ACTIONS: ClassVar[Actions] = {
        TaskStarted: _run_task,
        ForkResumed: _fork_resumed,
        ScopeFinished: _scope_finished,
        ScopeStopped: _scope_stopped,
        JoinReached: _join_reached,
        ExecutionRetried: _reopened,
        TaskSkipped: _reopened,
        EndingStarted: _ending_started,
        ExecutionCompleted: _end,
        ExecutionFailed: _end,
        ExecutionCancelled: _end,
    }


def _actor_type(construct: Construct) -> type[WaitActor | ForkActor]:
    """Return what runs a task that has no code of its own."""
    return WaitActor if isinstance(construct, Wait | Signal) else ForkActor
