"""The engine: everything that flowmgr does, without HTTP.

async with open_engine(activities=["my_project.activities"]) as engine:
    await engine.register(flow)
    execution = await engine.run("my-flow", {"user_id": 7})
    print(execution.status, execution.context["task3_result"])
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import ModuleType
from typing import Any

import anyio
import msgspec
import uuid_utils
from anyio.abc import TaskGroup
from msgspec.structs import replace

from actors.events import ExecutionStarted
from actors.execution import ExecutionSupervisor
from actors.outcome import NULL
from actors.plan import Plan
from actors.ports import Clock, KeyTakenError, StartKey
from actors.state import ExecutionState
from flowmgr import builtins
from flowmgr.activities.catalogue import ActivityCatalogue
from flowmgr.activities.declaration import Activity
from flowmgr.activities.runners import RunnerResources
from flowmgr.clock import SystemClock
from flowmgr.errors import EngineClosedError, JournalError
from flowmgr.executions import Execution, view
from flowmgr.flow_sets import register_together
from flowmgr.flows import Flows, RegisteredFlow
from flowmgr.hosts import open_hosts
from flowmgr.journal import open_store
from flowmgr.journal.store import Store
from flowmgr.language.documents import check_context
from flowmgr.language.validation import ValidatedFlow
from flowmgr.live import LiveExecutions, recorded
from flowmgr.metadata import check_metadata
from flowmgr.operations import Operations
from flowmgr.recovery import Recovery, RecoveryProgress
from flowmgr.repeating import Repetition, repeated
from flowmgr.retention import delete_outdated
from flowmgr.settings import Settings
from flowmgr.starts import (
    KeyedRequest,
    RerunRequest,
    StartRequest,
    check_asker,
    check_input,
    check_key,
)
from flowmgr.subflows import KEY_SECONDS, Child
from flowmgr.timers import Timers
from flowmgr.waking import Waker

logger = logging.getLogger(__name__)

FORGIVING_SECONDS = 0.2
"""What closing may take longer, so that executions are not blamed for it."""

_Begin = Callable[[StartKey | None], Awaitable[ExecutionSupervisor]]
"""Starts an execution, with what makes it the only one of several equal requests that does."""


class Engine(Operations):
    """Registers flows, and starts, shows, waits for and changes their executions.

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
        timers: Timers,
    ) -> None:
        recovery = Recovery(store, flows, live, timers)
        super().__init__(store=store, flows=flows, live=live, recovery=recovery)
        self.settings = settings
        self.catalogue = catalogue
        self._clock = clock
        self._timers = timers
        self._waker = Waker(live, recovery)
        flows.runners.children = self

    @property
    def is_accepting(self) -> bool:
        """Whether executions may be started: the engine is neither stopping nor broken."""
        return self._live.is_accepting

    @property
    def is_closing(self) -> bool:
        """Whether executions are being stopped, to go on at the next start."""
        return self._live.is_closing

    @property
    def recovery(self) -> RecoveryProgress:
        """How far the recovery of what was left unfinished has come."""
        return self._recovery.progress

    @property
    def trouble(self) -> str | None:
        """Why the journal can record nothing at the moment, in a sentence; None if it can."""
        return self._store.trouble

    @property
    def live_executions(self) -> int:
        """How many executions are in memory: started, not ended, and not parked."""
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

    async def register_together(self, documents: Sequence[Any]) -> list[RegisteredFlow]:
        """Validate flow documents that may run each other, and keep them, whatever their order.

        Raises:
            FlowSetError: there are some that have problems; the others are kept.
        """
        return await register_together(self.flows, documents)

    async def validate(self, document: Any) -> ValidatedFlow:
        """Validate a flow document; nothing is kept. Raises as `register` does."""
        return await self.flows.read(document)

    # Executions.

    async def start(
        self,
        flow: str | Mapping[str, Any],
        context: Any = None,
        *,
        version: int | None = None,
        metadata: Any = None,
        key: str | None = None,
    ) -> Execution:
        """Start an execution.

        Args:
            flow: the id of a registered flow, or the document of a flow that is only run.
            context: the values to begin with: a mapping that JSON can hold.
            version: the flow's version; the latest if None.
            metadata: what the execution can be looked up by: an object of plain values.
            key: an idempotency key: if an equal request with it has started an execution already,
                that one is returned. It belongs to the flow, and expires (setting `key_seconds`).

        Returns:
            The execution, which is recorded: it is as durable as the journal.

        Raises:
            FlowNotFoundError: no such flow, or no such version of it.
            DefinitionError: the document has problems, or an activity is not there any more.
            ContextError: the context is not an object, too large or too deep.
            MetadataError: the metadata is not an object of plain values.
            KeyReusedError: the key has been used for another request.
            EngineClosedError: the engine is stopping.
            EngineBusyError: as many executions are live as may be.
            JournalUnavailableError: it could not be recorded.
        """
        request = StartRequest(flow, context, version, metadata, key=key)
        return await self._shown(await self._start(request))

    async def run(
        self,
        flow: str | Mapping[str, Any],
        context: Any = None,
        *,
        version: int | None = None,
        metadata: Any = None,
        key: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - only the waiting ends, not the execution
    ) -> Execution:
        """Start an execution and wait until it has ended, at most *timeout* seconds.

        Cancelling it, or the timeout, leaves the execution running. Raises as `start` and `wait`.
        """
        started = await self._start(StartRequest(flow, context, version, metadata, key=key))
        if isinstance(started, ExecutionSupervisor):
            return await self._over(started, timeout)
        return replace(await self.wait(started, timeout), is_replay=True)

    async def rerun(
        self,
        execution_id: str,
        *,
        task: str | None = None,
        context: Any = None,
        version: int | None = None,
        key: str | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> Execution:
        """Start a new execution that repeats another one, from a task on.

        It begins with the context that the task had in the other one. The other one stays as it
        is; the new one names it in `Execution.rerun_of`. If it begins inside of other tasks, the
        branches or items beside it that had succeeded keep their results, and the others run anew.

        Args:
            execution_id: the execution to repeat, whatever its status.
            task: the task to begin with, by its name or by its path, such as ``/fan/left/charge``;
                the flow's first one if None.
            context: values that replace those of the other execution.
            version: the version of the flow to run; the one that the other execution ran if None.
            key: an idempotency key, as that of `start`: it belongs to the execution to repeat. Who
                asks, and why, may differ in equal requests.
            by: who asks.
            reason: why.

        Raises:
            InputError: there is no such task, or the new execution cannot begin there.
            ContextError: it begins with the flow's first task, and the context is not as the flow's
                ``input`` says.
            Otherwise as `start`, and as all that change an execution.
        """
        check_asker(by, reason)
        encoded = check_context(context, max_bytes=self.settings.max_context_bytes)
        request = RerunRequest(execution_id, task, context, version, key=key)
        rerun = Repetition(task, encoded, by, reason)
        return await self._shown(await self._once(request, partial(self._repeat, request, rerun)))

    async def _repeat(
        self, request: RerunRequest, rerun: Repetition, key: StartKey | None
    ) -> ExecutionSupervisor:
        events = await self._history(request.execution_id)
        plan = await self._plan_for(events, request.version)
        begun = repeated(request.execution_id, events, plan, rerun, self._clock.now())
        started = begun.started
        # Further on there are results in the context, of which the schema says nothing.
        if plan.input is not None and started.start_task == plan.start_task:
            check_input(plan.flow_id, plan.input, bytes(started.context))
        supervisor, reply = self._live.start(_new_id(), plan, started, key, begun.further)
        await recorded(reply)
        return supervisor

    async def _shown(self, started: ExecutionSupervisor | str) -> Execution:
        """Return an execution that was started now, or by an earlier request with the same key."""
        if isinstance(started, ExecutionSupervisor):
            return view(started.execution_id, started.state)
        return replace(await self.get(started), is_replay=True)

    def _start(self, request: StartRequest) -> Awaitable[ExecutionSupervisor | str]:
        """Start an execution; return the id of the one that the request's key has started."""
        return self._once(request, partial(self._begin, request))

    def _once(self, request: KeyedRequest, begin: _Begin) -> Awaitable[ExecutionSupervisor | str]:
        """Have *begin* start an execution; return the id of the one that the key has started."""
        if request.key is None:
            return begin(None)
        return self._begin_once(request, request.key, begin)

    async def _begin_once(
        self, request: KeyedRequest, name: str, begin: _Begin
    ) -> ExecutionSupervisor | str:
        check_key(name)
        now = self._clock.now()
        found = await self._store.find_start(request.scope(), name, now)
        if found is not None:
            return self._replayed(request, *found)
        expires_at = now + self.settings.key_seconds
        key = StartKey(request.scope(), name, request.fingerprint(), expires_at)
        try:
            return await begin(key)
        except KeyTakenError as error:
            return self._replayed(request, error.execution_id, error.fingerprint)

    async def start_child(self, child: Child, *, is_stopping: bool = False) -> str | None:
        """Start a sub-flow, unless its task has started it before, and return its id.

        If its task *is_stopping*, it is not started any more; None if it was not before.

        Raises:
            SubflowDepthError: it would be inside of more executions than it may be.
            Otherwise as `start`.
        """
        now = self._clock.now()
        name = child.key_in(self._parent_of(child))
        found = await self._store.find_start(child.parent, name, now)
        if found is not None:
            return found[0]
        if is_stopping:
            return None
        key = StartKey(child.parent, name, child.flow_id, now + KEY_SECONDS)
        request = StartRequest(child.flow_id, child.context, child.version)
        try:
            return (await self._begin(request, key, child)).execution_id
        except KeyTakenError as error:
            return error.execution_id

    async def code_left(self, execution_id: str, parent: str) -> None:
        """Wait until no code of an execution that has ended is running; see `LiveExecutions`."""
        await self._live.code_left(execution_id, parent)

    async def has_output(self, execution: Execution) -> bool:
        """Whether the flow of an execution, which is registered, says what its output is."""
        return await self.flows.has_output(execution.flow_id, execution.flow_version)

    async def _begin(
        self, request: StartRequest, key: StartKey | None, child: Child | None = None
    ) -> ExecutionSupervisor:
        encoded = check_context(request.context, max_bytes=self.settings.max_context_bytes)
        metadata = None if request.metadata is None else check_metadata(request.metadata)
        flow, definition = request.flow, NULL
        plan = self.flows.plan_at_hand(flow, request.version) if isinstance(flow, str) else None
        if plan is None:
            plan, definition = await self._plan_to_start(request)
        if plan.input is not None:
            check_input(plan.flow_id, plan.input, encoded)
        started = ExecutionStarted(
            at=self._clock.now(),
            flow_id=plan.flow_id,
            flow_version=plan.flow_version,
            start_task=plan.start_task,
            context=msgspec.Raw(encoded),
            definition=definition,
            metadata={**plan.metadata, **metadata} if metadata else plan.metadata,
        )
        if child is not None:
            started = replace(
                started,
                parent=child.parent,
                parent_task=child.parent_task,
                depth=child.depth_in(self._parent_of(child)),
            )
        supervisor, reply = self._live.start(_new_id(), plan, started, key)
        if not supervisor.state.seq:  # otherwise it is recorded already
            await recorded(reply)
        return supervisor

    def _parent_of(self, child: Child) -> ExecutionState:
        parent = self._live.get(child.parent)
        if parent is None:
            msg = "The execution that the sub-flow belongs to is being stopped"
            raise EngineClosedError(msg)
        return parent.state

    async def _plan_to_start(self, request: StartRequest) -> tuple[Plan, msgspec.Raw]:
        """Return the plan, and the definition if it has to be recorded."""
        if isinstance(request.flow, str):
            return await self.flows.plan(request.flow, request.version), NULL
        inline = (await self.flows.read(request.flow)).definition
        return self.flows.compile(inline, version=0), msgspec.Raw(msgspec.json.encode(inline))

    @staticmethod
    def _replayed(request: KeyedRequest, execution_id: str, fingerprint: str) -> str:
        request.check_same(fingerprint)
        return execution_id

    # Opening and closing.

    def begin(self, root: TaskGroup) -> None:
        """Start the tasks of the engine's own in *root*; for `open_engine`."""
        root.start_soon(self._live.enforce_grace, name="grace")
        root.start_soon(self._recovery.run, name="recovery")
        root.start_soon(self._timers.run, self._waker.wake, name="timers")
        root.start_soon(self._waker.wake_suspects, name="suspects")
        if self.settings.keep is not None:
            root.start_soon(
                delete_outdated, self._store, self.settings.keep, self._clock, name="retention"
            )

    async def forgive(self) -> None:
        """Note that what is unfinished has not ended the engine: it is closed; for `open_engine`.

        Cancelling it has no effect; it takes `FORGIVING_SECONDS` at most.
        """
        with anyio.move_on_after(FORGIVING_SECONDS, shield=True):
            try:
                await self._store.forgive(None)
            except JournalError as error:
                logger.warning("the counts of recoveries stay as they are: %s", error)

    def begin_draining(self, grace: float | None = None) -> None:
        """Accept no more executions, and let the live ones end within *grace* seconds.

        Not a checkpoint. What has not ended by then is stopped at its checkpoints, without being
        recorded as cancelled. Called again, it can only shorten the grace.

        Args:
            grace: how long they may take; the setting if None.
        """
        self._live.begin_draining(grace)


def _new_id() -> str:
    return str(uuid_utils.uuid7())


class _JournalFailure:
    """Why the journal of an engine has broken; None as long as it has not."""

    def __init__(self, tell: Callable[[Exception], None] | None) -> None:
        self.error: Exception | None = None
        self._tell = tell

    def note(self, error: Exception) -> None:
        """Keep the error, and tell who wants to know; the engine is closed already."""
        self.error = error
        if self._tell is not None:
            try:
                self._tell(error)
            except Exception:
                logger.exception("on_failure has failed itself")


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
        JournalRefusedError: the journal cannot be opened as it is.
        JournalError: the journal broke; it is raised when the block has ended.
        BaseExceptionGroup: a bug has ended a task of the engine's own.
    """
    settings = (settings or Settings()).checked()
    catalogue = ActivityCatalogue.of(*activities, defaults=[builtins])
    clock = clock or SystemClock()
    raised: BaseException | None = None
    failure = _JournalFailure(on_failure)
    async with (
        open_store(settings, clock) as store,
        RunnerResources(settings.threads, settings.processes) as resources,
        open_hosts() as hosts,
    ):
        timers = Timers(clock)
        live = LiveExecutions(
            hosts,
            resources.threads,
            journal=store,
            clock=clock,
            settings=settings,
            timers=timers,
            fail=failure.note,
        )
        flows = Flows(store, catalogue, resources, clock=clock, settings=settings)
        engine = Engine(
            settings=settings,
            store=store,
            flows=flows,
            live=live,
            catalogue=catalogue,
            clock=clock,
            timers=timers,
        )
        engine.begin(hosts.root)
        try:
            yield engine
        except anyio.get_cancelled_exc_class():
            live.close()
            raise
        except BaseException as error:  # noqa: BLE001 - raised outside of the task group
            raised = error
        else:
            await live.drained()
        await engine.forgive()
        live.close()
    if failure.error is not None:
        msg = f"The journal failed, and the engine with it: {failure.error}"
        raise JournalError(msg) from failure.error
    if raised is not None:
        raise raised
