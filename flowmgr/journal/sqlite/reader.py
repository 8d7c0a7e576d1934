"""The readers: a few connections that cannot write, each used by one thread at a time."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

import anyio
import anyio.to_thread

from flowmgr.errors import JournalError
from flowmgr.journal.sqlite.connection import connect_to_read, describe, transaction

P = ParamSpec("P")
T = TypeVar("T")

MAX_READERS: Final = 4
"""Reads that run at once; further ones wait."""


class Reader:
    """Runs reads in threads, each in one transaction: it sees one state of the database."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._limiter = anyio.CapacityLimiter(MAX_READERS)
        self._idle: deque[sqlite3.Connection] = deque()
        self._is_closed = False

    async def read(
        self,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Return what *function* returns, given a connection and the arguments.

        A checkpoint. Cancelling it has no effect on the connection: the read is finished first.

        Raises:
            JournalError: SQLite could not read.
        """
        return await anyio.to_thread.run_sync(
            lambda: self._run(function, *args, **kwargs), limiter=self._limiter
        )

    def _run(
        self,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        try:
            connection = self._borrow()
            try:
                with transaction(connection):
                    return function(connection, *args, **kwargs)
            finally:
                self._idle.append(connection)
                if self._is_closed:
                    self.close()
        except sqlite3.Error as error:
            msg = f"The journal {self._path} could not be read: {describe(error)}"
            raise JournalError(msg) from error

    def _borrow(self) -> sqlite3.Connection:
        try:
            return self._idle.pop()
        except IndexError:  # asked for first, another thread could have taken it meanwhile
            return connect_to_read(self._path)

    def close(self) -> None:
        """Close the connections; one that is in use is closed when it is not any more."""
        self._is_closed = True
        with contextlib.suppress(IndexError):  # a thread may be doing the same
            while True:
                self._idle.pop().close()
