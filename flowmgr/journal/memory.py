"""The journal in memory: nothing survives the process; otherwise it behaves like any other."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from actors.events import TERMINAL, Event
from actors.ports import Acknowledge, Batch
from flowmgr.errors import FlowExistsError, InternalError
from flowmgr.journal.store import ExecutionQuery, ExecutionSummary, FlowRecord, summarise


class MemoryJournal:
    """Keeps everything in dictionaries, and the newest ended executions only.

    Events have no references that could form a cycle, so the garbage collector does not look at
    them however many are kept.
    """

    def __init__(self, keep_ended: int) -> None:
        self._keep_ended = keep_ended
        self._flows: dict[str, list[FlowRecord]] = {}
        self._next_versions: dict[str, int] = {}  # of deleted flows too
        self._logs: dict[str, _Log] = {}
        self._ended: deque[str] = deque()

    def append(self, batch: Batch, acknowledge: Acknowledge) -> None:
        """Keep *batch* and acknowledge it at once."""
        log = self._logs.get(batch.execution_id)
        if log is None:
            log = self._logs[batch.execution_id] = _Log()
        if batch.first_seq != len(log.events) + 1:
            msg = f"execution {batch.execution_id}: batch at {batch.first_seq} does not continue"
            raise InternalError(msg)
        log.events.extend(batch.events)
        log.summary = summarise(log.summary, batch.execution_id, batch.events)
        if isinstance(batch.events[-1], TERMINAL):
            self._ended.append(batch.execution_id)
            if len(self._ended) > self._keep_ended:
                del self._logs[self._ended.popleft()]
        acknowledge(None)

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
        version = self._next_versions.get(flow_id, 1)
        record = FlowRecord(flow_id, version, digest, definition, at)
        self._next_versions[flow_id] = version + 1
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
        return self._flows.pop(flow_id, None) is not None

    async def read_events(self, execution_id: str, after: int, limit: int) -> Sequence[Event]:
        """See `Store.read_events`."""
        log = self._logs.get(execution_id)
        return [] if log is None else log.events[after : after + limit]

    async def get_execution(self, execution_id: str) -> ExecutionSummary | None:
        """See `Store.get_execution`."""
        log = self._logs.get(execution_id)
        return None if log is None else log.summary

    async def list_executions(
        self, query: ExecutionQuery, before: str | None, limit: int
    ) -> Sequence[ExecutionSummary]:
        """See `Store.list_executions`."""
        found: list[ExecutionSummary] = []
        for execution_id in sorted(self._logs, reverse=True):
            summary = self._logs[execution_id].summary
            is_behind = before is None or execution_id < before
            if is_behind and summary is not None and _matches(query, summary):
                found.append(summary)
                if len(found) == limit:
                    break
        return found


class _Log:
    """One execution."""

    __slots__ = ("events", "summary")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.summary: ExecutionSummary | None = None


def _matches(query: ExecutionQuery, summary: ExecutionSummary) -> bool:
    return query.status in {None, summary.status} and query.flow_id in {None, summary.flow_id}
