"""The crash points: where a server can be told to kill itself, by wrapping what it consists of.

Nothing in the product knows of them. Each is installed from outside, in the server's process, and
kills that with SIGKILL when it is reached for the n-th time.
"""

from __future__ import annotations

import functools
import inspect
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from actors.events import (
    AttemptInterrupted,
    CancelRequested,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionPaused,
    ExecutionResumed,
    ExecutionRetried,
    TaskSkipped,
)
from actors.execution import ExecutionSupervisor
from actors.ports import Batch
from actors.router import RouterActor
from flowmgr.journal.sqlite import opening, position, schema, upkeep
from flowmgr.journal.sqlite.journal import SqliteJournal
from flowmgr.journal.sqlite.position import PositionFile
from flowmgr.journal.sqlite.recorder import Recorder
from flowmgr.journal.sqlite.writer import Writer
from flowmgr.live import LiveExecutions

CHECKPOINT_SECONDS = 0.002
"""A checkpoint is interrupted at a random moment of so long a time."""


class Crash:
    """Kills this process when the point *name* is reached for the *hit*-th time.

    Args:
        marks: the file that is told which point it was, for those who count.
    """

    def __init__(self, name: str, hit: int, marks: Path, seed: int) -> None:
        self.name = name
        self.random = random.Random(seed)
        self._left = hit
        self._lock = threading.Lock()
        self._marks = os.open(marks, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def reached(self) -> None:
        with self._lock:
            self._left -= 1
            if not self._left:
                self.kill()

    def kill(self) -> None:
        os.write(self._marks, self.name.encode() + b"\n")
        os.kill(os.getpid(), signal.SIGKILL)
        while True:  # the signal has been sent, and this is no place to go on from
            time.sleep(1)


Install = Callable[[Crash], None]


def replace(owner: Any, name: str, new: Callable[..., Any]) -> None:
    """Replace a function of a class or module, also where the class has put it into a table."""
    old = inspect.getattr_static(owner, name)
    setattr(owner, name, new)
    for table in (getattr(owner, "_HANDLERS", {}), getattr(owner, "_ACTIONS", {})):
        for key, function in table.items():
            if function is old:
                table[key] = new


def before(owner: Any, name: str) -> Install:
    """Return what kills when a function is called."""
    return functools.partial(_wrap, owner, name, True)


def after(owner: Any, name: str) -> Install:
    """Return what kills when a function has returned."""
    return functools.partial(_wrap, owner, name, False)


def _wrap(owner: Any, name: str, is_before: bool, crash: Crash) -> None:
    original = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if is_before:
            crash.reached()
        result = original(*args, **kwargs)
        if not is_before:
            crash.reached()
        return result

    async def wrapped_coroutine(*args: Any, **kwargs: Any) -> Any:
        if is_before:
            crash.reached()
        result = await original(*args, **kwargs)
        if not is_before:
            crash.reached()
        return result

    is_coroutine = inspect.iscoroutinefunction(original)
    replace(owner, name, wrapped_coroutine if is_coroutine else wrapped)


def committing(is_before: bool, is_meant: Callable[[Batch], bool]) -> Install:
    """Return what kills around the commit of a transaction that has a certain batch in it."""

    def install(crash: Crash) -> None:
        append, commit = Recorder.append, Writer._commit
        found: list[Batch] = []

        def watched(recorder: Recorder, batch: Batch, events: bytes) -> Exception | None:
            if is_meant(batch):
                found.append(batch)
            return append(recorder, batch, events)

        def watched_commit(writer: Writer) -> None:
            is_there = bool(found)
            found.clear()
            if is_before and is_there:
                crash.reached()
            commit(writer)
            if not is_before and is_there:
                crash.reached()

        replace(Recorder, "append", watched)
        replace(Writer, "_commit", watched_commit)

    return install


def _of(*kinds: type) -> Callable[[Batch], bool]:
    return lambda batch: any(isinstance(event, kinds) for event in batch.events)


def _has_key(batch: Batch) -> bool:
    return batch.key is not None


def _mid_checkpoint(crash: Crash) -> None:
    checkpoint = Writer._checkpoint

    def interrupted(writer: Writer, kind: str) -> None:
        seconds = crash.random.uniform(0, CHECKPOINT_SECONDS)
        threading.Thread(target=lambda: (time.sleep(seconds), crash.reached())).start()
        checkpoint(writer, kind)

    replace(Writer, "_checkpoint", interrupted)


def _mid_migration(crash: Crash) -> None:
    statements = schema._statements
    scripts: list[str] = []

    def interrupted(script: str) -> Iterator[str]:
        scripts.append(script)  # the first one is the file's; later they run in memory, to compare
        for statement in statements(script):
            if len(scripts) == 1:
                crash.reached()
            yield statement

    replace(schema, "_statements", interrupted)


class Point(NamedTuple):
    """A crash point.

    Attributes:
        install: puts it into this process.
        most: how often one server comes there without fail, under load.
    """

    install: Install
    most: int = 1


GROUPS: dict[str, dict[str, Point]] = {
    "transaction": {
        "before transaction": Point(before(Recorder, "begin"), 40),
        "before apply": Point(before(Writer, "_apply"), 40),
        "mid apply": Point(after(Recorder, "append"), 40),
        "before commit": Point(before(Writer, "_commit"), 40),
        "commit not noted": Point(before(Recorder, "committed"), 40),
        "after commit": Point(after(Writer, "_commit"), 40),
    },
    "answer": {
        "answers posted": Point(after(Writer, "_deliver"), 40),
        "before acknowledgement": Point(before(ExecutionSupervisor, "_acknowledged"), 40),
        "after acknowledgement": Point(after(ExecutionSupervisor, "_acknowledged"), 40),
        "start recorded": Point(after(LiveExecutions, "start"), 20),
        "keyed start not committed": Point(committing(True, _has_key), 5),
        "keyed start committed": Point(committing(False, _has_key), 5),
    },
    "end": {
        "outcome not recorded": Point(before(RouterActor, "send"), 40),
        "end not committed": Point(committing(True, _of(ExecutionCompleted)), 10),
        "end committed": Point(committing(False, _of(ExecutionCompleted)), 10),
        "failure not committed": Point(committing(True, _of(ExecutionFailed)), 3),
        "failure committed": Point(committing(False, _of(ExecutionFailed)), 3),
    },
    "checkpoint": {
        "before checkpoint": Point(before(Writer, "_checkpoint"), 3),
        "mid checkpoint": Point(_mid_checkpoint, 3),
        "after checkpoint": Point(after(Writer, "_checkpoint"), 3),
        "before position": Point(before(PositionFile, "write"), 5),
        "mid position": Point(before(position, "sync_directory"), 5),
        "after position": Point(after(PositionFile, "write"), 5),
    },
    "opening": {
        "mid migration": Point(_mid_migration, 10),
        "before epoch": Point(before(opening, "_begin_epoch")),
        "after epoch": Point(after(opening, "_begin_epoch")),
        "before recovery": Point(after(SqliteJournal, "list_unfinished")),
        "before closing": Point(before(Writer, "_end")),
        "closed": Point(after(Writer, "_end")),
    },
    "recovery": {
        "before recovery count": Point(before(SqliteJournal, "count_recovery")),
        "after recovery count": Point(after(SqliteJournal, "count_recovery")),
        "between recovered": Point(after(LiveExecutions, "adopt"), 2),
        "interruption not committed": Point(committing(True, _of(AttemptInterrupted))),
        "interruption committed": Point(committing(False, _of(AttemptInterrupted))),
    },
    "cancel": {
        "cancel not committed": Point(committing(True, _of(CancelRequested)), 5),
        "cancel committed": Point(committing(False, _of(CancelRequested)), 5),
        "before stop": Point(before(ExecutionSupervisor, "_stop"), 5),
        "after stop": Point(after(ExecutionSupervisor, "_stop"), 5),
        "receipt not committed": Point(committing(True, _of(ExecutionCancelled)), 5),
        "receipt committed": Point(committing(False, _of(ExecutionCancelled)), 5),
    },
    "going on": {
        "pause committed": Point(committing(False, _of(ExecutionPaused)), 3),
        "resume not committed": Point(committing(True, _of(ExecutionResumed)), 3),
        "resume committed": Point(committing(False, _of(ExecutionResumed)), 3),
        "retry not committed": Point(committing(True, _of(ExecutionRetried)), 2),
        "retry committed": Point(committing(False, _of(ExecutionRetried)), 2),
        "deletion not committed": Point(after(upkeep, "delete_executions"), 2),
        "deletion committed": Point(after(SqliteJournal, "delete_executions"), 2),
        "skip committed": Point(committing(False, _of(TaskSkipped)), 2),
    },
}
"""The points by what is going on there."""

POINTS = {name: point for group in GROUPS.values() for name, point in group.items()}
"""All of them, by their name."""

CLOSING = frozenset({"before closing", "closed"})
"""Those that are only reached by a server that is told to stop."""

FIRST = frozenset({"mid migration"})
"""Those that are only reached by the first server on a new file."""
