"""Health: whether the process answers, and whether it takes work."""

from __future__ import annotations

from importlib.metadata import version
from itertools import islice
from typing import Any

from litestar import Controller, Response, get, head
from litestar.status_codes import HTTP_200_OK, HTTP_503_SERVICE_UNAVAILABLE

from flowmgr.engine import Engine
from flowmgr.journal.sqlite import library
from web.descriptions import described
from web.health_resources import Health, Readiness, ReadyStatus, RecoveryResource
from web.limits import MAX_ITEMS
from web.requests import AnyRequest
from web.settings import WebSettings
from web.surface import engine_of, settings_of

VERSION = version("flowmgr")

_READY = described(
    otherwise=(HTTP_503_SERVICE_UNAVAILABLE, "No executions are accepted, or none go on.")
)


class HealthController(Controller):
    """For load balancers and people in a hurry."""

    path = "/health"
    tags = ("health",)

    @get(summary="Whether the process answers")
    async def health(self) -> Health:
        """Answer."""
        return Health()

    @get("/ready", operation_class=_READY, summary="Whether executions are accepted")
    async def ready(self, request: AnyRequest) -> Response[Readiness]:
        """Say whether executions are accepted and go on, and what runs them; 503 if not.

        `stopping`: the server takes no more. `degraded`: the journal can record nothing, see
        `trouble`. `recovering`: it has just started, and brings back what was unfinished.
        """
        return _answer(_readiness(engine_of(request), settings_of(request)))

    @head(include_in_schema=False)
    async def health_without_body(self) -> Response[None]:
        """Answer as GET does, to a load balancer that asks for the status alone."""
        return _without_body(Response(Health()))

    @head("/ready", include_in_schema=False)
    async def ready_without_body(self, request: AnyRequest) -> Response[None]:
        """Answer as GET does, to a load balancer that asks for the status alone."""
        return _without_body(_answer(_readiness(engine_of(request), settings_of(request))))


def _answer(readiness: Readiness) -> Response[Readiness]:
    is_ready = readiness.status == "ready"
    return Response(
        readiness, status_code=HTTP_200_OK if is_ready else HTTP_503_SERVICE_UNAVAILABLE
    )


def _without_body(answer: Response[Any]) -> Response[None]:
    # The headers are those of the body, which Litestar does not send after HEAD.
    return answer


def _readiness(engine: Engine, settings: WebSettings) -> Readiness:
    recovery, is_sqlite = engine.recovery, engine.settings.database is not None
    return Readiness(
        status=_status(engine),
        backend=settings.backend,
        server=settings.server,
        journal=engine.settings.journal,
        version=VERSION,
        live_executions=engine.live_executions,
        abandoned_executions=engine.abandoned_executions,
        recovery=RecoveryResource(
            recovery.unfinished, recovery.recovered, recovery.quarantined, len(recovery.stranded)
        ),
        stranded=dict(islice(recovery.stranded.items(), MAX_ITEMS)),
        trouble=engine.trouble,
        sqlite=library.VERSION if is_sqlite else None,
        warnings=library.warnings() if is_sqlite else [],
    )


def _status(engine: Engine) -> ReadyStatus:
    if not engine.is_accepting:
        return "stopping"
    if engine.trouble is not None:
        return "degraded"
    return "ready" if engine.recovery.is_over else "recovering"
