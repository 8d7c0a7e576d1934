"""What can be set about the REST surface."""

from __future__ import annotations

import msgspec


class WebSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the REST surface.

    Attributes:
        backend: the library that runs the app, for `/health/ready`.
        server: what serves it, likewise.
        wait_limit: seconds that a request may wait for an execution to end.
        max_body_bytes: size of a request body beyond which it is refused (413).
    """

    backend: str = "unknown"
    server: str = "unknown"
    wait_limit: float = 300.0
    max_body_bytes: int = 8 * 1024 * 1024
