"""What the handlers work with, kept in the app's state.

Not dependencies in Litestar's sense: two of those cost each request a task group.
"""

from __future__ import annotations

from flowmgr.engine import Engine
from web.requests import AnyRequest
from web.settings import WebSettings


def engine_of(request: AnyRequest) -> Engine:
    """Return the engine that the app has opened."""
    engine: Engine = request.app.state.engine
    return engine


def settings_of(request: AnyRequest) -> WebSettings:
    """Return the settings of the REST surface."""
    settings: WebSettings = request.app.state.web_settings
    return settings
