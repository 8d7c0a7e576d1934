"""Starting executions."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from litestar import Controller, Response, post
from litestar.status_codes import HTTP_200_OK

from flowmgr.errors import ExecutionStateError
from flowmgr.executions import Execution
from flowmgr.language.fields import Fields
from web.answers import answer
from web.bodies import DOCUMENT_TYPES, document_fields, read_field, refuse_faulty
from web.descriptions import (
    PREFER,
    REPLAYED,
    an_object,
    body,
    described,
    idempotency_key,
    text,
    whole_number,
)
from web.requests import AnyRequest, preference, single_header
from web.resources import ExecutionResource
from web.surface import engine_of, settings_of

_KEY: Final = idempotency_key(
    "Of several equal requests with one key, one starts an execution; the others are answered "
    "with that execution. The key belongs to the flow."
)

_EXECUTE = described(
    request=body(
        an_object(
            "Either `flow_id`, or `flow`.",
            flow_id=text("A registered flow."),
            version=whole_number("Its version; the latest if not given.", 1),
            context=an_object("The values to begin with."),
            metadata=an_object("What it can be looked up by: numbers, truth values and text."),
            flow=an_object("A flow that is only run."),
        ),
        {"flow_id": "flow123", "context": {"user_id": "tester"}, "metadata": {"order": 4711}},
        media_types=DOCUMENT_TYPES,
    ),
    parameters=[PREFER, _KEY],
    answers={"Idempotency-Replayed": REPLAYED},
    later="The execution has started, and is still running.",
)


class StartController(Controller):
    """Starting executions."""

    path = "/flows/execute"
    tags = ("executions",)

    @post(
        status_code=HTTP_200_OK,
        operation_class=_EXECUTE,
        summary="Execute a flow",
        description=(
            "Starts an execution and waits until it has ended, then answers 200, also if the flow "
            "has failed: see `status`. If it takes longer than the server waits, or the client "
            "prefers not to wait (`Prefer: respond-async`) or not so long (`Prefer: wait=5`), the "
            "answer is 202 with the place to look in `Location`. An execution does not end with "
            "the connection of the client that started it; a request that is repeated with its "
            "`Idempotency-Key` finds it again."
        ),
    )
    async def execute(self, request: AnyRequest) -> Response[ExecutionResource]:
        """Start an execution, and wait as long as is preferred."""
        preferred = preference(request)
        key = single_header(request, b"idempotency-key")
        asked = await document_fields(request, "flow_id", "version", "context", "metadata", "flow")
        flow, version = _what_to_execute(asked)
        context = read_field(asked, "context")
        metadata = read_field(asked, "metadata")
        refuse_faulty(asked)
        engine, wait_limit = engine_of(request), settings_of(request).wait_limit
        start = partial(engine.start, flow, context, version=version, metadata=metadata, key=key)
        run = partial(engine.run, flow, context, version=version, metadata=metadata, key=key)
        timeout = preferred.seconds(wait_limit, wait_limit)
        try:
            execution = await (run(timeout=timeout) if timeout > 0 else start())
        except ExecutionStateError:  # it was started before, and cannot go on: as it stands
            execution = await start()
        headers = _headers(execution, respond_async=preferred.respond_async)
        return answer(execution, is_done=execution.has_ended, headers=headers)


def _what_to_execute(asked: Fields) -> tuple[str | dict[str, Any], int | None]:
    flow_id, inline = asked.data.get("flow_id"), asked.data.get("flow")
    version = read_field(asked, "version")
    if (flow_id is None) == (inline is None):
        asked.add(
            "flow_id",
            "missing_field" if inline is None else "field_not_allowed",
            "The body must say what to execute: either 'flow_id', the id of a registered flow, "
            "or 'flow', the definition of a flow",
        )
    elif inline is not None:
        if version is not None:
            message = "'version' goes with 'flow_id', not with 'flow'"
            asked.add("version", "field_not_allowed", message, "Take it out")
        return {"flow": inline}, None
    elif not isinstance(flow_id, str):
        asked.add_wrong_type("flow_id", "a string, the id of a registered flow")
    return flow_id or "", version


def _headers(execution: Execution, *, respond_async: bool) -> dict[str, str]:
    headers = {}
    if execution.is_replay:
        headers["Idempotency-Replayed"] = "true"
    if respond_async and not execution.has_ended:
        headers["Preference-Applied"] = "respond-async"
    return headers
