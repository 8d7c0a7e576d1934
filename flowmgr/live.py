"""The executions that are live: each on its host task, each stopped within its grace."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import anyio

from actors.actor import Reply
from actors.events import ExecutionStarted
from actors.execution import ExecutionSupervisor, SupervisorHooks
from actors.messages import GraceEnded, StartExecution
from actors.plan import Plan
from actors.ports import Clock, Journal, NotRecordedError
from flowmgr.errors import EngineBusyError, EngineClosedError, JournalError
from flowmgr.hosts import Hosts
from flowmgr.settings import Settings

logger = logging.getLogger(__name__)

T = TypeVar("T")

GRACE_MARGIN = 0.25
"""Seconds after the grace in which what is killed at its end may still be seen to end."""

STOP_SECONDS = 0.5
"""Seconds that executions have for their clean-up when the engine stops them to close."""


async def recorded(reply: Reply[T]) -> T:
    """Return the answer of a supervisor, which it gives when what it decided is recorded.

    Raises:
        JournalError: it could not be recorded.
    """
    try:
        return reply.answer() if reply.is_given else await reply.get()
    except NotRecordedError as error:
        msg = f"The journal failed, so nothing has changed: {error}"
        raise JournalError(msg) from error


class LiveExecutions(SupervisorHooks):
    """Starts executions in the engine's task group and keeps track of them until they are over."""

    def __init__(
        self,
        hosts: Hosts,
        threads: anyio.CapacityLimiter,
        *,
        journal: Journal,
        clock: Clock,
        settings: Settings,
        fail: Callable[[Exception], None],
    ) -> None:
        self._root = hosts.root
        self._hosts = hosts
        self._threads = threads
        self._journal = journal
        self._clock = clock
        self._settings = settings
        self._fail = fail
        self._supervisors: dict[str, ExecutionSupervisor] = {}
        self._abandoned: dict[str, ExecutionSupervisor] = {}
        self._stopping: dict[str, tuple[float, ExecutionSupervisor]] = {}  # by order of deadline
        self._something_stops = anyio.Event()
        self._all_over = anyio.Event()
        self._is_accepting = True
        self._is_stopping = False  # executions that have not ended
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
        return len(self._abandoned)

    async def start(
        self, execution_id: str, plan: Plan, started: ExecutionStarted
    ) -> ExecutionSupervisor:
        """Start an execution; it is recorded, and so acknowledged, when this returns.

        A checkpoint only if the journal is one. Cancelling this does not cancel the execution.

        Raises:
            EngineClosedError: the engine is stopping.
            EngineBusyError: as many executions are live as may be.
            JournalError: the start could not be recorded.
        """
        self._check_accepting()
        supervisor = ExecutionSupervisor(
            execution_id,
            plan,
            journal=self._journal,
            clock=self._clock,
            grace=self._settings.grace,
            hooks=self,
        )
        reply: Reply[None] = Reply()
        self._supervisors[execution_id] = supervisor
        supervisor.send(StartExecution(started, reply))
        self._host(supervisor)
        await recorded(reply)
        return supervisor

    def _check_accepting(self) -> None:
        """Return if an execution may be started now.

        Raises:
            EngineClosedError: the engine is stopping.
            EngineBusyError: as many executions are live as may be.
        """
        if not self.is_accepting:
            msg = "The engine is stopping and starts no more executions"
            raise EngineClosedError(msg)
        if len(self._supervisors) >= self._settings.max_live:
            msg = f"{self._settings.max_live} executions are live already (setting max_live)"
            raise EngineBusyError(msg)

    def _host(self, supervisor: ExecutionSupervisor) -> None:
        self._hosts.run(supervisor)

    # What supervisors ask and report.

    @property
    def is_closing(self) -> bool:
        """Whether host tasks are cancelled because the engine closes."""
        return self._is_stopping or self._root.cancel_scope.cancel_called

    def execution_cancelling(self, supervisor: ExecutionSupervisor) -> None:
        """Give the execution its grace."""
        if self._root.cancel_scope.cancel_called:
            return  # closed already: all is being stopped, or has been
        deadline = anyio.current_time() + self._settings.grace + GRACE_MARGIN
        self._stopping[supervisor.execution_id] = (deadline, supervisor)
        self._something_stops.set()

    def execution_ended(self, supervisor: ExecutionSupervisor) -> None:
        """Forget the execution, unless code of it is still running."""
        execution_id = supervisor.execution_id
        self._stopping.pop(execution_id, None)
        self._forget(execution_id)
        if supervisor.state.status == "cancelled" and not supervisor.is_host_closed:
            self._abandoned[execution_id] = supervisor
            self._replace_lost_threads()
            logger.warning("execution %s: code that did not stop was abandoned", execution_id)

    def host_closed(self, supervisor: ExecutionSupervisor) -> None:
        """Forget what is over, also if it was stopped without having ended."""
        if self._abandoned.pop(supervisor.execution_id, None) is not None:
            self._replace_lost_threads()
        self._forget(supervisor.execution_id)

    def _replace_lost_threads(self) -> None:
        # An abandoned thread keeps its place until it ends, so it is given another one; or sync
        # activities that never end would in time leave none for the others.
        self._threads.total_tokens = self._settings.threads + len(self._abandoned)

    def _forget(self, execution_id: str) -> None:
        self._supervisors.pop(execution_id, None)
        if not self._supervisors:
            self._all_over.set()

    def journal_failed(self, error: Exception) -> None:
        """Without a journal no promise can be kept: the engine stops."""
        self._fail(error)

    # Grace and closing.

    async def enforce_grace(self) -> None:
        """Tell the supervisors of cancelled executions when their grace is over; never returns."""
        while True:
            if not self._stopping:
                self._something_stops = anyio.Event()
                await self._something_stops.wait()
                continue
            deadline, supervisor = next(iter(self._stopping.values()))
            await anyio.sleep_until(deadline)
            if self._stopping.pop(supervisor.execution_id, None) is not None:
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
            self._drained = anyio.Event()
            self._root.start_soon(self._drain, self._drained, name="drain")
        self._grace_scope.deadline = min(self._grace_scope.deadline, deadline)

    def close(self) -> None:
        """Accept no more executions and stop the live ones at their checkpoints, at once.

        Not a checkpoint. None of them is recorded as cancelled.
        """
        self._is_accepting = False
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
            for supervisor in list(self._supervisors.values()):
                logger.warning(
                    "execution %s is stopped: the grace is over", supervisor.execution_id
                )
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
