"""Starting executions."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from litestar import Controller, Response, post
from litestar.status_codes import HTTP_200_OK

from flowmgr.errors import ExecutionStateError
from flowmgr.executions import Execution
from flowmgr.starts import MAX_KEY_LENGTH
from web.answers import answer
from web.bodies import document_object, read_field, refuse
from web.descriptions import (
    PREFER,
    REPLAYED,
    an_object,
    body,
    described,
    header,
    text,
    whole_number,
)
from web.requests import AnyRequest, preference, single_header
from web.resources import ExecutionResource
from web.surface import engine_of, settings_of

IDEMPOTENCY_KEY: Final = header(
    "Idempotency-Key",
    text(
        "Of several equal requests with one key, one starts an execution; the others are answered "
        "with that execution. The key belongs to the flow.",
        max_length=MAX_KEY_LENGTH,
    ),
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
    ),
    parameters=[PREFER, IDEMPOTENCY_KEY],
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
        asked = await document_object(request, "flow_id", "version", "context", "metadata", "flow")
        flow, version = _what_to_execute(asked)
        context = read_field(asked, "context")
        metadata = read_field(asked, "metadata")
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


def _what_to_execute(asked: dict[str, Any]) -> tuple[str | dict[str, Any], int | None]:
    flow_id, inline = asked.get("flow_id"), asked.get("flow")
    if (flow_id is None) == (inline is None):
        refuse(
            "/flow_id",
            "missing_field",
            "The body must say what to execute: either 'flow_id', the id of a registered flow, "
            "or 'flow', the definition of a flow",
        )
    if inline is not None:
        if asked.get("version") is not None:
            refuse("/version", "unknown_field", "'version' goes with 'flow_id', not with 'flow'")
        return {"flow": inline}, None
    if not isinstance(flow_id, str):
        refuse("/flow_id", "wrong_type", "'flow_id' must be text: the id of a registered flow")
    return flow_id, read_field(asked, "version")


def _headers(execution: Execution, *, respond_async: bool) -> dict[str, str]:
    headers = {}
    if execution.is_replay:
        headers["Idempotency-Replayed"] = "true"
    if respond_async and not execution.has_ended:
        headers["Preference-Applied"] = "respond-async"
    return headers
