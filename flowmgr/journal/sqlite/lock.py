"""The lock file: one journal has one owner."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from flowmgr.errors import JournalRefusedError


class LockFile:
    """A file next to the database that its owner holds locked for as long as it lives.

    The kernel gives the lock back when the process ends, however it does. The file stays, so that
    nobody can lock one that somebody else is about to delete.
    """

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}.lock")
        self._database = database
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock, and write into the file who has it.

        Raises:
            JournalRefusedError: another process has it, or the file cannot be made.
        """
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = self._owner()
            self.release()
            msg = (
                f"The journal {self._database} is in use by {owner} (lock file {self._path}): "
                "stop that one first, or use another file"
            )
            raise JournalRefusedError(msg) from error
        except OSError as error:
            self.release()
            msg = f"The journal {self._database} cannot be locked with {self._path}: {error}"
            raise JournalRefusedError(msg) from error
        with contextlib.suppress(OSError):  # a full disk: only the number of the process is missing
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the lock back, if it was taken."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _owner(self) -> str:
        assert self._file is not None
        pid = os.pread(self._file, 32, 0).decode("ascii", "replace").strip()
        return f"process {pid}" if pid else "another process"
