"""What can be seen of executions: how they are, their history, and how they end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import anyio
from msgspec.structs import replace

from actors.events import Event, ExecutionParked, ExecutionStarted
from actors.evolving import fold
from actors.execution import ExecutionSupervisor
from actors.places import own_checkpoint
from actors.plan import Plan
from flowmgr.errors import (
    DefinitionError,
    EngineClosedError,
    ExecutionNotFoundError,
    ExecutionStateError,
    FlowDamagedError,
    FlowNotFoundError,
    KeyDamagedError,
)
from flowmgr.executions import Execution, RecordedEvent, view
from flowmgr.flows import Flows
from flowmgr.journal.store import EVERYTHING, ExecutionQuery, ExecutionSummary, Store
from flowmgr.live import LiveExecutions
from flowmgr.recovery import Recovery
from flowmgr.trees import Tree, sub_flow_keys, tree_of


class Views:
    """Shows executions that were started, and waits for them, without changing any."""

    def __init__(
        self, *, store: Store, flows: Flows, live: LiveExecutions, recovery: Recovery
    ) -> None:
        self.flows = flows
        self._store = store
        self._live = live
        self._recovery = recovery
        self._checkpoint = own_checkpoint()

    async def get(self, execution_id: str) -> Execution:
        """Return an execution as it is now.

        Raises:
            ExecutionNotFoundError: there is none with this id.
            ExecutionDamagedError: its record is damaged.
        """
        supervisor = self._live.get(execution_id)
        if supervisor is not None:
            return view(execution_id, supervisor.state)
        return view(execution_id, fold(await self._history(execution_id)))

    async def tree(self, execution_id: str) -> Tree:
        """Return the tree of an execution's scopes as it is now, without taking it up.

        Raises:
            ExecutionNotFoundError: there is none with this id.
            ExecutionDamagedError: its record is damaged.
        """
        tree = await self._tree(execution_id)
        starts = {
            key: await self._store.find_start(execution_id, key, 0.0) for key in sub_flow_keys(tree)
        }
        return replace(tree, sub_flows={key: found[0] for key, found in starts.items() if found})

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
            ExecutionDamagedError: its record is damaged.
            EngineClosedError: the engine stopped it, without its having ended.
        """
        supervisor = self._live.get(execution_id)
        if supervisor is not None:
            return await self._over(supervisor, timeout)
        execution = await self.get(execution_id)
        if execution.has_ended:
            return execution
        with anyio.move_on_after(timeout):
            return await self._end_of(execution_id)
        return await self.get(execution_id)

    async def taken_up(self, execution_id: str) -> None:
        """Wait until an execution that cannot go on is taken up all the same.

        It may return before that: then the caller has to look again.

        Raises:
            EngineClosedError: the engine is stopping, and does not take it up any more.
        """
        with self._live.watches.watch(execution_id) as watch:
            if self._live.get(execution_id) is not None or await watch.taken_up() is not None:
                return
        if not self._live.is_accepting:
            raise _stopped(execution_id)

    async def events(
        self, execution_id: str, *, after: int = 0, limit: int = EVERYTHING
    ) -> Sequence[RecordedEvent]:
        """Return an execution's history, beginning behind position *after*.

        What is recorded already but has not taken effect, a moment later, is left out: whoever
        sees an event sees what it leads to, whatever is asked next.

        Raises:
            ExecutionNotFoundError: there is none with this id.
            ExecutionDamagedError: its record is damaged.
        """
        events = await self._store.read_events(execution_id, after, limit)
        supervisor = self._live.get(execution_id)
        if supervisor is not None:
            events = events[: max(0, supervisor.state.seq - after)]
        if not events and await self._store.get_execution(execution_id) is None:
            raise ExecutionNotFoundError(execution_id)
        return [RecordedEvent(after + n, event) for n, event in enumerate(events, start=1)]

    async def follow(self, execution_id: str, *, after: int = 0) -> AsyncIterator[RecordedEvent]:
        """Yield an execution's history and then what happens, until it has ended.

        It ends before that if nothing will happen here: the execution is paused or in quarantine
        and not live, or the engine is closing.

        Raises:
            ExecutionNotFoundError: there is none with this id.
        """
        while True:
            with self._live.watches.watch(execution_id) as watch:
                supervisor = self._live.get(execution_id)
                is_last = supervisor is None or supervisor.is_over
                goes_on = is_last and await self._goes_on(execution_id)
                events = await self.events(execution_id, after=after)
            for event in events:
                after = event.seq
                yield event
            if watch.is_taken_up or (goes_on and await self._is_taken_up(execution_id)):
                continue
            if supervisor is None or is_last:
                return
            if supervisor.state.seq <= after:
                await supervisor.changed()

    async def _history(self, execution_id: str) -> Sequence[Event]:
        events = await self._store.read_events(execution_id, 0, EVERYTHING)
        if not events:
            raise ExecutionNotFoundError(execution_id)
        return events

    async def _tree(self, execution_id: str) -> Tree:
        supervisor = self._live.get(execution_id)
        if supervisor is not None:
            return tree_of(execution_id, supervisor.plan, supervisor.state)
        events = await self._history(execution_id)
        try:
            plan = await self._plan_for(events, None)
        except (DefinitionError, FlowDamagedError, FlowNotFoundError):  # it cannot go on
            plan = None
        return tree_of(execution_id, plan, fold(events))

    async def _plan_for(self, events: Sequence[Event], version: int | None) -> Plan:
        """Return the plan of a version of an execution's flow; the one that it ran if None."""
        started = events[0]
        assert isinstance(started, ExecutionStarted)
        if version is not None:
            return await self.flows.plan(started.flow_id, version)
        return await self.flows.pinned_plan(started, fold(events).flow_version)

    async def _over(self, supervisor: ExecutionSupervisor, timeout: float | None) -> Execution:  # noqa: ASYNC109
        # A short execution ends while others have their turn; an event and a timeout cost more.
        # Twice, because trio gives ready tasks their turns in either order: this one may be first.
        for _ in range(2):
            await self._checkpoint()
            if supervisor.state.has_ended:
                return view(supervisor.execution_id, supervisor.state)
        with anyio.move_on_after(timeout):
            return await self._end_of(supervisor.execution_id, supervisor)
        return await self.get(supervisor.execution_id)

    async def _end_of(
        self, execution_id: str, supervisor: ExecutionSupervisor | None = None
    ) -> Execution:
        """Wait until an execution has ended, however often it is parked until then.

        It is not live while it is parked, nor is anybody asked about it again and again.
        """
        while True:
            if supervisor is not None:
                await supervisor.over()
                if supervisor.state.has_ended:
                    return view(execution_id, supervisor.state)
                if not self._live.is_accepting:
                    raise _stopped(execution_id)
            with self._live.watches.watch(execution_id) as watch:
                supervisor = self._live.get(execution_id)
                if supervisor is not None:
                    continue
                events = await self._history(execution_id)
                state = fold(events)
                if state.has_ended:
                    return view(execution_id, state)
                is_put_away = (
                    isinstance(events[-1], ExecutionParked) or state.status == "quarantined"
                )
                # Before the recovery is over, it is for it to say what is to be run.
                if is_put_away or not self._recovery.progress.is_over:
                    supervisor = await watch.taken_up()
                    if supervisor is not None or self._live.is_accepting:
                        continue
                    raise _stopped(execution_id)
            with self._live.asking(execution_id):  # or it would stay, if it has ended since
                supervisor = await self._supervisor(execution_id)

    async def _goes_on(self, execution_id: str) -> bool:
        """Whether an execution that is not live will be: it is parked, or is to be recovered."""
        summary = await self._store.get_execution(execution_id)
        if summary is None or summary.is_parked:
            return summary is not None
        is_unfinished = summary.status in {"running", "cancelling"}
        return is_unfinished and not self._recovery.progress.is_over

    async def _is_taken_up(self, execution_id: str) -> bool:
        """Wait until an execution that goes on is taken up; False if the engine ends before."""
        with self._live.watches.watch(execution_id) as watch:
            if self._live.get(execution_id) is not None or not await self._goes_on(execution_id):
                return True
            return await watch.taken_up() is not None or self._live.is_accepting

    async def _supervisor(self, execution_id: str) -> ExecutionSupervisor:
        supervisor = self._live.get(execution_id)
        if supervisor is not None:
            return supervisor
        try:
            return await self._recovery.load(execution_id)
        except (DefinitionError, FlowDamagedError, FlowNotFoundError, KeyDamagedError) as error:
            msg = f"Execution '{execution_id}' cannot go on: {error}"
            raise ExecutionStateError(msg) from error
        except EngineClosedError as error:
            raise _stopped(execution_id) from error


def _stopped(execution_id: str) -> EngineClosedError:
    return EngineClosedError(
        f"Execution '{execution_id}' was stopped because the engine is closing"
    )
