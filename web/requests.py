"""Reading requests: headers, preferences, cursors, and which query parameters there may be."""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Container
from http import HTTPStatus
from typing import Any, Final, NoReturn

import msgspec
from litestar import Request

from web.problems import RequestError

AnyRequest = Request[Any, Any, Any]


class ScopeRequest(AnyRequest):
    """A request that finds the length of its body without taking in all headers.

    Reading a body begins with it, to refuse one that is too large.
    """

    @property
    def content_length(self) -> int | None:
        """What the header Content-Length says; None if it is not there."""
        for name, value in self.scope["headers"]:
            if name == b"content-length":
                is_plain = value.isdigit() and len(value) <= MAX_DIGITS
                return int(value) if is_plain else super().content_length  # which may refuse it
        return None


MAX_DIGITS = 15
"""Digits that a number in a cursor or a length may have: no list and no body is that long."""

_SECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")
_WAIT = re.compile(r"wait\s*=\s*\"?([^\";]*)\"?\Z", re.IGNORECASE)


def header(request: AnyRequest, name: bytes) -> str | None:
    """Return the values of a header (*name* in lower case), joined by commas; None if not there.

    Straight from the ASGI scope: `Request.headers` would take in all headers at each look.
    """
    values = [value for key, value in request.scope["headers"] if key == name]
    return b",".join(values).decode("latin-1") if values else None


def single_header(request: AnyRequest, name: bytes) -> str | None:
    """Return the value of a header that may be there once; None if it is not there.

    Raises:
        RequestError: it is there several times.
    """
    values = [value for key, value in request.scope["headers"] if key == name]
    if len(values) > 1:
        msg = f"The header {name.decode().title()} is there more than once; keep one of them"
        raise RequestError(HTTPStatus.BAD_REQUEST, msg)
    return values[0].decode("latin-1") if values else None


class Preference(msgspec.Struct, frozen=True):
    """What a client prefers about waiting (RFC 7240).

    Attributes:
        respond_async: it would rather have an answer at once.
        wait: seconds that it would wait at most; None if it does not say.
    """

    respond_async: bool = False
    wait: float | None = None

    def seconds(self, otherwise: float, limit: float) -> float:
        """Return how long to wait: what is preferred, or *otherwise*, and never over *limit*."""
        if self.wait is not None:
            return min(self.wait, limit)
        return 0.0 if self.respond_async else min(otherwise, limit)


NO_PREFERENCE = Preference()


def preference(request: AnyRequest) -> Preference:
    """Read the Prefer header; preferences other than about waiting are ignored, as RFC 7240 says.

    Raises:
        RequestError: the value of `wait` is not a number of seconds.
    """
    preferences = header(request, b"prefer")
    if preferences is None:
        return NO_PREFERENCE
    respond_async, wait = False, None
    for part in preferences.split(","):
        token = part.partition(";")[0].strip()  # what follows are parameters, of which none counts
        if token.lower() == "respond-async":
            respond_async = True
        elif match := _WAIT.match(token):
            wait = seconds(match[1], "Prefer: wait")
    return Preference(respond_async, wait)


def seconds(text: str, name: str) -> float:
    """Read a number of seconds.

    Raises:
        RequestError: it is none.
    """
    if not _SECONDS.fullmatch(text):
        msg = f"{name} is {text[:60]!r}: it must be a number of seconds, 0 or more"
        raise RequestError(HTTPStatus.BAD_REQUEST, msg)
    return float(text)


def encode_cursor(position: str) -> str:
    """Return the cursor that leads behind *position*. Clients are not to look inside."""
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """Return the position in *cursor*.

    Raises:
        RequestError: no answer of this server had such a cursor.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        position = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        position = ""
    return position or _refuse_cursor(cursor)


def decode_number_cursor(cursor: str) -> int:
    """Return the position in *cursor*, a number.

    Raises:
        RequestError: no answer of this server had such a cursor.
    """
    position = decode_cursor(cursor)
    if not position.isascii() or not position.isdigit() or len(position) > MAX_DIGITS:
        _refuse_cursor(cursor)
    return int(position)


def _refuse_cursor(cursor: str) -> NoReturn:
    msg = f"The cursor {cursor[:60]!r} is not one; use the next_cursor of an answer as it is"
    raise RequestError(HTTPStatus.BAD_REQUEST, msg)


class QueryParameters(msgspec.Struct, frozen=True):
    """The query parameters that a handler reads itself, kept in its `opt`.

    Attributes:
        names: their names.
        prefix: what further ones begin with.
    """

    names: frozenset[str]
    prefix: str

    def __contains__(self, name: str) -> bool:
        return name in self.names or name.startswith(self.prefix)


OWN_PARAMETERS: Final = "query_parameters"
"""Where in the `opt` of a handler they are."""


async def refuse_unknown_query(request: AnyRequest) -> None:
    """Refuse query parameters that the route does not have, or that are there twice.

    Runs before every handler; a coroutine, because Litestar runs functions in a thread.

    Raises:
        RequestError: there is one.
    """
    if not request.scope["query_string"]:
        return
    handler = request.route_handler
    known = handler.parsed_fn_signature.parameters.keys() - request.path_params.keys() - {"request"}
    own: Container[str] = handler.opt.get(OWN_PARAMETERS, ())
    names = [name for name, _ in request.query_params.multi_items()]
    for name, count in Counter(names).items():
        if name not in known and name not in own:
            msg = f"There is no query parameter {name[:60]!r} here; /docs shows the ones there are"
            raise RequestError(HTTPStatus.BAD_REQUEST, msg)
        if count > 1:
            msg = f"The query parameter {name[:60]!r} is there more than once; keep one of them"
            raise RequestError(HTTPStatus.BAD_REQUEST, msg)
