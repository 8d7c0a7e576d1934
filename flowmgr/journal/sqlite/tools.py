"""What an operator does with a journal from outside, also while a server has it open."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

import msgspec

from actors.events import ExecutionEvent, ExecutionStarted
from flowmgr.errors import (
    ExecutionDamagedError,
    ExecutionNotFoundError,
    JournalError,
    JournalRefusedError,
)
from flowmgr.journal.sqlite import reading
from flowmgr.journal.sqlite.connection import connect_without_writing, describe, transaction
from flowmgr.journal.sqlite.opening import real_path
from flowmgr.journal.sqlite.position import PositionFile, sync_directory
from flowmgr.journal.sqlite.queries import READ
from flowmgr.journal.sqlite.rows import DamageFoundError, JournalRow
from flowmgr.journal.sqlite.schema import check_kind, check_migrated, check_schema
from flowmgr.journal.sqlite.verification import Findings, verify
from flowmgr.journal.store import EVERYTHING, ExecutionSummary

EXPORT_FORMAT: Final = 1
"""The version of what `export` writes."""

_PAGES_AT_ONCE = 256

_COMPANIONS: Final = ("-wal", "-shm", "-journal", ".lock", ".position")


class Report(msgspec.Struct, frozen=True):
    """What a check of a journal has found.

    Attributes:
        path: the database.
        problems: what is wrong, each in a sentence; nothing if all is well.
        quarantined: executions whose damage was known before, each in a sentence.
        executions: how many there are.
        batches: how many rows of events there are.
        position: how far the database has come.
    """

    path: str
    problems: tuple[str, ...]
    quarantined: tuple[str, ...]
    executions: int
    batches: int
    position: int

    @property
    def is_ok(self) -> bool:
        """Whether nothing is wrong: neither found now nor known before."""
        return not (self.problems or self.quarantined)


class ExportedEvent(msgspec.Struct, frozen=True):
    """An event with its position in the execution's log."""

    seq: int
    event: ExecutionEvent


class Export(msgspec.Struct, frozen=True):
    """Everything about one execution.

    Attributes:
        execution: how it stands.
        flow: the definition that it runs.
        events: what has happened; folded, they are its state.
        format: the version of this format.
    """

    execution: ExecutionSummary
    flow: msgspec.Raw
    events: tuple[ExportedEvent, ...]
    format: int = EXPORT_FORMAT


def check(path: Path) -> Report:
    """Verify the whole journal at *path*, without changing anything.

    Blocks for as long as that takes: a second for some 100 MB.

    Raises:
        JournalError: there is no such file, or it cannot be read at all.
        JournalRefusedError: it is no journal that this program knows, or is of an older one.
    """
    problems: list[str] = []
    known = None
    try:
        # Before the database, which may only be further by then.
        known = PositionFile(real_path(path)).read()
    except JournalRefusedError as error:
        problems.append(str(error))
    with _open(path) as connection:
        check_kind(connection, path)
        check_migrated(connection, path)
        try:
            check_schema(connection, path)
        except JournalRefusedError as error:
            problems.append(str(error))
        findings = verify(connection)
        journal = _journal(connection)
    problems += _sentences(findings)
    if known is not None and known.database_id != journal.database_id:
        problems.append("the position file is that of another database")
    elif known is not None and known.position > journal.position:
        lost = f"{known.position}, and the database ends at {journal.position}"
        problems.append(f"acknowledged changes are missing: the position file says {lost}")
    return Report(
        str(path),
        tuple(problems),
        tuple(f"execution {name}: {why}" for name, why in findings.quarantined.items()),
        findings.executions_read,
        findings.batches_read,
        journal.position,
    )


def _sentences(findings: Findings) -> list[str]:
    sentences = list(findings.structure)
    sentences += [
        f"execution {findings.names[number]}: {why}" for number, why in findings.executions.items()
    ]
    sentences += findings.others
    if findings.is_metadata_wrong:
        sentences.append("what executions can be looked up by is not what they have")
    return sentences


def _journal(connection: sqlite3.Connection) -> JournalRow:
    values = connection.execute(READ["journal"]).fetchone()
    [last] = connection.execute(READ["last_event_position"]).fetchone()
    row = None if values is None else JournalRow.read(values)
    if row is None:
        return JournalRow("", 0, last)
    return msgspec.structs.replace(row, position=max(row.position, last))


def backup(path: Path, target: Path) -> None:
    """Copy the journal at *path* to *target*, as it is at one moment, also while it is written.

    The copy can be opened as a journal: it has everything that was acknowledged before this began.
    Blocks; durable on return.

    Raises:
        JournalError: there is something at *target* already, or the copy could not be made; then
            there is none.
    """
    for there in (target, *(target.with_name(target.name + suffix) for suffix in _COMPANIONS)):
        if there.exists():
            msg = f"{there} exists, and a backup overwrites nothing: choose another name"
            raise JournalError(msg)
    temporary = target.with_name(f"{target.name}.new")
    try:
        with _open(path) as connection:
            check_kind(connection, path)
            _copy(connection, temporary)
        temporary.replace(target)
        sync_directory(target.parent)
    except OSError as error:
        raise _not_made(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _copy(connection: sqlite3.Connection, target: Path) -> None:
    try:
        copy = sqlite3.connect(target, isolation_level=None)
        try:
            connection.backup(copy, pages=-1)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, all of it in it
        finally:
            copy.close()
    except sqlite3.Error as error:
        raise _not_made(target, error) from error


def _not_made(target: Path, error: Exception) -> JournalError:
    return JournalError(f"The backup {target} could not be made: {error}")


def export(path: Path, execution_id: str) -> bytes:
    """Return everything about an execution as one JSON document: an `Export`.

    Raises:
        ExecutionNotFoundError: there is no such execution.
        ExecutionDamagedError: what is stored of it is not what was recorded.
        JournalError: the database cannot be read.
        JournalRefusedError: it is no journal that this program knows, or is of an older one.
    """
    with _open(path) as connection:
        check_kind(connection, path)
        check_migrated(connection, path)
        try:
            summary = reading.read_execution(connection, execution_id)
            if summary is None:
                raise ExecutionNotFoundError(execution_id)
            events = reading.read_events(connection, execution_id, 0, EVERYTHING)
        except DamageFoundError as error:
            raise ExecutionDamagedError(execution_id, error.reason) from error
        started = events[0]
        assert isinstance(started, ExecutionStarted)
        definition = started.definition
        if summary.flow_version:
            flow = reading.read_pinned_flow(connection, summary.flow_id, summary.flow_version)
            definition = msgspec.Raw(b"null" if flow is None else flow.definition)
    numbered = tuple(
        ExportedEvent(seq, cast("ExecutionEvent", event)) for seq, event in enumerate(events, 1)
    )
    return msgspec.json.encode(Export(summary, definition, numbered))


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a connection that changes no file, for the block, in one transaction.

    Raises:
        JournalError: SQLite cannot read the file.
    """
    if not path.is_file():
        msg = f"There is no journal at {path}"
        raise JournalError(msg)
    try:
        connection = connect_without_writing(path)
        try:
            with transaction(connection):
                yield connection
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        msg = f"The journal {path} cannot be read: {describe(error)}"
        raise JournalError(msg) from error
