"""What the writer does to the table of flows."""

from __future__ import annotations

from typing import Final

import msgspec

from flowmgr.errors import FlowDamagedError, FlowExistsError
from flowmgr.journal.sqlite.queries import READ, WRITE
from flowmgr.journal.sqlite.recorder import Recorder
from flowmgr.journal.sqlite.rows import FlowRow
from flowmgr.journal.store import FlowRecord

_ALL: Final = -1


def put_flow(recorder: Recorder, record: FlowRecord, *, only_new: bool) -> tuple[FlowRecord, bool]:
    """Keep *record* as the flow's next version; return it with its number, and whether it is new.

    Raises:
        FlowExistsError: *only_new*, and the flow exists.
        FlowDamagedError: the latest version is damaged.
    """
    values = recorder.connection.execute(READ["latest_version"], (record.flow_id,)).fetchone()
    latest = None if values is None else FlowRow.read(values)
    if latest is not None and not latest.is_deleted:
        if only_new:
            msg = (
                f"Flow '{record.flow_id}' exists already, and 'If-None-Match: *' asks for a new one"
            )
            raise FlowExistsError(msg)
        if latest.record.digest == record.digest:
            return latest.record, False
    version = 1 if latest is None else latest.record.version + 1
    record = msgspec.structs.replace(record, version=version)
    recorder.move_on()
    recorder.connection.execute(WRITE["insert_flow"], FlowRow(record).values())
    return record, True


def delete_flow(recorder: Recorder, flow_id: str) -> bool:
    """Delete a flow: mark its versions; one that is damaged loses its definition for good."""
    found = recorder.connection.execute(READ["versions"], (flow_id, 0, _ALL)).fetchall()
    rows: list[FlowRow] = []
    for values in found:
        try:
            row = FlowRow.read(values)
        except FlowDamagedError:
            row = FlowRow(FlowRecord(flow_id, values[1], "", b"", 0.0), is_lost=True)
        if not row.is_deleted:
            rows.append(msgspec.structs.replace(row, is_deleted=True))
    for row in rows:
        flow_id, version, *values = row.values()
        recorder.connection.execute(WRITE["update_flow"], (flow_id, version, *values))
    if rows:
        recorder.move_on()
    return bool(rows)
