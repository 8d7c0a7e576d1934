"""What the writer does to executions as a whole: deleting them, and counting recoveries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from flowmgr.journal.sqlite.queries import READ, WRITE
from flowmgr.journal.sqlite.recorder import Recorder
from flowmgr.journal.sqlite.rows import DamageFoundError, ExecutionRow, metadata_rows


def delete_executions(recorder: Recorder, execution_ids: Sequence[str]) -> int:
    """Delete what has ended and is nobody's any more, or is damaged, of these; return how many."""
    return sum(_delete(recorder, execution_id) for execution_id in dict.fromkeys(execution_ids))


def _delete(recorder: Recorder, execution_id: str) -> bool:
    row = _row(recorder, execution_id)
    if row is None:
        return False
    execute = recorder.connection.execute
    if row.damage is None:
        if row.summary.ended_at is None:
            return False
        if execute(READ["waits_for"], (row.number,)).fetchone() is not None:
            return False
    execute(WRITE["delete_events"], (row.number,))
    execute(WRITE["delete_keys"], (row.number,))
    execute(WRITE["delete_execution"], (row.number,))
    recorder.connection.executemany(WRITE["delete_metadata"], metadata_rows(row.summary))
    recorder.forget(execution_id)
    recorder.move_on()
    return True


def count_recovery(recorder: Recorder, execution_ids: Iterable[str]) -> None:
    """Count one more recovery of each of these executions that has not ended."""
    for execution_id in execution_ids:
        row = _row(recorder, execution_id)
        if row is not None and row.summary.ended_at is None:
            _set_recoveries(recorder, row, row.recoveries + 1)


def forgive(recorder: Recorder, execution_ids: Iterable[str] | None) -> None:
    """Set the count of recoveries back to 0: of these executions, or of all."""
    if execution_ids is None:
        found = recorder.connection.execute(READ["recovered"]).fetchall()
        execution_ids = [values[1] for values in found]
    for execution_id in execution_ids:
        row = _row(recorder, execution_id)
        if row is not None and row.recoveries:
            _set_recoveries(recorder, row, 0)


def _set_recoveries(recorder: Recorder, row: ExecutionRow, recoveries: int) -> None:
    row = msgspec.structs.replace(row, recoveries=recoveries)
    recorder.connection.execute(WRITE["update_recoveries"], row.values())
    recorder.forget(row.summary.execution_id)
    recorder.move_on()


def _row(recorder: Recorder, execution_id: str) -> ExecutionRow | None:
    """Return an execution's row, having repaired it if it needs that."""
    values = recorder.connection.execute(READ["execution"], (execution_id,)).fetchone()
    if values is None:
        return None
    try:
        return ExecutionRow.read(values)
    except DamageFoundError as error:
        recorder.repair(error.number)
        by_number = (error.number,)
        values = recorder.connection.execute(READ["execution_number"], by_number).fetchone()
        return ExecutionRow.read(values)
