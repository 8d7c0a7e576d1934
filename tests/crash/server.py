"""The server under test: forked for each start from a process that has imported everything.

Usage: python -m tests.crash.server

It reads one JSON object a line from its standard input, and answers each with one on its standard
output. What is forked is `flowmgr serve`, with a socket and a database of its own, on which a crash
point and a deliberate bug may be installed before it begins.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from litestar import Litestar

from actors.task import TaskActor
from flowmgr.journal.sqlite import position, writer
from tests.crash import activities, effects
from tests.crash.mutants import MUTANTS
from tests.crash.points import POINTS, Crash, replace
from web.cli import main as run_command_line

IMPORTED_LATE = (
    "anyio._backends._asyncio",
    "anyio._backends._trio",
    "flowmgr.journal.sqlite.library",
    "httptools",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
    "web.commands.serve",
    "web.servers.trio_guest",
    "web.servers.uvicorn_server",
)
"""What servers import only when they need it; they are to have it when they are forked."""

MOST_LATE = 20
"""Modules that a server may import all the same. All that it needs take six times its start."""

PR_SET_PDEATHSIG = 1

POSITION_SECONDS = 0.02
"""Between two writes of the position file; a second, where nobody is in a hurry."""


class Order(msgspec.Struct, frozen=True):
    """How a server is to be started.

    Attributes:
        directory: where its files are.
        backend: asyncio or trio.
        port: where it listens; 0 for any.
        point: the crash point at which it kills itself; None for none.
        hit: how often that is reached before.
        mutant: the deliberate bug that it has; None for none.
        checkpoint_bytes: what is written, by the journal's estimate, between two checkpoints.
        seed: of what it chooses by chance.
        durability: full or relaxed.
    """

    directory: str
    backend: str
    port: int = 0
    point: str | None = None
    hit: int = 1
    mutant: str | None = None
    checkpoint_bytes: int = 256 * 1024
    seed: int = 0
    durability: str = "full"


def serve(order: Order) -> None:
    """Run the server; the whole life of a forked process."""
    _end_with_parent()
    directory = Path(order.directory)
    effects.write_to(directory / "effects")
    _name_attempts()
    position.INTERVAL = POSITION_SECONDS  # type: ignore[misc]
    writer.LOG_BYTES = order.checkpoint_bytes  # type: ignore[misc]
    if order.mutant is not None:
        MUTANTS[order.mutant].install()
    if order.point is not None:
        POINTS[order.point].install(Crash(order.point, order.hit, directory / "marks", order.seed))
    run_command_line(
        [
            "serve",
            f"--port={order.port}",
            f"--backend={order.backend}",
            f"--journal=sqlite:{directory / 'flowmgr.db'}",
            f"--durability={order.durability}",
            f"--activities={activities.__name__}",
            "--grace=2",
        ]
    )


def _end_with_parent() -> None:
    """Have this process killed when its parent ends, so that a test that is killed leaves none."""
    with contextlib.suppress(AttributeError, OSError):  # Linux alone has it
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _name_attempts() -> None:
    """Have activities know which attempt they run for."""
    run = TaskActor.run

    async def named(actor: TaskActor) -> None:
        message = actor._message
        attempt = effects.Attempt(
            actor._message.environment.execution_id,
            message.task.name,
            message.started.visit,
            message.started.attempt,
        )
        token = effects.current.set(attempt)
        try:
            await run(actor)
        finally:
            effects.current.reset(token)

    replace(TaskActor, "run", named)


class Fork:
    """One server, as its parent sees it.

    Attributes:
        pid: its process.
    """

    def __init__(self, order: Order) -> None:
        self._stdout, theirs = os.pipe()
        log = os.open(Path(order.directory) / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self.pid = os.fork()
        if not self.pid:
            _become(order, theirs, log)
        os.close(theirs)
        os.close(log)
        self._text = b""
        self._status: int | None = None

    def port(self) -> int | None:
        """Wait until it listens, and return where; None if it ends before."""
        while b"\n" not in self._text:
            if not self._read(None):
                return None
        return int(self._text.partition(b"http://127.0.0.1:")[2].split()[0])

    def status(self, timeout: float | None) -> int | None:
        """Wait until it has ended, and return its exit code; None if it takes longer."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._status is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left < 0:
                return None
            if self._read(left) == b"":
                self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
                os.close(self._stdout)
        return self._status

    def kill(self) -> None:
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.status(None)

    def _read(self, timeout: float | None) -> bytes | None:
        """Read what it says; nothing when it has ended, None if it says nothing meanwhile."""
        if not select.select([self._stdout], [], [], timeout)[0]:
            return None
        text = os.read(self._stdout, 65536)
        self._text += text
        return text


def _become(order: Order, stdout: int, log: int) -> None:
    """Be the server, in the process that was forked; never returns."""
    code, imported = 70, set(sys.modules)
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        for mine, number in ((nothing, 0), (stdout, 1), (log, 2)):
            os.dup2(mine, number)
        os.closerange(3, 64)
        serve(order)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(Exception):
            late = sys.modules.keys() - imported
            if len(late) > MOST_LATE:
                print("imported late:", *sorted(late), file=sys.stderr)
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Do what is asked for, a line after the other, until there is no more."""
    for module in IMPORTED_LATE:
        importlib.import_module(module)
    Litestar()  # imports the plugins that it finds
    gc.collect()
    gc.freeze()
    fork: Fork | None = None

    def start(order: dict[str, Any]) -> Any:
        nonlocal fork
        fork = Fork(msgspec.convert(order, Order))
        return fork.pid

    answers: dict[str, Callable[[Any], Any]] = {
        "start": start,
        "port": lambda _: None if fork is None else fork.port(),
        "status": lambda timeout: None if fork is None else fork.status(timeout),
    }
    for line in sys.stdin:
        [(what, argument)] = json.loads(line).items()
        sys.stdout.write(json.dumps(answers[what](argument)) + "\n")
        sys.stdout.flush()
    if fork is not None:
        fork.kill()


if __name__ == "__main__":
    main()
