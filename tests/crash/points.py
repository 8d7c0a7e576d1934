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
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from actors.events import (
    AttemptInterrupted,
    CancelRequested,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionPaused,
    ExecutionResumed,
    ExecutionRetried,
    TaskSkipped,
)
from actors.execution import ExecutionSupervisor
from actors.ports import Batch
from actors.router import RouterActor
from flowmgr.journal.sqlite import opening, position, schema
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


POINTS: dict[str, Install] = {
    # The writer's transaction.
    "before transaction": before(Writer, "_begin"),
    "before apply": before(Writer, "_apply"),
    "mid apply": after(Recorder, "append"),
    "before commit": before(Writer, "_commit"),
    "commit not noted": before(Recorder, "committed"),
    "after commit": after(Writer, "_commit"),
    "answers posted": after(Writer, "_deliver"),
    "before acknowledgement": before(ExecutionSupervisor, "_acknowledged"),
    "after acknowledgement": after(ExecutionSupervisor, "_acknowledged"),
    # Starting, running, ending.
    "start recorded": after(LiveExecutions, "start"),
    "keyed start not committed": committing(True, _has_key),
    "keyed start committed": committing(False, _has_key),
    "outcome not recorded": before(RouterActor, "receive"),
    "end not committed": committing(True, _of(ExecutionCompleted)),
    "end committed": committing(False, _of(ExecutionCompleted)),
    # Checkpoints, and the position file.
    "before checkpoint": before(Writer, "_checkpoint"),
    "mid checkpoint": _mid_checkpoint,
    "after checkpoint": after(Writer, "_checkpoint"),
    "before position": before(PositionFile, "write"),
    "mid position": before(position, "sync_directory"),
    "after position": after(PositionFile, "write"),
    # Opening and recovering.
    "mid migration": _mid_migration,
    "before epoch": before(opening, "_begin_epoch"),
    "after epoch": after(opening, "_begin_epoch"),
    "before recovery": after(SqliteJournal, "list_unfinished"),
    "before recovery count": before(SqliteJournal, "count_recovery"),
    "after recovery count": after(SqliteJournal, "count_recovery"),
    "between recovered": after(LiveExecutions, "adopt"),
    "interruption not committed": committing(True, _of(AttemptInterrupted)),
    "interruption committed": committing(False, _of(AttemptInterrupted)),
    # Cancelling.
    "cancel not committed": committing(True, _of(CancelRequested)),
    "cancel committed": committing(False, _of(CancelRequested)),
    "before stop": before(ExecutionSupervisor, "_stop"),
    "after stop": after(ExecutionSupervisor, "_stop"),
    "receipt not committed": committing(True, _of(ExecutionCancelled)),
    "receipt committed": committing(False, _of(ExecutionCancelled)),
    # Pausing and going on.
    "pause committed": committing(False, _of(ExecutionPaused)),
    "resume committed": committing(False, _of(ExecutionResumed)),
    "retry committed": committing(False, _of(ExecutionRetried)),
    "skip committed": committing(False, _of(TaskSkipped)),
    # Closing, after SIGTERM.
    "before closing": before(Writer, "_end"),
    "closed": after(Writer, "_end"),
}
"""What installs each point, by its name."""

CLOSING = frozenset({"before closing", "closed"})
"""Those that are only reached by a server that is told to stop."""

OPENING = frozenset({"mid migration"})
"""Those that are only reached by the first server on a new file."""

RARE = frozenset(
    name
    for name in POINTS
    if any(word in name for word in ("check", "position", "epoch", "recovery", "closing"))
    or name in {"closed", "pause committed", "resume committed", "retry committed"}
)
"""Those that are not reached many times by one server."""


def names() -> Iterable[str]:
    """Return the names of all points, in their order."""
    return POINTS
