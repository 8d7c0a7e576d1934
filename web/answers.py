"""The answers of the routes that are asked most: how an execution stands."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response
from litestar.status_codes import HTTP_200_OK, HTTP_202_ACCEPTED
from litestar.types import Receive, Scope, Send

from flowmgr.executions import Execution
from web.resources import encode, execution_resource


class EncodedResponse(Response[bytes]):
    """A response whose content is JSON already, so that it has only to be sent.

    Of any other, Litestar makes a second object at each request, and looks for an encoder,
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
