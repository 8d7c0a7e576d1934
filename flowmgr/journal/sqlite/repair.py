"""What is to be done about an execution that is damaged: rebuild its row, or quarantine it."""

from __future__ import annotations

import contextlib
import sqlite3

import msgspec

from actors.events import Event
from flowmgr.journal.sqlite.chain import Chain
from flowmgr.journal.sqlite.queries import READ
from flowmgr.journal.sqlite.rows import QUARANTINED, DamageFoundError, ExecutionRow, Values
from flowmgr.journal.store import ExecutionSummary, summarise


def examine(connection: sqlite3.Connection, number: int) -> ExecutionRow | None:
    """Return the row that an execution should have; None if it has it, or there is none.

    A row is only a projection: if the events are what was recorded, it is made again from them.
    Otherwise the execution is quarantined, with what can be relied on: its row, or else what the
    events before the damage say.
    """
    values = connection.execute(READ["execution_number"], (number,)).fetchone()
    if values is None:
        return None
    with contextlib.suppress(DamageFoundError):
        return _examine_events(connection, ExecutionRow.read(values))
    return _rebuilt(connection, values)


def _examine_events(connection: sqlite3.Connection, row: ExecutionRow) -> ExecutionRow | None:
    """Return what is to replace *row*, which is what was written."""
    if row.damage is not None:
        return None
    try:
        chain, _ = _follow(connection, row.number, row.summary.execution_id, [])
        chain.check_end(row)
    except DamageFoundError as error:
        return _quarantined(row.number, row.summary, error.reason)
    return None


def _rebuilt(connection: sqlite3.Connection, values: Values) -> ExecutionRow:
    """Return what is to replace a row that is not what was written."""
    number, execution_id = values[:2]
    for candidate in (execution_id, _indexed_id(connection, number)):
        events: list[Event] = []
        try:
            chain, summary = _follow(connection, number, candidate, events)
        except DamageFoundError as error:
            reason = error.reason
            summary = summarise(None, candidate, events)
        else:
            reason = "both its summary and its events are lost"
            if summary is not None:
                rebuilt = ExecutionRow(number, summary, 0, chain.next_seq - 1, chain.crc)
                return _with_its_recoveries(rebuilt, values)
        if summary is not None:
            break
    return _quarantined(
        number, summary or ExecutionSummary(candidate, "", 0, QUARANTINED, 0.0), reason
    )


def _follow(
    connection: sqlite3.Connection, number: int, execution_id: str, events: list[Event]
) -> tuple[Chain, ExecutionSummary | None]:
    """Follow an execution's events and add them to *events*, up to the first that is damaged.

    Raises:
        DamageFoundError: one is.
    """
    chain = Chain(execution_id)
    with contextlib.closing(connection.execute(READ["batches_after"], (number, 0, -1))) as batches:
        for batch in batches:
            events += chain.read(batch)
    return chain, summarise(None, execution_id, events)


def _indexed_id(connection: sqlite3.Connection, number: int) -> str:
    """Return the id that the index has for an execution: it is stored there once more.

    If that is no text any more, it is what can be written of it.
    """
    found = connection.execute(READ["indexed_id"], (number,)).fetchone()
    return "" if found is None else str(found[0]).encode("utf-8", "backslashreplace").decode()


def _with_its_recoveries(rebuilt: ExecutionRow, values: Values) -> ExecutionRow:
    """Return *rebuilt* with the count that the damaged row has, if that is not what is damaged."""
    recoveries, last_seq, last_crc, _, crc = values[9], *values[12:]
    same = msgspec.structs.replace(
        rebuilt, recoveries=recoveries, last_seq=last_seq, last_crc=last_crc
    )
    if same.values()[-1] == crc:
        return msgspec.structs.replace(rebuilt, recoveries=recoveries)
    return rebuilt


def _quarantined(number: int, summary: ExecutionSummary, reason: str) -> ExecutionRow:
    summary = msgspec.structs.replace(summary, status=QUARANTINED, ended_at=None)
    return ExecutionRow(number, summary, 0, 0, 0, damage=reason)
