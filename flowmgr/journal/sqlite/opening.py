"""Opening a database: everything that has to hold before anything is written to it."""

from __future__ import annotations

import logging
import sqlite3
import uuid
from pathlib import Path
from typing import Final

import msgspec

from actors.ports import Clock
from flowmgr.errors import JournalRefusedError
from flowmgr.journal.sqlite.connection import (
    Durability,
    connect,
    describe,
    prepare_to_write,
    transaction,
)
from flowmgr.journal.sqlite.healing import verify_and_heal
from flowmgr.journal.sqlite.lock import LockFile
from flowmgr.journal.sqlite.position import Position, PositionFile, PositionKeeper, sync_directory
from flowmgr.journal.sqlite.queries import READ, WRITE
from flowmgr.journal.sqlite.recorder import Recorder
from flowmgr.journal.sqlite.rows import JournalRow
from flowmgr.journal.sqlite.schema import check_kind, check_schema, migrate
from flowmgr.journal.sqlite.verification import MAX_VERIFIED, size_of

logger = logging.getLogger(__name__)

OLDEST_SQLITE = (3, 37)
"""The first version of SQLite that has strict tables."""


_DAMAGED: Final = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR})


class Opened:
    """A database that is open, and this process's own until `close`.

    Attributes:
        path: the file itself, which no symbolic link leads away from any more.
        recorder: has the connection that writes.
        position: keeps the position file.
    """

    def __init__(self, path: Path, durability: Durability, clock: Clock) -> None:
        check_version_of_sqlite()
        self.path = path = real_path(path)
        _check_no_directory(path)
        self._lock = LockFile(path)
        self._lock.acquire()
        try:
            _check_names(path)
            self.recorder, self.position = _open(path, durability, clock)
        except BaseException:
            self._lock.release()
            raise

    def close(self) -> None:
        """Let others open the database. The connection must have been closed."""
        self._lock.release()


def check_version_of_sqlite() -> None:
    """Refuse an SQLite library that is too old.

    Raises:
        JournalRefusedError: it is.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        msg = (
            f"The journal needs SQLite {oldest} or later, and this Python has "
            f"{sqlite3.sqlite_version}: use a newer Python or system library"
        )
        raise JournalRefusedError(msg)


def real_path(path: Path) -> Path:
    """Return where the database is: what is next to it is named after that, as SQLite does it.

    Otherwise there would be as many locks as there are ways to write its name.

    Raises:
        JournalRefusedError: the symbolic links lead nowhere.
    """
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # Python before 3.13 has the latter for a loop
        msg = f"The journal {path} cannot be found: {error}"
        raise JournalRefusedError(msg) from error


def _check_no_directory(path: Path) -> None:
    if path.is_dir():
        msg = f"The journal {path} is a directory: name a file, such as {path / 'flowmgr.db'}"
        raise JournalRefusedError(msg)


def _check_names(path: Path) -> None:
    """Refuse a database that has several names; it need not be there yet.

    Under another name it would have another lock, and SQLite another log: two owners would not know
    of each other, and damage it.

    Raises:
        JournalRefusedError: there are hard links to it.
    """
    try:
        names = path.stat().st_nlink
    except OSError:
        return  # opening it finds out what is wrong, if anything is
    if names > 1:
        msg = (
            f"The journal {path} has {names} names (hard links), and a lock guards only one of "
            "them: delete the others, or copy it with 'flowmgr journal backup' and use the copy"
        )
        raise JournalRefusedError(msg)


def _open(path: Path, durability: Durability, clock: Clock) -> tuple[Recorder, PositionKeeper]:
    connection = None
    try:
        connection = connect(path)
        check_kind(connection, path)
        prepare_to_write(connection, durability)
        migrate(connection)
        sync_directory(path.parent)
        check_schema(connection, path)
        recorder = Recorder(connection, _journal_row(connection, path))
        file = PositionFile(path)
        _check_position(path, file, recorder.journal, durability)
        if size_of(path) <= MAX_VERIFIED:
            verify_and_heal(recorder, path)
        else:
            logger.warning(
                "journal %s is large: each row is verified when it is read, and whether an index "
                "hides one only by 'flowmgr journal check'",
                path,
            )
        _begin_epoch(recorder)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, (sqlite3.Error, OSError, UnicodeDecodeError)):
            raise _refused(path, error) from error
        raise
    journal = recorder.journal
    position = Position(journal.database_id, journal.position)
    return recorder, PositionKeeper(file, position, clock)


def _refused(path: Path, error: Exception) -> JournalRefusedError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    # SQLite puts damaged names into its sentences, which need not be text then.
    if code in _DAMAGED or isinstance(error, UnicodeDecodeError):
        hint = (
            "it is no SQLite database, or is damaged. Use another file, or look at it with "
            "'flowmgr journal check' and restore a backup"
        )
    else:
        hint = "make sure that its directory exists, has room, and that this user may write to it"
    return JournalRefusedError(f"The journal {path} cannot be opened ({describe(error)}): {hint}")


def _journal_row(connection: sqlite3.Connection, path: Path) -> JournalRow:
    """Return the database's one row of what it is as a whole, having made it in a new one."""
    values = connection.execute(READ["journal"]).fetchone()
    [last] = connection.execute(READ["last_event_position"]).fetchone()
    if values is None and not last:
        row = JournalRow(uuid.uuid4().hex, 0, 0)
        connection.execute(WRITE["insert_journal"], row.values())
        return row
    found = None if values is None else JournalRow.read(values)
    if found is None:
        msg = (
            f"The journal {path} is damaged: it is not known which database it is, and how far it "
            "has come. Look at it with 'flowmgr journal check', and restore a backup"
        )
        raise JournalRefusedError(msg)
    return msgspec.structs.replace(found, position=max(found.position, last))


def _check_position(
    path: Path, file: PositionFile, journal: JournalRow, durability: Durability
) -> None:
    """Refuse a database that lacks what the position file says it had.

    Raises:
        JournalRefusedError: it is behind, or is another one.
    """
    known = file.read()
    if known is None:
        return
    accept = f"to go on with what it has, delete {file.path}"
    if known.database_id != journal.database_id:
        msg = (
            f"The journal {path} is not the database that was here before: restore it, or {accept}"
        )
        raise JournalRefusedError(msg)
    if known.position > journal.position:
        msg = (
            f"The journal {path} has lost what it had acknowledged: it ends at position "
            f"{journal.position}, and had come to {known.position}"
        )
        if durability == "full":
            msg = f"{msg}. Restore its files (the one ending in -wal too), or {accept}"
            raise JournalRefusedError(msg)
        logger.warning("%s; with relaxed durability a power failure may do that", msg)


def _begin_epoch(recorder: Recorder) -> None:
    """Count this opening, durably: the number is in everything that is written from now on."""
    recorder.journal = msgspec.structs.replace(recorder.journal, epoch=recorder.journal.epoch + 1)
    with transaction(recorder.connection, "IMMEDIATE"):
        recorder.connection.execute(WRITE["update_journal"], recorder.journal.values())
