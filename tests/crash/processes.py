"""The test's side of the servers: starting, killing, and stopping them by the pid that was kept."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import msgspec

from tests.crash.server import Order
from tests.support.forking import forks

KILLED = -signal.SIGKILL
PORT = re.compile(r"http://127\.0\.0\.1:(\d+)")


class Server:
    """A server that was started, and writes its log to a file in its directory.

    Attributes:
        pid: its process, which nobody else has while its end was not waited for.
    """

    def __init__(self, order: Order) -> None:
        text = msgspec.json.encode(order).decode()
        with (Path(order.directory) / "log").open("ab") as log:
            self._process = forks().start(["tests.crash.server", text], stderr=log.fileno())
        self.pid = self._process.pid

    def port(self) -> int | None:
        """Wait until it listens; None if it ends before."""
        for line in self._process.stdout:
            if found := PORT.search(line):
                return int(found[1])
        return None

    def status(self, timeout: float | None = None) -> int | None:
        """Wait for its end, and return its exit code; None if it takes longer."""
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        self._process.stdout.close()
        return status

    def kill(self) -> None:
        """Kill it; whether it has ended before tells its status."""
        self._process.kill()

    def close(self) -> None:
        """Kill it, if it runs, and wait for its end."""
        self.kill()
        self.status()

    def terminate(self) -> None:
        """Ask it to stop."""
        self._process.send_signal(signal.SIGTERM)
