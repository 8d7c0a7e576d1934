"""A bad request, and the values that many kinds of them are made of."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from tests.support.flowmgr_server import EXAMPLE, Served
from tests.support.raw_http import Answer, exchange, request_bytes

JSON = {"Content-Type": b"application/json"}
MAX_BODY = 8 * 1024 * 1024


class Case(msgspec.Struct, frozen=True):
    """A bad request.

    Attributes:
        name: what is bad about it.
        target: the path and the query, as they are sent.
        status: how it must be answered.
        says: what the answer must mention, in its detail or in one of its errors.
        pointer: the place that one of its errors must have.
    """

    name: str
    method: str
    target: bytes
    status: int
    says: str = ""
    body: bytes = b""
    headers: dict[str, bytes] = {}
    pointer: str | None = None

    def sent_to(self, served: Served) -> Answer:
        request = request_bytes(self.method, self.target, self.headers, self.body)
        return exchange(served.process.host, served.process.port, request)


def post(name: str, target: str, body: object, status: int, says: str = "", **more: Any) -> Case:
    """Return a POST of JSON; *body* is encoded unless it is bytes already."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = JSON | more.pop("headers", {})
    return Case(name, "POST", target.encode(), status, says, content, headers, **more)


def get(name: str, target: str | bytes, status: int, says: str = "") -> Case:
    sent = target if isinstance(target, bytes) else target.encode()
    return Case(name, "GET", sent, status, says)


VALUES: dict[str, Any] = {
    "null": None,
    "a boolean": True,
    "a number": 5,
    "a fraction": 1.5,
    "a string": "text",
    "a list": [],
    "an object": {},
}
OPTIONAL = {"null"}
BODIES = [
    *("/flows", "/flows/validate", "/flows/execute", "/executions/none/cancel"),
    *("/executions/none/skip", "/executions/none/rerun", "/executions/bulk"),
]


FULLY_TRIED = ("/flows", "/flows/execute")

VERBS: dict[str, tuple[str, ...]] = {
    "cancel": (),
    "pause": (),
    "resume": (),
    "retry": ("version",),
    "skip": ("task", "result"),
    "rerun": ("task", "context", "version"),
}
"""What can be asked of executions, with the fields that are its own."""

TIME_FILTERS = ["started_after", "started_before", "ended_before"]
BAD_TIMES = [
    *("", "%20", "now", "yesterday", "2026", "20260131", "nan", "inf", "-1", "1e9", "0x10", "1_0"),
    *("%00", "[1]"),
    *("2026-01-31", "2026-01-31T12:00:00", "2026-01-31%2012:00", "2026-02-30T12:00:00Z"),
    *("2026-01-31T25:00:00Z", "2026-01-31T12:00:00X", "2026-01-31T12:00:00%2B25:00"),
    *("0001-01-01T00:00:00%2B14:00", "1969-12-31T23:59:59Z", "1769860800000", "9" * 400),
    *("2026-01-31T12:00:00Z,2027-01-31T12:00:00Z", "%EF%BC%91", "2026-W05-6", "12:00Z"),
]
"""Dates without a time or an offset, times that are none, times before 1970, milliseconds."""

BAD_IDS: dict[str, str] = {
    "slash": "a/b",
    "parent": "..",
    "parents": "../../etc/passwd",
    "two points": "a..b",
    "point": ".",
    "NUL": "a\0b",
    "empty": "",
    "blank": " ",
    "blank behind": "a ",
    "line break": "a\n",
    "129 letters": "a" * 129,
    "a million letters": "a" * 1_000_000,
    "umlaut": "flüss",
    "Chinese": "流",
    "emoji": "🙂",
    "right to left": "\u202eabc",
    "dash first": "-a",
    "underscore first": "_a",
    "percent": "%2e",
    "backslash": "a\\b",
    "quotes": "a'b\"c",
    "HTML": "<script>",
    "execute": "execute",
    "validate": "validate",
}


def example() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(EXAMPLE["flow"]))
    return made


def pointer_to(*steps: Any) -> str:
    return "".join(f"/{step}" for step in steps)


def nested(levels: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for _ in range(levels - 1):
        made = {"a": made}
    return made
