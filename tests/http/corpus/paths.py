"""Paths, queries and methods."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from tests.http.corpus.cases import (
    BAD_TIMES,
    TIME_FILTERS,
    VERBS,
    Case,
    get,
    post,
)

BAD_PATHS: dict[str, bytes] = {
    "unknown": b"no-such-thing",
    "percent without digits": b"%",
    "percent with one digit": b"%2",
    "percent with letters": b"%zz",
    "percent in percent": b"%25%32%65",
    "invalid UTF-8": b"%ff%fe",
    "overlong UTF-8": b"%c0%af",
    "surrogate": b"%ed%a0%80",
    "cut UTF-8": b"%e2%82",
    "NUL": b"%00",
    "line break": b"%0d%0aX:%20y",
    "slash": b"a%2fb",
    "parent": b"%2e%2e",
    "parent as it is": b"..",
    "parents": b"%2e%2e%2fetc%2fpasswd",
    "backslash": b"..\\..\\x",
    "umlaut": quote("flüss").encode(),
    "emoji": quote("🙂").encode(),
    "quotes": b"'%22",
    "HTML": b"%3Cscript%3E",
    "template": b"{flow_id}",
    "star": b"*",
    "semicolon": b"x;y=1",
    "long": b"a" * 1_000,
    "very long": b"a" * 20_000,
}
PLACES = {
    "GET": ["/flows/%s", "/flows/%s/versions", "/executions/%s", "/executions/%s/events"],
    "DELETE": ["/flows/%s", "/executions/%s"],
    "POST": ["/executions/%s/cancel", "/executions/%s/skip"],
}


def unknown_things() -> Iterator[Case]:
    for method, targets in PLACES.items():
        for target in targets:
            for name, value in BAD_PATHS.items():
                sent = target.encode().replace(b"%s", value)
                yield Case(f"{method} {target}: {name}", method, sent, 404)
    for method, target, says in (
        ("GET", "/flows/no-such-flow", "'no-such-flow'"),
        ("DELETE", "/flows/no-such-flow", "'no-such-flow'"),
        ("GET", "/executions/no-such-execution", "'no-such-execution'"),
        ("DELETE", "/executions/no-such-execution", "'no-such-execution'"),
        ("POST", "/executions/no-such-execution/cancel", "'no-such-execution'"),
        ("POST", "/executions/no-such-execution/stop", "Nothing has the path"),
        ("GET", "/", "'/'"),
        ("GET", "/flows/a/b/c", "'/flows/a/b/c'"),
        ("GET", "/..", "'/..'"),
        ("GET", "/assets/../web/app.py", "Nothing has the path"),
        ("GET", "/assets/%2e%2e/%2e%2e/pyproject.toml", "Nothing has the path"),
        ("GET", "/assets/..%2f..%2fpyproject.toml", "Nothing has the path"),
        ("GET", "/assets//etc/passwd", "Nothing has the path"),
        ("GET", "/assets/%00", "Nothing has the path"),
        ("GET", "/docs/nothing", "'/docs/nothing'"),
    ):
        yield Case(f"{method} {target}", method, target.encode(), 404, says)
    yield get("a version that is not there", "/flows/flow123?version=12345", 404, "12345")


BAD_CURSORS = ["", "!!!", "a", "====", "%ff", "%00", "é", "////", "bm90 YQ", "A" * 1_001, "None"]
NOT_NUMBERS = ["bm90LWEtbnVtYmVy", "LTE", "MS41", "MWUz", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "wrI"]
"""Cursors of other lists: not-a-number, -1, 1.5, 1e3, 24 times 9, ²."""

LISTS = ["/flows", "/executions", "/flows/flow123/versions", "/executions/none/events"]
BAD_LIMITS = ["0", "-1", "1001", "abc", "", "1.5", "nan", "1e99", "9" * 30, "true", "%31%00", "0x1"]
QUERIES: dict[str, list[tuple[str, str]]] = {
    "/flows/flow123": [("version", value) for value in ("0", "-1", "abc", "", "1.5", "9" * 30)],
    "/executions": [
        *(("status", value) for value in ("", "done", "COMPLETED", "completed,failed")),
        *(("version", value) for value in ("-1", "abc", "", "1.5", "9" * 30, "%EF%BC%91", "1_0")),
        *(("had_failures", value) for value in ("", "yes", "1", "True", "null")),
        *((name, value) for name in TIME_FILTERS for value in BAD_TIMES),
        *((f"metadata.{name}", "x") for name in ("", "k" * 129, "k" * 10_000)),
        ("metadata.k", "x" * 257),
    ],
}
ROUTES = {
    "GET": [
        *LISTS,
        "/flows/flow123",
        "/executions/none",
        "/activities",
        "/health",
        "/health/ready",
        "/openapi.json",
        "/docs",
    ],
    "POST": [
        "/flows",
        "/flows/validate",
        "/flows/execute",
        "/executions/bulk",
        *(f"/executions/none/{verb}" for verb in VERBS),
    ],
    "DELETE": ["/flows/flow123", "/executions/none"],
}


def wrong_queries() -> Iterator[Case]:
    for target in LISTS:
        numbered = target.endswith(("versions", "events"))
        for value in BAD_CURSORS + (NOT_NUMBERS if numbered else []):
            sent = f"{target}?cursor={quote(value, safe='%')}"
            yield get(f"{target}: cursor {value[:20]!r}", sent, 400, "ursor")
        for value in BAD_LIMITS:
            yield get(f"{target}: limit {value!r}", f"{target}?limit={value}", 400, "limit")
    for target, pairs in QUERIES.items():
        for field, value in pairs:
            name = f"{target}: {field[:20]} ({len(field)}) {value[:50]!r} ({len(value)})"
            yield get(name, f"{target}?{field}={value}", 400, field.partition(".")[0][1:])
    for method, targets in ROUTES.items():
        for target in targets:
            sent = f"{target}?lmit=1".encode()
            yield Case(f"{method} {target}: unknown parameter", method, sent, 400, "'lmit'")
    for query in ("metadata=x", "metadata", "metadata[k]=x", "Metadata.k=x", "started=1"):
        yield get(f"query {query!r}", f"/executions?{query}", 400, "no query parameter")
    twice = "/executions?metadata.k=1&metadata.k=2"
    yield get("metadata twice", twice, 400, "'metadata.k'")
    many = "&".join(f"metadata.k{n}=x" for n in range(33))
    yield get("33 metadata", f"/executions?{many}", 400, "32 metadata at once")
    yield get("metadata of no list", "/flows?metadata.k=1", 400, "'metadata.k'")
    for query in ("=", "=1", "%", "%ff=1", "%00", "limit%00=1", "a[]=1", "flow_id=x&request=1"):
        yield get(f"query {query!r}", f"/executions?{query}", 400, "query parameter")
    yield get("a path parameter in the query", "/flows/x?flow_id=y", 400, "'flow_id'")
    yield get("an injected dependency in the query", "/executions?engine=x", 400, "'engine'")
    cancel = "/executions/none/cancel?request=x"
    yield post("an injected request in the query", cancel, {}, 400, "'request'")
    yield get("a parameter twice", "/executions?limit=1&limit=2", 400, "'limit'")
    yield get("a parameter twice, the same", "/executions?limit=1&limit=1", 400, "'limit'")


WRONG_METHODS = {
    "/flows": ["PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"],
    "/flows/flow123": ["POST", "PUT", "PATCH"],
    "/flows/flow123/versions": ["POST", "DELETE"],
    "/flows/validate": ["GET", "PUT", "DELETE"],
    "/flows/execute": ["GET", "PUT", "DELETE"],
    "/executions": ["POST", "PUT", "DELETE"],
    "/executions/none": ["POST", "PUT", "PATCH"],
    "/executions/bulk": ["GET", "PUT", "DELETE"],
    **{f"/executions/none/{verb}": ["GET", "PUT", "DELETE"] for verb in VERBS},
    "/executions/none/events": ["POST", "DELETE"],
    "/activities": ["POST", "DELETE"],
    "/health": ["POST", "PUT", "DELETE"],
    "/health/ready": ["POST"],
    "/openapi.json": ["POST"],
    "/docs": ["POST"],
    "/assets/swagger-ui.css": ["POST", "DELETE"],
}


def wrong_methods() -> Iterator[Case]:
    for target, methods in WRONG_METHODS.items():
        for method in methods:
            yield Case(f"{method} {target}", method, target.encode(), 405, method)


MAKERS = (unknown_things, wrong_queries, wrong_methods)
