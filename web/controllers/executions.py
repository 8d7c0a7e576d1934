"""Executions: list, show, wait, history, tree, delete."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, delete, get
from litestar.params import Parameter

from web.controllers.flows import Cursor, Limit
from web.cursors import decode_cursor, decode_number_cursor, encode_cursor
from web.descriptions import described
from web.event_resources import event_resource
from web.filters import FILTER_PARAMETERS, FILTERS, query_of
from web.limits import MAX_BY, MAX_REASON, METADATA
from web.parameters import OWN_PARAMETERS, QueryParameters
from web.requests import AnyRequest
from web.resources import (
    ExecutionResource,
    ExecutionSummaryResource,
    Page,
    execution_resource,
    page,
    summary_resource,
)
from web.surface import engine_of, waited_for
from web.tree_resources import TreeResource, tree_resource

ExecutionId = Annotated[str, Parameter(description="The execution's id.")]
Wait = Annotated[
    float,
    Parameter(ge=0, le=10**9, description="Seconds to wait at most for the execution to end."),
]

By = Annotated[str | None, Parameter(max_length=MAX_BY, description="Who asks.")]
Reason = Annotated[str | None, Parameter(max_length=MAX_REASON, description="Why.")]


class ExecutionController(Controller):
    """The executions that were started."""

    path = "/executions"
    tags = ("executions",)

    @get(
        summary="List executions",
        operation_class=described(parameters=FILTER_PARAMETERS),
        opt={OWN_PARAMETERS: QueryParameters(frozenset(FILTERS), METADATA)},
    )
    async def list_executions(
        self, request: AnyRequest, limit: Limit = 100, cursor: Cursor = None
    ) -> Page[ExecutionSummaryResource]:
        """List those executions that all given filters match, the newest first."""
        before = None if cursor is None else decode_cursor(request, cursor)
        found = await engine_of(request).list(query_of(request), before, limit + 1)
        return page(
            found,
            limit,
            summary_resource,
            lambda summary: encode_cursor(request, summary.execution_id),
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
            return execution_resource(await waited_for(request, execution_id, wait))
        return execution_resource(await engine_of(request).get(execution_id))

    @get("/{execution_id:str}/events", summary="Show the history of an execution")
    async def list_events(
        self,
        request: AnyRequest,
        execution_id: ExecutionId,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Page[dict[str, Any]]:
        """List what happened in an execution: each event with its number, type and time."""
        after = 0 if cursor is None else decode_number_cursor(request, cursor)
        events = await engine_of(request).events(execution_id, after=after, limit=limit + 1)
        return page(
            events, limit, event_resource, lambda event: encode_cursor(request, str(event.seq))
        )

    @get("/{execution_id:str}/tree", summary="Show the scopes of an execution")
    async def tree(self, request: AnyRequest, execution_id: ExecutionId) -> TreeResource:
        """Show what runs in each scope of an execution, since when, and what it waits for.

        Of the scopes that a task has opened, those are listed that are open or have failed, at
        most 100. Looking at an execution that is parked or has ended changes nothing about it.
        """
        return tree_resource(await engine_of(request).tree(execution_id))

    @delete("/{execution_id:str}", summary="Delete an execution")
    async def delete_execution(
        self, request: AnyRequest, execution_id: ExecutionId, by: By = None, reason: Reason = None
    ) -> None:
        """Delete an execution that has ended, or whose record is damaged, with its history.

        Who has asked for it, and why, is in the server's log only.
        """
        await engine_of(request).delete(execution_id, by=by, reason=reason)
