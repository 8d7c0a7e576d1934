"""What readers read: functions of a connection, in a transaction of its own.

All rows of a query are fetched before the first is looked at: an exception that kept a cursor from
its end, and is kept itself, would keep the connection at that state of the database for as long.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

import msgspec

from actors.events import Event
from flowmgr.errors import ExecutionDamagedError, FlowDamagedError
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
    histories: dict[str, History] = {execution_id: [] for execution_id in execution_ids}
    rows: dict[int, ExecutionRow] = {}
    damaged: list[int] = []
    names = msgspec.json.encode(execution_ids).decode()
    for values in connection.execute(READ["executions"], (names,)).fetchall():
        number, execution_id = values[:2]
        try:
            row = rows[number] = ExecutionRow.read(values)
        except DamageFoundError as error:
            damaged.append(number)
            histories[execution_id] = ExecutionDamagedError(execution_id, error.reason)
            continue
        if row.damage is not None:
            del rows[number]
            histories[execution_id] = ExecutionDamagedError(execution_id, row.damage)
    batches = _batches_of(connection, rows)
    for number, row in rows.items():
        execution_id = row.summary.execution_id
        try:
            histories[execution_id] = _history(row, batches.get(number, ()))
        except DamageFoundError as error:
            damaged.append(number)
            histories[execution_id] = ExecutionDamagedError(execution_id, error.reason)
    return histories, damaged


def _batches_of(connection: sqlite3.Connection, numbers: Iterable[int]) -> dict[int, list[Values]]:
    """Return the batches of executions by their number, with one query for all of them."""
    asked = msgspec.json.encode(list(numbers)).decode()
    found = connection.execute(READ["batches_of_many"], (asked,)).fetchall()
    return {number: list(group) for number, group in groupby(found, key=itemgetter(0))}


def _history(row: ExecutionRow, batches: Iterable[Values]) -> list[Event]:
    chain = Chain(row.summary.execution_id)
    events: list[Event] = []
    for batch in batches:
        events += chain.read(batch)
    chain.check_end(row)
    return events


def read_unfinished(connection: sqlite3.Connection) -> list[Unfinished]:
    """See `Store.list_unfinished`."""
    # There may be very many, so they are not fetched all at once. Closed before anybody sees an
    # exception, the cursor keeps nothing.
    with contextlib.closing(connection.execute(READ["unfinished"])) as found:
        rows = map(ExecutionRow.read, found)
        return [_unfinished(row) for row in rows if row.damage is None]


def _unfinished(row: ExecutionRow) -> Unfinished:
    summary = row.summary
    return Unfinished(
        summary.execution_id, summary.status, row.recoveries, summary.is_parked, summary.due
    )


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
        raise FlowDamagedError(msg)
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
