"""How the process ends: its exit code, and the one line that says why."""

from __future__ import annotations

from web.servers.options import ServerOptions

STOPPED = 0
"""Exit code: a signal asked the server to stop."""
ENGINE_DIED = 1
"""Exit code: the app reported an error that it cannot live with, or its lifespan ended."""
STARTUP_FAILED = 3
"""Exit code: the address could not be taken, or the app did not start."""


def cannot_listen(options: ServerOptions, error: Exception) -> str:
    """Return why the address in *options* could not be taken, in the system's words."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return f"flowmgr cannot listen on {options.host}:{options.port}: {reason}"


def in_one_line(error: BaseException) -> str:
    """Return the type and the message of *error*."""
    # A group of one is only the trace of a task group around the error.
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return " ".join(f"{type(error).__name__}: {error}".split())
