"""The composition root of the REST surface: the engine's lifespan, the routes, the errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from litestar import Litestar, Response

from flowmgr.engine import Engine, open_engine
from flowmgr.errors import FlowSetError
from flowmgr.language.definition import FlowDefinition
from flowmgr.settings import Settings
from web.controllers.activities import ActivityController
from web.controllers.bulk import BulkController
from web.controllers.changes import ChangeController
from web.controllers.executions import ExecutionController
from web.controllers.flows import FlowController
from web.controllers.health import VERSION, HealthController
from web.controllers.schema import SchemaController
from web.controllers.signals import SignalController
from web.controllers.starting import StartController
from web.openapi import docs_assets, openapi_config, openapi_json
from web.options import answer_options
from web.parameters import refuse_unknown_query
from web.problems import EXCEPTION_HANDLERS
from web.requests import AnyRequest, ScopeRequest
from web.settings import MAX_BODY_BYTES, WebSettings

CONTROLLERS: Final = (
    FlowController,
    StartController,
    ExecutionController,
    ChangeController,
    SignalController,
    BulkController,
    ActivityController,
    HealthController,
    SchemaController,
)

ANSWER_SECONDS: Final = 0.2
"""Seconds before the end of the grace at which executions are stopped."""


class AppLifecycle:
    """What the server asks of the app when it starts and stops; see `web.servers.Lifecycle`."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.registered: list[FlowDefinition] = []  # the flows that it started with
        self.refused: FlowSetError | None = None  # why it did not start with some of them
        self._stop: Callable[[BaseException], None] | None = None

    def bind(self, stop: Callable[[BaseException], None]) -> None:
        """Take the function that stops the server because of an error."""
        self._stop = stop

    def drain(self, grace: float) -> None:
        """Start no more executions, and let the live ones end within *grace* seconds."""
        if self.engine is not None:
            # A little earlier than the server cancels the requests that wait for them, so that
            # those are answered (503) and not cut off.
            self.engine.begin_draining(max(0.0, grace - ANSWER_SECONDS))

    def failed(self, error: Exception) -> None:
        """Stop the server: the engine is broken."""
        if self._stop is not None:
            self._stop(error)


async def _before_request(request: AnyRequest) -> Response[None] | None:
    """Run before every handler; a coroutine, because Litestar runs functions in a thread."""
    if request.method == "OPTIONS":
        return answer_options(request)
    refuse_unknown_query(request)
    return None


def create_app(
    settings: Settings | None = None,
    *,
    web_settings: WebSettings | None = None,
    activities: Collection[Any] = (),
    flows: Sequence[Any] = (),
    lifecycle: AppLifecycle | None = None,
) -> Litestar:
    """Return the app. Its lifespan opens the engine, and registers *flows* (documents) in it.

    Starting it raises what `open_engine` and `Engine.register_together` do.
    """
    web_settings = web_settings or WebSettings()
    lifecycle = lifecycle or AppLifecycle()

    @asynccontextmanager
    async def engine_lifespan(app: Litestar) -> AsyncIterator[None]:
        async with open_engine(
            settings, activities=activities, on_failure=lifecycle.failed
        ) as engine:
            try:
                registered = await engine.register_together(flows)
            except FlowSetError as error:
                lifecycle.refused = error
                raise
            lifecycle.registered += [flow.definition for flow in registered]
            app.state.engine = lifecycle.engine = engine
            app.state.web_settings = web_settings
            yield

    return Litestar(
        route_handlers=[*CONTROLLERS, openapi_json, docs_assets()],
        lifespan=[engine_lifespan],
        exception_handlers=EXCEPTION_HANDLERS,
        request_class=ScopeRequest,
        before_request=_before_request,
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=openapi_config(VERSION),
        logging_config=None,
    )
