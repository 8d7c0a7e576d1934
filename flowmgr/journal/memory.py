"""The journal in memory: nothing survives the process; otherwise it behaves like any other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from actors.events import TERMINAL, Event
from actors.ports import Acknowledge, Batch, KeyTakenError, StartKey
from flowmgr.errors import ExecutionNotFoundError, FlowExistsError, InternalError
from flowmgr.journal.store import (
    EVERYTHING,
    ExecutionQuery,
    ExecutionSummary,
    FlowRecord,
    Unfinished,
    metadata_text,
    summarise,
)


class MemoryJournal:
    """Keeps everything in dictionaries, and the newest ended executions only.

    Events have no references that could form a cycle, so the garbage collector does not look at
    them however many are kept.
    """

    trouble: Final = None

    def __init__(self, keep_ended: int) -> None:
        self._keep_ended = keep_ended
        self._flows: dict[str, list[FlowRecord]] = {}
        self._deleted_flows: dict[str, list[FlowRecord]] = {}
        self._logs: dict[str, _Log] = {}
        self._ended: deque[str] = deque()  # may name some that are not there, or live, by now
        self._keys: dict[tuple[str, str], tuple[StartKey, str]] = {}

    def watch_trouble(self, tell: Callable[[str], None]) -> None:
        """Never tell anything: there is always room."""

    def append(self, batch: Batch, acknowledge: Acknowledge) -> None:
        """Keep *batch* and acknowledge it at once.

        Raises:
            InternalError: it does not continue the execution's log.
        """
        execution_id, events = batch.execution_id, batch.events
        log = self._logs.get(execution_id)
        if log is None:
            try:
                log = self._begun(batch)
            except (ExecutionNotFoundError, KeyTakenError) as error:
                acknowledge(error)
                return
        elif batch.first_seq != len(log.events) + 1:
            raise _does_not_continue(batch)
        log.events.extend(events)
        if type(events[-1]) in TERMINAL:
            self._ended.append(execution_id)
            if len(self._ended) > self._keep_ended:
                self._forget(self._ended.popleft())
        acknowledge(None)

    def _begun(self, batch: Batch) -> _Log:
        """Return the log of an execution that *batch* begins.

        Raises:
            ExecutionNotFoundError: it does not begin one: it was deleted.
            KeyTakenError: another start has its key.
        """
        if batch.first_seq > 1:
            raise ExecutionNotFoundError(batch.execution_id)
        if batch.first_seq < 1:
            raise _does_not_continue(batch)
        key = batch.key
        if key is not None:
            found = self._keys.get((key.scope, key.key))
            if found is not None and found[0].expires_at > batch.events[0].at:
                raise KeyTakenError(found[1], found[0].fingerprint)
            self._keys[key.scope, key.key] = (key, batch.execution_id)
        log = self._logs[batch.execution_id] = _Log(batch.execution_id, key)
        return log

    def _is_waited_for(self, execution_id: str) -> bool:
        """Whether it is a sub-flow of an execution that has not ended."""
        log = self._logs.get(execution_id)
        parent = None if log is None or log.key is None else self._logs.get(log.key.scope)
        return parent is not None and not isinstance(parent.events[-1], TERMINAL)

    def _forget(self, execution_id: str) -> bool:
        """Forget an execution if it has ended; return whether it had."""
        log = self._logs.get(execution_id)
        if log is None or type(log.events[-1]) not in TERMINAL:
            return False
        del self._logs[execution_id]
        if log.key is not None:
            key = (log.key.scope, log.key.key)
            found = self._keys.get(key)
            if found is not None and found[1] == execution_id:
                del self._keys[key]
        return True

    async def put_flow(
        self, flow_id: str, digest: str, definition: bytes, at: float, *, only_new: bool
    ) -> tuple[FlowRecord, bool]:
        """See `Store.put_flow`."""
        versions = self._flows.get(flow_id, [])
        if versions and only_new:
            msg = f"Flow '{flow_id}' exists already, and 'If-None-Match: *' asks for a new one"
            raise FlowExistsError(msg)
        if versions and versions[-1].digest == digest:
            return versions[-1], False
        version = 1 + len(versions) + len(self._deleted_flows.get(flow_id, ()))
        record = FlowRecord(flow_id, version, digest, definition, at)
        self._flows[flow_id] = [*versions, record]
        return record, True

    async def get_flow(self, flow_id: str, version: int | None = None) -> FlowRecord | None:
        """See `Store.get_flow`."""
        versions = self._flows.get(flow_id)
        if not versions:
            return None
        if version is None:
            return versions[-1]
        return next((record for record in versions if record.version == version), None)

    async def list_flows(self, after: str | None, limit: int) -> Sequence[FlowRecord]:
        """See `Store.list_flows`."""
        ids = sorted(flow_id for flow_id in self._flows if after is None or flow_id > after)
        return [self._flows[flow_id][-1] for flow_id in ids[:limit]]

    async def list_versions(self, flow_id: str, after: int, limit: int) -> Sequence[FlowRecord]:
        """See `Store.list_versions`."""
        versions = self._flows.get(flow_id, [])
        return [record for record in versions if record.version > after][:limit]

    async def delete_flow(self, flow_id: str) -> bool:
        """See `Store.delete_flow`."""
        versions = self._flows.pop(flow_id, None)
        if versions is None:
            return False
        self._deleted_flows[flow_id] = [*self._deleted_flows.get(flow_id, ()), *versions]
        return True

    async def get_pinned_flow(self, flow_id: str, version: int) -> FlowRecord | None:
        """See `Store.get_pinned_flow`."""
        kept = [*self._deleted_flows.get(flow_id, ()), *self._flows.get(flow_id, ())]
        return next((record for record in kept if record.version == version), None)

    async def read_events(self, execution_id: str, after: int, limit: int) -> Sequence[Event]:
        """See `Store.read_events`."""
        log = self._logs.get(execution_id)
        return [] if log is None else log.events[after : after + limit]

    async def get_execution(self, execution_id: str) -> ExecutionSummary | None:
        """See `Store.get_execution`."""
        log = self._logs.get(execution_id)
        return None if log is None else log.summary()

    async def list_executions(
        self, query: ExecutionQuery, before: str | None, limit: int
    ) -> Sequence[ExecutionSummary]:
        """See `Store.list_executions`."""
        found: list[ExecutionSummary] = []
        for execution_id in sorted(self._logs, reverse=True):
            summary = self._logs[execution_id].summary()
            is_behind = before is None or execution_id < before
            if len(found) == limit:
                break
            if is_behind and summary is not None and _matches(query, summary):
                found.append(summary)
        return found

    async def delete_executions(self, execution_ids: Sequence[str]) -> int:
        """See `Store.delete_executions`."""
        return sum(self._forget(each) for each in execution_ids if not self._is_waited_for(each))

    async def find_start(self, scope: str, key: str, at: float) -> tuple[str, str] | None:
        """See `Store.find_start`."""
        found = self._keys.get((scope, key))
        if found is None or found[0].expires_at <= at:
            return None
        return found[1], found[0].fingerprint

    async def list_unfinished(self) -> Sequence[Unfinished]:
        """See `Store.list_unfinished`."""
        found = [self._logs[execution_id].summary() for execution_id in sorted(self._logs)]
        return [
            Unfinished(summary.execution_id, summary.status, 0, summary.is_parked, summary.due)
            for summary in found
            if summary is not None and summary.ended_at is None
        ]

    async def read_histories(
        self, execution_ids: Sequence[str]
    ) -> Mapping[str, Sequence[Event] | Exception]:
        """See `Store.read_histories`."""
        return {each: await self.read_events(each, 0, EVERYTHING) for each in execution_ids}

    async def count_recovery(self, execution_ids: Sequence[str]) -> None:
        """Count nothing: there is never anything to recover."""

    async def forgive(self, execution_ids: Sequence[str] | None) -> None:
        """Do nothing: nothing was counted."""


class _Log(msgspec.Struct, eq=False):
    """One execution."""

    _execution_id: str
    key: StartKey | None  # that it was started with
    events: list[Event] = []
    _summary: ExecutionSummary | None = None
    _summarised: int = 0  # how many of the events are in the summary

    def summary(self) -> ExecutionSummary | None:
        """Return the summary, brought up to date: far more is written than is ever listed."""
        if self._summarised < len(self.events):
            new = self.events[self._summarised :]
            self._summary = summarise(self._summary, self._execution_id, new)
            self._summarised = len(self.events)
        return self._summary


def _does_not_continue(batch: Batch) -> InternalError:
    msg = f"execution {batch.execution_id}: batch at {batch.first_seq} does not continue"
    return InternalError(msg)


def _matches(query: ExecutionQuery, summary: ExecutionSummary) -> bool:
    return (
        query.status in {None, summary.status}
        and query.flow_id in {None, summary.flow_id}
        and query.flow_version in {None, summary.flow_version}
        and query.had_failures in {None, summary.had_failures}
        and (query.started_from is None or summary.started_at >= query.started_from)
        and (query.started_before is None or summary.started_at < query.started_before)
        and (query.ended_before is None or _ended_before(summary, query.ended_before))
        and all(
            name in summary.metadata and metadata_text(summary.metadata[name]) == text
            for name, text in query.metadata.items()
        )
    )


def _ended_before(summary: ExecutionSummary, at: float) -> bool:
    return summary.ended_at is not None and summary.ended_at < at
