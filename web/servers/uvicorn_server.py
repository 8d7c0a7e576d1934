"""uvicorn, stopped by our rules.

How it stops, with T the moment of the signal and G the grace:

1. T: the sockets stop listening, `Lifecycle.drain` is called, idle connections are closed.
2. until T + G: requests in flight finish.
3. T + G: those that did not are cancelled. A second signal moves this moment to now. On asyncio
   this is asyncio's own cancellation, which gets through anyio's shields (on trio they hold): what
   must not be cut short belongs in a task of the app's lifespan.
4. When they have ended, or 0.3 s later, the app's lifespan is shut down.
5. T + G + 0.8 s: whatever still runs is named in the log, and the process is ended.

An error of the app begins the same steps; only the exit code differs.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import math
import socket
import time
from collections.abc import Callable, Generator
from contextlib import AbstractAsyncContextManager
from types import FrameType

import uvicorn

from web.servers.exits import ENGINE_DIED, STARTUP_FAILED, STOPPED, cannot_listen, in_one_line
from web.servers.interface import ASGIApp, Lifecycle
from web.servers.lifespan import Lifespan
from web.servers.listening import url_of
from web.servers.loops import loop_factory
from web.servers.options import ServerOptions, loop_name
from web.servers.requests import RequestTracker
from web.servers.trio_guest import GuestRunEndedError, TrioApp, TrioGuest
from web.servers.watchdog import Watchdog, waited_for_threads

END_SECONDS = 0.8
"""From the end of the grace to the end by force; the rest of the promised second is to flush."""
UNWIND_SECONDS = 0.3
"""How much of that a cancelled request has for itself, before the app is shut down around it."""
POLL_SECONDS = 0.02
COLLECTOR_THRESHOLDS = (10_000, 20, 50)
"""Of the garbage collector's three generations; Python's own are 700, 10 and 10."""
SAME_SIGNAL_SECONDS = 0.2
"""Signals this close are one request: `timeout`, for one, signals its child and then its group."""

logger = logging.getLogger(__name__)


class AppServer(uvicorn.Server):
    """A uvicorn server that runs one app on one backend, once.

    Attributes:
        exit_code: what the process should exit with, as far as is known.
        complaint: what went wrong, in one line; None if nothing did.
    """

    def __init__(
        self,
        app: ASGIApp,
        options: ServerOptions,
        lifecycle: Lifecycle,
        announce: Callable[[str], None],
    ) -> None:
        self._guest = TrioGuest(self.stop) if options.backend == "trio" else None
        self._requests = RequestTracker(
            app if self._guest is None else TrioApp(app, self._guest), lambda: self.should_exit
        )
        super().__init__(_configure(self._requests, options))
        self.lifespan = Lifespan(self._requests, self.stop)
        self.config.lifespan_class = lambda _config: self.lifespan
        self.servers: list[asyncio.base_events.Server] = []
        self.exit_code = STOPPED
        self.complaint: str | None = None
        self._options = options
        self._lifecycle = lifecycle
        self._announce = announce
        self._loop: asyncio.AbstractEventLoop | None = None
        # Instants of time.monotonic; infinite until somebody asks the server to stop.
        self._asked_at = math.inf
        self._grace_ends = math.inf
        self._drains: set[asyncio.Task[None]] = set()
        self._watchdog = Watchdog(self._name_what_runs)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop or, if that has begun, end the grace now.

        A signal handler: it runs between any two bytecodes of the main thread, even if the event
        loop is blocked, so it only notes times and wakes the loop.
        """
        del sig, frame
        now = time.monotonic()
        if not self.should_exit:
            self._note_stop(now)
        elif now - self._asked_at > SAME_SIGNAL_SECONDS:
            self._grace_ends = min(self._grace_ends, now)
            self.end_by(self._grace_ends + END_SECONDS)
        self._in_loop(self._begin_stop)

    def stop(self, error: BaseException) -> None:
        """Stop because of *error*. May be called from any thread; returns at once."""
        self._in_loop(self._fail, error)

    def end_by(self, deadline: float) -> None:
        """Have the process ended at *deadline* (of `time.monotonic`) if it has not ended itself."""
        self._watchdog.exit_code = self.exit_code
        self._watchdog.arm(deadline)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Do nothing: `serve` handles the signals, and for longer than uvicorn would.

        uvicorn would also raise them again at the end, which makes -15 of a clean exit.
        """
        yield

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Run the app and serve it until stopped, in an event loop of its own."""
        with asyncio.Runner(loop_factory=loop_factory(loop_name(self._options))) as runner:
            runner.run(self.serve(sockets))

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Run the app and serve it until stopped. Do not cancel it: signals and `stop` end it."""
        self._loop = asyncio.get_running_loop()
        self._lifecycle.bind(self.stop)
        backend: AbstractAsyncContextManager[object] = self._guest or contextlib.nullcontext()
        async with backend:
            await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app, then listen, then say so. On failure, note why and leave `started` False.

        Being asked to stop cancels the app's startup.
        """
        if self.should_exit:
            return
        try:
            await self.lifespan.startup()
            # Listen here, and not only where uvicorn does, because uvloop hides the error when
            # another process began to listen on the same port since the sockets were bound.
            for listener in sockets or []:
                listener.listen(self.config.backlog)
            await super().startup(sockets)
            self._say_where(sockets or [])
        except BaseException as error:  # noqa: BLE001  whatever it is, it must become an exit code
            self._fail_startup(error)
            await self.lifespan.shutdown()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take steps 1 to 4 of stopping: drain, wait, cancel, shut the app down."""
        del sockets  # closed when the stop began
        if not self._drains:
            self._begin_stop()
        await asyncio.wait(self._drains)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        state = self.server_state
        # uvicorn keeps both in sets that tell nobody when they become empty.
        while (state.connections or state.tasks) and self._grace_left() > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(POLL_SECONDS, self._grace_left()))
        await self._cancel_requests()
        await self.lifespan.shutdown()

    def _say_where(self, sockets: list[socket.socket]) -> None:
        if self.should_exit or not sockets:
            return
        spare_the_collector()
        loop = loop_name(self._options)
        joined = loop if self._guest is None else f"guest run on {loop}"
        where = f"{url_of(sockets[0])} ({self._options.backend}, {joined})"
        self._announce(f"flowmgr listens on {where}")

    def _note_stop(self, now: float) -> None:
        self._asked_at = now
        self._grace_ends = now + self._options.grace
        self.should_exit = True
        self.end_by(self._grace_ends + END_SECONDS)

    def _begin_stop(self) -> None:
        for listener in self.servers:
            listener.close()
        if not self.started:
            self.lifespan.abort()
            return
        # Once at the beginning, and once more if a second signal has ended the grace.
        if not self._drains or (len(self._drains) == 1 and self._grace_left() <= 0):
            self._drains.add(asyncio.create_task(self._drain(self._grace_left()), name="drain"))

    async def _drain(self, grace: float) -> None:
        async def in_backend() -> None:
            self._lifecycle.drain(grace)

        try:
            await (in_backend() if self._guest is None else self._guest.run(in_backend))
        except GuestRunEndedError:
            logger.debug("No drain: the trio run has ended")
        except Exception:
            logger.exception("The app could not be drained; the server stops all the same")

    async def _cancel_requests(self) -> None:
        # Those of connections, and those whose client has gone.
        tasks = list(self.server_state.tasks)
        if not tasks:
            return
        names = ", ".join(self._requests.describe())
        logger.warning("Cancelling requests that outlived the grace: %s", names)
        for task in tasks:
            task.cancel()
        # uvicorn would shut the app down at once, under the feet of what is still unwinding.
        await asyncio.wait(tasks, timeout=UNWIND_SECONDS)

    def _fail(self, error: BaseException) -> None:
        if not self.started:
            self._fail_startup(error)
        elif self.complaint is None:
            logger.error("The app failed", exc_info=error)
            self.exit_code = self._watchdog.exit_code = ENGINE_DIED
            self.complaint = f"flowmgr stopped because of an error: {in_one_line(error)}"
        if math.isinf(self._asked_at):
            self._note_stop(time.monotonic())
        self._begin_stop()

    def _fail_startup(self, error: BaseException) -> None:
        was_asked_to_stop = not math.isinf(self._asked_at)
        if self.complaint is not None or (
            was_asked_to_stop and isinstance(error, asyncio.CancelledError)
        ):
            return
        logger.debug("The server did not start", exc_info=error)
        self.exit_code = STARTUP_FAILED
        if isinstance(error, OSError) and self.lifespan.is_running and not self.started:
            self.complaint = cannot_listen(self._options, error)
        else:
            self.complaint = f"flowmgr could not start: {in_one_line(error)}"
        if not was_asked_to_stop:
            self._note_stop(time.monotonic())

    def _grace_left(self) -> float:
        return max(0.0, self._grace_ends - time.monotonic())

    def _in_loop(self, function: Callable[..., None], *args: object) -> None:
        # Before there is a loop, `startup` looks at should_exit; once it is closed, all is done.
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(function, *args)

    def _name_what_runs(self) -> str:
        lifespan = ["the app's lifespan"] if self.lifespan.is_running else []
        threads = [f"thread '{name}'" for name in waited_for_threads()]
        return ", ".join(self._requests.describe() + lifespan + threads) or "nothing with a name"


def spare_the_collector() -> None:
    """Have the garbage collector leave alone what was loaded, and look less often at the rest.

    What serves requests hardly makes cycles. Looking at all that there is takes tens of
    milliseconds, in which every request waits.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


def _configure(app: ASGIApp, options: ServerOptions) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        host=options.host,
        port=options.port,
        loop=loop_name(options),
        http="httptools",
        ws="none",  # the API has no WebSockets
        interface="asgi3",
        log_config=None,  # where logs go is the command line's affair
        log_level="warning",
        access_log=options.access_log,
        server_header=False,
        proxy_headers=False,
        # Without it a request sees context variables of the one before it on its connection.
        reset_contextvars=True,
    )
    if options.access_log:
        logging.getLogger("uvicorn.access").setLevel(logging.INFO)
    config.load()
    return config
