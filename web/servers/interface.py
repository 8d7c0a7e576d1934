"""What a server and the app that it runs ask of each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI 3 app. Loosely typed: each framework has its own, incompatible, types of the messages."""


class Lifecycle(Protocol):
    """The app's side of starting and stopping, beyond what ASGI has words for."""

    def bind(self, stop: Callable[[BaseException], None]) -> None:
        """Take the function that stops the server because of an error.

        Called once, in the event loop, before the app's lifespan starts. *stop* may be called from
        any thread and any event loop, any number of times; the first error is the one reported. The
        server then stops as it does on a signal, but the process's exit code is 1. A lifespan that
        ends by itself needs no call: the server notices.

        Args:
            stop: stops the server; returns at once.
        """

    def drain(self, grace: float) -> None:
        """Take no new work and end what would otherwise never end, such as event streams.

        Called when the server begins to stop, before it waits for the requests in flight, and
        called again with 0 when a second signal ends the grace. It runs as a task of the app's own
        backend, so that the synchronous functions of anyio and trio work (`Event.set()`,
        `CancelScope.cancel()`); it must not block.

        Args:
            grace: seconds that work in flight still has.
        """
