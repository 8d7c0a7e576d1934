"""An HTTP client of an app in the same event loop, on whichever backend the test runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx

from flowmgr.errors import JournalError


@asynccontextmanager
async def asgi_client(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Run the lifespan of *app* around the block, in a task of its own, as servers do."""
    to_app, from_test = anyio.create_memory_object_stream[dict[str, str]](2)
    has_ended = anyio.Event()

    async def lifespan(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        async def send(message: dict[str, str]) -> None:
            if message["type"] == "lifespan.startup.complete":
                task_status.started()

        try:
            await app({"type": "lifespan", "state": {}}, from_test.receive, send)
        except* JournalError:
            pass  # an engine that dies is what some tests are about
        finally:
            has_ended.set()

    with to_app, from_test:
        async with anyio.create_task_group() as group:
            to_app.send_nowait({"type": "lifespan.startup"})
            await group.start(lifespan)
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
                yield client
            to_app.send_nowait({"type": "lifespan.shutdown"})
            await has_ended.wait()
