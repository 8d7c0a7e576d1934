"""A server in a process of its own: started, watched and stopped by the pid that we kept."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Self

from tests.support.forking import ROOT, Fork, forks

READY = re.compile(r"listens on http://(?P<host>\S+):(?P<port>\d+)")
PATIENCE = 15.0
"""Seconds after which a condition that should come true is taken for one that never will."""


class Output:
    """What a process wrote to one of its streams, collected by a thread so that it never blocks."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        with self._changed:
            return "".join(self._lines)

    def wait_for(self, pattern: str | re.Pattern[str], timeout: float = PATIENCE) -> re.Match[str]:
        """Wait until the output matches *pattern*; fail if the stream ends first."""
        with self._changed:
            self._changed.wait_for(lambda: self._find(pattern) or self._ended, timeout)
            found = self._find(pattern)
        if found is None:
            message = f"{pattern!r} did not appear; what did is:\n{self.text}"
            raise AssertionError(message)
        return found

    def close(self) -> None:
        """Wait for the end of the stream, which the end of the process brings about."""
        self._thread.join(PATIENCE)
        self._stream.close()

    def _find(self, pattern: str | re.Pattern[str]) -> re.Match[str] | None:
        return re.search(pattern, "".join(self._lines))

    def _collect(self) -> None:
        for line in self._stream:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class ServerProcess:
    """``python -m <args>``. Leaving the context kills the process if it still runs.

    Args:
        args: the module, and its arguments.
        env: environment variables that it has besides those of this process.
        is_fresh: have it import everything itself, instead of being forked from a process that
            has: that takes a second more.

    Attributes:
        pid: the process's id.
        stdout, stderr: what it wrote so far.
        host, port: where it listens; known after `wait_until_ready`.
    """

    def __init__(
        self, args: Sequence[str], env: dict[str, str] | None = None, *, is_fresh: bool = False
    ) -> None:
        start = _started if is_fresh else forks().start
        self._process: Fork | subprocess.Popen[str] = start(args, env)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.pid = self._process.pid
        self.stdout = Output(self._process.stdout)
        self.stderr = Output(self._process.stderr)
        self.host = ""
        self.port = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def wait_until_ready(self, timeout: float = PATIENCE) -> Self:
        """Wait for the line that says where the server listens."""
        try:
            found = self.stdout.wait_for(READY, timeout)
        except AssertionError as error:
            error.add_note(f"standard error:\n{self.stderr.text}")
            raise
        self.host, self.port = found["host"], int(found["port"])
        return self

    def send(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Send a signal; return when, in `time.monotonic`."""
        self._process.send_signal(number)
        return time.monotonic()

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for the process to exit; return its exit code, negative for a signal.

        Raises:
            subprocess.TimeoutExpired: it did not exit in time.
        """
        return self._process.wait(timeout)

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = PATIENCE) -> int:
        """Send a signal and wait for the exit code."""
        self.send(number)
        return self.wait(timeout)

    def kill(self) -> None:
        """End the process at once, if it has not ended, and close its pipes."""
        self._process.kill()
        self._process.wait()
        self.stdout.close()
        self.stderr.close()


def _started(args: Sequence[str], env: dict[str, str] | None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *args],
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
