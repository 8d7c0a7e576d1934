"""What can be done to executions that were started, and how they are looked at."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

import anyio
from msgspec.structs import replace

from actors.actor import Reply
from actors.events import Event, ExecutionParked, ExecutionStarted
from actors.evolving import fold
from actors.execution import ExecutionSupervisor
from actors.messages import (
    CancelExecution,
    EndedMeanwhileError,
    NotAllowedError,
    OperatorRequest,
    PauseExecution,
    ResumeExecution,
    RetryExecution,
    SendSignal,
    SkipTask,
)
from actors.outcome import NULL
from actors.places import own_checkpoint
from actors.plan import Plan
from flowmgr.errors import (
    DefinitionError,
    EngineClosedError,
    ExecutionEndedError,
    ExecutionNotFoundError,
    ExecutionStateError,
    FlowNotFoundError,
)
from flowmgr.executions import Execution, RecordedEvent, view
from flowmgr.flows import Flows
from flowmgr.journal.store import EVERYTHING, ExecutionQuery, ExecutionSummary, Store
from flowmgr.live import LiveExecutions
from flowmgr.recovery import Recovery
from flowmgr.signals import checked_signal, encoded_as_json
from flowmgr.starts import check_key
from flowmgr.trees import Tree, sub_flow_keys, tree_of

logger = logging.getLogger(__name__)


class Operations:
    """Shows, waits for, and changes executions that were started.

    Whoever changes one can say who they are (*by*) and why (*reason*); both are recorded. Every
    change is as durable as the journal when the call returns, and none is undone by cancelling the
    call. All that ask for a change raise, beside what their own text says:

    * ExecutionNotFoundError: there is no execution with this id.
    * ExecutionDamagedError: its record in the journal is damaged.
    * ExecutionStateError: its status does not allow this; the message says which ones do.
    * EngineBusyError: too many requests of this execution wait for the journal already.
    * EngineClosedError: the engine is stopping.
    * JournalUnavailableError: the request could not be recorded.
    """

    def __init__(
        self, *, store: Store, flows: Flows, live: LiveExecutions, recovery: Recovery
    ) -> None:
        self.flows = flows
        self._store = store
        self._live = live
        self._recovery = recovery
        self._checkpoint = own_checkpoint()

    # Looking at them.

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

    async def _tree(self, execution_id: str) -> Tree:
        supervisor = self._live.get(execution_id)
        if supervisor is not None:
            return tree_of(execution_id, supervisor.plan, supervisor.state)
        events = await self._history(execution_id)
        try:
            plan = await self._plan_for(events, None)
        except (DefinitionError, FlowNotFoundError):  # an activity of it is not loaded
            plan = None
        return tree_of(execution_id, plan, fold(events))

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

    async def events(
        self, execution_id: str, *, after: int = 0, limit: int = EVERYTHING
    ) -> Sequence[RecordedEvent]:
        """Return an execution's history, beginning behind position *after*.

        Raises:
            ExecutionNotFoundError: there is none with this id.
            ExecutionDamagedError: its record is damaged.
        """
        events = await self._store.read_events(execution_id, after, limit)
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
            supervisor = self._live.get(execution_id)
            is_last = supervisor is None or supervisor.is_over
            is_parked = is_last and await self._is_parked(execution_id)
            for event in await self.events(execution_id, after=after):
                after = event.seq
                yield event
            if is_parked and await self._is_taken_up(execution_id):
                continue
            if supervisor is None or is_last:
                return
            if supervisor.state.seq <= after:  # a journal may show more than it has acknowledged
                await supervisor.changed()

    # Changing them.

    async def cancel(
        self,
        execution_id: str,
        *,
        by: str | None = None,
        reason: str | None = None,
        wait: float = 0.0,
    ) -> Execution:
        """Cancel an execution and wait, at most *wait* seconds, until nothing of it is running.

        Cancelling it again is the same as once: the first request and its reason stand.

        Returns:
            The execution: cancelling, or cancelled with the receipt.

        Raises:
            ExecutionEndedError: it has completed or failed.
        """
        if self._live.get(execution_id) is None:
            execution = await self.get(execution_id)
            if execution.status == "cancelled":
                return execution
        return await self._ask(execution_id, partial(CancelExecution, by=by, reason=reason), wait)

    async def pause(
        self, execution_id: str, *, by: str | None = None, reason: str | None = None
    ) -> Execution:
        """Start no further task of a running execution; what runs goes on to its end."""
        return await self._ask(execution_id, partial(PauseExecution, by=by, reason=reason))

    async def resume(
        self, execution_id: str, *, by: str | None = None, reason: str | None = None
    ) -> Execution:
        """Have an execution go on that was paused, or that is in quarantine.

        One whose record is damaged stays there.
        """
        return await self._ask(execution_id, partial(ResumeExecution, by=by, reason=reason))

    async def retry(
        self,
        execution_id: str,
        *,
        version: int | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> Execution:
        """Have an execution that has failed or was cancelled go on, from the task it ended in.

        What has finished stays finished, and the history goes on.

        Args:
            execution_id: the execution.
            version: the version of the flow to go on with; the one that it ran if None.
            by: who asks.
            reason: why.

        Raises:
            FlowNotFoundError: the flow has no such version.
        """
        plan = await self._plan_for(await self._history(execution_id), version)
        request = partial(RetryExecution, by=by, reason=reason, plan=plan)
        return await self._ask(execution_id, request)

    async def skip(
        self,
        execution_id: str,
        *,
        task: str | None = None,
        result: Any = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> Execution:
        """Give a task a result instead of running it, and go on behind it.

        It is one that waits, or has failed, or that a paused execution comes to next.

        Args:
            execution_id: the execution.
            task: the task's name, or its path if several tasks have this name or can be skipped;
                None if there is only one that can.
            result: what it is to have returned: a value that JSON can hold.
            by: who asks.
            reason: why.

        Raises:
            InputError: the result is not JSON.
        """
        encoded = encoded_as_json(result, "result")
        request = partial(SkipTask, by=by, reason=reason, task=task, result=encoded)
        return await self._ask(execution_id, request)

    async def signal(
        self,
        execution_id: str,
        name: str,
        value: Any = None,
        *,
        key: str | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> Execution:
        """Send an execution a signal: a task that waits for it takes it, or the first that will.

        Args:
            execution_id: the execution.
            name: the signal's name: one that a task of the flow waits for.
            value: what the task is to have for its result: a value that JSON can hold.
            key: an idempotency key: a further signal with the same one changes nothing.
            by: who sends it.
            reason: why.

        Returns:
            The execution; with `is_replay` if a signal with the same key was sent before.

        Raises:
            SignalError: the flow has no such signal, or it does not take this value.
            InputError: the key cannot be one.
            ExecutionEndedError: it has ended.
        """
        check_key(key)
        with self._live.asking(execution_id):
            supervisor = await self._supervisor(execution_id)
            if supervisor.state.has_ended:  # which is refused, or had a signal with this key
                encoded = NULL
            else:
                encoded = checked_signal(supervisor.plan, name, value)
            request = partial(SendSignal, by=by, reason=reason, name=name, value=encoded, key=key)
            is_received = await self._asked(supervisor, request)
        return replace(view(execution_id, supervisor.state), is_replay=not is_received)

    async def delete(
        self, execution_id: str, *, by: str | None = None, reason: str | None = None
    ) -> None:
        """Delete an ended execution and all that is recorded of it, or one that is damaged.

        A sub-flow is kept for as long as the execution around it has not ended. That somebody
        did so is left in the log only.
        """
        if not await self._store.delete_executions([execution_id]):
            summary = await self._store.get_execution(execution_id)
            if summary is None:
                raise ExecutionNotFoundError(execution_id)
            why = "only completed, failed and cancelled executions can be deleted"
            if summary.ended_at is not None:
                why = "it is a sub-flow, and can be deleted when the execution around it has ended"
            raise ExecutionStateError(f"Execution '{execution_id}' is {summary.status}; {why}")
        logger.info("execution %s was deleted by %r: %r", execution_id, by, reason)

    async def _history(self, execution_id: str) -> Sequence[Event]:
        events = await self._store.read_events(execution_id, 0, EVERYTHING)
        if not events:
            raise ExecutionNotFoundError(execution_id)
        return events

    async def _plan_for(self, events: Sequence[Event], version: int | None) -> Plan:
        """Return the plan of a version of an execution's flow; the one that it ran if None."""
        started = events[0]
        assert isinstance(started, ExecutionStarted)
        if version is not None:
            return await self.flows.plan(started.flow_id, version)
        return await self.flows.pinned_plan(started, fold(events).flow_version)

    async def _ask(
        self,
        execution_id: str,
        request: Callable[..., OperatorRequest],
        wait: float = 0.0,
    ) -> Execution:
        with self._live.asking(execution_id):
            while True:
                supervisor = await self._supervisor(execution_id)
                try:
                    await self._asked(supervisor, request)
                except EndedMeanwhileError:
                    continue
                break
        if wait > 0:
            return await self._over(supervisor, wait)
        return view(execution_id, supervisor.state)

    async def _asked(
        self, supervisor: ExecutionSupervisor, request: Callable[..., OperatorRequest]
    ) -> bool:
        """Ask something of an execution, and return whether there was anything to record for it."""

        def addressed(reply: Reply[bool]) -> OperatorRequest:
            return request(reply=reply)

        try:
            return await self._live.ask(supervisor, addressed)
        except NotAllowedError as error:
            msg = f"Execution '{supervisor.execution_id}' {error}"
            kind = ExecutionEndedError if supervisor.state.has_ended else ExecutionStateError
            raise kind(msg) from error

    async def _supervisor(self, execution_id: str) -> ExecutionSupervisor:
        supervisor = self._live.get(execution_id)
        if supervisor is not None:
            return supervisor
        try:
            return await self._recovery.load(execution_id)
        except (DefinitionError, FlowNotFoundError) as error:
            msg = f"Execution '{execution_id}' cannot go on: {error}"
            raise ExecutionStateError(msg) from error
        except EngineClosedError as error:
            raise _stopped(execution_id) from error

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

    async def _is_parked(self, execution_id: str) -> bool:
        summary = await self._store.get_execution(execution_id)
        return summary is not None and summary.is_parked

    async def _is_taken_up(self, execution_id: str) -> bool:
        """Wait until a parked execution is taken up; False if it never will be: the engine ends."""
        with self._live.watches.watch(execution_id) as watch:
            if self._live.get(execution_id) is not None or not await self._is_parked(execution_id):
                return True
            return await watch.taken_up() is not None or self._live.is_accepting


def _stopped(execution_id: str) -> EngineClosedError:
    return EngineClosedError(
        f"Execution '{execution_id}' was stopped because the engine is closing"
    )
