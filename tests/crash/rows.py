"""The database as plain SQLite shows it, and its checksums computed once more, from their rule."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

Report = Callable[[str, str, str], None]
"""Takes a rule that is broken, the execution that breaks it, and how."""


class Row(NamedTuple):
    """The row of an execution: what lists are made from."""

    status: str
    has_ended: bool
    had_failures: bool
    recoveries: int
    damage: str | None


class Database:
    """What is stored, read in one go. The server must have ended, or nothing must change any more.

    Attributes:
        events: the events of each execution, in the order of their positions.
        texts: the same as they are stored: one JSON array a batch.
        rows: the row of each execution.
        keys: the execution of each key, by flow and key.
    """

    def __init__(self, path: Path, report: Report) -> None:
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.texts: dict[str, list[bytes]] = {}
        self.rows: dict[str, Row] = {}
        self.keys: dict[tuple[str, str], str] = {}
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            connection.execute("BEGIN")
            ids = self._read_executions(connection)
            self._read_events(connection, ids, report)
            for scope, key, execution_id in connection.execute(
                "SELECT scope, key, execution_id FROM start_key"
            ):
                self.keys[scope, key] = execution_id
        finally:
            connection.close()

    def _read_executions(self, connection: sqlite3.Connection) -> dict[int, str]:
        ids: dict[int, str] = {}
        columns = "number, execution_id, status, ended_at, had_failures, recoveries, damage"
        for number, execution_id, status, ended_at, *rest in connection.execute(
            f"SELECT {columns} FROM execution"
        ):
            had_failures, recoveries, damage = rest
            ids[number] = execution_id
            row = Row(status, ended_at is not None, bool(had_failures), recoveries, damage)
            self.rows[execution_id] = row
            self.events[execution_id] = []
            self.texts[execution_id] = []
        return ids

    def _read_events(
        self, connection: sqlite3.Connection, ids: dict[int, str], report: Report
    ) -> None:
        checksums = {number: zlib.crc32(name.encode()) for number, name in ids.items()}
        last_epoch = 0
        for number, first_seq, text, epoch, crc in connection.execute(
            "SELECT execution, first_seq, events, epoch, crc FROM event ORDER BY position"
        ):
            if number not in ids:
                report("orphan", str(number), "events without an execution")
                continue
            name, events = ids[number], self.events[ids[number]]
            if first_seq != len(events) + 1:
                report("gap", name, f"position {first_seq} follows {len(events)}")
            head = f"{name} {first_seq} {epoch} ".encode()
            if zlib.crc32(head + text, checksums[number]) != crc:
                report("checksum", name, f"the batch at position {first_seq}")
            if epoch < last_epoch:
                report("epoch", name, f"{epoch} follows {last_epoch}")
            checksums[number], last_epoch = crc, epoch
            events += json.loads(text)
            self.texts[name].append(text)
