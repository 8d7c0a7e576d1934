"""A Litestar app whose lifespan holds a task group: ``python -m tests.http.apps.litestar_app``."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import msgspec
import sniffio
from litestar import Litestar, get
from litestar.datastructures import State

from web.servers import ServerOptions, serve


class NothingToDrain:
    def bind(self, stop) -> None:
        pass

    def drain(self, grace: float) -> None:
        pass


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    async with anyio.create_task_group() as root:
        app.state.root = root
        yield
        root.cancel_scope.cancel()


@get("/library")
async def library() -> dict[str, str]:
    return {"library": sniffio.current_async_library()}


@get("/die")
async def die(state: State) -> None:
    async def fail() -> None:
        raise RuntimeError("engine died")

    state.root.start_soon(fail)


def main() -> int:
    app = Litestar([library, die], lifespan=[lifespan], openapi_config=None, logging_config=None)
    options = msgspec.json.decode(sys.argv[1], type=ServerOptions)
    return serve(app, options, NothingToDrain())


if __name__ == "__main__":
    sys.exit(main())
