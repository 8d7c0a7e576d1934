"""From a thread back to the event loop, the same on asyncio and on trio."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from anyio.lowlevel import current_token

Post = Callable[..., None]
"""Has a function called with arguments, soon, in the thread of an event loop. Never raises."""


def post_to_this_loop() -> Post:
    """Return what posts to the event loop that runs now."""
    loop: Any = current_token().native_token
    # A trio token, or an event loop of asyncio: told apart by what they can do.
    call_soon = getattr(loop, "run_sync_soon", None) or loop.call_soon_threadsafe

    def post(function: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone, and nobody waits any more
            call_soon(function, *arguments)

    return post
