"""Answers that show how an execution stands: those of the routes that are asked most."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response
from litestar.status_codes import HTTP_200_OK, HTTP_202_ACCEPTED
from litestar.types import Receive, Scope, Send

from flowmgr.executions import Execution
from web.requests import AnyRequest, Preference
from web.resources import encode, execution_resource
from web.surface import settings_of, waited_for


class EncodedResponse(Response[bytes]):
    """A response whose content is JSON already, and is sent as it is.

    For any other, Litestar makes a second object at each request, and looks for an encoder,
    cookies, a background task and headers of the route: a tenth of the request's time.
    """

    def to_asgi_response(
        self,
        app: object,  # noqa: ARG002 - Litestar gives it
        request: Request[Any, Any, Any],  # noqa: ARG002
        **_: object,
    ) -> Any:
        """Return what sends the response: itself."""
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send the response."""
        headers = [
            *((name.lower().encode(), value.encode()) for name, value in self.headers.items()),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(self.content)).encode()),
        ]
        await send(
            {"type": "http.response.start", "status": self.status_code or 200, "headers": headers}
        )
        await send({"type": "http.response.body", "body": self.content, "more_body": False})


def answer(
    execution: Execution, *, is_done: bool, headers: dict[str, str] | None = None
) -> Response[Any]:
    """Return an execution: 200 if what was asked for *is_done*, 202 if it is still to come.

    The latter says in `Location` where to look.
    """
    content = encode(execution_resource(execution))
    if is_done:
        return EncodedResponse(content, status_code=HTTP_200_OK, headers=headers)
    location = {"Location": f"/executions/{execution.execution_id}"}
    return EncodedResponse(
        content, status_code=HTTP_202_ACCEPTED, headers=location | (headers or {})
    )


async def waited_answer(
    request: AnyRequest,
    execution: Execution,
    preferred: Preference,
    *,
    is_end_asked: bool = False,
) -> Response[Any]:
    """Return an execution of which something was asked, after the wait that is preferred.

    If an earlier request with the same key has been followed, `Idempotency-Replayed` says so.

    Args:
        request: the request.
        execution: the execution, as it stands now.
        preferred: what the client prefers; if it would wait, then for the end.
        is_end_asked: whether what was asked for is done only when the execution has ended.
    """
    headers = {"Idempotency-Replayed": "true"} if execution.is_replay else None
    wait = preferred.seconds(0.0, settings_of(request).wait_limit)
    if wait > 0 and not execution.has_ended:
        execution = await waited_for(request, execution.execution_id, wait)
    is_end_asked = is_end_asked or preferred.wait is not None
    is_done = execution.has_ended or not is_end_asked
    return answer(execution, is_done=is_done, headers=headers)
