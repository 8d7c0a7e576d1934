"""Reading the request of an HTTP task: what has no expression is checked as when it runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from flowmgr.http.request import METHODS, REQUEST_FIELDS, url_fault
from flowmgr.language.fields import Fields
from flowmgr.language.findings import Names, quote
from flowmgr.language.formulas import (
    is_formula,
    read_object_template,
    read_template,
    read_text_template,
)

_EXPRESSION: Final = re.compile(r"(?<!\$)\$\{")  # $${ is the characters ${
_SCHEMES: Final = ("http://", "https://")


def read_request(request: Fields) -> dict[str, Any]:
    """Read the fields of a request."""
    request.refuse_unknown(REQUEST_FIELDS)
    request.required("url")
    return {
        field: _READERS[field](request, field)
        for field in REQUEST_FIELDS
        if field in request.data and (field == "url" or request.data[field] is not None)
    }


def _method(request: Fields, field: str) -> Any:
    method = read_text_template(request, field)
    if method is None or _EXPRESSION.search(method) or method.upper() in METHODS:
        return method
    message = f"Field '{field}' of {request.subject} must be one of {', '.join(METHODS)}"
    hint = Names(METHODS).suggestion(method)
    request.add(field, "invalid_choice", f"{message}, not {quote(method)}", hint)
    return method


def _url(request: Fields, field: str) -> Any:
    url = read_text_template(request, field)
    if url is None:
        return None
    expression = _EXPRESSION.search(url)
    if expression is None:
        fault = url_fault(url.replace("$${", "${"))
    else:
        fault = _fault_of_beginning(url[: expression.start()].lower())
    if fault is not None:
        # No more of it: the rest may be a secret.
        message = f"Field '{field}' of {request.subject} {fault}"
        request.add(field, "invalid_text", message, "Write it as in https://api.example.com/jobs")
    return url


def _fault_of_beginning(text: str) -> str | None:
    """Why a URL that begins with *text*, and goes on with what an expression makes, can be none."""
    can_be = any(text.startswith(scheme) or scheme.startswith(text) for scheme in _SCHEMES)
    return None if can_be else "must begin with 'http://' or 'https://'"


def _boolean_template(request: Fields, field: str) -> Any:
    if isinstance(request.data[field], bool) or is_formula(request.data[field]):
        return read_template(request, field)
    request.add_wrong_type(field, "true, false or '${ expression }'")
    return None


_READERS: Final[dict[str, Callable[[Fields, str], Any]]] = {
    "url": _url,
    "method": _method,
    "headers": read_object_template,
    "query": read_object_template,
    "json": read_template,
    "follow_redirects": _boolean_template,
}
