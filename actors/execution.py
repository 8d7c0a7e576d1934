"""The execution supervisor: the one owner of an execution's state."""

from __future__ import annotations

import logging
from typing import ClassVar, Final

from msgspec.structs import replace

from actors.actor import is_of_open_scopes
from actors.bodies import body_of
from actors.events import (
    AttemptFailed,
    Event,
    ExecutionFailed,
    ScopeStarted,
    SignalTaken,
    TaskFinished,
    TaskStarted,
    TaskStopped,
    Transition,
)
from actors.forks import (
    fork_outcome,
    open_scope,
    resume_fork,
    start_fork,
    stop_open_scopes,
    timed_out,
    too_many_scopes,
)
from actors.messages import (
    AttemptStopped,
    AttemptToRepeat,
    BugFound,
    CancelExecution,
    EndedMeanwhileError,
    ForkClosed,
    ForkOpened,
    GoOn,
    NotAllowedError,
    OperatorRequest,
    PauseExecution,
    RecoverExecution,
    ResumeExecution,
    RetryExecution,
    RoutingFailed,
    RunTask,
    SendSignal,
    SkipTask,
    StartExecution,
    TakeUp,
    TaskDecided,
)
from actors.outcome import ErrorInfo, Outcome, StopKind, describe_error
from actors.paths import task_path
from actors.plan import END, Plan, Signal
from actors.ports import NotRecordedError
from actors.recording import Handlers
from actors.recovery import quarantine, recover
from actors.requests import decide_request
from actors.resuming import ResumableExecution
from actors.routing import UNCONDITIONAL_END, end_scope, follow, go_on
from actors.state import ScopeState

logger = logging.getLogger(__name__)

_SCOPE_LEFT_OPEN: Final = ErrorInfo(
    "StrayCancellation",
    "an activity has left a cancel scope or a task group open in the task that it ran in",
)
"""Why an execution fails whose own scopes an activity has kept from being closed in order."""


class ExecutionSupervisor(ResumableExecution):
    """Owns one execution: decides what follows from what its tasks and its operators tell it.

    What it decides with, and what it does about what is recorded, is in the classes below it, each
    of which knows those below itself alone: `ResumableExecution` takes up what has stood still,
    `WaitingExecution` waits, `HostedExecution` has a host task, `ScopeHolder` runs tasks on lanes,
    and `RecordingActor` handles messages and has recorded what they lead to.
    """

    __slots__ = ()

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, and nothing will before somebody asks for it, or time passes."""
        return not self.state.busy and not self._pending and self._mail is None

    @property
    def plan(self) -> Plan:
        """What the execution runs."""
        return self._plan

    # Deciding: one method a message.

    def _start(self, message: StartExecution) -> None:
        started = message.started
        self._reply = message.reply
        first = TaskStarted(at=started.at, task=started.start_task)
        self.record((started, first, *message.further), is_request=True, key=message.key)

    def _recover(self, message: RecoverExecution) -> None:
        at = self._clock.now()
        recoveries = message.quarantined_after
        self._is_taken_up = False
        if self.state.cancellation is not None:
            since = max(0.0, at - self.state.cancellation.requested_at)
            self._cancel_requested = self._clock.monotonic() - since
        if recoveries is None:
            events = recover(self._plan, self.state, self.execution_id, at)
        else:
            events = quarantine(self._plan, self.state, recoveries, self.execution_id, at)
        if events:
            self._reply = message.reply
            self.record(events)
        else:
            message.reply.give(answer=False)
        self.offer(TakeUp())  # ahead of what is asked while the batch is on its way

    def _operator_request(self, message: OperatorRequest) -> None:
        is_stopped = self.is_host_closed and (self.state.ending is None or self._is_left_alone)
        if (is_stopped or self._is_retired) and not self.state.has_ended:
            message.reply.give(NotRecordedError("the engine has stopped the execution"))
            return
        plan = self._plan
        if isinstance(message, RetryExecution) and message.plan is not None:
            plan = message.plan
        at = self._clock.now()
        try:
            events = decide_request(plan, self.state, message, self.execution_id, at)
        except NotAllowedError as error:
            message.reply.give(error)
            return
        if not events:
            message.reply.give(answer=False)
            return
        if self.state.has_ended and self._lane.is_closed:
            message.reply.give(EndedMeanwhileError())
            return
        if plan is not self._plan:
            self._use_plan(plan)  # nothing runs that could still need the other one
        if not self.state.has_ended:
            events = self._without_starts(events)
        self._reply = message.reply
        self.record(events, is_request=True)

    def _use_plan(self, plan: Plan) -> None:
        self._plan = plan
        if self._environment is not None:
            self._environment = replace(self._environment, plan=plan)

    def _task_decided(self, message: TaskDecided) -> None:
        run, transition, state = message.run, message.transition, self.state
        if self._routed:
            self._routed_back(run)
        started, outcome = run.started, message.outcome
        if state.running is not started and not self._is_current(run):
            return
        following: tuple[Event, ...] = ()
        if state.status == "running" and not started.scope and self._is_free:
            finished = self._finished(run, outcome, transition)
            following = follow(self._plan, state, finished, transition.target)
        elif self._is_stopping(run):
            finished = self._finished(run, outcome, None)
            if state.status == "cancelling":
                following = (self._stopped(run, "finished"),)
        else:
            finished = self._finished(run, outcome, transition)
            if state.status != "paused" or transition.target == END:
                following = follow(self._plan, state, finished, transition.target)
                following = self._without_starts(following)
        if run.task.construct is None:
            self.record((finished, *following))
        else:
            self.record((*self._taken(run, outcome), finished, *following))

    def _routing_failed(self, message: RoutingFailed) -> None:
        run = message.run
        self._routed_back(run)
        if not self._is_current(run):
            return
        finished = self._finished(run, message.outcome, None)
        events = (*self._taken(run, message.outcome), finished)
        if not self._is_stopping(run):
            failure = Outcome("failure", 0.0, error=message.error)
            following = end_scope(
                self._plan,
                self.state,
                run.scope,
                failure,
                run.task.name,
                finished.at,
                is_compensable=finished.is_compensable,
            )
            events += self._without_starts(following)
        self.record(events)

    def _attempt_to_repeat(self, message: AttemptToRepeat) -> None:
        run = message.run
        self._routed.discard(run.scope)
        if not self._is_current(run):
            return
        if self._is_stopping(run):
            self.send(TaskDecided(run, message.outcome, UNCONDITIONAL_END))
            return
        failed = AttemptFailed(
            at=self._clock.now(),
            scope=run.scope,
            task=run.task.name,
            visit=run.started.visit,
            attempt=run.started.attempt,
            outcome=message.outcome,
            due=message.due,
        )
        self.record((failed,))

    def _attempt_stopped(self, message: AttemptStopped) -> None:
        run = message.run
        if self._is_current(run) and not self._is_left_alone:
            self.record((self._stopped(run, message.how, message.error),))

    def _fork_opened(self, message: ForkOpened) -> None:
        run = message.run
        if not self._is_current(run) or self._is_stopping(run):
            return  # it is being cancelled
        actor = message.fork
        self._forks[task_path(run.scope, run.task.name)] = actor
        fork, at = self.state.scope(run.scope).fork, self._clock.now()
        if fork is None or fork.task != run.task.name:
            error = too_many_scopes(self.state, run.task, message.items)
            if error is None:
                self.record(start_fork(run.task, run.scope, message.items, at))
            else:
                actor.close()
                self._route(run, Outcome("failure", 0.0, error=error))
        elif fork.attempt < run.started.attempt:
            self.record(resume_fork(run.task, run.scope, fork, at))
        else:  # it is a rerun that has begun inside of it
            self._take_up_fork(run, actor, fork)

    def _fork_closed(self, message: ForkClosed) -> None:
        run = message.run
        self._forks.pop(task_path(run.scope, run.task.name), None)
        if not self._is_current(run) or self._is_stopping(run) or self._is_left_alone:
            return
        fork = self.state.scope(run.scope).fork
        if fork is None:
            error = timed_out(run.task.name)
            outcome = Outcome("failure", message.seconds, error=error)
        elif not fork.is_joined and not message.is_late:
            return  # what is around it was stopped
        elif stopped := stop_open_scopes(fork, self._clock.now()):
            self.record(stopped)
            self.send(message)
            return
        else:
            outcome = fork_outcome(run.task, fork, is_late=message.is_late, seconds=message.seconds)
        self._route(run, outcome)

    def _go_on(self, message: GoOn) -> None:
        state, path, at = self.state, message.scope, self._clock.now()
        is_paused = state.status == "paused"
        if state.has_ended or self._is_being_cancelled or self._is_left_alone:
            return
        scope = state.find(path)
        if self._is_over_for(path):
            return
        if scope is None:
            if not is_paused:
                self.record(open_scope(body_of(self._plan, path), path, at))
        elif scope.is_idle and (not is_paused or _is_at_its_end(scope)):
            events = go_on(self._plan, state, path, self.execution_id, at)
            if events:
                self.record(events)

    def _bug_found(self, message: BugFound) -> None:
        error = message.error
        described = describe_error(error)
        is_disorder = is_of_open_scopes(error)
        if is_disorder:
            info, raised = _SCOPE_LEFT_OPEN, described.message.partition("\n")[0]
            logger.error("execution %s: %s: %s", self.execution_id, info.message, raised)
        else:
            info = ErrorInfo("InternalError", f"{described.type}: {described.message}")
            logger.error("execution %s: a bug in flowmgr", self.execution_id, exc_info=error)
        if self.state.has_ended:
            return  # and its host may belong to another execution by now
        if is_disorder and message.host not in {None, self._host_number}:
            return  # of a host that was given up: another one has taken its place
        if is_disorder and not self.is_host_closed:
            self._disorder = info  # its end runs on another host
        self.stop()
        if not self.state.seq or self._disorder is not None:
            return
        failed = ExecutionFailed(at=self._clock.now(), error=info, task=self.state.current_task)
        self.record((failed,))

    # What is recorded of a task.

    def _without_starts(self, following: tuple[Event, ...]) -> tuple[Event, ...]:
        """Return what is to be recorded of *following*: no start, if nothing runs any more.

        It follows when the execution goes on, of which what has not begun cannot be told then from
        what was interrupted.
        """
        if not self._is_left_alone:
            return following
        return tuple(each for each in following if not isinstance(each, TaskStarted | ScopeStarted))

    def _finished(
        self, run: RunTask, outcome: Outcome, transition: Transition | None
    ) -> TaskFinished:
        task, started = run.task, run.started
        finished = TaskFinished(
            at=self._clock.now(),
            scope=started.scope,
            task=task.name,
            visit=started.visit,
            attempt=started.attempt,
            outcome=outcome,
            transition=transition,
        )
        is_compensable = task.compensation is not None
        if (task.merges or is_compensable) and outcome.error is None:
            return replace(finished, is_merged=task.merges, is_compensable=is_compensable)
        return finished

    def _taken(self, run: RunTask, outcome: Outcome) -> tuple[Event, ...]:
        """Return what is recorded before a task has finished: that it took a signal, if it did."""
        construct = run.task.construct
        if outcome.error is not None or not isinstance(construct, Signal):
            return ()
        at = self._clock.now()
        return (SignalTaken(at=at, scope=run.scope, task=run.task.name, name=construct.name),)

    def _stopped(self, run: RunTask, how: StopKind, error: ErrorInfo | None = None) -> TaskStopped:
        seconds = 0.0
        if self.state.status == "cancelling":
            seconds = self._clock.monotonic() - self._cancel_requested
        return TaskStopped(
            at=self._clock.now(),
            scope=run.scope,
            task=run.task.name,
            attempt=run.started.attempt,
            how=how,
            seconds=seconds,
            error=error,
        )

    _HANDLERS: ClassVar[Handlers] = {
        StartExecution: _start,
        RecoverExecution: _recover,
        TaskDecided: _task_decided,
        RoutingFailed: _routing_failed,
        AttemptToRepeat: _attempt_to_repeat,
        AttemptStopped: _attempt_stopped,
        ForkOpened: _fork_opened,
        ForkClosed: _fork_closed,
        GoOn: _go_on,
        CancelExecution: _operator_request,
        PauseExecution: _operator_request,
        ResumeExecution: _operator_request,
        RetryExecution: _operator_request,
        SkipTask: _operator_request,
        SendSignal: _operator_request,
        BugFound: _bug_found,
    }


def _is_at_its_end(scope: ScopeState) -> bool:
    """Whether a scope in which nothing runs starts no further task when it goes on."""
    return scope.current_task == END and scope.stopped_task is None
