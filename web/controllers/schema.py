"""The JSON Schema of the flow language."""

from __future__ import annotations

from typing import Any, Final

from litestar import Controller, Response, get

from flowmgr.language.json_schema import flow_schema
from web.requests import AnyRequest

SCHEMA_JSON: Final = "application/schema+json"


class SchemaController(Controller):
    """What editors want to know about flows."""

    path = "/schema"
    tags = ("flows",)

    @get("/flow.json", media_type=SCHEMA_JSON, summary="Show the JSON Schema of flows")
    async def flow(self, request: AnyRequest) -> Response[dict[str, Any]]:  # noqa: ARG002 - as all handlers
        """Show the JSON Schema (draft 2020-12) of flow documents, for editors."""
        return Response(flow_schema(), media_type=SCHEMA_JSON)
