"""The engine: everything that flowmgr does, without HTTP.

async with open_engine(activities=["my_project.activities"]) as engine:
    await engine.register(flow)
    execution = await engine.run("my-flow", {"user_id": 7})
    print(execution.status, execution.context["task3_result"])
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import anyio
import msgspec
import uuid_utils
from anyio.lowlevel import checkpoint

from actors.actor import MailboxFullError, Reply
from actors.events import ExecutionStarted
from actors.execution import ExecutionSupervisor
from actors.messages import CancelExecution
from actors.outcome import NULL
from actors.ports import Clock
from actors.state import ExecutionState, fold
from flowmgr import builtins
from flowmgr.activities import Activity, ActivityCatalogue, RunnerResources
from flowmgr.clock import SystemClock
from flowmgr.errors import (
    EngineBusyError,
    EngineClosedError,
    ExecutionEndedError,
    ExecutionNotFoundError,
    JournalError,
)
from flowmgr.executions import Execution, RecordedEvent, view
from flowmgr.flows import Flows, RegisteredFlow
from flowmgr.hosts import open_hosts
from flowmgr.journal.memory import MemoryJournal
from flowmgr.journal.store import EVERYTHING, ExecutionQuery, ExecutionSummary, Store
from flowmgr.language.documents import check_context
from flowmgr.language.validation import ValidatedFlow
from flowmgr.live import LiveExecutions, recorded
from flowmgr.settings import Settings

logger = logging.getLogger(__name__)


class Engine:
    """Registers flows, and starts, shows, waits for and cancels their executions.

    Made by `open_engine`. All of it happens in one event loop; an engine is not to be used from
    other threads. Cancelling a call never cancels an execution.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        flows: Flows,
        live: LiveExecutions,
        catalogue: ActivityCatalogue,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self.flows = flows
        self.catalogue = catalogue
        self._store = store
        self._live = live
        self._clock = clock

    @property
    def is_accepting(self) -> bool:
        """Whether executions may be started: the engine is neither stopping nor broken."""
        return self._live.is_accepting

    @property
    def live_executions(self) -> int:
        """How many executions have started and not ended."""
        return len(self._live)

    @property
    def abandoned_executions(self) -> int:
        """How many cancelled executions have code that did not stop within the grace."""
        return self._live.abandoned

    # Flows.

    async def register(self, document: Any, *, only_new: bool = False) -> RegisteredFlow:
        """Validate a flow document and keep it as the next version of its flow.

        Args:
            document: the flow as JSON would be read: bare, or wrapped as ``{"flow": …}`` or
                ``{"flow_data": {"flow": …}}``.
            only_new: refuse if a flow with this id exists.

        Returns:
            The flow version; the one that exists already if nothing has changed.

        Raises:
            DefinitionError: with every problem that the document has.
            FlowExistsError: *only_new*, and the flow exists.
        """
        return await self.flows.register(document, only_new=only_new)

    def validate(self, document: Any) -> ValidatedFlow:
        """Validate a flow document; nothing is kept. Raises as `register` does."""
        return self.flows.read(document)

    # Executions.

    async def start(
        self, flow: str | Mapping[str, Any], context: Any = None, *, version: int | None = None
    ) -> Execution:
        """Start an execution.

        Args:
            flow: the id of a registered flow, or the document of a flow that is only run.
            context: the values to begin with: a mapping that JSON can hold.
            version: the flow's version; the latest if None.

        Returns:
            The execution, which is recorded: it is as durable as the journal.

        Raises:
            FlowNotFoundError: no such flow, or no such version of it.
            DefinitionError: the document has problems, or an activity is not there any more.
            ContextError: the context is not an object, too large or too deep.
            EngineClosedError: the engine is stopping.
            EngineBusyError: as many executions are live as may be.
        """
        supervisor = await self._start(flow, context, version)
        return view(supervisor.execution_id, supervisor.state)

    async def run(
        self,
        flow: str | Mapping[str, Any],
        context: Any = None,
        *,
        version: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - only the waiting ends, not the execution
    ) -> Execution:
        """Start an execution and wait until it has ended, at most *timeout* seconds.

        Cancelling it, or the timeout, leaves the execution running. Raises as `start` and `wait`.
        """
        supervisor = await self._start(flow, context, version)
        return await self._over(supervisor, timeout)

    async def _start(
        self, flow: str | Mapping[str, Any], context: Any, version: int | None
    ) -> ExecutionSupervisor:
        encoded = check_context(context, max_bytes=self.settings.max_context_bytes)
        definition = NULL
        if isinstance(flow, str):
            plan = await self.flows.plan(flow, version)
        else:
            inline = self.flows.read(flow).definition
            definition = msgspec.Raw(msgspec.json.encode(inline))
            plan = self.flows.compile(inline, version=0)
        started = ExecutionStarted(
            at=self._clock.now(),
            flow_id=plan.flow_id,
            flow_version=plan.flow_version,
            start_task=plan.start_task,
            context=msgspec.Raw(encoded),
            definition=definition,
        )
        return await self._live.start(str(uuid_utils.uuid7()), plan, started)

    async def get(self, execution_id: str) -> Execution:
        """Return an execution as it is now.

        Raises:
            ExecutionNotFoundError: there is none with this id.
        """
        supervisor = self._live.get(execution_id)
        if supervisor is not None:
            return view(execution_id, supervisor.state)
        return view(execution_id, await self._recorded_state(execution_id))

    async def list(
        self, query: ExecutionQuery, before: str | None, limit: int
    ) -> Sequence[ExecutionSummary]:
        """Return executions, newest first, beginning behind the id *before*."""
        return await self._store.list_executions(query, before, limit)

    async def wait(
        self,
        execution_id: str,
        timeout: float | None = None,  # noqa: ASYNC109 - only the waiting ends, not the execution
    ) -> Execution:
        """Wait until an execution has ended, at most *timeout* seconds, and return it as it is.

        Raises:
            ExecutionNotFoundError: there is none with this id.
            EngineClosedError: the engine stopped it, without its having ended.
        """
        supervisor = self._live.get(execution_id)
        if supervisor is not None:
            return await self._over(supervisor, timeout)
        execution = await self.get(execution_id)
        if not execution.has_ended:
            raise _stopped(execution_id)
        return execution

    async def _over(self, supervisor: ExecutionSupervisor, timeout: float | None) -> Execution:  # noqa: ASYNC109
        # A short execution ends while others have their turn; an event and a timeout cost more.
        await checkpoint()
        if timeout is None:
            await supervisor.over()
        elif not supervisor.is_over:
            with anyio.move_on_after(timeout):
                await supervisor.over()
        if supervisor.is_over and not supervisor.state.has_ended:
            raise _stopped(supervisor.execution_id)
        return view(supervisor.execution_id, supervisor.state)

    async def cancel(
        self,
        execution_id: str,
        *,
        reason: str | None = None,
        wait: float = 0.0,
    ) -> Execution:
        """Cancel an execution and wait, at most *wait* seconds, until nothing of it is running.

        Cancelling it again is the same as once: the first request and its reason stand.

        Returns:
            The execution: cancelling, or cancelled with the receipt.

        Raises:
            ExecutionNotFoundError: there is none with this id.
            ExecutionEndedError: it has completed or failed.
            EngineClosedError: the engine stopped it meanwhile, without its having ended.
            EngineBusyError: too many requests to cancel it wait for the journal already.
            JournalError: the request could not be recorded.
        """
        supervisor = self._live.get(execution_id)
        if supervisor is not None:
            reply: Reply[bool] = Reply()
            try:
                supervisor.offer(CancelExecution(reason, reply))
            except MailboxFullError as error:
                msg = f"Execution '{execution_id}' has more requests than it can take"
                raise EngineBusyError(msg) from error
            await recorded(reply)
            if wait > 0:
                await self._over(supervisor, wait)
            execution = view(execution_id, supervisor.state)
        else:
            execution = await self.get(execution_id)
        if supervisor is None and not execution.has_ended:
            raise _stopped(execution_id)
        if execution.cancellation is None:
            msg = (
                f"Execution '{execution_id}' has {execution.status}; "
                "only pending and running executions can be cancelled"
            )
            raise ExecutionEndedError(msg)
        return execution

    async def events(
        self, execution_id: str, *, after: int = 0, limit: int = EVERYTHING
    ) -> Sequence[RecordedEvent]:
        """Return an execution's history, beginning behind position *after*.

        Raises:
            ExecutionNotFoundError: there is none with this id.
        """
        events = await self._store.read_events(execution_id, after, limit)
        if not events and await self._store.get_execution(execution_id) is None:
            raise ExecutionNotFoundError(execution_id)
        return [RecordedEvent(after + n, event) for n, event in enumerate(events, start=1)]

    async def follow(self, execution_id: str, *, after: int = 0) -> AsyncIterator[RecordedEvent]:
        """Yield an execution's history and then what happens, until it has ended.

        Raises:
            ExecutionNotFoundError: there is none with this id.
        """
        while True:
            supervisor = self._live.get(execution_id)
            is_last = supervisor is None or supervisor.is_over
            for event in await self.events(execution_id, after=after):
                after = event.seq
                yield event
            if supervisor is None or is_last:
                return
            if supervisor.state.seq <= after:  # a journal may show more than it has acknowledged
                await supervisor.changed()

    async def _recorded_state(self, execution_id: str) -> ExecutionState:
        events = await self._store.read_events(execution_id, 0, EVERYTHING)
        if not events:
            raise ExecutionNotFoundError(execution_id)
        return fold(events)

    # Closing.

    def begin_draining(self, grace: float | None = None) -> None:
        """Accept no more executions, and let the live ones end within *grace* seconds.

        Not a checkpoint. What has not ended by then is stopped at its checkpoints, without being
        recorded as cancelled. Called again, it can only shorten the grace.

        Args:
            grace: how long they may take; the setting if None.
        """
        self._live.begin_draining(grace)


def _stopped(execution_id: str) -> EngineClosedError:
    return EngineClosedError(
        f"Execution '{execution_id}' was stopped because the engine is closing"
    )


@asynccontextmanager
async def open_engine(
    settings: Settings | None = None,
    *,
    activities: Collection[Activity[..., Any] | ModuleType | str] = (),
    clock: Clock | None = None,
    on_failure: Callable[[Exception], None] | None = None,
) -> AsyncIterator[Engine]:
    """Open an engine.

    Leaving the block ends it: no more executions are accepted, the live ones may end within the
    grace, the rest is stopped. Leaving it with an exception stops everything at once. In both
    cases a thread that does not stop is waited for: Python cannot end one.

    Args:
        settings: the engine's settings.
        activities: activities, or modules (or their names) that have some.
        clock: where the time comes from.
        on_failure: called when the journal, and with it the engine, breaks; before the block is
            cancelled.

    Raises:
        InputError: a setting is not acceptable.
        ActivityDeclarationError: an activity cannot be found or used.
        JournalError: the journal broke; it is raised when the block has ended.
        BaseExceptionGroup: a bug has ended a task of the engine's own.
    """
    settings = (settings or Settings()).checked()
    catalogue = ActivityCatalogue.of(*activities, defaults=[builtins])
    clock = clock or SystemClock()
    store = MemoryJournal(settings.keep_ended)
    raised: BaseException | None = None
    failures: list[Exception] = []
    async with (
        RunnerResources(settings.threads, settings.processes) as resources,
        open_hosts() as hosts,
    ):

        def fail(error: Exception) -> None:
            failures.append(error)
            if len(failures) > 1:
                return  # every execution has its own batch that fails
            live.close()
            if on_failure is not None:
                try:
                    on_failure(error)
                except Exception:
                    logger.exception("on_failure has failed itself")

        live = LiveExecutions(
            hosts, resources.threads, journal=store, clock=clock, settings=settings, fail=fail
        )
        hosts.root.start_soon(live.enforce_grace, name="grace")
        flows = Flows(store, catalogue, resources, clock=clock, settings=settings)
        engine = Engine(
            settings=settings,
            store=store,
            flows=flows,
            live=live,
            catalogue=catalogue,
            clock=clock,
        )
        try:
            yield engine
        except anyio.get_cancelled_exc_class():
            live.close()
            raise
        except BaseException as error:  # noqa: BLE001 - raised outside of the task group
            raised = error
        else:
            await live.drained()
        live.close()
    if failures:
        msg = f"The journal failed, and the engine with it: {failures[0]}"
        raise JournalError(msg) from failures[0]
    if raised is not None:
        raise raised
