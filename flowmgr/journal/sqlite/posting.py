"""From a thread back to the event loop, the same on asyncio and on trio."""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable
from typing import Any

import sniffio
from anyio.lowlevel import current_token

Post = Callable[..., None]
"""Has a function called with arguments, soon, in the thread of an event loop. Never raises."""


def post_to_this_loop() -> Post:
    """Return what posts to the event loop that runs now.

    What is posted runs outside of any task, but may use what of anyio does not wait: it finds out
    which library it runs on.
    """
    call_soon = _call_soon(current_token().native_token)

    def post(function: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone, and nobody waits any more
            call_soon(function, *arguments)

    return post


def _call_soon(loop: Any) -> Callable[..., object]:
    # A trio token, or an event loop of asyncio: told apart by what they can do.
    run_sync_soon: Callable[..., object] | None = getattr(loop, "run_sync_soon", None)
    if run_sync_soon is not None:
        return run_sync_soon
    context = contextvars.Context()
    context.run(sniffio.current_async_library_cvar.set, sniffio.current_async_library())
    return functools.partial(loop.call_soon_threadsafe, context=context)
