"""Reading requests: headers and preferences."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

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
"""Digits that a length may have: no body is that long."""

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
    """Read the Prefer header.

    As RFC 7240 says, preferences about anything but waiting are ignored, and of several that are
    the same the first one counts.

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
        elif wait is None and (match := _WAIT.match(token)):
            wait = _seconds(match[1])
    return Preference(respond_async, wait)


def _seconds(text: str) -> float:
    if not _SECONDS.fullmatch(text):
        msg = f"Prefer: wait is {text[:60]!r}: it must be a number of seconds, 0 or more"
        raise RequestError(HTTPStatus.BAD_REQUEST, msg)
    return float(text)
