"""Connections to the database, and what its errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, Literal

Durability = Literal["full", "relaxed"]
"""What is acknowledged survives a power failure (full), or only the end of the process."""

BUSY_MILLISECONDS: Final = 5000
"""How long another program (a backup, a shell) is waited for that has the database locked."""

_decode_text = partial(str, encoding="utf-8", errors="surrogateescape")
"""Damaged text is read as text that fulfils no checksum, instead of failing the whole read."""

_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PROTOCOL,
    }
)


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection that commits only when it is told to, for one thread at a time.

    Raises:
        sqlite3.Error: the file cannot be opened.
    """
    return _prepared(str(path))


def connect_without_writing(path: Path) -> sqlite3.Connection:
    """Open a connection that changes no file, not even SQLite's log when it is closed.

    Raises:
        sqlite3.Error: the file cannot be opened.
    """
    return _prepared(f"{path.absolute().as_uri()}?mode=ro", is_uri=True)


def _prepared(database: str, *, is_uri: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(
        database, isolation_level=None, check_same_thread=False, cached_statements=256, uri=is_uri
    )
    connection.text_factory = _decode_text
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
    connection.execute("PRAGMA mmap_size = 0")
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # only the writer does, when it has time
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def prepare_to_write(connection: sqlite3.Connection, durability: Durability) -> None:
    """Make *connection* the one that writes.

    Raises:
        sqlite3.Error: it cannot be, or the file system cannot have a write-ahead log.
    """
    [mode] = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        msg = "this file system cannot have SQLite's write-ahead log"
        raise sqlite3.OperationalError(msg)
    connection.execute(f"PRAGMA synchronous = {'FULL' if durability == 'full' else 'NORMAL'}")


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a connection that cannot write.

    Raises:
        sqlite3.Error: the file cannot be opened.
    """
    connection = connect(path)
    connection.execute("PRAGMA query_only = 1")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "DEFERRED") -> Iterator[None]:
    """Commit what the block does, or take it back if it raises."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:  # SQLite may have taken it back by itself
            connection.execute("ROLLBACK")


def is_passing(error: Exception) -> bool:
    """Return whether *error* may be over after a while: no space, no access, somebody else."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _PASSING


def describe(error: Exception) -> str:
    """Return the sentence of an error, with the name that SQLite has for it."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return f"{error} ({name})"
