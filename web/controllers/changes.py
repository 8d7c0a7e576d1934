"""What can be asked of an execution that was started: one handler for each verb.

Every request is recorded with who asks (`by`) and why (`reason`). An answer is 200 if what was
asked for is done, and 202 if it is still to come. Cancelling and running again are done when the
execution has ended; the others when they are recorded, or, if the client would wait for it
(`Prefer: wait=n`), when the execution has ended too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from litestar import Controller, Response, post
from litestar.openapi.spec import Operation, Parameter, Schema
from litestar.status_codes import HTTP_200_OK

from flowmgr.executions import Execution
from web.answers import answer, waited_answer
from web.bodies import optional_fields, read_field, refuse_faulty
from web.controllers.executions import ExecutionId
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
from web.limits import MAX_BY, MAX_REASON
from web.requests import AnyRequest, preference, single_header
from web.resources import ExecutionResource
from web.surface import engine_of

BY: Final = text("Who asks; recorded.", max_length=MAX_BY)
REASON: Final = text("Why; recorded.", max_length=MAX_REASON)

_VERSION: Final = whole_number("The version of the flow; the one that it ran if not given.", 1)
_RERUN_KEY: Final = idempotency_key(
    "Of several equal requests with one key, one starts an execution; the others are answered "
    "with that execution. The key belongs to the execution that is run again."
)


def _verb(later: str | None = None, key: Parameter | None = None, **own: Schema) -> type[Operation]:
    """Return what OpenAPI says of a verb: its *own* fields, its *key*, and what 202 means."""
    return described(
        request=body(
            an_object("All of it optional.", **own, by=BY, reason=REASON),
            {"by": "ada", "reason": "as agreed"},
            required=False,
        ),
        parameters=[*([PREFER] if later else []), *([key] if key else [])],
        answers={"Idempotency-Replayed": REPLAYED} if key else None,
        later=later,
    )


class ChangeController(Controller):
    """Requests to executions."""

    path = "/executions/{execution_id:str}"
    tags = ("executions",)

    @post(
        "/cancel",
        status_code=HTTP_200_OK,
        operation_class=_verb("The execution is being cancelled."),
        summary="Cancel an execution",
    )
    async def cancel(
        self, request: AnyRequest, execution_id: ExecutionId
    ) -> Response[ExecutionResource]:
        """Cancel a running, paused or quarantined execution.

        Every running task is cancelled at its next checkpoint and has the grace for its clean-up.
        With `Prefer: wait=n` the answer is 200 with the receipt in `cancellation` once nothing of
        the execution is running any more; without, or if that takes longer, 202. Cancelling again
        is the same as once.
        """
        return await _change(request, engine_of(request).cancel, execution_id, is_end_asked=True)

    @post(
        "/pause",
        status_code=HTTP_200_OK,
        operation_class=_verb(),
        summary="Pause an execution",
    )
    async def pause(
        self, request: AnyRequest, execution_id: ExecutionId
    ) -> Response[ExecutionResource]:
        """Start no further task of a running execution. What runs goes on to its end.

        Pausing again is the same as once.
        """
        return await _change(request, engine_of(request).pause, execution_id, is_waiting=False)

    @post(
        "/resume",
        status_code=HTTP_200_OK,
        operation_class=_verb("The execution goes on, and has not ended within the wait."),
        summary="Resume an execution",
    )
    async def resume(
        self, request: AnyRequest, execution_id: ExecutionId
    ) -> Response[ExecutionResource]:
        """Have a paused or quarantined execution go on. A running one just runs."""
        return await _change(request, engine_of(request).resume, execution_id)

    @post(
        "/retry",
        status_code=HTTP_200_OK,
        operation_class=_verb(
            "The execution goes on, and has not ended within the wait.", version=_VERSION
        ),
        summary="Retry an execution",
    )
    async def retry(
        self, request: AnyRequest, execution_id: ExecutionId
    ) -> Response[ExecutionResource]:
        """Have a failed or cancelled execution go on, from the task that it ended in.

        What has finished stays finished. With `version`, on another version of its flow.
        """
        return await _change(request, engine_of(request).retry, execution_id, "version")

    @post(
        "/skip",
        status_code=HTTP_200_OK,
        operation_class=_verb(
            "The execution goes on, and has not ended within the wait.",
            task=text(
                "The task's name, or its path such as `/fan/left/charge`. Only needed if several "
                "can be skipped."
            ),
            result=Schema(description="What it is to have returned; null if not given."),
        ),
        summary="Skip a task of an execution",
    )
    async def skip(
        self, request: AnyRequest, execution_id: ExecutionId
    ) -> Response[ExecutionResource]:
        """Give the task that has failed, that waits, or that is next while paused, a result.

        A failed execution goes on from there; a paused one stays paused. A task that is inside of
        others, in a branch or for an item, is named by its path.
        """
        return await _change(request, engine_of(request).skip, execution_id, "task", "result")

    @post(
        "/rerun",
        status_code=HTTP_200_OK,
        operation_class=_verb(
            "A new execution has started, and is still running.",
            _RERUN_KEY,
            task=text(
                "The task's name, or its path such as `/fan/left/charge` if it is inside of "
                "others; the first one if not given."
            ),
            context=an_object(
                "Values that replace those that the task had in the other execution."
            ),
            version=_VERSION,
        ),
        summary="Run an execution again",
    )
    async def rerun(
        self, request: AnyRequest, execution_id: ExecutionId
    ) -> Response[ExecutionResource]:
        """Start a new execution that repeats this one, whatever its status, from a task on.

        It begins with the context that the task had in this one, and names it in `rerun_of`. If
        the task is inside of others, in a branch or for an item, the branches and items beside it
        that had succeeded keep their results, and the others begin anew. A request that is
        repeated with its `Idempotency-Key` finds the new execution again.
        """
        own = ("task", "context", "version")
        rerun = partial(engine_of(request).rerun, key=single_header(request, b"idempotency-key"))
        return await _change(request, rerun, execution_id, *own, is_end_asked=True)


async def _change(
    request: AnyRequest,
    ask: Callable[..., Awaitable[Execution]],
    execution_id: str,
    *own: str,
    is_end_asked: bool = False,
    is_waiting: bool = True,
) -> Response[Any]:
    """Ask something of an execution, and answer with how it stands.

    Args:
        request: the request.
        ask: what of the engine's to call.
        execution_id: the execution.
        own: the fields that the body may have beside `by` and `reason`.
        is_end_asked: whether it is done only when the execution has ended.
        is_waiting: whether the client can wait for the end.
    """
    preferred = preference(request)
    body = await optional_fields(request, *own, "by", "reason")
    given = {name: read_field(body, name) for name in (*own, "by", "reason") if name in body.data}
    refuse_faulty(body)
    execution = await ask(execution_id, **given)
    if not is_waiting:
        return answer(execution, is_done=True)
    return await waited_answer(request, execution, preferred, is_end_asked=is_end_asked)
