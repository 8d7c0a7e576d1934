"""What an execution runs: lanes for its scopes, and what it waits for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import anyio

from actors.bodies import task_of
from actors.ending import go_on_ending
from actors.events import (
    AttemptFailed,
    CancelRequested,
    EndingStarted,
    Event,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionParked,
    ExecutionResumed,
    ExecutionRetried,
    ForkResumed,
    JoinReached,
    ScopeFinished,
    ScopeStarted,
    ScopeStopped,
    SignalReceived,
    TaskSkipped,
    TaskStarted,
    WaitStarted,
)
from actors.fork import ForkActor
from actors.forks import (
    flow_end,
    fork_ends,
    free_places,
    is_flow_late,
    waiting_for_a_place,
)
from actors.hooks import Surroundings
from actors.lane import Lane
from actors.messages import (
    ApplyConditions,
    Environment,
    GoOn,
    RunTask,
    ScopeDue,
    TakeUp,
    WakeUp,
)
from actors.outcome import Outcome
from actors.paths import (
    COMPENSATION,
    FINALLY,
    ROOT,
    is_opened_by_a_task,
    opener,
    split,
    split_task,
    task_path,
)
from actors.plan import Construct, Plan, Signal, Wait
from actors.recording import RecordingActor
from actors.router import ROUTER
from actors.state import ExecutionState, Fork, ScopeState
from actors.task import TaskActor, WaitActor
from actors.waits import Waits

if TYPE_CHECKING:
    from actors.execution import ExecutionSupervisor

PARK_SECONDS: Final = 1.0
"""An execution that waits for longer than this is kept in the journal alone."""


class ScopeHolder(RecordingActor):
    """Runs what its state says is running, and does what follows from what is recorded.

    The tasks run on lanes: the execution's own, which its host task runs, and one for each scope
    that a task opens, inside of that task. What waits is only remembered.

    Attributes:
        is_host_closed: whether no code runs on the host task any more.
        is_host_disturbed: whether an activity has cancelled the task that it runs in.
        hosts: how many host tasks run code of it, or will: more than one if one was given up.
        stop_host: cancels the host task; the engine sets it.
    """

    __slots__ = (
        "_cancel_requested",
        "_clock",
        "_environment",
        "_forks",
        "_hooks",
        "_host_number",
        "_is_end_stopped",
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
        self.is_host_disturbed = False  # by an activity that cancelled the task that it runs in
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
        self._cancel_requested = 0.0  # on the monotonic clock
        self._host_number = 1
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
        self._lane.stop()
        for fork in self._forks.values():
            fork.stop_lanes()
        self.stop_host()

    def retire(self) -> None:
        """Stop for good while idle; not a checkpoint.

        What is asked of it from now on is refused: nothing would run what that leads to.
        """
        self._is_retired = True
        self.stop()

    def _host_again(self) -> None:
        self._host_number += 1
        self.hosts += 1
        self._lane = Lane()
        self._forks.clear()
        self.is_host_closed = False
        self._hooks.host_again(self._supervisor)

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

    def never_began(self) -> None:
        """Stop: the start could not be recorded."""
        self.stop()

    def journal_failed(self, error: Exception) -> None:
        """Stop the engine: without a journal no promise can be kept.

        When it closes, and nothing runs any more, none depends on what is not recorded.
        """
        if self.hosts or not self._hooks.is_closing:
            self._hooks.journal_failed(error)

    # When nothing runs.

    def settle(self) -> None:
        """Have the execution parked, or woken, if all that goes on is waiting."""
        state = self.state
        if state.has_ended or self._is_left_alone or self.is_host_closed or not state.seq:
            return
        if self._may_end_go_on():
            self._go_on_ending()
            return
        if state.status == "paused":
            self._hooks.execution_idle(self._supervisor)
        if state.status not in {"running", "paused"}:
            return
        due = self._earliest_due()
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

    def _earliest_due(self) -> float | None:
        """Return when something has to happen at the latest; None if never."""
        state = self.state
        dues: list[float | None] = [] if self._waits is None else [self._waits.next_due(state)]
        dues.append(flow_end(self._plan, state))
        dues += fork_ends(self._plan, state)
        return min((due for due in dues if due is not None), default=None)

    def wake_up(self, _: WakeUp) -> None:
        """Have everything go on whose waiting is over."""
        if self.state.status == "quarantined":
            self._put_away()
        elif self._waits is not None:
            for due, scope in self._waits.take_due(self.state, self._clock.now()):
                self.send(ScopeDue(scope, due))
            self._set_timer(self._waits)

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

    # Acting on what is recorded: tasks.

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

    def _waiting(self, event: WaitStarted | AttemptFailed) -> None:
        if self._waits is None:
            self._waits = Waits()
        self._waits.add(event)
        if event.due is not None:
            self._set_timer(self._waits)
        if isinstance(event, WaitStarted) and event.signal is not None:
            self._offer_signal(event.signal)

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

    # Acting on what is recorded: scopes.

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

    # Acting on what is recorded: the execution.

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

    def _reopened(self, _: ExecutionRetried | TaskSkipped) -> None:
        self._set_deadline()

    def _ending_started(self, _: EndingStarted) -> None:
        self._set_deadline()
        if self.state.status == "cancelling" and not self.is_host_closed:
            self._host_again()  # it was given up: something on it has not stopped

    def _parked(self, event: ExecutionParked) -> None:
        if self._mail is None:
            self._hooks.execution_parked(self._supervisor, event.due)

    def _stop(self, _: CancelRequested) -> None:
        self._cancel_requested = self._clock.monotonic()
        if not self._is_taken_up:  # it was in quarantine, and its sub-flows are to be told
            self.take_up(TakeUp())
        if self.state.ending is None:
            self.stop()
        self._hooks.execution_cancelling(self._supervisor)

    def _end(self, _: Event) -> None:
        self._lane.close()
        self._hooks.execution_ended(self._supervisor)

    # Taking up what the journal has.

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

    def _put_away(self) -> None:
        """Have the execution cost nothing until somebody asks something of it."""
        if not self._hooks.is_wanted(self._supervisor):
            self._hooks.execution_parked(self._supervisor, None)

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

    def _listen(self) -> None:
        """Note what is waited for, and give it the signals that are there already."""
        self._waits = Waits()
        self._waits.add_all(self.state)
        for name in list(self.state.signals):
            self._offer_signal(name)
        self._set_timer(self._waits)

    def _set_timer(self, waits: Waits) -> None:
        """Have this woken when the first scope is due, also while others are busy."""
        due = waits.next_due(self.state)
        if due is not None:
            self._hooks.wake_at(self._supervisor, due)

    _ACTIONS: ClassVar[dict[type[Event], Callable[[ScopeHolder, Any], None]]] = {
        TaskStarted: _run_task,
        AttemptFailed: _waiting,
        WaitStarted: _waiting,
        SignalReceived: _signal_received,
        ForkResumed: _fork_resumed,
        ScopeFinished: _scope_finished,
        ScopeStopped: _scope_stopped,
        JoinReached: _join_reached,
        ExecutionResumed: _resumed,
        ExecutionRetried: _reopened,
        TaskSkipped: _reopened,
        ExecutionParked: _parked,
        CancelRequested: _stop,
        EndingStarted: _ending_started,
        ExecutionCompleted: _end,
        ExecutionFailed: _end,
        ExecutionCancelled: _end,
    }


def _actor_type(construct: Construct) -> type[WaitActor | ForkActor]:
    """Return what runs a task that has no code of its own."""
    return WaitActor if isinstance(construct, Wait | Signal) else ForkActor
