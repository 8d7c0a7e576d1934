"""The app's lifespan: started, stopped, and watched in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from web.servers.interface import ASGIApp, Message


class LifespanError(Exception):
    """The app's lifespan did not keep to the protocol, or said that it failed."""


class Lifespan:
    """Drives the lifespan of an ASGI app in the way that uvicorn expects of its own class.

    It is ours for three reasons: uvicorn keeps serving when a lifespan ends after startup; it logs
    a traceback where one line says what is wrong; and its startup cannot be cancelled.

    Attributes:
        state: what the app put into the lifespan's state; each request is given a copy.
        should_exit: part of what uvicorn asks; a failed startup raises instead.
    """

    should_exit = False

    def __init__(self, app: ASGIApp, failed: Callable[[BaseException], None]) -> None:
        """Prepare; nothing runs before `startup`.

        Args:
            app: the ASGI app.
            failed: called when the lifespan fails, or ends unasked, after startup.
        """
        self.state: dict[str, Any] = {}
        self._app = app
        self._failed = failed
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._is_stopping = False
        self._complaint: str | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether the app's lifespan is running: it has been entered, and not left."""
        return self._task is not None and not self._task.done()

    async def startup(self) -> None:
        """Start the app, and return when it says that it has started.

        Done once: repeated, it returns, or raises, at once what it did before.

        Raises:
            BaseException: what the app raised instead.
            LifespanError: the app said that it failed, or ended, without raising.
            asyncio.CancelledError: the startup was aborted.
        """
        if self._task is None:
            self._inbox.put_nowait({"type": "lifespan.startup"})
            self._started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._run(), name="lifespan")
        await self._started

    async def shutdown(self) -> None:
        """Ask the app to stop and wait until its lifespan has ended, however it ends.

        Does nothing if it has ended already.
        """
        self._is_stopping = True
        self._inbox.put_nowait({"type": "lifespan.shutdown"})
        if self._task is not None:
            await asyncio.wait([self._task])

    def abort(self) -> None:
        """Cancel a startup that has not finished."""
        if self._task is not None and not self._started.done():
            self._task.cancel()

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        error: BaseException | None = None
        try:
            await self._app(scope, self._inbox.get, self._note)
        except BaseException as raised:  # noqa: BLE001  whatever the app raises, it has ended
            error = raised
        if error is None and self._complaint is not None:
            error = LifespanError(self._complaint)
        self._conclude(error)

    def _conclude(self, error: BaseException | None) -> None:
        if not self._started.done():
            self._started.set_exception(error or LifespanError("the app ended during its startup"))
        elif error is not None:
            self._failed(error)
        elif not self._is_stopping:
            self._failed(LifespanError("the app's lifespan ended although nobody asked it to"))

    async def _note(self, message: Message) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            self._started.set_result(None)
        elif kind in ("lifespan.startup.failed", "lifespan.shutdown.failed"):
            # Frameworks put a whole traceback here; its last line names the error.
            lines = str(message.get("message", "")).strip().splitlines()
            self._complaint = lines[-1] if lines else f"the app reported {kind}"
