"""The OpenAPI document and its page, which works without internet access."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from litestar import Request, Response, Router, get
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.static_files import create_static_files_router

from web.api_document import api_document
from web.parameters import refuse_unknown_query
from web.problems import answer_http_error

ASSETS = "/assets"
DOCS = "/docs"


def openapi_config(version: str) -> OpenAPIConfig:
    """Return the configuration of `/openapi.json` and `/docs`."""
    return OpenAPIConfig(
        title="flowmgr",
        version=version,
        description="Declarative flows, supervised executions, clean cancellation.",
        openapi_router=Router(
            DOCS, route_handlers=[], include_in_schema=False, before_request=_refuse_other_pages
        ),
        render_plugins=[
            _DocsPage(
                path="/",
                js_url=f"{ASSETS}/swagger-ui-bundle.js",
                css_url=f"{ASSETS}/swagger-ui.css",
                standalone_preset_js_url=f"{ASSETS}/swagger-ui-standalone-preset.js",
                favicon=f'<link rel="icon" type="image/png" href="{ASSETS}/favicon-32x32.png">',
            ),
        ],
    )


class _DocsPage(SwaggerRenderPlugin):
    """The page shows the same document as `/openapi.json`."""

    def render(self, request: Request[Any, Any, Any], _: dict[str, Any]) -> bytes:
        return super().render(request, api_document(request.app))


async def _refuse_other_pages(request: Request[Any, Any, Any]) -> None:
    # Litestar would answer with a page of its own instead of with a problem.
    refuse_unknown_query(request)
    if request.path_params:
        raise NotFoundException


@get("/openapi.json", include_in_schema=False)
async def openapi_json(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Return the OpenAPI document."""
    return api_document(request.app)


def _answer_impossible_name(request: Request[Any, Any, Any], _: ValueError) -> Response[Any]:
    # What no file can be called, such as a name with a NUL, is not a file that is there.
    return answer_http_error(request, NotFoundException())


def docs_assets() -> Router:
    """Return the routes of the files that `/docs` loads."""
    spec = find_spec("swagger_ui")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    static = Path(spec.submodule_search_locations[0]) / "static"
    return create_static_files_router(
        path=ASSETS,
        directories=[static],
        include_in_schema=False,
        exception_handlers={ValueError: _answer_impossible_name},
    )
