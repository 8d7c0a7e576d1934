"""Reading the request of an HTTP task: what has no expression is checked as when it runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from flowmgr.http.headers import header_name_faults, header_text_fault
from flowmgr.http.request import METHODS, REQUEST_FIELDS, is_plain, url_fault
from flowmgr.language.fields import Fields
from flowmgr.language.findings import Names, join, quote
from flowmgr.language.formulas import (
    is_formula,
    read_object_template,
    read_template,
    read_text_template,
)
from flowmgr.language.texts import Fault

_EXPRESSION: Final = re.compile(r"(?<!\$)\$\{")  # $${ is the characters ${
_SCHEMES: Final = ("http://", "https://")
_PLAIN: Final = "a string, a number, true or false"


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
        fault = url_fault(_unescaped(url))
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


def _headers(request: Fields, field: str) -> Any:
    template = read_object_template(request, field)
    headers = _entries(request, field)
    if headers is None:
        return template
    faulty = dict(header_name_faults(headers.data))
    for name, value in headers.data.items():
        fault = faulty.get(name) or _fault_of_header(value)
        if fault is not None:
            message = f"Field {quote(name)} of {headers.subject} {fault.rule}"
            headers.add(name, fault.code, message, fault.hint)
        elif value is not None and not is_plain(value):
            headers.add_wrong_type(name, _PLAIN)
    return template


def _fault_of_header(value: Any) -> Fault | None:
    """Why *value* is no text of a header; None if it is no text, or an expression makes it."""
    if not isinstance(value, str) or _EXPRESSION.search(value):
        return None
    return header_text_fault(_unescaped(value))


def _query(request: Fields, field: str) -> Any:
    template = read_object_template(request, field)
    query = _entries(request, field)
    if query is None:
        return template
    for name, value in query.data.items():
        if isinstance(value, list | tuple):
            for index, item in enumerate(value):
                query.is_item(name, index, fits=is_plain(item), wanted=_PLAIN)
        elif value is not None and not is_plain(value):
            query.add_wrong_type(name, f"{_PLAIN}, or a list of these")
    return template


def _entries(request: Fields, field: str) -> Fields | None:
    """The entries of an object; None if it is an expression, or no object."""
    value = request.data[field]
    if not isinstance(value, dict):
        return None
    data = {str(name): each for name, each in value.items()}  # a name that is no text is told of
    subject = f"the {field} of {request.subject}"
    return Fields(data, join(request.pointer, field), subject, request.findings)


def _unescaped(text: str) -> str:
    """What a text without expressions stands for."""
    return text.replace("$${", "${")


def _boolean_template(request: Fields, field: str) -> Any:
    if isinstance(request.data[field], bool) or is_formula(request.data[field]):
        return read_template(request, field)
    request.add_wrong_type(field, "true, false or '${ expression }'")
    return None


_READERS: Final[dict[str, Callable[[Fields, str], Any]]] = {
    "url": _url,
    "method": _method,
    "headers": _headers,
    "query": _query,
    "json": read_template,
    "follow_redirects": _boolean_template,
}
