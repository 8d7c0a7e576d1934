"""What can be set about the REST surface."""

from __future__ import annotations

from typing import Final

import msgspec

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""Size of a request body beyond which it is refused (413)."""


class WebSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the REST surface.

    Attributes:
        backend: the library that runs the app, for `/health/ready`.
        server: what serves it, likewise.
        wait_limit: seconds that a request may wait for an execution to end.
    """

    backend: str = "unknown"
    server: str = "unknown"
    wait_limit: float = 300.0
