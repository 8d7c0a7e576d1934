"""Verifying a whole database: SQLite's own structure, and the checksums of all rows.

Tables are read without their indexes, so that a damaged index hides nothing.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Final

import msgspec

from flowmgr.errors import FlowDamagedError, KeyDamagedError
from flowmgr.journal.sqlite.chain import Chain
from flowmgr.journal.sqlite.queries import READ
from flowmgr.journal.sqlite.rows import (
    DamageFoundError,
    ExecutionRow,
    FlowRow,
    JournalRow,
    KeyRow,
    metadata_rows,
)

MAX_VERIFIED: Final = 256 * 1024 * 1024
"""Bytes of a database up to which all of it is verified at every opening."""

MAX_PROBLEMS: Final = 20
"""Problems of SQLite's own structure that are named."""


class Findings(msgspec.Struct):
    """What a verification has found.

    Attributes:
        structure: what SQLite finds wrong with its own pages and indexes, and rows that are lost.
        executions: the number of each execution that is not what was recorded, with why.
        names: the ids of these, as far as they can be relied on.
        others: what is wrong with rows of flows and keys, and of the database as a whole.
        is_metadata_wrong: whether what executions can be looked up by is not what they have.
        quarantined: the ids of executions that had been found damaged before, with why.
        executions_read: how many executions there are, and `batches_read` of events.
    """

    structure: list[str] = []
    executions: dict[int, str] = {}
    names: dict[int, str] = {}
    others: list[str] = []
    is_metadata_wrong: bool = False
    quarantined: dict[str, str] = {}
    executions_read: int = 0
    batches_read: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        found = (self.structure, self.executions, self.others, self.is_metadata_wrong)
        return not any(found)


def size_of(path: Path) -> int:
    """Return how large a database is, with its log."""
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def verify(connection: sqlite3.Connection) -> Findings:
    """Return what is wrong with the database.

    Raises:
        sqlite3.Error: it is so damaged that it cannot be read.
    """
    findings = Findings()
    rows = connection.execute(f"PRAGMA integrity_check({MAX_PROBLEMS})").fetchall()
    findings.structure = [f"SQLite: {row[0]}" for row in rows if row[0] != "ok"]
    executions = _verify_executions(connection, findings)
    _verify_events(connection, executions, findings)
    _verify_others(connection, findings)
    return findings


def _verify_executions(
    connection: sqlite3.Connection, findings: Findings
) -> dict[int, ExecutionRow | None]:
    """Return the rows of executions by number; None for one that is not what was written."""
    rows: dict[int, ExecutionRow | None] = {}
    metadata = 0
    for values in connection.execute(READ["all_executions"]):
        number = int(values[0])
        try:
            row = rows[number] = ExecutionRow.read(values)
        except DamageFoundError as error:
            rows[number] = None
            findings.executions[number] = error.reason
            findings.names[number] = values[1]
            continue
        if row.summary.metadata:
            metadata += sum(map(hash, metadata_rows(row.summary)))
        if row.damage is not None:
            findings.quarantined[row.summary.execution_id] = row.damage
    # A sum of hashes is the same whatever the order, and takes no memory.
    found = sum(map(hash, connection.execute(READ["all_metadata"])))
    findings.is_metadata_wrong = found != metadata
    findings.executions_read = len(rows)
    return rows


def _verify_events(
    connection: sqlite3.Connection, rows: dict[int, ExecutionRow | None], findings: Findings
) -> None:
    sound = {number: row for number, row in rows.items() if row is not None and row.damage is None}
    chains = {number: Chain(row.summary.execution_id) for number, row in sound.items()}

    def found(error: DamageFoundError) -> None:
        findings.executions[error.number] = error.reason
        findings.names[error.number] = sound[error.number].summary.execution_id
        del chains[error.number]

    orphans: set[Any] = set()
    for batch in connection.execute(READ["all_batches"]):
        findings.batches_read += 1
        chain = chains.get(batch[0])
        if chain is not None:
            try:
                chain.follow(batch)
            except DamageFoundError as error:
                found(error)
        elif batch[0] not in rows:
            orphans.add(batch[0])
    if orphans:
        number, count = min(orphans, key=str), len(orphans)  # what is damaged need not be a number
        findings.structure.append(
            f"there are events of no execution (number {number}, {count} such)"
        )
    for number, chain in list(chains.items()):
        try:
            chain.check_end(sound[number])
        except DamageFoundError as error:
            found(error)


def _verify_others(connection: sqlite3.Connection, findings: Findings) -> None:
    for name, row_type in (("all_flows", FlowRow), ("all_start_keys", KeyRow)):
        for values in connection.execute(READ[name]):
            try:
                row_type.read(values)
            except (FlowDamagedError, KeyDamagedError) as error:
                findings.others.append(str(error))
    values = connection.execute(READ["journal"]).fetchone()
    if values is None or JournalRow.read(values) is None:
        findings.others.append("it is not known which database this is, and how far it has come")
