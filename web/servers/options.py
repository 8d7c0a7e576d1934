"""How to run the server, and what to call it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

import msgspec

Backend = Literal["asyncio", "trio"]


class ServerOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to run the server.

    There is no limit on how long a client may take to send its headers, because uvicorn has none;
    limits on bodies are the app's. Put a reverse proxy in front where clients are not trusted.

    Attributes:
        host: the address or name to listen on; every address that it resolves to.
        port: the TCP port; 0 for any free one, which the line that announces the server names.
        backend: the library that runs the app.
        grace: seconds that work in flight has after SIGTERM or SIGINT. The process has ended one
            second later.
        loop: the event loop that drives the sockets; "auto" is uvloop where it is installed.
        access_log: whether each request is logged, at level INFO by the logger `uvicorn.access`.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    backend: Backend = "asyncio"
    grace: float = 10.0
    loop: Literal["auto", "asyncio", "uvloop"] = "auto"
    access_log: bool = False

    def __post_init__(self) -> None:
        # Written so that NaN fails too.
        if not self.grace >= 0:
            raise ValueError(f"The server's grace is {self.grace}: it must be 0 or more seconds")


class ServerDescription(msgspec.Struct, frozen=True):
    """What a server says of itself, for example when asked whether it is ready.

    Attributes:
        backend: the library that runs the app.
        server: what reads and writes the sockets, and how it is joined to the backend.
    """

    backend: Backend
    server: str


def loop_name(options: ServerOptions) -> Literal["asyncio", "uvloop"]:
    """Return which event loop drives the sockets under *options*."""
    if options.loop == "auto":
        return "uvloop" if find_spec("uvloop") else "asyncio"
    return options.loop


def describe_server(options: ServerOptions) -> ServerDescription:
    """Return what a server under *options* says of itself."""
    loop = loop_name(options)
    # On trio, say openly that the sockets are driven by the loop of the host.
    joined = f"trio guest run on {loop}" if options.backend == "trio" else loop
    return ServerDescription(options.backend, f"uvicorn (httptools), {joined}")
