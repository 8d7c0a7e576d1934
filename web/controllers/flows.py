"""Flows: register, show, list, validate, delete."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, Response, delete, get, post
from litestar.params import Parameter
from litestar.status_codes import HTTP_200_OK

from actors.state import MAX_VERSION
from flowmgr.errors import DefinitionError
from web.bodies import DOCUMENT_TYPES, document_body, flow_document
from web.cursors import decode_cursor, decode_number_cursor, encode_cursor
from web.descriptions import FLOW_LOCATION, IF_NONE_MATCH, an_object, body, described
from web.flow_resources import (
    FlowCreated,
    FlowResource,
    FlowSummaryResource,
    ShownFlowResource,
    ValidationReport,
    flow_resource,
    flow_summary_resource,
    shown_flow_resource,
)
from web.requests import AnyRequest, header
from web.resources import Page, page
from web.surface import engine_of

Limit = Annotated[int, Parameter(ge=1, le=1000, description="How many items to send at most.")]
Cursor = Annotated[
    str | None, Parameter(description="The next_cursor of the page before.", max_length=1000)
]
FlowId = Annotated[str, Parameter(description="The flow's id.")]
Version = Annotated[
    int | None, Parameter(ge=1, le=MAX_VERSION, description="The latest if not given.")
]

_FLOW_DOCUMENT = body(
    an_object('A flow, bare or wrapped as {"flow": …} or {"flow_data": {"flow": …}}.'),
    {
        "flow": {
            "id": "flow123",
            "name": "Data Processing Flow",
            "start_task": "task1",
            "tasks": [{"name": "task1", "description": "Fetch data"}, {"name": "task2"}],
            "conditions": [
                {"source_task": "task1", "outcome": "success", "target_task_success": "task2"}
            ],
        }
    },
    media_types=DOCUMENT_TYPES,
)

_REGISTER = described(
    request=_FLOW_DOCUMENT, parameters=[IF_NONE_MATCH], answers={"Location": FLOW_LOCATION}
)


class FlowController(Controller):
    """The flows that are registered."""

    path = "/flows"
    tags = ("flows",)

    @post(operation_class=_REGISTER, summary="Register a flow")
    async def register(self, request: AnyRequest) -> Response[FlowCreated]:
        """Validate a flow and keep it as the next version of its id.

        The body is the flow, bare or wrapped as `{"flow": …}` or `{"flow_data": {"flow": …}}`. The
        same definition again makes no new version. `If-None-Match: *` refuses an id that exists.
        """
        only_new = (header(request, b"if-none-match") or "").strip() == "*"
        flow = await engine_of(request).register(await flow_document(request), only_new=only_new)
        created = FlowCreated(
            message=f"Flow {flow.definition.id} created successfully",
            id=flow.definition.id,
            version=flow.version,
            warnings=flow.warnings,
        )
        return Response(created, headers={"Location": f"/flows/{flow.definition.id}"})

    @get(summary="List flows")
    async def list_flows(
        self, request: AnyRequest, limit: Limit = 100, cursor: Cursor = None
    ) -> Page[FlowSummaryResource]:
        """List the latest version of every flow, by id."""
        after = None if cursor is None else decode_cursor(request, cursor)
        flows = await engine_of(request).flows.list(after, limit + 1)
        return page(
            flows,
            limit,
            flow_summary_resource,
            lambda flow: encode_cursor(request, flow.definition.id),
        )

    @get("/{flow_id:str}", summary="Show a flow")
    async def show(
        self, request: AnyRequest, flow_id: FlowId, version: Version = None
    ) -> ShownFlowResource:
        """Show a version of a flow; `definition` has all that it says."""
        return shown_flow_resource(await engine_of(request).flows.get(flow_id, version))

    @get("/{flow_id:str}/versions", summary="List the versions of a flow")
    async def list_versions(
        self, request: AnyRequest, flow_id: FlowId, limit: Limit = 100, cursor: Cursor = None
    ) -> Page[FlowResource]:
        """List a flow's versions, the oldest first; without their definitions."""
        after = 0 if cursor is None else decode_number_cursor(request, cursor)
        flows = await engine_of(request).flows.versions(flow_id, after, limit + 1)
        return page(
            flows, limit, flow_resource, lambda flow: encode_cursor(request, str(flow.version))
        )

    @delete("/{flow_id:str}", summary="Delete a flow")
    async def delete_flow(self, request: AnyRequest, flow_id: FlowId) -> None:
        """Delete a flow with all its versions. Its executions stay, and live ones go on."""
        await engine_of(request).flows.delete(flow_id)

    @post(
        "/validate",
        status_code=HTTP_200_OK,
        operation_class=described(request=_FLOW_DOCUMENT),
        summary="Validate a flow",
    )
    async def validate(self, request: AnyRequest) -> ValidationReport:
        """Say everything that is wrong with a flow, and worth a look; nothing is kept."""
        try:
            validated = await engine_of(request).validate(await document_body(request))
        except DefinitionError as error:
            return ValidationReport(
                valid=False, problems=list(error.problems), warnings=list(error.warnings)
            )
        return ValidationReport(valid=True, problems=[], warnings=list(validated.warnings))
