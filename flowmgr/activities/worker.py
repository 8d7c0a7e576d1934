"""The child process of activities with ``isolation="process"``: ``python -m`` runs this module.

It reads requests from the pipe that is its standard input and answers on the one that is its
standard output, one at a time. Before any code of the user's is imported, both are moved away, so
that nothing it prints or reads can come between.
"""

from __future__ import annotations

import contextlib
import contextvars
import fcntl
import functools
import importlib
import os
import queue
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, Final, NoReturn

import anyio
import msgspec
from msgspec.structs import replace

from actors.context import Context
from actors.outcome import ReportedError, describe_error, is_a
from actors.values import encode_value
from flowmgr.activities.declaration import Activity
from flowmgr.activities.wire import (
    Answer,
    Request,
    Surroundings,
    Terminated,
    decode_request,
    decode_surroundings,
    frame,
    take_frame,
)

CHUNK: Final = 1 << 20


class Termination:
    """What SIGTERM does, which depends on what the process is doing.

    Attributes:
        is_requested: whether it has come.
    """

    def __init__(self) -> None:
        self.is_requested = False
        self._raises = False
        self.listen()

    def listen(self) -> None:
        """Handle SIGTERM here (again)."""
        signal.signal(signal.SIGTERM, self._receive)

    def raise_on_arrival(self) -> None:
        """From now on raise `Terminated` in the main thread, wherever that is; once."""
        self._raises = True

    def note_on_arrival(self) -> None:
        """From now on only take note of it."""
        self._raises = False

    def note(self) -> None:
        """Take note of it: somebody else has received it."""
        self.is_requested = True

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        self.is_requested = True
        if self._raises:
            self._raises = False
            raise Terminated


class Worker:
    """Answers requests until it is told to end."""

    def __init__(self, requests: queue.SimpleQueue[bytes], answers: int) -> None:
        self._requests = requests
        self._answers = answers
        self._termination = Termination()
        self._pid = os.getpid()

    def run(self) -> None:
        """Answer requests; return after SIGTERM."""
        try:
            self._termination.raise_on_arrival()
            _settle(decode_surroundings(self._requests.get()))
            while not self._termination.is_requested:
                self._termination.raise_on_arrival()
                request = decode_request(self._requests.get())
                answer = self._perform(request)
                _flush()
                if os.getpid() != self._pid:
                    os._exit(0)  # the activity has forked: only the worker itself answers
                _write(self._answers, frame(replace(answer, number=request.number)))
        except Terminated:
            pass  # while it had nothing to do

    def _perform(self, request: Request) -> Answer:
        try:
            try:
                data = msgspec.Raw(self._call(request))
            finally:
                self._termination.note_on_arrival()
                self._termination.listen()  # the user's code may have set a handler of its own
        except BaseException as error:  # noqa: BLE001 - SystemExit too is an answer here
            return Answer(
                error=describe_error(error),
                is_last=self._termination.is_requested,
                was_terminated=is_a(error, Terminated),
            )
        return Answer(data=data, is_last=self._termination.is_requested)

    def _call(self, request: Request) -> bytes:
        self._termination.note_on_arrival()  # what an import is in could make another error of it
        found = _find(request.module, request.qualname, request.activity)
        self._termination.raise_on_arrival()
        if self._termination.is_requested:
            raise Terminated
        arguments = found.binding.bind(Context.from_json(request.context), request.given)
        call = functools.partial(found.function, **arguments)
        if found.is_async:
            self._termination.note_on_arrival()  # raising in an event loop could break it
            return encode_value(anyio.run(_await_or_cancel, call, self._termination))
        # A copy, so that a context variable which one call sets is not there in the next.
        return encode_value(contextvars.copy_context().run(call))


async def _await_or_cancel(
    function: Callable[[], Coroutine[Any, Any, Any]], termination: Termination
) -> Any:
    """Await *function*, and cancel it when SIGTERM comes.

    Raises:
        Terminated: it was cancelled, and did not end in another way.
    """
    result: Any = None
    error: BaseException | None = None
    async with anyio.create_task_group() as group:
        with anyio.open_signal_receiver(signal.SIGTERM) as signals, anyio.CancelScope() as call:
            group.start_soon(_cancel_at_signal, signals, call, termination)
            if termination.is_requested:  # it came before there was a receiver
                call.cancel()
            try:
                result = await function()
            except BaseException as raised:
                if call.cancel_called and is_a(raised, anyio.get_cancelled_exc_class()):
                    raise
                # Not through the task group, which would wrap it in a group; and not as it is
                # through the event loop, which asks it for what a user's class may refuse.
                error = ReportedError(describe_error(raised))
        group.cancel_scope.cancel()
    if call.cancelled_caught:
        raise Terminated
    if error is not None:
        raise error
    return result


async def _cancel_at_signal(
    signals: Any, scope: anyio.CancelScope, termination: Termination
) -> None:
    async for _ in signals:
        termination.note()
        scope.cancel()


@functools.cache
def _find(module: str, qualname: str, name: str) -> Activity[..., Any]:
    found: Any = importlib.import_module(module)
    try:
        for part in qualname.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        msg = (
            f"activity '{name}' was not found in a child process: the module '{module}' has no "
            f"'{qualname}' there. Define it at the level of the module, under its own name."
        )
        raise LookupError(msg) from error
    function = found.function if isinstance(found, Activity) else found
    return Activity(function, name, "process")


def _settle(surroundings: Surroundings) -> None:
    """Make imports and relative paths mean what they mean in the parent."""
    sys.path[:] = surroundings.path
    if surroundings.directory is not None:
        with contextlib.suppress(OSError):
            os.chdir(surroundings.directory)


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _read_requests(descriptor: int, requests: queue.SimpleQueue[bytes]) -> NoReturn:
    """Pass requests on; when there will be no more, because the parent is gone, end the process.

    It does so whatever the main thread is doing: an activity must not outlive its server.
    """
    received = bytearray()
    while data := os.read(descriptor, CHUNK):
        received += data
        while (content := take_frame(received)) is not None:
            requests.put(content)
    end()


def _die_with_parent(lifeline: int) -> None:
    """Have the kernel kill this process group when the other end of the pipe is closed.

    Reading requests ends it as well, but not while an activity lets no other thread run: a regular
    expression that takes for ever, or a library in C. Only Linux can send SIGKILL there (fcntl(2),
    F_SETSIG; F_SETOWN with a process group).
    """
    if sys.platform == "linux":
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC)
        poll = select.poll()  # takes any number of a descriptor
        poll.register(lifeline, select.POLLIN)
        if poll.poll(0):
            end()  # it was closed before


def end() -> NoReturn:
    """End this process at once, and what the user's code has started in its process group."""
    _flush()
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def _flush() -> None:
    with contextlib.suppress(Exception):  # the user's code may have closed or replaced it
        sys.stdout.flush()


def main(lifeline: int) -> None:
    """Take over the standard streams and answer requests.

    Args:
        lifeline: a pipe that the parent holds open for as long as it lives.
    """
    _die_with_parent(lifeline)
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)  # what is printed goes to the server's standard error
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)
    pending: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    worker = Worker(pending, answers)
    threading.Thread(
        target=_read_requests, args=(requests, pending), name="requests", daemon=True
    ).start()
    try:
        worker.run()
    except BaseException:  # noqa: BLE001 - a worker that is not there must not look as if it were
        traceback.print_exc()
    end()


if __name__ == "__main__":
    main(int(sys.argv[1]))
