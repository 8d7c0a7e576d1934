"""The way in: runs an app for as long as the process lives."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable

from uvicorn.server import HANDLED_SIGNALS

from web.servers.exits import STARTUP_FAILED, cannot_listen
from web.servers.interface import ASGIApp, Lifecycle
from web.servers.listening import bind_sockets
from web.servers.options import ServerOptions
from web.servers.uvicorn_server import END_SECONDS, AppServer


def serve(
    app: ASGIApp,
    options: ServerOptions,
    lifecycle: Lifecycle,
    announce: Callable[[str], None] | None = None,
) -> int:
    """Run *app* until a signal stops it or it dies, and return the process's exit code.

    Call it from the main thread, as the last thing that the process does. It handles SIGTERM and
    SIGINT, also after it has returned: the process ends within the grace plus one second of the
    first signal, by force if it must, even if a thread would keep the interpreter from exiting.
    That bound needs the interpreter: extension code that holds its lock for ever is beyond it.

    Args:
        app: the ASGI app; it must support the lifespan protocol.
        options: how to run it.
        lifecycle: the app's side of stopping.
        announce: is given the line that says where the server listens, once it does; the default
            writes it to the standard output.

    Returns:
        `STOPPED`, `ENGINE_DIED` or `STARTUP_FAILED`. For the latter two, one line on the standard
        error says why.
    """
    try:
        sockets = bind_sockets(options.host, options.port)
    except (OSError, OverflowError, UnicodeError) as error:
        _complain(cannot_listen(options, error))
        return STARTUP_FAILED
    server = AppServer(app, options, lifecycle, announce or _write_line)
    for number in HANDLED_SIGNALS:
        signal.signal(number, server.handle_exit)
    try:
        server.run(sockets)
    finally:
        for listener in sockets:
            listener.close()
    if server.complaint is not None:
        _complain(server.complaint)
        server.end_by(time.monotonic() + END_SECONDS)
    return server.exit_code


def _write_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _complain(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
