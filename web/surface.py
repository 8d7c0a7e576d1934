"""What the handlers work with, kept in the app's state.

Not dependencies in Litestar's sense: two of those cost each request a task group.
"""

from __future__ import annotations

from flowmgr.engine import Engine
from flowmgr.errors import ExecutionStateError
from flowmgr.executions import Execution
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


async def waited_for(request: AnyRequest, execution_id: str, seconds: float) -> Execution:
    """Return an execution as it is when it has ended, or when *seconds* are over.

    At most as long as requests may wait. One that cannot go on now is not waited for.
    """
    engine = engine_of(request)
    try:
        return await engine.wait(execution_id, min(seconds, settings_of(request).wait_limit))
    except ExecutionStateError:
        return await engine.get(execution_id)
