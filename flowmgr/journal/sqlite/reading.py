"""What readers read: functions of a connection, in a transaction of its own.

All rows of a query are fetched before the first is looked at: an exception that kept a cursor from
its end, and is kept itself, would keep the connection at that state of the database for as long.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

import msgspec

from actors.events import Event
from flowmgr.errors import ExecutionDamagedError, JournalError
from flowmgr.journal.sqlite.chain import Chain
from flowmgr.journal.sqlite.queries import READ
from flowmgr.journal.sqlite.rows import DamageFoundError, ExecutionRow, FlowRow, KeyRow, Values
from flowmgr.journal.store import ExecutionSummary, FlowRecord, Unfinished

History = Sequence[Event] | Exception

_MAX_ROWS: Final = 2**31


def read_execution(connection: sqlite3.Connection, execution_id: str) -> ExecutionSummary | None:
    """See `Store.get_execution`."""
    row = _execution(connection, execution_id)
    return None if row is None else row.summary


def _execution(connection: sqlite3.Connection, execution_id: str) -> ExecutionRow | None:
    values = connection.execute(READ["execution"], (execution_id,)).fetchone()
    return None if values is None else ExecutionRow.read(values)


def read_events(
    connection: sqlite3.Connection, execution_id: str, after: int, limit: int
) -> list[Event]:
    """See `Store.read_events`."""
    row = _execution(connection, execution_id)
    if row is None:
        return []
    if row.damage is not None:
        raise ExecutionDamagedError(execution_id, row.damage)
    found: list[Event] = []
    begin = 1  # position of the first of those found
    chain = Chain(execution_id)
    for batch in _batches(connection, row.number, after + 1, limit, chain):
        if not found:
            begin = chain.next_seq
        found += chain.read(batch)
        if chain.next_seq > after + limit:
            break
    else:
        chain.check_end(row)
    skipped = max(0, after + 1 - begin)
    return found[skipped : skipped + limit]


def _batches(
    connection: sqlite3.Connection, number: int, seq: int, limit: int, chain: Chain
) -> Iterator[Values]:
    """Yield an execution's batches from the one with position *seq* on; *chain* is at the first."""
    first = connection.execute(READ["batches_before"], (number, seq)).fetchall()
    if len(first) > 1:
        chain.begin_behind(first.pop())
    yield from first
    rest = (number, max(seq, 0), min(limit, _MAX_ROWS))
    yield from connection.execute(READ["batches_after"], rest).fetchall()


def read_histories(
    connection: sqlite3.Connection, execution_ids: Sequence[str]
) -> tuple[dict[str, History], list[int]]:
    """See `Store.read_histories`; also return the numbers of those that were found damaged now."""
    names = msgspec.json.encode(execution_ids).decode()
    histories: dict[str, History] = {execution_id: [] for execution_id in execution_ids}
    rows: dict[int, ExecutionRow] = {}
    damaged: list[int] = []
    for values in connection.execute(READ["executions"], (names,)).fetchall():
        try:
            row = ExecutionRow.read(values)
        except DamageFoundError as error:
            damaged.append(error.number)
            continue
        rows[row.number] = row
        if row.damage is not None:
            name = row.summary.execution_id
            histories[name] = ExecutionDamagedError(name, row.damage)
    numbers = msgspec.json.encode([n for n, row in rows.items() if row.damage is None]).decode()
    batches = connection.execute(READ["batches_of_many"], (numbers,)).fetchall()
    for number, group in groupby(batches, key=lambda batch: int(batch[0])):
        row = rows[number]
        try:
            histories[row.summary.execution_id] = _history(row, group)
        except DamageFoundError:
            damaged.append(number)
    damaged += [row.number for row in rows.values() if not histories[row.summary.execution_id]]
    return histories, damaged


def _history(row: ExecutionRow, batches: Iterator[Values]) -> list[Event]:
    chain = Chain(row.summary.execution_id)
    events: list[Event] = []
    for batch in batches:
        events += chain.read(batch)
    chain.check_end(row)
    return events


def read_unfinished(connection: sqlite3.Connection) -> list[Unfinished]:
    """See `Store.list_unfinished`."""
    rows = map(ExecutionRow.read, connection.execute(READ["unfinished"]).fetchall())
    return [
        Unfinished(row.summary.execution_id, row.summary.status, row.recoveries)
        for row in rows
        if row.damage is None
    ]


def read_start(
    connection: sqlite3.Connection, scope: str, key: str, at: float
) -> tuple[str, str] | None:
    """See `Store.find_start`."""
    values = connection.execute(READ["start_key"], (scope, key)).fetchone()
    if values is None:
        return None
    row = KeyRow.read(values)
    return (row.execution_id, row.fingerprint) if row.expires_at > at else None


# Flows.


def read_flow(
    connection: sqlite3.Connection, flow_id: str, version: int | None
) -> FlowRecord | None:
    """See `Store.get_flow`."""
    row = _flow(connection, flow_id, version)
    return None if row is None or row.is_deleted else row.record


def read_pinned_flow(
    connection: sqlite3.Connection, flow_id: str, version: int
) -> FlowRecord | None:
    """See `Store.get_pinned_flow`."""
    row = _flow(connection, flow_id, version)
    if row is not None and row.is_lost:
        msg = (
            f"Version {version} of flow '{flow_id}' was damaged when the flow was deleted, so its "
            "definition is lost. Restore the database from a backup"
        )
        raise JournalError(msg)
    return None if row is None else row.record


def _flow(connection: sqlite3.Connection, flow_id: str, version: int | None) -> FlowRow | None:
    if version is None:
        values = connection.execute(READ["latest_version"], (flow_id,)).fetchone()
    else:
        values = connection.execute(READ["flow_version"], (flow_id, version)).fetchone()
    return None if values is None else FlowRow.read(values)


def read_flows(connection: sqlite3.Connection, after: str | None, limit: int) -> list[FlowRecord]:
    """See `Store.list_flows`."""
    found: list[FlowRecord] = []
    flow_id = after or ""
    while len(found) < limit:
        values = connection.execute(READ["next_flow"], (flow_id,)).fetchone()
        if values is None:
            break
        row = FlowRow.read(values)
        flow_id = row.record.flow_id
        if not row.is_deleted:
            found.append(row.record)
    return found


def read_versions(
    connection: sqlite3.Connection, flow_id: str, after: int, limit: int
) -> list[FlowRecord]:
    """See `Store.list_versions`."""
    found = connection.execute(READ["versions"], (flow_id, after, -1)).fetchall()
    records = [row.record for row in map(FlowRow.read, found) if not row.is_deleted]
    return records[:limit]
