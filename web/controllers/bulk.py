"""Changing many executions by one request."""

from __future__ import annotations

from typing import Any, Final, get_args

from litestar import Controller, post
from litestar.status_codes import HTTP_200_OK

from flowmgr.bulk import ALLOWED, BulkAction, BulkRequest, change_many
from flowmgr.journal.store import ExecutionQuery
from flowmgr.language.fields import Fields
from web.bodies import json_fields, read_field, refuse_faulty
from web.controllers.changes import BY, REASON
from web.descriptions import an_object, body, described, requiring, text, truth
from web.filters import FILTER_SCHEMA, query_in
from web.requests import AnyRequest
from web.resources import BulkResource, bulk_resource
from web.surface import engine_of

ACTIONS: Final = get_args(BulkAction)
ANY: Final = ExecutionQuery()

_BULK = described(
    request=body(
        requiring(
            an_object(
                "What to do, and to which executions.",
                action=text("What to do to each.", enum=ACTIONS),
                filter=FILTER_SCHEMA,
                dry_run=truth("Only find out which ones; false if not given."),
                by=BY,
                reason=REASON,
            ),
            "action",
            "filter",
        ),
        {"action": "retry", "filter": {"status": "failed", "flow_id": "flow123"}, "dry_run": True},
    )
)


class BulkController(Controller):
    """Requests that mean many executions."""

    path = "/executions/bulk"
    tags = ("executions",)

    @post(
        status_code=HTTP_200_OK,
        operation_class=_BULK,
        summary="Cancel, retry or delete many executions",
    )
    async def bulk(self, request: AnyRequest) -> BulkResource:
        """Do something to every execution that matches a filter, and whose status allows it.

        At most 10,000 at a time, the newest first: `has_more` says whether others match. One that
        cannot be changed is named in `failed`, and does not keep the others from it. Cancelling is
        not waited for: `done` counts what is recorded.
        """
        body = await json_fields(request, "action", "filter", "dry_run", "by", "reason")
        asked = _bulk_request(body)
        return bulk_resource(asked, await change_many(engine_of(request), asked))


def _bulk_request(body: Fields) -> BulkRequest:
    action: Any = body.required_choice("action", ACTIONS)
    query, is_dry_run = _query(body, action), body.optional_boolean("dry_run")
    by, reason = read_field(body, "by"), read_field(body, "reason")
    refuse_faulty(body)
    return BulkRequest(action, query, by, reason, is_dry_run)


def _query(body: Fields, action: BulkAction | None) -> ExecutionQuery:
    """Read which executions are meant; all of them is noted as a problem."""
    found = len(body.findings)
    query = ANY
    if body.data.get("filter") is not None:
        chosen = body.inner("filter", "the filter")
        query = ANY if chosen is None else query_in(chosen)
    if query == ANY and len(body.findings) == found:
        status = "running" if action is None else ALLOWED[action][0]
        message = (
            f"Without a filter this would {action or 'change'} every execution; name at least one "
            f'thing that they have in common, such as {{"status": "{status}"}} or '
            '{"started_before": "2026-01-31T12:00:00Z"}'
        )
        body.add("filter", "missing_field", message)
    return query
