"""Reading what a task asks for, and where a redirect leads.

What a task asks for has been computed from expressions, so its types are checked here. Whatever is
wrong is a failure of the task that names the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx
import msgspec

from actors.values import ValueRefusedError, encode_value
from flowmgr.http.errors import redirect_error, request_error
from flowmgr.http.headers import header_name_faults, header_text_fault
from flowmgr.language.texts import Fault

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
REQUEST_FIELDS: Final = ("method", "url", "headers", "query", "json", "follow_redirects")
MAX_URL: Final = 8192
MAX_PORT: Final = 65_535

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_SAME_METHOD: Final = frozenset({307, 308})

_OPEN_HEADERS: Final = frozenset(
    {"accept", "accept-encoding", "accept-language", "content-type", "user-agent"}
)
"""Headers that go to another origin when redirected. All others may be secrets."""

_DEFAULTS: Final = {"accept": "*/*", "accept-encoding": "gzip, deflate", "user-agent": "flowmgr"}
_KEYED: Final = frozenset({"POST", "PATCH"})
"""Methods that are not idempotent by themselves."""

_BODY_HEADERS: Final = frozenset({"content-type", "idempotency-key"})

_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+(%[A-Za-z0-9._%-]+)?")


class HttpRequest(msgspec.Struct, frozen=True):
    """One request, checked.

    Attributes:
        method: in upper case.
        url: with the query.
        headers: by lower-case name; without those of the connection.
        content: the body; None if there is none.
        follows: whether redirects are followed.
    """

    method: str
    url: httpx.URL
    headers: dict[str, str]
    content: bytes | None
    follows: bool = False

    @property
    def origin(self) -> str:
        """Scheme, host and port: all of the URL that may be shown."""
        return origin_of(self.url)


def read_request(arguments: Any, key: str) -> HttpRequest:
    """Return the request that *arguments* ask for.

    Args:
        arguments: an object with the fields `REQUEST_FIELDS`, of which only ``url`` must be there.
            Headers and parameters of the query that are null are left out.
        key: the ``Idempotency-Key`` of a POST or PATCH, unless the headers say something else.

    Raises:
        ReportedError: they do not describe a request (`HttpRequestError`).
    """
    if not isinstance(arguments, Mapping):
        raise request_error("the request must be an object with a 'url'")
    for field in arguments:
        if field not in REQUEST_FIELDS:
            known = ", ".join(REQUEST_FIELDS)
            raise request_error(
                f"the request has no field {str(field)[:64]!r}; the fields are {known}"
            )
    follows = arguments.get("follow_redirects")
    if not isinstance(follows, bool | None):
        raise _wrong("follow_redirects", "true or false", follows)
    method = _method(arguments.get("method"))
    url = arguments.get("url")
    if not isinstance(url, str):
        raise _wrong("url", "a text", url)
    headers = dict(_DEFAULTS)
    if method in _KEYED:
        headers["idempotency-key"] = key
    content = None
    if "json" in arguments:
        content = _json(arguments["json"])
        headers["content-type"] = "application/json"
    _set_headers(headers, arguments.get("headers"))
    try:
        target = _with_query(_read_url(url), arguments.get("query"))
    except _UrlError as error:
        raise request_error(f"'url' {error}") from error
    return HttpRequest(method, target, headers, content, bool(follows))


def redirected(request: HttpRequest, status: int, location: str) -> HttpRequest:
    """Return the request that a redirect of *request* asks for.

    Across origins only the headers go along that cannot be secrets.

    Raises:
        ReportedError: it leads nowhere, or from HTTPS to HTTP (`HttpRedirectError`).
    """
    try:
        url = _read_url(location, request.url)
    except _UrlError as error:
        raise redirect_error(request.origin, f"has a location that {error}") from error
    if request.url.scheme == "https" and url.scheme != "https":
        raise redirect_error(request.origin, f"leads to plain HTTP ({origin_of(url)})")
    headers, content, method = request.headers, request.content, request.method
    if origin_of(url) != request.origin:
        headers = {name: text for name, text in headers.items() if name in _OPEN_HEADERS}
    if status not in _SAME_METHOD and method != "HEAD":
        headers = {name: text for name, text in headers.items() if name not in _BODY_HEADERS}
        method, content = "GET", None
    return HttpRequest(method, url, headers, content, request.follows)


def origin_of(url: httpx.URL) -> str:
    """Scheme, host and port of *url*; the port only if it is not the scheme's own."""
    return f"{url.scheme}://{url.netloc.decode('ascii').rpartition('@')[2]}"


def _method(value: Any) -> str:
    if value is None:
        return "GET"
    if not isinstance(value, str):
        raise _wrong("method", "a text", value)
    if value.upper() not in METHODS:
        raise request_error(f"'method' is {value[:32]!r}; it must be one of {', '.join(METHODS)}")
    return value.upper()


def url_fault(text: str) -> str | None:
    """Return why *text* is no URL that a task may ask for, behind its name; None if it is one."""
    try:
        _read_url(text)
    except _UrlError as error:
        return str(error)
    return None


class _UrlError(Exception):
    """A URL is none that a task may ask for. The message goes on after its name, without it."""


def _read_url(text: str, base: httpx.URL | None = None) -> httpx.URL:
    if len(text) > MAX_URL:
        raise _UrlError(f"has {len(text):,} characters; {MAX_URL:,} are allowed")
    try:
        url = base.join(text) if base else httpx.URL(text)
        _ = url.host  # which is where a name that begins with "xn--" is read
    except (httpx.InvalidURL, ValueError) as error:
        raise _UrlError("is no URL that can be read") from error
    if url.scheme not in {"http", "https"}:
        raise _UrlError("must begin with 'http://' or 'https://'")
    if b"@" in url.netloc or url.userinfo:
        raise _UrlError("has a user name or a password: use the header Authorization instead")
    if not _HOST.fullmatch(url.raw_host.decode("ascii")):
        raise _UrlError("has no host, or one with characters that no host has")
    if url.port is not None and not 0 < url.port <= MAX_PORT:
        raise _UrlError(f"has a port that is not from 1 to {MAX_PORT}")
    return url.copy_with(fragment=None)


def _json(value: Any) -> bytes:
    try:
        return encode_value(value)
    except ValueRefusedError as error:
        name = "the 'json'" if error.refusal.place is None else "'json'"
        raise request_error(error.refusal.sentence(name)) from error


def _set_headers(headers: dict[str, str], value: Any) -> None:
    """Put the headers that are asked for into *headers*; one that is null takes its name out."""
    asked = dict(_pairs("headers", value))
    for name, fault in header_name_faults(asked):
        raise _wrong_header(name, fault)
    for name, content in asked.items():
        if content is None:
            headers.pop(name.lower(), None)
            continue
        text = _text("headers", name, content)
        wrong = header_text_fault(text)
        if wrong is not None:
            raise _wrong_header(name, wrong)
        headers[name.lower()] = text.strip()


def _wrong_header(name: str, fault: Fault) -> Exception:
    return request_error(f"the header {name[:64]!r} {fault.rule}")


def _with_query(url: httpx.URL, value: Any) -> httpx.URL:
    pairs: list[tuple[str, str]] = []
    for name, content in _pairs("query", value):
        if content is None:
            continue
        items = content if isinstance(content, list | tuple) else [content]
        pairs += [(name, _text("query", name, item)) for item in items]
    if not pairs:
        return url
    try:
        added = urlencode(pairs, quote_via=quote).encode("ascii")
    except UnicodeError as error:
        raise request_error("'query' has half of a surrogate pair, which is no text") from error
    return url.copy_with(query=url.query + b"&" + added if url.query else added)


def _pairs(field: str, value: Any) -> Iterable[tuple[str, Any]]:
    """The items of an object, which may be null itself."""
    if value is None:
        return
    if not isinstance(value, Mapping):
        raise _wrong(field, "an object", value)
    for name, content in value.items():
        if not isinstance(name, str):
            raise _wrong(f"{field}: the name {name!r}", "a text", name)
        yield name, content


def is_plain(value: Any) -> bool:
    """Whether *value* can be that of a header, or of a parameter of the query."""
    return isinstance(value, str | bool | int | float)


def _text(field: str, name: str, value: Any) -> str:
    if not is_plain(value):
        raise _wrong(f"{field}.{name[:64]}", "a text, a number, true or false", value)
    return value if isinstance(value, str) else encode_value(value).decode("ascii")


def _wrong(field: str, wanted: str, value: Any) -> Exception:
    kinds = {
        dict: "an object",
        list: "a list",
        str: "a text",
        type(None): "null",
        bool: "a boolean",
    }
    found = kinds.get(type(value), "a number" if isinstance(value, int | float) else "missing")
    return request_error(f"'{field}' must be {wanted}, not {found}")
