"""The journal in an SQLite database, with nothing but the standard library's sqlite3."""

from flowmgr.journal.sqlite.journal import SqliteJournal, open_sqlite

__all__ = ["SqliteJournal", "open_sqlite"]
