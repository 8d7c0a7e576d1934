"""The execution supervisor: the one owner of an execution's state."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ClassVar, Final

import anyio

from actors.actor import Actor, Reply
from actors.dispatcher import Dispatcher
from actors.events import (
    AttemptInterrupted,
    CancelRequested,
    Event,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionQuarantined,
    TaskFinished,
    TaskSkipped,
    TaskStarted,
    TaskStopped,
)
from actors.hooks import SupervisorHooks
from actors.messages import (
    AttemptStopped,
    BugFound,
    CancelExecution,
    GraceEnded,
    HostClosed,
    NotAllowedError,
    OperatorRequest,
    PauseExecution,
    RecoverExecution,
    ResumeExecution,
    RetryExecution,
    RunTask,
    SkipTask,
    StartExecution,
    SupervisorMessage,
    TaskDecided,
)
from actors.outcome import ErrorInfo, StopKind, describe_error
from actors.plan import END, Plan
from actors.ports import Batch, Clock, Journal, NotRecordedError, StartKey
from actors.recovery import quarantine, recover
from actors.requests import decide_request
from actors.router import RouterActor
from actors.routing import follow
from actors.state import ExecutionState, evolve
from actors.task import TaskActor, TaskEnvironment, is_being_cancelled

logger = logging.getLogger(__name__)


class ExecutionSupervisor(Actor[SupervisorMessage]):
    """Owns one execution: decides, has it recorded, applies it, and only then acts on it.

    A message is handled when the journal has everything that was decided before it, so what is in
    the state is always what a recovery would find. While a batch is on its way the mailbox fills.
    """

    __slots__ = (
        "_cancel_requested",
        "_changed",
        "_clock",
        "_ended",
        "_environment",
        "_hooks",
        "_is_retired",
        "_is_waiting",
        "_journal",
        "_pending",
        "_plan",
        "_reply",
        "execution_id",
        "is_host_closed",
        "is_host_disturbed",
        "state",
        "stop_host",
    )

    def __init__(
        self,
        execution_id: str,
        plan: Plan,
        *,
        journal: Journal,
        clock: Clock,
        grace: float,
        hooks: SupervisorHooks,
        state: ExecutionState | None = None,
    ) -> None:
        super().__init__(Dispatcher())
        self.execution_id: Final = execution_id
        self.state: Final = state or ExecutionState()  # others read it; only `_apply` changes it
        self.is_host_closed = False
        self.is_host_disturbed = False  # by an activity that cancelled the task that it runs in
        self.stop_host: Callable[[], None] = self._dispatcher.close  # the engine sets the real one
        self._plan = plan
        self._journal = journal
        self._clock = clock
        self._hooks = hooks
        router = RouterActor(self._dispatcher, self)
        # None when the host has closed: it refers back to this, and reference counting is to do.
        self._environment: TaskEnvironment | None = TaskEnvironment(
            execution_id, self, router, clock, grace
        )
        self._pending: tuple[Event, ...] = ()  # what the journal has not acknowledged yet
        self._reply: Reply[Any] | None = None  # whom to tell when it has
        self._cancel_requested = 0.0  # on the monotonic clock
        self._is_waiting = False  # for the journal, which did not acknowledge at once
        self._is_retired = False
        self._changed: anyio.Event | None = None
        self._ended: anyio.Event | None = None

    async def host(self) -> None:
        """Run the execution's tasks; the body of its host task.

        Cancelling it stops the task that is running. When it returns, or raises, no code of the
        execution is running any more.
        """
        try:
            await self._host()
        except Exception as error:  # noqa: BLE001 - a bug of ours ends this execution, no other
            self.send(BugFound(error))
        finally:
            if self.state.has_ended and not self._pending:
                self._close_host()  # nothing is left to decide
            else:
                self.send(HostClosed())

    async def _host(self) -> None:
        # An activity that cancels the asyncio task that it runs in, and returns without having
        # waited, leaves a cancellation that nobody asked for: it is no reason to stop.
        while True:
            try:
                return await self._dispatcher.host()
            except anyio.get_cancelled_exc_class():
                if is_being_cancelled():
                    raise
                self.is_host_disturbed = True

    def stop(self) -> None:
        """Stop the task that is running and run no further one; not a checkpoint."""
        self._dispatcher.stop()
        self.stop_host()

    def retire(self) -> None:
        """Stop for good while idle; not a checkpoint.

        What is asked of it from now on is refused: nothing would run what that leads to.
        """
        self._is_retired = True
        self.stop()

    async def changed(self) -> None:
        """Wait until the state changes, or never will again; a checkpoint unless it never will."""
        if not self.is_over:
            if self._changed is None:
                self._changed = anyio.Event()
            await self._changed.wait()

    async def over(self) -> None:
        """Wait until the state never changes again; a checkpoint unless it does so already."""
        if not self.is_over:
            if self._ended is None:
                self._ended = anyio.Event()
            await self._ended.wait()

    @property
    def is_over(self) -> bool:
        """Whether the execution has ended, or is no longer run without having ended."""
        return self.state.has_ended or (self.is_host_closed and not self._pending)

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, and nothing will before somebody asks for it."""
        state = self.state
        is_waiting = state.status in {"paused", "quarantined"} and not state.running
        return (is_waiting or state.has_ended) and not self._pending

    def handle_mail(self) -> None:
        """Handle messages, up to the first that has to wait for the journal."""
        mailbox = self._mailbox
        while mailbox and not self._pending:
            message = mailbox.popleft()
            try:
                self._HANDLERS[type(message)](self, message)
            except Exception as error:  # a bug of ours ends this execution, no other
                if isinstance(message, BugFound):
                    raise
                self._reply = None
                self.send(BugFound(error))
                if isinstance(message, (StartExecution, RecoverExecution, OperatorRequest)):
                    message.reply.give(error)

    # Deciding: one method a message.

    def _start(self, message: StartExecution) -> None:
        started = message.started
        self._reply = message.reply
        first = TaskStarted(at=started.at, task=started.start_task)
        self._record((started, first), is_request=True, key=message.key)

    def _recover(self, message: RecoverExecution) -> None:
        at = self._clock.now()
        recoveries = message.quarantined_after
        if self.state.cancellation is not None:
            since = max(0.0, at - self.state.cancellation.requested_at)
            self._cancel_requested = self._clock.monotonic() - since
        if recoveries is None:
            events = recover(self._plan, self.state, at)
        else:
            events = quarantine(self._plan, self.state, recoveries, at)
        if not events:
            message.reply.give(answer=False)
            return
        self._reply = message.reply
        self._record(events)

    def _operator_request(self, message: OperatorRequest) -> None:
        if (self._is_retired or self.is_host_closed) and not self.state.has_ended:
            message.reply.give(NotRecordedError("the engine has stopped the execution"))
            return
        try:
            events = decide_request(self._plan, self.state, message, self._clock.now())
        except NotAllowedError as error:
            message.reply.give(error)
            return
        if not events:
            message.reply.give(answer=False)
            return
        if isinstance(message, RetryExecution):
            self._plan = message.plan  # nothing runs that could still need the other one
        self._reply = message.reply
        self._record(events, is_request=True)

    def _task_decided(self, message: TaskDecided) -> None:
        run = message.run
        if not self._is_current(run):
            return
        at = self._clock.now()
        is_cancelling = self.state.status == "cancelling"
        transition = message.transition
        finished = TaskFinished(
            at=at,
            task=run.task.name,
            visit=run.visit,
            attempt=run.attempt,
            outcome=message.outcome,
            transition=None if is_cancelling else transition,
        )
        if is_cancelling:
            self._record((finished, self._stopped(run.task.name, run.attempt, "finished", at)))
        elif self.state.status == "paused" and transition.target != END:
            self._record((finished,))
        else:
            next_event = follow(self._plan, self.state, finished, transition.target)
            self._record((finished, next_event))

    def _attempt_stopped(self, message: AttemptStopped) -> None:
        run = message.run
        if self._is_current(run) and self.state.status == "cancelling":
            at = self._clock.now()
            stopped = self._stopped(run.task.name, run.attempt, message.how, at, message.error)
            self._record((stopped,))

    def _grace_ended(self, _: GraceEnded) -> None:
        if self.state.status == "cancelling":
            self._record_cancelled("abandoned")

    def _host_closed(self, message: HostClosed) -> None:
        if not self.is_host_closed:
            self.is_host_closed = True
            if self.state.status == "cancelling":
                self._record_cancelled("stopped")
            elif self.state.running and not self._hooks.is_closing:
                self._record_stray_cancellation()
            if self._pending:  # the end is being recorded: it is not over before it is
                self.send(message)
                return
        self._close_host()

    def _close_host(self) -> None:
        self.is_host_closed = True
        self._environment = None
        self.stop_host = self._dispatcher.close
        self._hooks.host_closed(self)
        if self._ended is not None or self._changed is not None:
            self._notify()

    def _record_cancelled(self, how: StopKind) -> None:
        at = self._clock.now()
        running = self.state.running.items()
        rest = [self._stopped(task, attempt.attempt, how, at) for task, attempt in running]
        self._record((*rest, ExecutionCancelled(at=at)))

    def _record_stray_cancellation(self) -> None:
        message = (
            "the task was cancelled although nobody had asked for it: "
            "an activity has cancelled a scope that is not its own, or left one open"
        )
        error = ErrorInfo("StrayCancellation", message)
        task = self.state.current_task
        self._record((ExecutionFailed(at=self._clock.now(), error=error, task=task),))

    def _is_current(self, run: RunTask) -> bool:
        """Whether *run* is what the state says is running; a late report of another is ignored."""
        running = self.state.running.get(run.task.name)
        return (
            running is not None
            and running.visit == run.visit
            and running.attempt == run.attempt
            and self.state.ended_at is None
        )

    def _stopped(
        self, task: str, attempt: int, how: StopKind, at: float, error: ErrorInfo | None = None
    ) -> TaskStopped:
        seconds = self._clock.monotonic() - self._cancel_requested
        return TaskStopped(at=at, task=task, attempt=attempt, how=how, seconds=seconds, error=error)

    def _bug_found(self, message: BugFound) -> None:
        error = message.error
        logger.error("execution %s: a bug in flowmgr", self.execution_id, exc_info=error)
        if self.state.has_ended:
            return  # and its host may belong to another execution by now
        self.stop()
        if not self.state.seq:
            return
        described = describe_error(error)
        info = ErrorInfo("InternalError", f"{described.type}: {described.message}")
        failed = ExecutionFailed(at=self._clock.now(), error=info, task=self.state.current_task)
        self._record((failed,))

    # Recording, applying and acting, in this order.

    def _record(
        self, events: tuple[Event, ...], *, is_request: bool = False, key: StartKey | None = None
    ) -> None:
        self._pending = events
        batch = Batch(self.execution_id, self.state.seq + 1, events, is_request, key)
        try:
            self._journal.append(batch, self._acknowledged)
        except Exception as error:
            if self._pending is not events:  # it was acknowledged: this is not the journal's
                raise
            self._acknowledged(error)
        self._is_waiting = bool(self._pending)

    def _acknowledged(self, error: Exception | None) -> None:
        events, self._pending = self._pending, ()
        reply, self._reply = self._reply, None
        was_waiting, self._is_waiting = self._is_waiting, False
        is_refused = isinstance(error, NotRecordedError)
        if error is None:
            self._apply(events)
        elif not self.state.seq:
            self.stop()  # it never began
        if reply is not None:
            reply.give(self._answer(error))
        if error is not None and not is_refused:
            self._hooks.journal_failed(error)
        if was_waiting and self._mailbox and not self.is_scheduled:
            self._dispatcher.schedule(self)  # otherwise `handle_mail` called, and goes on by itself

    @staticmethod
    def _answer(error: Exception | None) -> bool | Exception:
        if error is None or isinstance(error, NotRecordedError):
            return error or True
        return NotRecordedError(str(error))

    def _apply(self, events: tuple[Event, ...]) -> None:
        evolve(self.state, events)
        last = events[-1]  # what was decided last is the one thing to act on
        act = self._ACTIONS.get(type(last))
        if act is not None:
            try:
                act(self, last)
            except Exception as error:  # noqa: BLE001 - not the journal's, which is what called
                self.send(BugFound(error))
        if self._changed is not None or (self._ended is not None and self.state.has_ended):
            self._notify()

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None
        if self._ended is not None and self.is_over:
            self._ended.set()

    def _run_task(self, event: TaskStarted) -> None:
        assert self._environment is not None
        task = self._plan.tasks[event.task]
        message = RunTask(task, event.visit, event.attempt, self.state.context)
        self._dispatcher.spawn(TaskActor(message, self._environment))

    def _stop(self, _: CancelRequested) -> None:
        self._cancel_requested = self._clock.monotonic()
        self.stop()
        self._hooks.execution_cancelling(self)

    def _pause(self, _: Event) -> None:
        if self.is_idle:
            self._hooks.execution_idle(self)

    def _quarantine(self, _: Event) -> None:
        self.stop()  # it is to cost nothing until somebody resumes it

    def _end(self, _: Event) -> None:
        self._dispatcher.close()
        self._hooks.execution_ended(self)

    _HANDLERS: ClassVar[dict[type[Any], Callable[[ExecutionSupervisor, Any], None]]] = {
        StartExecution: _start,
        RecoverExecution: _recover,
        TaskDecided: _task_decided,
        AttemptStopped: _attempt_stopped,
        CancelExecution: _operator_request,
        PauseExecution: _operator_request,
        ResumeExecution: _operator_request,
        RetryExecution: _operator_request,
        SkipTask: _operator_request,
        GraceEnded: _grace_ended,
        BugFound: _bug_found,
        HostClosed: _host_closed,
    }

    _ACTIONS: ClassVar[dict[type[Event], Callable[[ExecutionSupervisor, Any], None]]] = {
        TaskStarted: _run_task,
        TaskFinished: _pause,
        TaskSkipped: _pause,
        AttemptInterrupted: _pause,
        ExecutionQuarantined: _quarantine,
        CancelRequested: _stop,
        ExecutionCompleted: _end,
        ExecutionFailed: _end,
        ExecutionCancelled: _end,
    }
