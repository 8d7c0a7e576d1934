"""Child processes that run activities which have to be killable, and the pool that keeps them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import anyio
import msgspec
from anyio.abc import Process
from msgspec.structs import replace

from actors.outcome import ErrorInfo, ReportedError
from actors.ports import Attempt
from flowmgr.activities.wire import (
    Answer,
    Request,
    Surroundings,
    decode_answer,
    frame,
    take_frame,
)
from flowmgr.errors import EngineClosedError

CHUNK: Final = 1 << 20

SECONDS_TO_READ_THE_REST: Final = 1.0
"""What a dead process has written is in the pipe already: reading it takes no longer than this."""

PAUSES_BETWEEN_SIGNALS: Final = (0.05, 0.2, 1.0)

SECONDS_TO_DIE: Final = 10.0
"""SIGKILL works at once, except on a process that waits for a device inside the kernel."""

_HOME: Final = Path(__file__).parents[2]
"""The directory that the package is imported from, so that a child finds the same one."""


class ProcessDiedError(ReportedError):
    """The process of an activity ended without an answer. Recorded as "ProcessDied"."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorInfo("ProcessDied", message))


class ChildProcess:
    """One child: takes a request at a time. It is its caller's own until it is back in the pool."""

    def __init__(self, process: Process, lifeline: int) -> None:
        self._process: Final = process
        self._lifeline: Final = lifeline  # closed by the kernel if this process ends
        self._received: Final = bytearray()  # survives a cancelled read, so that none loses bytes
        self._is_ended = False
        self._requests = 0
        self._unsent = frame(Surroundings(list(sys.path), _working_directory()))

    @classmethod
    async def start(cls) -> ChildProcess:
        """Start a child.

        Cancelling has no effect: a process that is half started would be nobody's.
        """
        held, lifeline = os.pipe()
        try:
            with anyio.CancelScope(shield=True):
                process = await anyio.open_process(
                    [sys.executable, "-m", "flowmgr.activities.worker", str(held)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=None,
                    cwd=_HOME,
                    start_new_session=True,  # Ctrl-C is the server's; `end` reaches what it starts
                    pass_fds=(held,),
                )
        except BaseException:
            os.close(lifeline)
            raise
        finally:
            os.close(held)
        return cls(process, lifeline)

    @property
    def is_running(self) -> bool:
        """Whether it has not ended, as far as is known."""
        return self._process.returncode is None

    async def ask(self, request: Request) -> Answer | None:
        """Send *request* and return the answer; None if there is none, and never will be.

        Cancelling it leaves the child with the request: `stop` it then.
        """
        self._requests += 1
        numbered = replace(request, number=self._requests)
        data, self._unsent = self._unsent + frame(numbered), b""
        return await self._converse(data)

    async def stop(self, grace: float) -> Answer | None:
        """Have the activity end: SIGTERM now, SIGKILL after *grace* seconds.

        Returns:
            Its answer, if there was one.

        Cancelling it leaves the child running.
        """
        self._signal(signal.SIGTERM)
        answer = None
        with anyio.move_on_after(grace):
            async with anyio.create_task_group() as group:
                group.start_soon(self._signal_again)
                answer = await self._converse(b"")
                await self._process.wait()
                group.cancel_scope.cancel()
        return answer

    async def end(self) -> bool:
        """Kill the child and what it has started, and wait until it is gone; return whether it is.

        Cancelling has no effect: this takes as long as it takes to die.
        """
        with anyio.move_on_after(SECONDS_TO_DIE, shield=True):
            if not self._is_ended:
                self._is_ended = True  # once only: later its number may be another process's
                _kill_group(self._process.pid)  # if it died by itself, what it has left behind
                os.close(self._lifeline)
            await self._process.wait()
            await self._process.aclose()
        return not self.is_running

    async def how_it_ended(self) -> str:
        """Return how a child that gives no answer ended; cancelling it changes nothing."""
        with anyio.move_on_after(SECONDS_TO_READ_THE_REST):
            await self._process.wait()
        return _describe_exit(self._process.returncode)

    async def _converse(self, data: bytes) -> Answer | None:
        answer = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._end_soon_after_exit, group.cancel_scope)
            # What it has started may hold the pipes open when it is dead: hence the other task.
            if await self._send(data):
                answer = await self._receive()
            group.cancel_scope.cancel()
        return answer

    async def _end_soon_after_exit(self, scope: anyio.CancelScope) -> None:
        await self._process.wait()
        scope.deadline = anyio.current_time() + SECONDS_TO_READ_THE_REST

    async def _send(self, data: bytes) -> bool:
        if self._process.stdin is None or not data:
            return True
        try:
            await self._process.stdin.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError, RuntimeError):
            return False  # RuntimeError: a closed pipe on uvloop
        return True

    async def _receive(self) -> Answer | None:
        while (content := take_frame(self._received)) is None:
            if self._process.stdout is None:
                return None
            try:
                self._received.extend(await self._process.stdout.receive(CHUNK))
            except (
                anyio.EndOfStream,
                anyio.BrokenResourceError,
                anyio.ClosedResourceError,
                OSError,
            ):
                return None
        try:
            answer = decode_answer(content)
        except msgspec.MsgspecError:
            return None  # the user's code has found the pipe and written to it
        return answer if answer.number == self._requests else None

    async def _signal_again(self) -> None:
        # Python looks for signals between two steps of its own. One that comes after such a look,
        # but before a system call that waits, has no effect until that call ends. Once the child
        # has taken note of a signal, further ones do nothing.
        for pause in PAUSES_BETWEEN_SIGNALS:
            await anyio.sleep(pause)
            self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        if self.is_running:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


class ProcessPool:
    """Runs requests in child processes; those that are idle are used again.

    There are at most *size* children. `RunnerResources` closes the pool.
    """

    def __init__(self, size: int) -> None:
        self._slots: Final = anyio.CapacityLimiter(size)
        self._children: Final[set[ChildProcess]] = set()
        self._idle: Final[list[ChildProcess]] = []  # the last one is the warmest
        self._is_closed = False

    async def run(self, request: Request, attempt: Attempt) -> bytes:
        """Run *request* in a child and return its result.

        Cancelling it while no child is free starts nothing. Later it ends the activity: SIGTERM at
        once, SIGKILL after the attempt's grace. The cancellation is let through when the child is
        gone; a result that the child had before SIGTERM had an effect is returned all the same.

        Raises:
            ReportedError: what the activity raised.
            ProcessDiedError: the child ended without an answer.
            EngineClosedError: the pool is closed.
        """
        async with self._slots:
            child = await self._take()
            is_reusable = False
            try:
                answer = await child.ask(request)
                if answer is None or answer.was_terminated:
                    msg = (
                        f"the process of activity '{request.activity}' {await child.how_it_ended()}"
                    )
                    raise ProcessDiedError(msg)
                is_reusable = not answer.is_last
            except anyio.get_cancelled_exc_class():
                answer = await self._stop(child, attempt)
                if answer is None:
                    raise
            finally:
                await self._give_back(child, is_reusable=is_reusable)
        return _result(answer)

    def statistics(self) -> anyio.CapacityLimiterStatistics:
        """Return how many children are busy, and how many callers wait for one."""
        return self._slots.statistics()

    async def aclose(self) -> None:
        """Kill every child and wait until they are gone.

        Cancelling has no effect. Whoever waits for a child gets a `ProcessDiedError`.
        """
        self._is_closed = True
        self._idle.clear()
        with anyio.CancelScope(shield=True):  # `end` has a bound of its own
            async with anyio.create_task_group() as group:
                for child in self._children:
                    group.start_soon(child.end)
        self._children.clear()

    async def _take(self) -> ChildProcess:
        while self._idle:
            child = self._idle.pop()
            if child.is_running:
                return child
            await self._give_back(child, is_reusable=False)  # it died while it had nothing to do
        self._refuse_if_closed()
        child = await ChildProcess.start()
        self._children.add(child)
        if self._is_closed:
            await self._give_back(child, is_reusable=False)
            self._refuse_if_closed()
        return child

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            msg = "The engine is closed: no process is started for an activity any more."
            raise EngineClosedError(msg)

    async def _give_back(self, child: ChildProcess, *, is_reusable: bool) -> None:
        if is_reusable and child.is_running and not self._is_closed:
            self._idle.append(child)
        else:
            await child.end()
            self._children.discard(child)

    async def _stop(self, child: ChildProcess, attempt: Attempt) -> Answer | None:
        """End the activity of a cancelled attempt; return what is to be told of it, if anything."""
        # Shielded, and within a bound: stopping takes no longer than the grace, dying than `end`.
        with anyio.CancelScope(shield=True):
            answer = await child.stop(attempt.grace)
            is_gone = await child.end()
        if answer is not None and answer.error is None:
            return answer  # it had finished, so that is what is told of it
        attempt.stop_kind = "killed" if is_gone else "abandoned"
        return None if answer is None or answer.was_terminated else answer


def _result(answer: Answer) -> bytes:
    if answer.error is not None:
        raise ReportedError(answer.error)
    return bytes(answer.data)


def _working_directory() -> str | None:
    try:
        return str(Path.cwd())
    except OSError:
        return None  # it has been deleted


def _kill_group(pid: int) -> None:
    # Every child leads a process group of its own, which has its pid for a number.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _describe_exit(code: int | None) -> str:
    if code is None:
        return "closed its connection without an answer, and was killed"
    if code >= 0:
        return f"died: it exited with code {code} before it had a result"
    try:
        name = f" ({signal.Signals(-code).name})"
    except ValueError:
        name = ""
    hint = "; the system may have been out of memory" if -code == signal.SIGKILL else ""
    return f"died: it was killed by signal {-code}{name}{hint}"
