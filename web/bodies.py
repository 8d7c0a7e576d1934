"""Reading bodies: through the one strict door for JSON (or YAML), and field by field."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, NoReturn

import anyio.to_thread

from actors.state import MAX_VERSION
from flowmgr.errors import Problem, told
from flowmgr.language.documents import parse_json
from flowmgr.language.fields import Fields
from flowmgr.language.findings import Findings, kind_of
from flowmgr.language.texts import Fault
from flowmgr.language.vocabulary import FLOW_FIELDS
from flowmgr.language.yaml_documents import parse_yaml
from web.limits import MAX_BY, MAX_REASON, MAX_TASK
from web.problems import RequestError
from web.requests import AnyRequest, header

YAML_TYPES: Final = ("application/yaml", "application/x-yaml", "text/yaml")
DOCUMENT_TYPES: Final = ("application/json", "application/yaml")
"""The media types to send a document with."""

_FLOW_BODY = frozenset({"flow", "flow_data", *FLOW_FIELDS})


async def json_body(request: AnyRequest) -> Any:
    """Read the body as JSON.

    Raises:
        RequestError: the body is not declared as JSON, or is compressed.
        DocumentError: it is not JSON, or cannot be read exactly.
    """
    _refuse_content_coding(request)
    media_type = _media_type(request)
    if not _is_json(media_type):
        _refuse_media_type(media_type, "send JSON with the header 'Content-Type: application/json'")
    return parse_json(await request.body())


async def document_body(request: AnyRequest) -> Any:
    """Read the body as JSON, or as YAML if it is declared to be that.

    Raises:
        RequestError: the body is declared as something else, or is compressed.
        DocumentError: it is not JSON, or not YAML, or cannot be read exactly.
    """
    _refuse_content_coding(request)
    media_type = _media_type(request)
    if media_type in YAML_TYPES:
        # A megabyte takes more than half a second, in which the server is to do other things.
        return await anyio.to_thread.run_sync(parse_yaml, await request.body())
    if not _is_json(media_type):
        declared = " or ".join(f"'Content-Type: {each}'" for each in DOCUMENT_TYPES)
        _refuse_media_type(media_type, f"send JSON or YAML with the header {declared}")
    return parse_json(await request.body())


def _refuse_content_coding(request: AnyRequest) -> None:
    coding = header(request, b"content-encoding")
    if coding is not None and coding.strip().lower() not in {"", "identity"}:
        msg = (
            f"The body is declared as compressed (Content-Encoding: {coding[:60]}), and the server "
            "unpacks none; send it as it is, without this header"
        )
        raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, msg)


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


async def json_fields(request: AnyRequest, *known: str) -> Fields:
    """Read the body as a JSON object, and note every field that is not one of *known*.

    The caller reads its fields, which notes what is wrong with them, and then calls
    `refuse_faulty`.

    Raises:
        RequestError: it is no object.
        DocumentError: it is not JSON, or cannot be read exactly.
    """
    return _fields_of(await json_body(request), known)


async def document_fields(request: AnyRequest, *known: str) -> Fields:
    """Read the body as `json_fields` does; it may be YAML.

    Raises:
        RequestError, DocumentError: as `json_fields` and `document_body`.
    """
    return _fields_of(await document_body(request), known)


async def optional_fields(request: AnyRequest, *known: str) -> Fields:
    """Read the body as `json_fields` does; no body is an empty object."""
    return _fields_of(await json_body(request) if await request.body() else {}, known)


def _fields_of(body: Any, known: tuple[str, ...]) -> Fields:
    if not isinstance(body, dict):
        refuse("", "wrong_type", f"The body must be a JSON object, not {kind_of(body)}")
    fields = Fields(body, "", "the body", Findings())
    fields.refuse_unknown(known)
    return fields


def refuse(pointer: str, code: str, message: str) -> NoReturn:
    """Refuse the body because of what is at *pointer*.

    Raises:
        RequestError: always, 422.
    """
    problem = Problem(pointer, code, message)
    raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, message, (problem,))


def refuse_faulty(body: Fields) -> None:
    """Refuse the body if anything was noted about its fields.

    Raises:
        RequestError: something was, 422; it has all of it.
    """
    if body.findings:
        problems = tuple(body.findings.listed())
        raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, told(problems), problems)


def read_field(body: Fields, name: str) -> Any:
    """Return the value of a field that several routes have.

    None if it is absent or null, and if it cannot be accepted, which is noted.
    """
    return None if body.data.get(name) is None else _READERS[name](body, name)


def is_whole_number(value: Any) -> bool:
    """Whether *value* is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def _version(body: Fields, name: str) -> int | None:
    return body.required_integer(name, 1, MAX_VERSION)


def _object(body: Fields, name: str) -> dict[str, Any] | None:
    """Return an object as it is: the engine makes its own copy, once."""
    value = body.data[name]
    if isinstance(value, dict):
        return value
    body.add_wrong_type(name, "an object")
    return None


def _text_of(length: int) -> Callable[[Fields, str], str | None]:
    def rule(text: str) -> Fault | None:
        if len(text) <= length:
            return None
        return Fault(
            "too_long", f"has {len(text):,} characters; at most {length} characters may be"
        )

    return lambda body, name: body.optional_text(name, rule)


_READERS: Final[dict[str, Callable[[Fields, str], Any]]] = {
    "version": _version,
    "context": _object,
    "metadata": _object,
    "task": _text_of(MAX_TASK),
    "result": lambda body, name: body.data[name],
    "by": _text_of(MAX_BY),
    "reason": _text_of(MAX_REASON),
}
