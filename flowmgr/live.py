"""The executions that are live: each on its host task, each stopped within its grace."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio

from actors.actor import Reply
from actors.events import Event, ExecutionStarted
from actors.execution import ExecutionSupervisor
from actors.hooks import SupervisorHooks, Surroundings
from actors.mailbox import MailboxFullError
from actors.messages import GraceEnded, OperatorRequest, RecoverExecution, StartExecution, WakeUp
from actors.plan import Plan
from actors.ports import Clock, KeyTakenError, NotRecordedError, StartKey
from actors.state import ExecutionState
from flowmgr.activities.threads import Threads
from flowmgr.errors import EngineBusyError, EngineClosedError, JournalUnavailableError
from flowmgr.hosts import Hosts
from flowmgr.journal.store import Store
from flowmgr.settings import Settings
from flowmgr.timers import Timers
from flowmgr.watching import Watches

logger = logging.getLogger(__name__)

GRACE_MARGIN = 0.25
"""Seconds after the grace in which what is killed at its end may still be seen to end."""

MAX_NAMED = 10
"""Executions that a line of the log names."""

STOP_SECONDS = 0.5
"""Seconds that executions have for their clean-up when the engine stops them to close."""


async def recorded(reply: Reply[bool]) -> bool:
    """Return the answer of a supervisor, which it gives when what it decided is recorded.

    Raises:
        KeyTakenError: another start has the key.
        NotAllowedError: the execution's status does not allow it.
        JournalUnavailableError: it could not be recorded.
    """
    try:
        return reply.answer() if reply.is_given else await reply.get()
    except KeyTakenError:
        raise
    except NotRecordedError as error:
        msg = f"The journal has not recorded it, so nothing has changed: {error}"
        raise JournalUnavailableError(msg) from error


class LiveExecutions(SupervisorHooks):
    """Starts executions in the engine's task group and keeps track of them until they are over."""

    def __init__(
        self,
        hosts: Hosts,
        threads: Threads,
        *,
        journal: Store,
        clock: Clock,
        settings: Settings,
        timers: Timers,
        fail: Callable[[Exception], None],
    ) -> None:
        self._root = hosts.root
        self._hosts = hosts
        self._threads = threads
        self._journal = journal
        self._surroundings = Surroundings(journal, clock, settings.grace, self)
        self._settings = settings
        self._timers = timers
        self._fail = fail
        self.watches = Watches()
        self._supervisors: dict[str, ExecutionSupervisor] = {}
        self._asked: dict[str, int] = {}  # requests that an execution has not answered yet
        self._to_be_parked: set[str] = set()  # of those, once it has answered
        # Set when no code of it runs any more. What is asked of an execution that has ended makes
        # it a further supervisor, of which nothing may run.
        self._abandoned: dict[ExecutionSupervisor, anyio.Event] = {}
        self._waits_for_code: Counter[str] = Counter()  # tasks, by the execution that they are of
        self._stopping: dict[str, tuple[float, ExecutionSupervisor]] = {}  # by order of deadline
        self._something_stops = anyio.Event()
        self._all_over = anyio.Event()
        self._is_accepting = True
        self._has_failed = False
        self._is_stopping = False  # executions that have not ended
        journal.watch_trouble(self._refuse_waiting)
        self._drained: anyio.Event | None = None
        self._grace_scope = anyio.CancelScope()  # what draining waits in; has its deadline

    def __len__(self) -> int:
        return len(self._supervisors)

    def get(self, execution_id: str) -> ExecutionSupervisor | None:
        """Return the supervisor of a live execution."""
        return self._supervisors.get(execution_id)

    @property
    def is_accepting(self) -> bool:
        """Whether executions may be started."""
        return self._is_accepting and not self._root.cancel_scope.cancel_called

    @property
    def abandoned(self) -> int:
        """How many ended executions still have code running that would not stop."""
        return len({each.execution_id for each in self._abandoned})

    def start(
        self,
        execution_id: str,
        plan: Plan,
        started: ExecutionStarted,
        key: StartKey | None = None,
        further: tuple[Event, ...] = (),
    ) -> tuple[ExecutionSupervisor, Reply[bool]]:
        """Start an execution; not a checkpoint.

        Args:
            execution_id: its id.
            plan: what it runs.
            started: what is recorded first.
            key: what makes this the only one of several equal requests that starts an execution.
            further: what is recorded behind the start of its task, so that it begins inside of it.

        Returns:
            Its supervisor; and the reply that is given when the start is recorded: before that it
            is not to be acknowledged.

        Raises:
            EngineClosedError: the engine is stopping.
            EngineBusyError: as many executions are live as may be.
        """
        if not self.is_accepting:
            raise _closed()
        if len(self._supervisors) >= self._settings.max_live:
            msg = f"{self._settings.max_live} executions are live already (setting max_live)"
            raise EngineBusyError(msg)
        supervisor = ExecutionSupervisor(execution_id, plan, self._surroundings)
        self._supervisors[execution_id] = supervisor
        reply: Reply[bool] = Reply()
        supervisor.send(StartExecution(started, reply, key, further))
        self._hosts.run(supervisor)
        return supervisor, reply

    def adopt(
        self,
        execution_id: str,
        plan: Plan,
        state: ExecutionState,
        quarantined_after: int | None = None,
    ) -> tuple[ExecutionSupervisor, Reply[bool]]:
        """Take in an execution that the journal has; not a checkpoint.

        If it has not ended, it goes on from where the journal ends, or into quarantine.

        Returns:
            Its supervisor; and the reply that is given when what follows is recorded.

        Raises:
            EngineClosedError: the engine is stopping.
        """
        self.check_open()
        self._timers.clear(execution_id)
        supervisor = ExecutionSupervisor(execution_id, plan, self._surroundings, state)
        self._supervisors[execution_id] = supervisor
        self.watches.taken_up(supervisor)
        reply: Reply[bool] = Reply()
        self._hosts.run(supervisor)  # first, so that it can be stopped
        if state.has_ended:
            reply.give(answer=False)
        else:
            supervisor.send(RecoverExecution(reply, quarantined_after))
        return supervisor, reply

    async def ask(
        self, supervisor: ExecutionSupervisor, request: Callable[[Reply[bool]], OperatorRequest]
    ) -> bool:
        """Ask something of an execution, and return whether there was anything to record for it.

        Cancelling this does not take the request back. It does not wait for room in the journal:
        while that can record nothing, neither can the request be recorded, nor what it would have
        to wait for.

        Args:
            supervisor: the execution's.
            request: makes the request around the place for its answer.

        Raises:
            NotAllowedError: the execution's status does not allow it.
            EndedMeanwhileError: it would have an execution go on that has ended here since.
            EngineBusyError: too many requests wait for the journal already.
            JournalUnavailableError: it could not be recorded.
        """
        execution_id = supervisor.execution_id
        reply: Reply[bool] = Reply()
        with self.asking(execution_id):
            try:
                supervisor.offer(request(reply))
                if not reply.is_given and self._journal.trouble is not None:
                    supervisor.refuse_waiting(NotRecordedError(self._journal.trouble))
                return await recorded(reply)
            except MailboxFullError as error:
                msg = f"Execution '{execution_id}' has more requests than it can take"
                raise EngineBusyError(msg) from error

    def _refuse_waiting(self, trouble: str) -> None:
        """Refuse what was asked before the journal had to have something wait that comes first."""
        for execution_id in self._asked:
            supervisor = self._supervisors.get(execution_id)
            if supervisor is not None:
                supervisor.refuse_waiting(NotRecordedError(trouble))

    @contextmanager
    def asking(self, execution_id: str) -> Iterator[None]:
        """Have an execution stay live, if it is or once it is, while something is asked of it."""
        self._asked[execution_id] = self._asked.get(execution_id, 0) + 1
        try:
            yield
        finally:
            self._asked[execution_id] -= 1
            if not self._asked[execution_id]:
                del self._asked[execution_id]
                self._was_asked(execution_id)

    def _was_asked(self, execution_id: str) -> None:
        """Let an execution go that was live only to be asked."""
        is_to_be_parked = execution_id in self._to_be_parked
        self._to_be_parked.discard(execution_id)
        supervisor = self._supervisors.get(execution_id)
        if supervisor is None:
            return
        if supervisor.state.has_ended:
            if supervisor.is_idle:  # otherwise it is about to go on, though nobody waits for that
                self._forget(supervisor)
                supervisor.stop()
        elif is_to_be_parked:
            supervisor.send(WakeUp())

    def check_open(self) -> None:
        """Refuse to go on if no executions are run any more.

        Raises:
            EngineClosedError: the engine is stopping.
        """
        if not self.is_accepting:
            raise _closed()

    # What supervisors ask and report.

    @property
    def is_closing(self) -> bool:
        """Whether host tasks are cancelled because the engine closes."""
        return self._is_stopping or self._root.cancel_scope.cancel_called

    def execution_cancelling(self, supervisor: ExecutionSupervisor) -> None:
        """Give the execution its grace, from now on."""
        if self._root.cancel_scope.cancel_called:
            return  # closed already: all is being stopped, or has been
        deadline = anyio.current_time() + self._settings.grace + GRACE_MARGIN
        self._stopping.pop(supervisor.execution_id, None)  # the order is that of the deadlines
        self._stopping[supervisor.execution_id] = (deadline, supervisor)
        self._something_stops.set()

    def execution_idle(self, supervisor: ExecutionSupervisor) -> None:
        """Do not wait for it when draining."""
        if self._drained is not None:
            supervisor.retire()

    def is_wanted(self, supervisor: ExecutionSupervisor) -> bool:
        """Whether somebody is about to ask something of it, and would find it retired."""
        if supervisor.execution_id not in self._asked:
            return False
        self._to_be_parked.add(supervisor.execution_id)
        return True

    def wake_at(self, supervisor: ExecutionSupervisor, due: float | None) -> None:
        """Set its timer, or clear it."""
        execution_id = supervisor.execution_id
        if self._supervisors.get(execution_id) is supervisor:
            self._set_timer(execution_id, due)

    def execution_parked(self, supervisor: ExecutionSupervisor, due: float | None) -> None:
        """Retire it and set its timer: the journal has all else."""
        self._forget(supervisor)
        supervisor.retire()
        self._set_timer(supervisor.execution_id, due)

    def _set_timer(self, execution_id: str, due: float | None) -> None:
        if due is None:
            self._timers.clear(execution_id)
        else:
            self._timers.set(execution_id, due)

    def execution_ended(self, supervisor: ExecutionSupervisor) -> None:
        """Forget the execution, unless code of it is still running."""
        execution_id = supervisor.execution_id
        self._stopping.pop(execution_id, None)
        self._forget(supervisor)
        self._threads.give_up(execution_id)
        receipt = supervisor.state.cancellation
        if receipt is not None and any(line.how == "abandoned" for line in receipt.tasks):
            self._abandoned[supervisor] = anyio.Event()
            logger.warning("execution %s: code that did not stop was abandoned", execution_id)

    def host_closed(self, supervisor: ExecutionSupervisor) -> None:
        """Forget what is over, also if it was stopped without having ended."""
        if supervisor in self._abandoned and not supervisor.hosts:
            self._abandoned.pop(supervisor).set()
        if supervisor.execution_id in self._supervisors:
            self._forget(supervisor)

    def has_abandoned_all(self, supervisor: ExecutionSupervisor, subflows: int) -> bool:
        """Whether that many sub-flows have ended, and left code behind."""
        return self._waits_for_code[supervisor.execution_id] >= subflows

    async def code_left(self, execution_id: str, parent: str) -> None:
        """Wait until no code of an execution that has ended is running any more.

        A checkpoint only if it has abandoned some. Meanwhile a task of the execution *parent* waits
        for nothing but that.
        """
        if not self._left_by(execution_id):
            return
        self._waits_for_code[parent] += 1
        try:
            while left := self._left_by(execution_id):
                await left[0].wait()
        finally:
            self._waits_for_code[parent] -= 1
            if not self._waits_for_code[parent]:
                del self._waits_for_code[parent]

    def _left_by(self, execution_id: str) -> list[anyio.Event]:
        return [
            event
            for supervisor, event in self._abandoned.items()
            if supervisor.execution_id == execution_id
        ]

    def host_again(self, supervisor: ExecutionSupervisor) -> None:
        """Run the end of an execution whose host was cancelled on another one."""
        self._threads.give_up(supervisor.execution_id)  # or the end could wait for their places
        self._hosts.run_again(supervisor)

    def _forget(self, supervisor: ExecutionSupervisor) -> None:
        execution_id = supervisor.execution_id
        if self._supervisors.get(execution_id) is supervisor:
            del self._supervisors[execution_id]
            self._timers.clear(execution_id)
        if not self._supervisors and self._drained is not None:  # it is what waits for this
            self._all_over.set()

    def journal_failed(self, error: Exception) -> None:
        """Stop everything: without a journal no promise can be kept."""
        if not self._has_failed:  # every execution has its own batch that fails
            self._has_failed = True
            self.close()
            self._fail(error)

    # Grace and closing.

    async def enforce_grace(self) -> None:
        """Tell the supervisors of cancelled executions when their grace is over; never returns."""
        while True:
            if not self._stopping:
                self._something_stops = anyio.Event()
                await self._something_stops.wait()
                continue
            execution_id, given = next(iter(self._stopping.items()))
            deadline, supervisor = given
            await anyio.sleep_until(deadline)
            if self._stopping.get(execution_id) is given:  # it has neither ended nor another one
                del self._stopping[execution_id]
                supervisor.send(GraceEnded())

    def begin_draining(self, grace: float | None = None) -> None:
        """Accept no more executions and let the live ones end within the grace.

        Not a checkpoint. What has not ended by then is stopped at its checkpoints, without being
        recorded as cancelled: it was not. Called again, it can only shorten the grace.
        """
        if self._root.cancel_scope.cancel_called:
            return  # closed already: all is being stopped, or has been
        deadline = anyio.current_time() + (self._settings.grace if grace is None else grace)
        if self._drained is None:
            self._is_accepting = False
            self.watches.close()
            self._drained = anyio.Event()
            for supervisor in list(self._supervisors.values()):
                if supervisor.is_idle:
                    supervisor.retire()
            self._root.start_soon(self._drain, self._drained, name="drain")
        self._grace_scope.deadline = min(self._grace_scope.deadline, deadline)

    def close(self) -> None:
        """Accept no more executions and stop the live ones at their checkpoints, at once.

        Not a checkpoint. None of them is recorded as cancelled.
        """
        self._is_accepting = False
        self.watches.close()
        self._is_stopping = True
        for supervisor in list(self._supervisors.values()):
            supervisor.stop()  # or one that swallows the cancellation would run its next task
        self._hosts.close()
        self._root.cancel_scope.cancel()

    async def drained(self) -> None:
        """Wait until nothing is live any more; begins to drain if that has not been begun."""
        self.begin_draining()
        if self._drained is not None:
            await self._drained.wait()

    async def _drain(self, drained: anyio.Event) -> None:
        try:
            with self._grace_scope:
                await self._nothing_live()
            self._is_stopping = True
            if self._supervisors:
                named = ", ".join(list(self._supervisors)[:MAX_NAMED])
                logger.warning(
                    "the grace is over: %d executions are stopped, among them %s",
                    len(self._supervisors),
                    named,
                )
            for supervisor in list(self._supervisors.values()):
                supervisor.stop()
            with anyio.move_on_after(STOP_SECONDS):
                await self._nothing_live()
        finally:
            drained.set()

    async def _nothing_live(self) -> None:
        # Those that were abandoned are not waited for: their grace is over.
        if self._supervisors:
            self._all_over = anyio.Event()
            await self._all_over.wait()


def _closed() -> EngineClosedError:
    return EngineClosedError("The engine is stopping and starts no more executions")
