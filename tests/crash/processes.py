"""The test's side of the servers: starting, killing, and stopping them by the pid that was kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

import msgspec

from tests.crash.server import Order
from tests.support.server_process import ROOT

KILLED = -signal.SIGKILL


class Servers:
    """Starts one server after the other. Leaving the context kills the last one, if it runs.

    Not for use by several threads.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.server"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def start(self, order: Order) -> Server:
        """Start a server; the one before must have ended."""
        return Server(self, self.ask("start", msgspec.to_builtins(order)))

    def ask(self, what: str, argument: Any = None) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({what: argument}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


class Server:
    """A server that was started.

    Attributes:
        pid: its process, which nobody else has while its end was not waited for.
    """

    def __init__(self, servers: Servers, pid: int) -> None:
        self._servers = servers
        self.pid = pid

    def port(self) -> int | None:
        """Wait until it listens; None if it ends before."""
        port: int | None = self._servers.ask("port")
        return port

    def status(self, timeout: float | None = None) -> int | None:
        """Wait for its end, and return its exit code; None if it takes longer."""
        status: int | None = self._servers.ask("status", timeout)
        return status

    def kill(self) -> None:
        """Kill it; whether it has ended before tells its status."""
        os.kill(self.pid, signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to stop."""
        os.kill(self.pid, signal.SIGTERM)
