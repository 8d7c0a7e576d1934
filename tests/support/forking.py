"""Processes that run ``python -m MODULE``, forked from one that has imported what they need.

To import the server takes ten times as long as to start it. What comes of the imports themselves,
and of the interpreter's options, is asked of processes that are started from nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn

import msgspec

ROOT = Path(__file__).resolve().parents[2]

IMPORTED = (
    "anyio._backends._asyncio",
    "anyio._backends._trio",
    "flowmgr.journal.sqlite.library",
    "httptools",
    "tests.crash.activities",
    "tests.crash.mutants",
    "tests.crash.points",
    "tests.support.http_activities",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
    "web.commands.serve",
    "web.servers.trio_guest",
    "web.servers.uvicorn_server",
)
"""What is there before anything is forked, with all that these import."""

MESSAGE_BYTES = 65536
"""A request with the arguments and the environment is shorter."""

PR_SET_PDEATHSIG = 1


class Order(msgspec.Struct, frozen=True, array_like=True):
    """What is to be run.

    Attributes:
        module: what comes behind ``python -m``.
        args: what comes behind that.
        env: environment variables that it has besides those of this process.
    """

    module: str
    args: list[str]
    env: dict[str, str]


class Fork:
    """A process that was forked. It has what tests use of `subprocess.Popen`, and behaves like it.

    Attributes:
        pid: its id, which no other process has before its end was waited for.
        stdout: what it writes.
        stderr: likewise; None if that goes elsewhere.
    """

    def __init__(
        self, forks: Forks, pid: int, alive: int, stdout: IO[str], stderr: IO[str] | None
    ) -> None:
        self._forks = forks
        self._alive: int | None = alive  # a pipe that is at its end when the process is
        self._status = 0
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return its exit code, negative for a signal.

        Raises:
            subprocess.TimeoutExpired: it takes longer.
        """
        if self._alive is not None:
            if not select.select([self._alive], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            os.close(self._alive)
            self._alive = None
            self._status = self._forks.status(self.pid)
        return self._status

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it is not known to have ended."""
        if self._alive is not None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forks:
    """The process that forks, as the process that asks it sees it; it ends with that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.forking", str(theirs.fileno())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def start(
        self,
        args: Sequence[str | os.PathLike[str]],
        env: Mapping[str, str] | None = None,
        stderr: int | None = None,
    ) -> Fork:
        """Have a process run ``python -m <args>`` in the project's root.

        Args:
            args: the module, and the arguments that it finds in `sys.argv`.
            env: environment variables.
            stderr: the descriptor that it writes errors to; None for a pipe.
        """
        module, *rest = map(os.fspath, args)
        message = msgspec.json.encode(Order(module, rest, {**os.environ, **(env or {})}))
        out, their_out = os.pipe()
        errors, their_errors = (None, stderr) if stderr is not None else os.pipe()
        alive, their_alive = os.pipe()
        with self._lock:
            socket.send_fds(self._socket, [message], [their_out, their_errors, their_alive])
            pid = int(self._socket.recv(MESSAGE_BYTES))
        for descriptor in (their_out, their_alive, *([] if errors is None else [their_errors])):
            os.close(descriptor)
        return Fork(self, pid, alive, os.fdopen(out), None if errors is None else os.fdopen(errors))

    def status(self, pid: int) -> int:
        """Return the exit code of a process that has ended, or is about to."""
        with self._lock:
            self._socket.send(b"%d" % pid)
            return int(self._socket.recv(MESSAGE_BYTES))

    def close(self) -> None:
        """End the process, and with it what it has forked."""
        self._socket.close()
        self._process.wait()


@functools.cache
def forks() -> Forks:
    """Return what forks for this process; started when it is first asked for."""
    started = Forks()
    atexit.register(started.close)
    return started


# The other side.


def main(descriptor: int) -> None:
    """Fork what is asked for, until nobody asks any more.

    Processes leave this as they would leave their main program, so that the interpreter ends as it
    does then: it waits for threads, and calls what was registered for its exit.
    """
    _end_with_parent()
    _import_all()
    asking = socket.socket(fileno=descriptor)
    asking.set_inheritable(False)
    while True:
        message, descriptors, _, _ = socket.recv_fds(asking, MESSAGE_BYTES, 3)
        if not message:
            return
        if not descriptors:
            answer = os.waitstatus_to_exitcode(os.waitpid(int(message), 0)[1])
        else:
            answer = os.fork()
            if not answer:
                asking.close()
                _become(msgspec.json.decode(message, type=Order), *descriptors)
            for each in descriptors:
                os.close(each)
        asking.send(b"%d" % answer)


def _import_all() -> None:
    for module in IMPORTED:
        importlib.import_module(module)
    litestar = importlib.import_module("litestar")
    litestar.Litestar(logging_config=None)  # which imports the plugins that it finds
    assert threading.active_count() == 1, "there are no threads in what is forked"
    gc.collect()
    gc.freeze()


def _become(order: Order, stdout: int, stderr: int, alive: int) -> NoReturn:
    """Be what is to be run."""
    _end_with_parent()
    os.set_inheritable(alive, False)
    for theirs, mine in ((stdout, 1), (stderr, 2)):
        os.dup2(theirs, mine)
        os.close(theirs)
    os.environ.clear()
    os.environ.update(order.env)
    importlib.import_module("trio._core._run")._r.seed()  # `random` itself sees to that
    sys.path[1:1] = filter(None, order.env.get("PYTHONPATH", "").split(os.pathsep))
    sys.argv[1:] = order.args
    runpy.run_module(order.module, run_name="__main__", alter_sys=True)
    sys.exit()


def _end_with_parent() -> None:
    """Have this process killed when its parent ends, so that a test that is killed leaves none."""
    with contextlib.suppress(AttributeError, OSError):  # Linux alone has it
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]))
