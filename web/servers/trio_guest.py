"""trio as a guest in the thread of an asyncio loop, and ASGI across the border.

uvicorn reads and writes the sockets on the host, an asyncio loop; the whole app, its lifespan and
every request, runs as trio tasks of one guest run. No other thread is involved, so what crosses the
border needs no locks: a request's `send` usually completes without leaving the trio task.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import sniffio
import trio

from web.servers.interface import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from outcome import Outcome

T = TypeVar("T")


class GuestRunEndedError(Exception):
    """The trio run has ended, by a crash or because it was closed: nothing can run on it."""


class TrioGuest:
    """One trio run, inside the asyncio loop in which this context manager is entered.

    Leaving it cancels the calls that are still running and waits for them, and for the run.
    """

    def __init__(self, crashed: Callable[[BaseException], None]) -> None:
        """Prepare; the run starts when the context is entered.

        Args:
            crashed: called in the loop if the run ends by itself, with the reason.
        """
        self._crashed = crashed
        self._calls: set[_Call] = set()
        self._nursery: trio.Nursery | None = None
        self._is_closing = False

    async def __aenter__(self) -> Self:
        """Start the run."""
        loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[None] = loop.create_future()
        self._closing = trio.Event()
        trio.lowlevel.start_guest_run(
            self._main,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            run_sync_soon_not_threadsafe=loop.call_soon,
            done_callback=self._finish,
            # asyncio and uvloop both do; trio must not take the file descriptor from them.
            host_uses_signal_set_wakeup_fd=True,
        )
        await self._opened
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the run. Waits for every call, however long it refuses to stop."""
        self._is_closing = True
        if not self._ended.done():
            self._closing.set()
            for call in list(self._calls):
                call.scope.cancel()
        await self._ended

    async def run(self, function: Callable[..., Awaitable[None]], *args: object) -> None:
        """Run ``function(*args)`` as a trio task, and wait for it from an asyncio task.

        Cancelling the asyncio task cancels the trio task and waits for it; then what became of the
        trio task decides: cancelled, failed, or finished all the same.

        Raises:
            asyncio.CancelledError: the trio task was cancelled.
            GuestRunEndedError: there is no trio run, or it ended under the call.
            BaseException: whatever *function* raised.
        """
        if self._nursery is None:
            raise GuestRunEndedError("The trio run has ended: the server is stopping")
        call = _Call(function, args)
        self._calls.add(call)
        try:
            self._nursery.start_soon(call.in_trio, name=function)
            await call.wait()
        finally:
            self._calls.discard(call)

    async def _main(self) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._opened.set_result(None)
            try:
                await self._closing.wait()
            except trio.Cancelled as cancelled:
                # Only a failed system task cancels the run. Say so now: what refuses to be
                # cancelled can keep the run from ending.
                self._crashed(GuestRunEndedError(f"The trio run was {cancelled}"))
                raise
            finally:
                self._nursery = None

    def _finish(self, result: Outcome[None]) -> None:
        self._nursery = None
        error: BaseException | None = None
        try:
            result.unwrap()
        except BaseException as raised:  # noqa: BLE001  a run may end by anything
            error = raised
        reason = GuestRunEndedError(f"The trio run has ended: {error!r}")
        reason.__cause__ = error
        for call in list(self._calls):
            call.finish(reason)
        if not self._opened.done():
            self._opened.set_exception(reason)
        elif not self._is_closing:
            self._crashed(error or reason)
        self._ended.set_result(None)


class _Call:
    """A function that runs in trio while an asyncio task waits for it."""

    __slots__ = ("_args", "_done", "_function", "scope")

    def __init__(self, function: Callable[..., Awaitable[None]], args: tuple[object, ...]) -> None:
        self.scope = trio.CancelScope()
        self._function = function
        self._args = args
        # Carries the error as a result: an exception in a future may not be StopIteration, and a
        # CancelledError in `wait` then always means that the waiting task was cancelled.
        self._done = _new_result()

    async def in_trio(self) -> None:
        error: BaseException | None = None
        try:
            with self.scope:
                await self._function(*self._args)
        except BaseException as raised:  # noqa: BLE001  nothing may reach the nursery of all calls
            error = raised
        if self.scope.cancelled_caught:
            error = asyncio.CancelledError()
        elif error is not None and trio.current_effective_deadline() == -math.inf:
            return  # cut short by the end of the run, which will finish this with its reason
        self.finish(error)

    def finish(self, error: BaseException | None) -> None:
        if not self._done.done():
            self._done.set_result(error)

    async def wait(self) -> None:
        while True:
            try:
                error = await self._done
                break
            except asyncio.CancelledError:
                self.scope.cancel()
                # Cancelling a task cancels the future it waits for. A future that is done stays
                # so: the call finished at the same moment, and its outcome stands.
                if self._done.cancelled():
                    self._done = _new_result()
        if error is not None:
            raise error


def _new_result() -> asyncio.Future[BaseException | None]:
    return asyncio.get_running_loop().create_future()


class TrioApp:
    """An ASGI app for an asyncio server that runs another ASGI app in trio tasks."""

    def __init__(self, app: ASGIApp, guest: TrioGuest) -> None:
        self._app = app
        self._guest = guest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app in a trio task, and wait for it; cancelling is as in `TrioGuest.run`."""
        await self._guest.run(self._app, scope, partial(drive, receive), partial(drive, send))


async def drive(function: Callable[..., Awaitable[T]], *args: object) -> T:
    """Run a coroutine function of the host, step by step, inside the current trio task.

    It saves the hop to an asyncio task and back that each message would otherwise take.

    The function may wait for asyncio's futures, events and queues. There is no current asyncio task
    while it runs, so `asyncio.timeout` does not work in it. A cancel point, but a checkpoint only
    where the function waits. Cancelling closes the coroutine where it waits; if what it waited for
    has already happened, it goes on to its next wait instead, so that no message is lost.
    """
    await trio.lowlevel.checkpoint_if_cancelled()
    coroutine = function(*args).__await__()
    library = sniffio.thread_local
    try:
        while True:
            # What the step calls must find the library of the host, and not trio.
            library.name = "asyncio"
            try:
                future = next(coroutine)
            except StopIteration as stop:
                value: T = stop.value
                return value
            finally:
                library.name = "trio"
            if future is None:  # how asyncio.sleep(0) yields to its loop
                await trio.lowlevel.cancel_shielded_checkpoint()
            else:
                await _wait_for_future(future)
    finally:
        library.name = "asyncio"
        coroutine.close()
        library.name = "trio"


async def _wait_for_future(future: asyncio.Future[object]) -> None:
    task = trio.lowlevel.current_task()

    def resume(_: asyncio.Future[object]) -> None:
        trio.lowlevel.reschedule(task)

    def abort(_: object) -> trio.lowlevel.Abort:
        if future.done():
            # Its callbacks are on their way and cannot be called back: the task is about to be
            # resumed, and to resume it twice would crash trio.
            return trio.lowlevel.Abort.FAILED
        future.remove_done_callback(resume)
        return trio.lowlevel.Abort.SUCCEEDED

    future.add_done_callback(resume)
    await trio.lowlevel.wait_task_rescheduled(abort)
