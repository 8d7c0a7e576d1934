"""Changing many executions by one request."""

from __future__ import annotations

from typing import Any, Final, get_args

from litestar import Controller, post
from litestar.status_codes import HTTP_200_OK

from flowmgr.bulk import ALLOWED, BulkAction, BulkRequest, change_many
from flowmgr.journal.store import ExecutionQuery
from web.bodies import json_object, read_field, refuse
from web.controllers.changes import BY, REASON
from web.descriptions import an_object, body, described, text, truth
from web.filters import FILTER_SCHEMA, query_in
from web.requests import AnyRequest
from web.resources import BulkResource, bulk_resource
from web.surface import engine_of

ACTIONS: Final = get_args(BulkAction)
ANY: Final = ExecutionQuery()

_BULK = described(
    request=body(
        an_object(
            "`action` and `filter` are required.",
            action=text("What to do to each.", enum=ACTIONS),
            filter=FILTER_SCHEMA,
            dry_run=truth("Only find out which ones; false if not given."),
            by=BY,
            reason=REASON,
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
        given = await json_object(request, "action", "filter", "dry_run", "by", "reason")
        asked = _bulk_request(given)
        return bulk_resource(asked, await change_many(engine_of(request), asked))


def _bulk_request(given: dict[str, Any]) -> BulkRequest:
    action: Any = given.get("action")
    wanted, dry_run = given.get("filter"), given.get("dry_run")
    if action not in ACTIONS:
        refuse("/action", "wrong_type", f"'action' must be one of {', '.join(ACTIONS)}")
    if not isinstance(wanted, dict | None):
        refuse("/filter", "wrong_type", "'filter' must be an object")
    if not isinstance(dry_run, bool | None):
        refuse("/dry_run", "wrong_type", "'dry_run' must be true or false")
    query = query_in(wanted or {}, "/filter")
    if query == ANY:
        refuse(
            "/filter",
            "missing_field",
            f"Without a filter this would {action} every execution; name at least one thing that "
            f'they have in common, such as {{"status": "{ALLOWED[action][0]}"}} or '
            '{"started_before": "2026-01-31T12:00:00Z"}',
        )
    return BulkRequest(
        action, query, read_field(given, "by"), read_field(given, "reason"), bool(dry_run)
    )
