"""What activities leave behind outside of the journal: an oracle that no crash can take back.

Every line is written with one `write` to a file that is open for appending, so it is there as soon
as it was written, whatever becomes of the process. One that was torn does not count: its activity
has come no further than before it.
"""

from __future__ import annotations

import contextvars
import os
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from tests.support.lines import leave_line, whole_lines


class Attempt(NamedTuple):
    """Which attempt an activity runs for; the activities themselves are not told by the engine."""

    execution_id: str
    task: str
    visit: int
    attempt: int


class Visit(NamedTuple):
    """A visit of a task: what finishes once."""

    execution_id: str
    task: str
    visit: int


current: contextvars.ContextVar[Attempt] = contextvars.ContextVar("attempt")
"""The attempt that runs here; set around every task actor by `tests.crash.server`."""

_file: list[int] = []


def write_to(path: Path) -> None:
    """Have `leave` write to the file at *path*."""
    _file[:] = [os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)]


def leave(what: str) -> None:
    """Leave a line that *what* has happened in the current attempt."""
    leave_line(_file[0], what, *current.get())


class Effects:
    """What a file of effects holds.

    Attributes:
        began: how often each attempt began, by visit and number.
        done: the attempts that came to their end, of each visit.
        failed: the attempts that raised, of each visit.
    """

    def __init__(self, path: Path) -> None:
        self.began: dict[Visit, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        self.done: dict[Visit, set[int]] = defaultdict(set)
        self.failed: dict[Visit, set[int]] = defaultdict(set)
        self.count = 0
        for what, execution_id, task, visit, attempt in whole_lines(path):
            where, number = Visit(execution_id, task, int(visit)), int(attempt)
            self.count += 1
            if what == "began":
                self.began[where][number] += 1
            elif what in {"done", "failed"}:
                (self.done if what == "done" else self.failed)[where].add(number)
