"""Every error as problem details (RFC 9457): one table maps errors to statuses."""

from __future__ import annotations

import logging
import re
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from msgspec.structs import replace

from flowmgr.errors import (
    ConflictError,
    ContextError,
    DefinitionError,
    DocumentError,
    EngineBusyError,
    EngineClosedError,
    ExecutionDamagedError,
    ExecutionEndedError,
    ExecutionNotFoundError,
    ExecutionStateError,
    FlowDamagedError,
    FlowExistsError,
    FlowmgrError,
    FlowNotFoundError,
    InputError,
    JournalError,
    JournalUnavailableError,
    KeyDamagedError,
    KeyReusedError,
    MetadataError,
    Problem,
    SignalError,
    told,
)
from flowmgr.language.fields import Bounds
from flowmgr.language.findings import quote
from web.settings import MAX_BODY_BYTES

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"

_TYPE: Final = "urn:flowmgr:problem:"

MAX_PATH = 200
"""Characters of a path that a problem repeats."""

_NUMBER = re.compile(r"[+-]?[0-9]+")


class ParameterProblem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a query parameter.

    Attributes:
        parameter: its name.
        code: which rule, as a word that programs can rely on.
        message: what is wrong, in a sentence that names the parameter.
        hint: the way out, if there is one to name.
    """

    parameter: str
    code: str
    message: str
    hint: str | None = None


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem, as RFC 9457 writes it.

    Attributes:
        type: what kind of problem it is, as a URI that programs can rely on.
        title: the same for people.
        status: the HTTP status.
        detail: what happened here, in a sentence.
        errors: each thing that is wrong with what was sent, with its place in the body, or the name
            of its query parameter.
    """

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[Problem | ParameterProblem, ...] = ()


class RequestError(Exception):
    """What a request says that is about HTTP and not about flows cannot be accepted.

    Attributes:
        status: the HTTP status to answer with.
        problems: what is wrong, place by place.
    """

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        problems: tuple[Problem | ParameterProblem, ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.problems = problems


class _Kind(msgspec.Struct, frozen=True):
    """How errors of a class are answered.

    Attributes:
        status: the HTTP status.
        name: the end of the problem's type.
        title: the problem's title.
        prefix: what the original's clients know the detail to begin with.
        inside: the field of the body that the pointers of the error's problems lead into.
        retry_after: whether to say that it is worth trying again.
    """

    status: HTTPStatus
    name: str
    title: str
    prefix: str = ""
    inside: str = ""
    retry_after: bool = False


_KINDS: dict[type[Exception], _Kind] = {
    DocumentError: _Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "unreadable-document", "The body cannot be read"
    ),
    DefinitionError: _Kind(
        HTTPStatus.BAD_REQUEST,
        "invalid-flow",
        "The flow definition has problems",
        "Flow validation error: ",
    ),
    ContextError: _Kind(
        HTTPStatus.BAD_REQUEST,
        "invalid-context",
        "The context cannot be used",
        "Context validation error: ",
        inside="/context",
    ),
    MetadataError: _Kind(
        HTTPStatus.BAD_REQUEST,
        "invalid-metadata",
        "The metadata cannot be used",
        inside="/metadata",
    ),
    SignalError: _Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-signal", "The execution takes no such signal"
    ),
    InputError: _Kind(HTTPStatus.BAD_REQUEST, "invalid-input", "The input cannot be used"),
    FlowNotFoundError: _Kind(HTTPStatus.NOT_FOUND, "flow-not-found", "There is no such flow"),
    ExecutionNotFoundError: _Kind(
        HTTPStatus.NOT_FOUND, "execution-not-found", "There is no such execution"
    ),
    FlowExistsError: _Kind(
        HTTPStatus.PRECONDITION_FAILED, "flow-exists", "The flow exists already"
    ),
    ExecutionEndedError: _Kind(HTTPStatus.CONFLICT, "execution-ended", "The execution has ended"),
    ExecutionStateError: _Kind(
        HTTPStatus.CONFLICT, "wrong-state", "The execution's status does not allow this"
    ),
    ExecutionDamagedError: _Kind(
        HTTPStatus.CONFLICT, "execution-quarantined", "The execution's record is damaged"
    ),
    FlowDamagedError: _Kind(HTTPStatus.CONFLICT, "flow-damaged", "The flow's record is damaged"),
    KeyDamagedError: _Kind(HTTPStatus.CONFLICT, "key-damaged", "The key's record is damaged"),
    KeyReusedError: _Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "key-reused", "The key belongs to another request"
    ),
    ConflictError: _Kind(HTTPStatus.CONFLICT, "conflict", "Not in this state"),
    EngineClosedError: _Kind(
        HTTPStatus.SERVICE_UNAVAILABLE, "stopping", "The server is stopping", retry_after=True
    ),
    EngineBusyError: _Kind(
        HTTPStatus.SERVICE_UNAVAILABLE, "busy", "The server has enough to do", retry_after=True
    ),
    JournalUnavailableError: _Kind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "journal-unavailable",
        "Nothing can be recorded at the moment",
        retry_after=True,
    ),
    JournalError: _Kind(
        HTTPStatus.SERVICE_UNAVAILABLE, "journal", "The journal does not work", retry_after=True
    ),
}


def stopping_problem(detail: str) -> ProblemDetails:
    """Return what a request is told that the server's stop has cut short."""
    kind = _KINDS[EngineClosedError]
    return ProblemDetails(f"{_TYPE}{kind.name}", kind.title, kind.status, detail)


def problem_response(  # noqa: PLR0917 - the members of a problem, in RFC 9457's order
    status: int,
    name: str,
    title: str,
    detail: str,
    errors: tuple[Problem | ParameterProblem, ...] = (),
    headers: dict[str, str] | None = None,
) -> Response[ProblemDetails]:
    """Return a problem as a response."""
    return Response(
        ProblemDetails(f"{_TYPE}{name}", title, status, detail, errors),
        status_code=status,
        media_type=PROBLEM_JSON,
        headers=headers,
    )


def answer_flowmgr_error(
    request: Request[Any, Any, Any], error: Exception
) -> Response[ProblemDetails]:
    """Answer an error of the engine, by the table."""
    kind = next((_KINDS[base] for base in type(error).__mro__ if base in _KINDS), None)
    if kind is None:
        return answer_bug(request, error)
    errors = error.problems if isinstance(error, InputError) else ()
    if kind.inside:  # its places are in the field, not yet in the body
        errors = tuple(replace(entry, pointer=f"{kind.inside}{entry.pointer}") for entry in errors)
    headers = {"Retry-After": "1"} if kind.retry_after else None
    return problem_response(
        kind.status, kind.name, kind.title, f"{kind.prefix}{error}", errors, headers
    )


def answer_request_error(
    _: Request[Any, Any, Any], error: RequestError
) -> Response[ProblemDetails]:
    """Answer a request that is wrong about HTTP."""
    return problem_response(
        error.status, "bad-request", error.status.phrase, str(error), error.problems
    )


def answer_http_error(
    request: Request[Any, Any, Any], error: HTTPException
) -> Response[ProblemDetails]:
    """Answer what Litestar refuses: unknown paths and methods, large bodies, bad parameters."""
    status = HTTPStatus(error.status_code)
    detail, path = error.detail, request.url.path[:MAX_PATH]
    problems: tuple[ParameterProblem, ...] = ()
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        problems = tuple(_parameter_problem(request, entry["key"]) for entry in error.extra)
        detail = told(problems)
    elif status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        detail = (
            f"The body is larger than this server accepts: {MAX_BODY_BYTES >> 20} MiB, which "
            "cannot be set; keep large data where activities can fetch it, and send a reference"
        )
    elif status == HTTPStatus.NOT_FOUND:
        detail = f"Nothing has the path {path!r}; /docs shows the ones there are"
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("allow", "GET")
        detail = f"{request.method} cannot be done to {path!r}; what can is: {allowed}"
    name = status.phrase.lower().replace(" ", "-")
    return problem_response(status, name, status.phrase, detail, problems, error.headers)


def _parameter_problem(request: Request[Any, Any, Any], name: str) -> ParameterProblem:
    """Return what is wrong with a parameter, from what its handler says that it may be."""
    declared = request.route_handler.parsed_fn_signature.parameters[name]
    given = request.query_params.get(name, "")
    code, rule = _rule_of(declared, given)
    message = f"'{name}' is {quote(given)}: it must be {rule}"
    otherwise = "" if declared.default is None else f"; then it is {declared.default}"
    return ParameterProblem(name, code, message, f"It may be left out{otherwise}")


def _rule_of(declared: Any, given: str) -> tuple[str, str]:
    """Return which rule of a parameter *given* breaks, and how it goes on behind "must be"."""
    limits = declared.kwarg_definition
    if limits.max_length is not None:
        return "too_long", f"text of at most {limits.max_length} characters"
    code = "out_of_range" if _NUMBER.fullmatch(given) else "wrong_type"
    kind = "a number" if declared.annotation is float else "a whole number"
    return code, f"{kind} {Bounds(limits.ge, limits.le).rule()}"


def answer_bug(request: Request[Any, Any, Any], error: Exception) -> Response[ProblemDetails]:
    """Answer an error of ours: logged with its traceback, told without it."""
    logger.error("%s %s: a bug in flowmgr", request.method, request.url.path, exc_info=error)
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    detail = "This is a bug in flowmgr; the server's log has the details"
    return problem_response(status, "internal-error", status.phrase, detail)


EXCEPTION_HANDLERS: dict[int | type[Exception], Any] = {
    FlowmgrError: answer_flowmgr_error,
    RequestError: answer_request_error,
    HTTPException: answer_http_error,
    Exception: answer_bug,
}
