"""The position file: how far the database has come, written outside of it.

One flipped bit in SQLite's log makes it forget every later commit, and say nothing; so does a file
system that was restored to a moment ago. The database is then a valid one, but an earlier one. This
file tells.
"""

from __future__ import annotations

import logging
import os
import zlib
from pathlib import Path
from typing import Final

import msgspec

from actors.ports import Clock
from flowmgr.errors import JournalRefusedError

logger = logging.getLogger(__name__)

INTERVAL: Final = 1.0
"""Seconds between two writes of the file."""


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a database has come.

    Attributes:
        database_id: which database.
        position: the number of the last change that was acknowledged.
    """

    database_id: str
    position: int


class _Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    content: Position
    crc: int


class PositionFile:
    """The file next to a database that has the last position of it that is known to be durable."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(f"{database.name}.position")

    def read(self) -> Position | None:
        """Return what the file has; None if there is no file.

        Raises:
            JournalRefusedError: the file is damaged, or cannot be read.
        """
        try:
            text = self.path.read_bytes()
            found = msgspec.json.decode(text, type=_Content)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._damaged(str(error)) from error
        if _checksum(found.content) != found.crc:
            raise self._damaged("its checksum does not hold")
        return found.content

    def write(self, position: Position) -> None:
        """Replace the file, durably: whoever reads it sees all of the old one or of the new one.

        Raises:
            OSError: it could not be written; what was there is still there.
        """
        temporary = self.path.with_name(f"{self.path.name}.new")
        text = msgspec.json.encode(_Content(position, _checksum(position)))
        with temporary.open("wb") as file:
            file.write(text + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        sync_directory(self.path.parent)

    def _damaged(self, why: str) -> JournalRefusedError:
        msg = (
            f"The position file {self.path} is damaged ({why}), so it is not known whether the "
            "database has everything. Look at it with 'flowmgr journal check'; to go on with what "
            "it has, delete the position file"
        )
        return JournalRefusedError(msg)


class PositionKeeper:
    """Writes the position file when there is something new, at most once a second."""

    def __init__(self, file: PositionFile, position: Position, clock: Clock) -> None:
        self._file = file
        self._position = position
        self._monotonic = clock.monotonic
        self._is_new = True
        self._not_before = 0.0
        self._is_failing = False

    def moved_to(self, position: int) -> None:
        """Take note of the position of what is durable now."""
        if position != self._position.position:
            self._position = msgspec.structs.replace(self._position, position=position)
            self._is_new = True

    def due_in(self) -> float | None:
        """Return in how many seconds there is something to write; None if there is nothing."""
        return max(0.0, self._not_before - self._monotonic()) if self._is_new else None

    def write_if_due(self) -> None:
        """Write the file if there is something new, and a second has passed since the last time."""
        if self._is_new and self._monotonic() >= self._not_before:
            self.write()

    def write(self) -> None:
        """Write the file; if that fails, the next time may be luckier."""
        self._not_before = self._monotonic() + INTERVAL
        try:
            self._file.write(self._position)
        except OSError as error:
            if not self._is_failing:
                logger.warning("the position file %s cannot be written: %s", self._file.path, error)
            self._is_failing = True
        else:
            self._is_new = self._is_failing = False


def sync_directory(directory: Path) -> None:
    """Make the names in *directory* durable."""
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _checksum(position: Position) -> int:
    return zlib.crc32(msgspec.json.encode(position))
