"""Verifying a whole database: SQLite's own structure, and the checksums of all rows."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from flowmgr.journal.sqlite.recorder import Recorder

logger = logging.getLogger(__name__)

MAX_VERIFIED: Final = 256 * 1024 * 1024
"""Bytes of a database up to which all of it is verified at every opening."""


def size_of(path: Path) -> int:
    """Return how large a database is, with its log."""
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def verify_and_heal(recorder: Recorder, path: Path) -> None:
    """Verify nothing yet: every row is verified when it is read."""
    logger.debug("not verified: %s %s", path, recorder)
