"""What can be done to a path."""

from __future__ import annotations

from litestar import Response
from litestar.status_codes import HTTP_204_NO_CONTENT

from web.requests import AnyRequest


def answer_options(request: AnyRequest) -> Response[None]:
    """Return the answer to OPTIONS: 204, and in `Allow` the methods that the path has.

    Litestar's own answer knows only the method that the path was given first.
    """
    template = request.scope["path_template"]
    route = next(route for route in request.app.routes if route.path_format == template)
    headers = {"Allow": ", ".join(sorted(route.methods))}
    return Response(None, status_code=HTTP_204_NO_CONTENT, headers=headers)
