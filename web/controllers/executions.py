"""Executions: start, show, list, wait, cancel, history."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Response, get, post
from litestar.params import FromQuery, Parameter
from litestar.status_codes import HTTP_200_OK, HTTP_202_ACCEPTED

from actors.state import ExecutionStatus
from flowmgr.executions import Execution
from flowmgr.journal.store import ExecutionQuery
from web.answers import EncodedResponse
from web.controllers.flows import Cursor, Limit
from web.openapi import CancelOperation, ExecuteOperation
from web.requests import (
    AnyRequest,
    decode_cursor,
    decode_number_cursor,
    encode_cursor,
    json_object,
    preference,
    refuse,
)
from web.resources import (
    ExecutionResource,
    ExecutionSummaryResource,
    Page,
    encode,
    event_resource,
    execution_resource,
    page,
    summary_resource,
)
from web.surface import engine_of, settings_of

MAX_REASON = 1000
"""Characters that the reason of a cancellation may have."""

ExecutionId = Annotated[str, Parameter(description="The execution's id.")]
Wait = Annotated[
    float,
    Parameter(ge=0, le=10**9, description="Seconds to wait at most for the execution to end."),
]


class StartController(Controller):
    """Starting executions."""

    path = "/flows/execute"
    tags = ("executions",)

    @post(
        status_code=HTTP_200_OK,
        operation_class=ExecuteOperation,
        summary="Execute a flow",
        description=(
            "Starts an execution and waits until it has ended, then answers 200, also if the flow "
            "has failed: see `status`. If it takes longer than the server waits, or the client "
            "prefers not to wait (`Prefer: respond-async`) or not so long (`Prefer: wait=5`), the "
            "answer is 202 with the place to look in `Location`. An execution does not end with "
            "the connection of the client that started it."
        ),
    )
    async def execute(self, request: AnyRequest) -> Response[ExecutionResource]:
        """Start an execution, and wait as long as is preferred."""
        preferred = preference(request)
        body = await json_object(request, "flow_id", "version", "context", "flow")
        flow, version = _what_to_execute(body)
        if not isinstance(body.get("context"), dict | None):
            refuse("/context", "wrong_type", "'context' must be an object")
        engine, wait_limit = engine_of(request), settings_of(request).wait_limit
        timeout = preferred.seconds(wait_limit, wait_limit)
        context = body.get("context")
        if timeout > 0:
            execution = await engine.run(flow, context, version=version, timeout=timeout)
        else:
            execution = await engine.start(flow, context, version=version)
        return _answer(execution, respond_async=preferred.respond_async)


def _what_to_execute(body: dict[str, Any]) -> tuple[str | dict[str, Any], int | None]:
    flow_id, inline, version = body.get("flow_id"), body.get("flow"), body.get("version")
    if (flow_id is None) == (inline is None):
        refuse(
            "/flow_id",
            "missing_field",
            "The body must say what to execute: either 'flow_id', the id of a registered flow, "
            "or 'flow', the definition of a flow",
        )
    if inline is not None:
        if version is not None:
            refuse("/version", "unknown_field", "'version' goes with 'flow_id', not with 'flow'")
        return {"flow": inline}, None
    if not isinstance(flow_id, str):
        refuse("/flow_id", "wrong_type", "'flow_id' must be text: the id of a registered flow")
    is_number = isinstance(version, int) and not isinstance(version, bool)
    if version is not None and not (is_number and 0 < version < 10**9):
        refuse("/version", "wrong_type", "'version' must be a whole number from 1")
    return flow_id, version


def _answer(execution: Execution, *, respond_async: bool = False) -> Response[Any]:
    content = encode(execution_resource(execution))
    if execution.has_ended:
        return EncodedResponse(content, status_code=HTTP_200_OK)
    headers = {"Location": f"/executions/{execution.execution_id}"}
    if respond_async:
        headers["Preference-Applied"] = "respond-async"
    return EncodedResponse(content, status_code=HTTP_202_ACCEPTED, headers=headers)


class ExecutionController(Controller):
    """The executions that were started."""

    path = "/executions"
    tags = ("executions",)

    @get(summary="List executions")
    async def list_executions(
        self,
        request: AnyRequest,
        status: FromQuery[ExecutionStatus | None] = None,
        flow_id: FromQuery[str | None] = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Page[ExecutionSummaryResource]:
        """List executions, the newest first."""
        before = None if cursor is None else decode_cursor(cursor)
        found = await engine_of(request).list(ExecutionQuery(status, flow_id), before, limit + 1)
        return page(
            found, limit, summary_resource, lambda summary: encode_cursor(summary.execution_id)
        )

    @get("/{execution_id:str}", summary="Show an execution")
    async def show(
        self,
        request: AnyRequest,
        execution_id: ExecutionId,
        wait: Wait = 0,
    ) -> ExecutionResource:
        """Show an execution as it is, or as it is when it has ended or *wait* is over."""
        if wait > 0:
            timeout = min(wait, settings_of(request).wait_limit)
            return execution_resource(await engine_of(request).wait(execution_id, timeout))
        return execution_resource(await engine_of(request).get(execution_id))

    @post(
        "/{execution_id:str}/cancel",
        status_code=HTTP_200_OK,
        operation_class=CancelOperation,
        summary="Cancel an execution",
        description=(
            "Records the request and stops the execution: every running task is cancelled at its "
            "next checkpoint and has the grace for its clean-up. With `Prefer: wait=n` the answer "
            "is 200 with the receipt in `cancellation` once nothing of the execution is running "
            "any more; without, or if that takes longer, 202. An execution that has completed or "
            "failed stays as it is: 409."
        ),
    )
    async def cancel(
        self,
        request: AnyRequest,
        execution_id: ExecutionId,
    ) -> Response[ExecutionResource]:
        """Cancel an execution, and wait for its end as long as is preferred."""
        wait = preference(request).seconds(0.0, settings_of(request).wait_limit)
        reason = None
        if await request.body():
            reason = (await json_object(request, "reason")).get("reason")
            if not isinstance(reason, str | None) or len(reason or "") > MAX_REASON:
                refuse(
                    "/reason",
                    "wrong_type",
                    f"'reason' must be text of at most {MAX_REASON} characters",
                )
        return _answer(await engine_of(request).cancel(execution_id, reason=reason, wait=wait))

    @get("/{execution_id:str}/events", summary="Show the history of an execution")
    async def list_events(
        self,
        request: AnyRequest,
        execution_id: ExecutionId,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Page[dict[str, Any]]:
        """List what happened in an execution: each event with its number, type and time."""
        after = 0 if cursor is None else decode_number_cursor(cursor)
        events = await engine_of(request).events(execution_id, after=after, limit=limit + 1)
        return page(events, limit, event_resource, lambda event: encode_cursor(str(event.seq)))
