"""What the OpenAPI document says of routes that read their bodies and headers themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from litestar.openapi.spec import (
    Example,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    RequestBody,
    Schema,
)

from flowmgr.starts import MAX_KEY_LENGTH

JSON: Final = "application/json"


def text(description: str, **more: Any) -> Schema:
    """Return the schema of a text."""
    return Schema(type=OpenAPIType.STRING, description=description, **more)


def whole_number(description: str, minimum: int) -> Schema:
    """Return the schema of a whole number."""
    return Schema(type=OpenAPIType.INTEGER, minimum=minimum, description=description)


def truth(description: str) -> Schema:
    """Return the schema of true or false."""
    return Schema(type=OpenAPIType.BOOLEAN, description=description)


def an_object(description: str, **properties: Schema) -> Schema:
    """Return the schema of an object; of any one if there are no *properties*."""
    schema = Schema(type=OpenAPIType.OBJECT, description=description)
    if properties:
        schema.properties = {**properties}
    return schema


def requiring(schema: Schema, *names: str) -> Schema:
    """Return the schema of an object that has to have the properties *names*."""
    schema.required = [*names]
    return schema


def body(
    schema: Schema, example: Any, *, required: bool = True, media_types: Sequence[str] = (JSON,)
) -> RequestBody:
    """Return the description of a body in JSON, or in each of *media_types*."""
    media_type = OpenAPIMediaType(schema=schema, examples={"example": Example(value=example)})
    return RequestBody(content=dict.fromkeys(media_types, media_type), required=required)


def header(name: str, schema: Schema) -> Parameter:
    """Return the description of a request header."""
    return Parameter(name=name, param_in="header", schema=schema, description=schema.description)


def idempotency_key(description: str) -> Parameter:
    """Return the description of the header by which requests that are sent again are known."""
    return header("Idempotency-Key", text(description, max_length=MAX_KEY_LENGTH))


PREFER: Final = header(
    "Prefer",
    text(
        "`wait=5` waits up to 5 s for the end of the execution; `respond-async` does not wait.",
        examples=["wait=5"],
    ),
)

IF_NONE_MATCH: Final = header(
    "If-None-Match", text("`*` refuses a flow whose id exists (412).", examples=["*"])
)

REPLAYED: Final = OpenAPIHeader(
    description="`true` if an earlier request with the same key has been followed.",
    schema=text("`true`"),
)

LOCATION: Final = OpenAPIHeader(
    description="Where the execution is.", schema=text("A path.", examples=["/executions/…"])
)

FLOW_LOCATION: Final = OpenAPIHeader(
    description="Where the flow is.", schema=text("A path.", examples=["/flows/flow123"])
)


def described(
    *,
    request: RequestBody | None = None,
    parameters: Sequence[Parameter] = (),
    answers: dict[str, OpenAPIHeader] | None = None,
    later: str | None = None,
    otherwise: tuple[int, str] | None = None,
) -> type[Operation]:
    """Return the class of operations of which Litestar does not see all by itself.

    Args:
        request: the body that they take.
        parameters: headers and query parameters that they read themselves.
        answers: headers that all their answers may have.
        later: when they answer 202, which has the same body as 200, and `Location`.
        otherwise: another status that has the same body as 200, and when they answer so.
    """

    @dataclass
    class Described(Operation):
        """An operation with what its handler reads and sends by hand."""

        def __post_init__(self) -> None:
            if request is not None:
                self.request_body = request
            if parameters:
                self.parameters = [*(self.parameters or ()), *parameters]
            self.responses = dict(self.responses or {})
            done = next(iter(self.responses.values()), None)
            if later is not None and isinstance(done, OpenAPIResponse):
                self.responses["202"] = OpenAPIResponse(
                    description=later,
                    headers={"Location": LOCATION, **(answers or {})},
                    content=done.content,
                )
            if otherwise is not None and isinstance(done, OpenAPIResponse):
                status, when = otherwise
                self.responses[str(status)] = OpenAPIResponse(
                    description=when, content=done.content
                )
            if answers and isinstance(done, OpenAPIResponse):
                done.headers = {**(done.headers or {}), **answers}

    return Described
