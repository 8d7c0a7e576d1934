"""Reading bodies: through the one strict door for JSON (or YAML), and field by field."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, NoReturn

import anyio.to_thread

from flowmgr.errors import Problem
from flowmgr.language.documents import parse_json
from flowmgr.language.findings import kind_of
from flowmgr.language.vocabulary import FLOW_FIELDS
from flowmgr.language.yaml_documents import parse_yaml
from web.problems import RequestError
from web.requests import AnyRequest, header

MAX_BY: Final = 200
"""Characters that the name of whoever asks may have."""

MAX_REASON: Final = 1000
"""Characters that a reason may have."""

MAX_TASK: Final = 10_000
"""Characters that the path of a task may have: of 41 names, each with all of its 128 escaped."""

MAX_VERSION: Final = 10**9

YAML_TYPES: Final = ("application/yaml", "application/x-yaml", "text/yaml")
DOCUMENT_TYPES: Final = ("application/json", "application/yaml")
"""The media types to send a document with."""

_FLOW_BODY = frozenset({"flow", "flow_data", *FLOW_FIELDS})


async def json_body(request: AnyRequest) -> Any:
    """Read the body as JSON.

    Raises:
        RequestError: the body is not declared as JSON.
        DocumentError: it is not JSON, or cannot be read exactly.
    """
    media_type = _media_type(request)
    if not _is_json(media_type):
        _refuse_media_type(media_type, "send JSON with the header 'Content-Type: application/json'")
    return parse_json(await request.body())


async def document_body(request: AnyRequest) -> Any:
    """Read the body as JSON, or as YAML if it is declared to be that.

    Raises:
        RequestError: the body is declared as something else.
        DocumentError: it is not JSON, or not YAML, or cannot be read exactly.
    """
    media_type = _media_type(request)
    if media_type in YAML_TYPES:
        # A megabyte takes more than half a second, in which the server is to do other things.
        return await anyio.to_thread.run_sync(parse_yaml, await request.body())
    if not _is_json(media_type):
        declared = " or ".join(f"'Content-Type: {each}'" for each in DOCUMENT_TYPES)
        _refuse_media_type(media_type, f"send JSON or YAML with the header {declared}")
    return parse_json(await request.body())


def _media_type(request: AnyRequest) -> str | None:
    content_type = header(request, b"content-type")
    return None if content_type is None else content_type.partition(";")[0].strip().lower()


def _is_json(media_type: str | None) -> bool:
    return media_type is None or media_type == "application/json" or media_type.endswith("+json")


def _refuse_media_type(media_type: str | None, way_out: str) -> NoReturn:
    msg = f"The body is declared as {(media_type or '')[:60]!r}; {way_out}"
    raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, msg)


async def flow_document(request: AnyRequest) -> dict[str, Any]:
    """Read the body as something that can be a flow, in any of its wrappings.

    As in the original, a body of another shape is 422, and what is wrong with the flow in it 400.

    Raises:
        RequestError: it is something else.
        DocumentError: it is not JSON or YAML, or cannot be read exactly.
    """
    body = await document_body(request)
    if not isinstance(body, dict):
        refuse("", "wrong_type", f"The body must be a JSON object, not {kind_of(body)}")
    if not isinstance(body.get("flow_data", body), dict):
        refuse("/flow_data", "wrong_type", "'flow_data' must be an object with the field 'flow'")
    if body.keys().isdisjoint(_FLOW_BODY):
        refuse(
            "/flow",
            "missing_field",
            "The body has no flow: it must have 'flow' or 'flow_data', or the fields of a flow",
        )
    return body


async def json_object(request: AnyRequest, *known: str) -> dict[str, Any]:
    """Read the body as a JSON object that has no other fields than *known*.

    Raises:
        RequestError: it is something else, or has another field.
        DocumentError: it is not JSON, or cannot be read exactly.
    """
    return _known_object(await json_body(request), known)


async def document_object(request: AnyRequest, *known: str) -> dict[str, Any]:
    """Read the body as `json_object` does; it may be YAML.

    Raises:
        RequestError, DocumentError: as `json_object` and `document_body`.
    """
    return _known_object(await document_body(request), known)


def _known_object(body: Any, known: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(body, dict):
        refuse("", "wrong_type", "The body must be a JSON object")
    refuse_unknown_fields(body, known)
    return dict(body)


async def optional_object(request: AnyRequest, *known: str) -> dict[str, Any]:
    """Read the body as `json_object` does; no body is an empty object."""
    return await json_object(request, *known) if await request.body() else {}


def refuse_unknown_fields(body: dict[str, Any], known: tuple[str, ...], inside: str = "") -> None:
    """Return if *body*, the object at the place *inside*, has no other fields than *known*.

    Raises:
        RequestError: it has.
    """
    for field in body:
        if field not in known:
            refuse(
                f"{inside}/{field.replace('~', '~0').replace('/', '~1')[:100]}",
                "unknown_field",
                f"The body has an unknown field {field[:60]!r}; known are: {', '.join(known)}",
            )


def refuse(pointer: str, code: str, message: str) -> NoReturn:
    """Refuse the body because of what is at *pointer*.

    Raises:
        RequestError: always, 422.
    """
    problem = Problem(pointer, code, message)
    raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, message, (problem,))


def read_field(body: dict[str, Any], name: str) -> Any:
    """Return the value of a field that several routes have; None if it is not there.

    Raises:
        RequestError: it is not what the field may be.
    """
    value = body.get(name)
    is_fine, rule = _RULES[name]
    if value is not None and not is_fine(value):
        refuse(f"/{name}", "wrong_type", f"'{name}' must be {rule}")
    return value


def is_whole_number(value: Any, minimum: int = 1) -> bool:
    """Whether *value* is a whole number that a version can be."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return is_number and minimum <= value < MAX_VERSION


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_text_of(length: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and len(value) <= length


_RULES: Final[dict[str, tuple[Callable[[Any], bool], str]]] = {
    "version": (is_whole_number, "a whole number from 1"),
    "context": (_is_object, "an object"),
    "metadata": (_is_object, "an object"),
    "task": (_is_text_of(MAX_TASK), f"a task's name or path, at most {MAX_TASK} characters"),
    "result": (lambda _: True, "a value"),
    "by": (_is_text_of(MAX_BY), f"text of at most {MAX_BY} characters"),
    "reason": (_is_text_of(MAX_REASON), f"text of at most {MAX_REASON} characters"),
}
