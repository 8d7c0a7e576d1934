"""Health: whether the process answers, and whether it takes work."""

from __future__ import annotations

from importlib.metadata import version

from litestar import Controller, Response, get
from litestar.status_codes import HTTP_200_OK, HTTP_503_SERVICE_UNAVAILABLE

from web.requests import AnyRequest
from web.resources import Health, Readiness
from web.surface import engine_of, settings_of

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
    async def ready(self, request: AnyRequest) -> Response[Readiness]:
        """Say whether executions are accepted, and what runs them; 503 if they are not."""
        engine, settings = engine_of(request), settings_of(request)
        readiness = Readiness(
            status="ready" if engine.is_accepting else "stopping",
            backend=settings.backend,
            server=settings.server,
            journal=engine.settings.journal,
            version=VERSION,
            live_executions=engine.live_executions,
            abandoned_executions=engine.abandoned_executions,
        )
        status = HTTP_200_OK if engine.is_accepting else HTTP_503_SERVICE_UNAVAILABLE
        return Response(readiness, status_code=status)
