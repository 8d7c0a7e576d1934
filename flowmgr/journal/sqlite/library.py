"""What is known about the SQLite library that Python uses."""

from __future__ import annotations

import sqlite3
from typing import Final

VERSION: Final = sqlite3.sqlite_version

_RESET_BUG_CAME: Final = (3, 7, 0)
_RESET_BUG_WENT: Final = (3, 51, 3)
_RESET_BUG_MENDED: Final = ((3, 44, 6), (3, 50, 7))
"""The releases of older series in which it was mended, too."""


def warnings(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> list[str]:
    """Return what operators should know about a version of the library, in sentences."""
    return [_RESET_BUG.format(".".join(map(str, version)))] if has_reset_bug(version) else []


def has_reset_bug(version: tuple[int, int, int]) -> bool:
    """Whether a write-ahead log that is reset while another connection writes can be damaged."""
    is_mended = any(version[:2] == mended[:2] and version >= mended for mended in _RESET_BUG_MENDED)
    return _RESET_BUG_CAME <= version < _RESET_BUG_WENT and not is_mended


_RESET_BUG: Final = (
    "SQLite {} has the WAL-reset bug (mended in 3.51.3): a database that several connections write "
    "and checkpoint at once can be damaged. flowmgr writes and checkpoints with one connection "
    "only; keep other programs from writing to the database while it is served"
)
