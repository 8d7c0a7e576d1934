"""Signals: values that are sent to executions, whose tasks wait for them."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import Controller, Response, post
from litestar.openapi.spec import Schema
from litestar.params import Parameter
from litestar.status_codes import HTTP_200_OK

from web.answers import waited_answer
from web.bodies import json_body
from web.controllers.executions import By, ExecutionId, Reason
from web.descriptions import PREFER, REPLAYED, body, described, idempotency_key
from web.requests import AnyRequest, preference, single_header
from web.resources import ExecutionResource
from web.surface import engine_of

SignalName = Annotated[str, Parameter(description="The signal's name.")]

_KEY: Final = idempotency_key(
    "Of several signals to an execution with one key, the first one is received."
)

_SEND = described(
    request=body(
        Schema(description="The signal's value: any JSON value. No body is null."),
        {"approved": True},
        required=False,
    ),
    parameters=[PREFER, _KEY],
    answers={"Idempotency-Replayed": REPLAYED},
    later="The signal is received, and the execution has not ended within the wait.",
)


class SignalController(Controller):
    """Signals to executions."""

    path = "/executions/{execution_id:str}/signals"
    tags = ("executions",)

    @post(
        "/{name:str}",
        status_code=HTTP_200_OK,
        operation_class=_SEND,
        summary="Send a signal to an execution",
    )
    async def send(
        self,
        request: AnyRequest,
        execution_id: ExecutionId,
        name: SignalName,
        by: By = None,
        reason: Reason = None,
    ) -> Response[ExecutionResource]:
        """Send a value to the task that waits for this signal; to the one that has waited longest.

        If none does, the signal is kept for the next one that will, also while the execution is
        paused. The answer is 200 when the signal is recorded; with `Prefer: wait=n`, 200 if the
        execution has ended by then, and otherwise 202.
        """
        preferred = preference(request)
        key = single_header(request, b"idempotency-key")
        value: Any = await json_body(request) if await request.body() else None
        execution = await engine_of(request).signal(
            execution_id, name, value, key=key, by=by, reason=reason
        )
        return await waited_answer(request, execution, preferred)
