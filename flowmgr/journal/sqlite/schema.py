"""The tables: made by numbered migrations, and compared with what those make at every opening."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from flowmgr.errors import JournalRefusedError
from flowmgr.journal.sqlite.connection import transaction
from flowmgr.journal.sqlite.queries import load_migrations

APPLICATION_ID: Final = int.from_bytes(b"flow")
"""What tells a journal from any other SQLite database; stands in the file's header."""

_SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'"


def check_kind(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a database that is neither a journal that this program knows nor empty.

    Raises:
        JournalRefusedError: it is something else, or newer.
    """
    application_id, version = _header(connection)
    if application_id != APPLICATION_ID:
        [tables] = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if application_id or tables:
            msg = f"{path} is an SQLite database, but no journal of flowmgr: use another file"
            raise JournalRefusedError(msg)
    newest = len(load_migrations())
    if version > newest:
        msg = (
            f"The journal {path} was made by a newer flowmgr (version {version} of its tables; "
            f"this program knows {newest}): upgrade the program, or use another file"
        )
        raise JournalRefusedError(msg)


def check_migrated(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse tables that are not of this program's version.

    Raises:
        JournalRefusedError: they are older, or there are none.
    """
    _, version = _header(connection)
    newest = len(load_migrations())
    if version == 0:
        msg = f"{path} is empty, and no journal of flowmgr yet: use another file"
        raise JournalRefusedError(msg)
    if version < newest:
        msg = (
            f"The journal {path} was made by an older flowmgr (version {version} of its tables; "
            f"this program needs {newest}): start 'flowmgr serve' on it once, which brings it up "
            "to date, or use the older program"
        )
        raise JournalRefusedError(msg)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to this program's version, each step in a transaction of its own.

    Raises:
        sqlite3.Error: a step failed; the database is as it was before that one.
    """
    _, version = _header(connection)
    for number, script in enumerate(load_migrations()[version:], version + 1):
        with transaction(connection, "IMMEDIATE"):
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number}")


def check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse tables other than those that the migrations make.

    Raises:
        JournalRefusedError: they are not.
    """
    expected_connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        migrate(expected_connection)
        expected = set(expected_connection.execute(_SCHEMA))
    finally:
        expected_connection.close()
    different = expected.symmetric_difference(connection.execute(_SCHEMA))
    if different:
        names = ", ".join(sorted({str(name) for _, name, _, _ in different}))
        msg = (
            f"The journal {path} has other tables or indexes than flowmgr has made: {names}. "
            "Undo what was changed, or restore the database from a backup"
        )
        raise JournalRefusedError(msg)


def _header(connection: sqlite3.Connection) -> tuple[int, int]:
    [application_id] = connection.execute("PRAGMA application_id").fetchone()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    return application_id, version


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
