"""The journal in an SQLite database: what is acknowledged is durable."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import anyio
import anyio.to_thread

from actors.events import Event
from actors.ports import Acknowledge, Batch, Clock
from flowmgr.clock import SystemClock
from flowmgr.errors import InternalError, JournalError
from flowmgr.journal.sqlite import flow_table, listing, reading, upkeep
from flowmgr.journal.sqlite.connection import Durability
from flowmgr.journal.sqlite.opening import Opened
from flowmgr.journal.sqlite.posting import post_to_this_loop
from flowmgr.journal.sqlite.reader import Reader
from flowmgr.journal.sqlite.recorder import Recorder
from flowmgr.journal.sqlite.rows import DamageFoundError
from flowmgr.journal.sqlite.work import Append, Call, encode_batch
from flowmgr.journal.sqlite.writer import Writer
from flowmgr.journal.store import ExecutionQuery, ExecutionSummary, FlowRecord, Unfinished

P = ParamSpec("P")
T = TypeVar("T")

MAX_REPAIRS: Final = 100
"""Damaged executions that one read has repaired or quarantined, at most, before it gives up."""


@asynccontextmanager
async def open_sqlite(
    path: Path, *, durability: Durability = "full", clock: Clock | None = None
) -> AsyncIterator[SqliteJournal]:
    """Open the journal in the database at *path*, which is made if it is not there.

    It is this process's alone until the block is left; by then all that was given to it is
    durable, or has been answered otherwise. A checkpoint on both sides; cancelling the opening or
    the closing has no effect on it.

    Args:
        path: the file, or a symbolic link to it; others are made next to the file, whose names
            begin with its name.
        durability: "full": what is acknowledged survives a power failure; "relaxed": only the end
            of the process, and it is faster.
        clock: what intervals are measured with.

    Raises:
        JournalRefusedError: the database is in use, damaged, newer than the program, or has lost
            something; the message says what to do.
    """
    clock = clock or SystemClock()
    with anyio.CancelScope(shield=True):
        opened = await anyio.to_thread.run_sync(Opened, path, durability, clock)
    reader = Reader(opened.path)
    writer = Writer(opened.recorder, opened.position, post_to_this_loop(), clock)
    writer.start()
    try:
        yield SqliteJournal(reader, writer)
    finally:
        reader.close()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(writer.close)
        opened.close()


class SqliteJournal:
    """A `Store`; see there for what its methods do. Made by `open_sqlite`."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def trouble(self) -> str | None:
        """See `Store.trouble`."""
        return self._writer.trouble

    def watch_trouble(self, tell: Callable[[str], None]) -> None:
        """See `Store.watch_trouble`."""
        self._writer.tell = tell

    def append(self, batch: Batch, acknowledge: Acknowledge) -> None:
        """See `Journal.append`."""
        try:
            events = encode_batch(batch)
        except Exception as error:  # noqa: BLE001 - events that are not JSON: the batch's own fault
            msg = f"execution {batch.execution_id}: a batch cannot be written as JSON: {error}"
            acknowledge(InternalError(msg))
        else:
            self._writer.put(Append(batch, events, acknowledge))

    # Flows.

    async def put_flow(
        self, flow_id: str, digest: str, definition: bytes, at: float, *, only_new: bool
    ) -> tuple[FlowRecord, bool]:
        """See `Store.put_flow`."""
        record = FlowRecord(flow_id, 0, digest, definition, at)
        return await self._change(flow_table.put_flow, record, only_new=only_new)

    async def get_flow(self, flow_id: str, version: int | None = None) -> FlowRecord | None:
        """See `Store.get_flow`."""
        return await self._read(reading.read_flow, flow_id, version)

    async def list_flows(self, after: str | None, limit: int) -> Sequence[FlowRecord]:
        """See `Store.list_flows`."""
        return await self._read(reading.read_flows, after, limit)

    async def list_versions(self, flow_id: str, after: int, limit: int) -> Sequence[FlowRecord]:
        """See `Store.list_versions`."""
        return await self._read(reading.read_versions, flow_id, after, limit)

    async def delete_flow(self, flow_id: str) -> bool:
        """See `Store.delete_flow`."""
        return await self._change(flow_table.delete_flow, flow_id)

    async def get_pinned_flow(self, flow_id: str, version: int) -> FlowRecord | None:
        """See `Store.get_pinned_flow`."""
        return await self._read(reading.read_pinned_flow, flow_id, version)

    # Executions.

    async def read_events(self, execution_id: str, after: int, limit: int) -> Sequence[Event]:
        """See `Store.read_events`."""
        return await self._read(reading.read_events, execution_id, after, limit)

    async def get_execution(self, execution_id: str) -> ExecutionSummary | None:
        """See `Store.get_execution`."""
        return await self._read(reading.read_execution, execution_id)

    async def list_executions(
        self, query: ExecutionQuery, before: str | None, limit: int
    ) -> Sequence[ExecutionSummary]:
        """See `Store.list_executions`."""
        return await self._read(listing.list_executions, query, before, limit)

    async def delete_executions(self, execution_ids: Sequence[str]) -> int:
        """See `Store.delete_executions`."""
        return await self._change(upkeep.delete_executions, execution_ids)

    async def find_start(self, scope: str, key: str, at: float) -> tuple[str, str] | None:
        """See `Store.find_start`."""
        return await self._read(reading.read_start, scope, key, at)

    # Recovering.

    async def list_unfinished(self) -> Sequence[Unfinished]:
        """See `Store.list_unfinished`."""
        return await self._read(reading.read_unfinished)

    async def read_histories(
        self, execution_ids: Sequence[str]
    ) -> Mapping[str, Sequence[Event] | Exception]:
        """See `Store.read_histories`."""
        histories, damaged = await self._read(reading.read_histories, execution_ids)
        if damaged:
            for number in damaged:
                await self._change(Recorder.repair, number)
            histories, _ = await self._read(reading.read_histories, execution_ids)
        return histories

    async def count_recovery(self, execution_ids: Sequence[str]) -> None:
        """See `Store.count_recovery`."""
        await self._change(upkeep.count_recovery, execution_ids)

    async def forgive(self, execution_ids: Sequence[str] | None) -> None:
        """See `Store.forgive`."""
        await self._change(upkeep.forgive, execution_ids)

    # Reading and writing.

    async def _read(
        self,
        function: Callable[Concatenate[Any, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Return what *function* reads; what it finds damaged is repaired or quarantined first.

        What it finds damaged again is not so in the table, so it is in an index that was read
        instead.
        """
        seen: set[int] = set()
        for _ in range(MAX_REPAIRS):
            try:
                return await self._reader.read(function, *args, **kwargs)
            except DamageFoundError as error:
                is_seen = error.number in seen
                seen.add(error.number)
                repair = Recorder.make_indexes_again if is_seen else Recorder.repair
                await self._change(repair, error.number)
        msg = "More executions are damaged than one read can deal with; see the log"
        raise JournalError(msg)

    async def _change(
        self,
        function: Callable[Concatenate[Recorder, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Have the writer do something, and return what that returns when it is durable."""
        call = Call(lambda recorder: function(recorder, *args, **kwargs))
        self._writer.put(call)
        answer: T = await call.reply.get()
        return answer
