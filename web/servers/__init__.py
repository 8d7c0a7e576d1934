"""Runs an ASGI app on uvicorn: on asyncio directly, or on trio through a guest run.

`serve` owns the process's signals and promises when the process ends; what it asks of the app's
side is the `Lifecycle` protocol.
"""

from web.servers.exits import ENGINE_DIED, STARTUP_FAILED, STOPPED
from web.servers.interface import ASGIApp, Lifecycle
from web.servers.options import ServerDescription, ServerOptions, describe_server
from web.servers.serving import serve

__all__ = [
    "ENGINE_DIED",
    "STARTUP_FAILED",
    "STOPPED",
    "ASGIApp",
    "Lifecycle",
    "ServerDescription",
    "ServerOptions",
    "describe_server",
    "serve",
]
