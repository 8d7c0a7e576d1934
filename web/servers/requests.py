"""Knows which requests are in flight, and answers those that the server's stop cuts short."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import msgspec

from web.problems import PROBLEM_JSON, stopping_problem
from web.servers.interface import ASGIApp, Receive, Scope, Send

_STOPPING: Final = msgspec.json.encode(
    stopping_problem("The server is stopping, and the request took longer than the grace it has")
)


class RequestTracker:
    """An ASGI app around the app. Runs in asyncio tasks of uvicorn, on both backends."""

    def __init__(self, app: ASGIApp, is_stopping: Callable[[], bool]) -> None:
        self._app = app
        self._is_stopping = is_stopping
        self._in_flight: dict[int, Scope] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app for one scope.

        Cancelling cancels the app and waits for it. If that happens because the server stops, the
        client is told so by a 503, where the response has not yet begun.
        """
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        self._in_flight[id(scope)] = scope
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if not self._is_stopping():
                raise  # a handler's own stray cancellation: a failure like any other
            # uvicorn refuses to start a response twice; it then drops the connection.
            with contextlib.suppress(RuntimeError):
                await _answer_unavailable(send)
        finally:
            del self._in_flight[id(scope)]

    def describe(self) -> list[str]:
        """Return the requests in flight, as words. May be called from any thread."""
        return [f"{s['method']} {s['path']}" for s in list(self._in_flight.values())]


async def _answer_unavailable(send: Send) -> None:
    headers = [
        (b"content-type", PROBLEM_JSON.encode()),
        (b"content-length", str(len(_STOPPING)).encode()),
        (b"retry-after", b"1"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": _STOPPING})
