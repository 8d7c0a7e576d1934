"""What can be asked of an execution that was started."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, post
from litestar.status_codes import HTTP_200_OK

from web.answers import answer
from web.bodies import optional_object, read_field
from web.controllers.executions import ExecutionId
from web.descriptions import PREFER, an_object, body, described, text
from web.requests import AnyRequest, preference
from web.resources import ExecutionResource
from web.surface import engine_of, settings_of

BY = text("Who asks; recorded.", max_length=200)
REASON = text("Why; recorded.", max_length=1000)


class ChangeController(Controller):
    """Requests to executions; every one is recorded with who asks and why."""

    path = "/executions/{execution_id:str}"
    tags = ("executions",)

    @post(
        "/cancel",
        status_code=HTTP_200_OK,
        operation_class=described(
            request=body(
                an_object("All of it optional.", by=BY, reason=REASON),
                {"by": "ada", "reason": "not needed"},
                required=False,
            ),
            parameters=[PREFER],
            later="The execution is being cancelled.",
        ),
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
        self, request: AnyRequest, execution_id: ExecutionId
    ) -> Response[ExecutionResource]:
        """Cancel an execution, and wait for its end as long as is preferred."""
        wait = preference(request).seconds(0.0, settings_of(request).wait_limit)
        asked = await _asked(request)
        execution = await engine_of(request).cancel(execution_id, wait=wait, **asked)
        return answer(execution, is_done=execution.has_ended)


async def _asked(request: AnyRequest, *own: str) -> dict[str, Any]:
    """Return what the body asks for, with the verb's *own* fields."""
    asked = await optional_object(request, "by", "reason", *own)
    return {name: read_field(asked, name) for name in asked}
