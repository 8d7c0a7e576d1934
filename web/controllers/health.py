"""Health: whether the process answers, and whether it takes work."""

from __future__ import annotations

from importlib.metadata import version

from litestar import Controller, Response, get
from litestar.status_codes import HTTP_200_OK, HTTP_503_SERVICE_UNAVAILABLE

from flowmgr.engine import Engine
from web.resources import Health, Readiness
from web.settings import WebSettings

VERSION = version("flowmgr")


class HealthController(Controller):
    """For load balancers and people in a hurry."""

    path = "/health"
    tags = ("health",)

    @get(summary="Whether the process answers")
    async def health(self) -> Health:
        """Answer."""
        return Health()

    @get("/ready", summary="Whether executions are accepted")
    async def ready(self, engine: Engine, web_settings: WebSettings) -> Response[Readiness]:
        """Say whether executions are accepted, and what runs them; 503 if they are not."""
        readiness = Readiness(
            status="ready" if engine.is_accepting else "stopping",
            backend=web_settings.backend,
            server=web_settings.server,
            journal=engine.settings.journal,
            version=VERSION,
            live_executions=engine.live_executions,
            abandoned_executions=engine.abandoned_executions,
        )
        status = HTTP_200_OK if engine.is_accepting else HTTP_503_SERVICE_UNAVAILABLE
        return Response(readiness, status_code=status)
