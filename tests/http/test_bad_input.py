"""Nothing that a client sends yields a 5xx: a corpus of bad requests, generated from tables.

Each is answered with 4xx and a problem that says what is wrong, and leaves the server working.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from tests.support.flowmgr_server import EXAMPLE, Served, chain, condition, flow, task
from tests.support.raw_http import Answer, exchange, request_bytes

JSON = {"Content-Type": b"application/json"}
LEAST_CASES = 300
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


# Text that is not JSON, or not JSON that can be read exactly.

NUMBER = b"[%s]"
UNREADABLE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty"),
    "blanks": (b" \t\r\n ", "empty"),
    "open object": (b"{", "not JSON"),
    "open list": (b"[1, 2", "not JSON"),
    "open text": (b'{"flow_id": "x', "not JSON"),
    "only a bracket": (b"]", "not JSON"),
    "two documents": (b"{} {}", "not JSON"),
    "text behind": (b"{}x", "not JSON"),
    "trailing comma": (b'{"a": 1,}', "not JSON"),
    "trailing comma in a list": (b"[1,]", "not JSON"),
    "comment": (b'{"a": 1} // x', "not JSON"),
    "single quotes": (b"{'a': 1}", "not JSON"),
    "bare key": (b"{a: 1}", "not JSON"),
    "no colon": (b'{"a" 1}', "not JSON"),
    "no value": (b'{"a": }', "not JSON"),
    "word": (b"flow", "not JSON"),
    "True of Python": (b"True", "not JSON"),
    "form": (b"flow_id=x&context=y", "not JSON"),
    "XML": (b"<flow/>", "not JSON"),
    "YAML": (b"flow_id: x\n", "not JSON"),
    "NUL": (b"\x00", "not JSON"),
    "NUL behind": (b"{}\x00", "not JSON"),
    "raw line break in a text": (b'{"a": "\n"}', "not JSON"),
    "raw NUL in a text": (b'{"a": "\x00"}', "not JSON"),
    "bad escape": (b'{"a": "\\x41"}', "not JSON"),
    "half an escape": (b'{"a": "\\u12"}', "not JSON"),
    "leading zero": (NUMBER % b"01", "not JSON"),
    "plus": (NUMBER % b"+1", "not JSON"),
    "point without digits": (NUMBER % b"1.", "not JSON"),
    "exponent without digits": (NUMBER % b"1e", "not JSON"),
    "only a minus": (NUMBER % b"-", "not JSON"),
    "hexadecimal": (NUMBER % b"0x10", "not JSON"),
    "NaN": (NUMBER % b"NaN", "NaN"),
    "Infinity": (NUMBER % b"Infinity", "Infinity"),
    "-Infinity": (NUMBER % b"-Infinity", "-Infinity"),
    "1e999": (NUMBER % b"1e999", "1e999"),
    "-1e999": (NUMBER % b"-1e999", "-1e999"),
    "5,000 digits": (NUMBER % (b"9" * 5_000), "5000 digits"),
    "minus 5,000 digits": (NUMBER % (b"-" + b"9" * 5_000), "5000 digits"),
    "1,000,000 digits": (NUMBER % (b"1" * 1_000_000), "1000000 digits"),
    "duplicate key": (b'{"a": 1, "a": 1}', "'a'"),
    "duplicate key further down": (b'{"a": [{"b": {"c": 1, "c": 2}}]}', "'c'"),
    "duplicate key by an escape": (b'{"a": 1, "\\u0061": 2}', "'a'"),
    "lone high surrogate": (b'{"a": "\\ud800"}', "surrogate"),
    "lone low surrogate": (b'{"a": "\\udc00"}', "surrogate"),
    "surrogates in the wrong order": (b'{"a": "\\udc00\\ud800"}', "surrogate"),
    "lone surrogate in a key": (b'{"\\ud800": 1}', "surrogate"),
    "surrogate in UTF-8": (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
    "invalid UTF-8": (b'{"a": "\xff"}', "0xff"),
    "overlong UTF-8": (b'{"a": "\xc0\xaf"}', "0xc0"),
    "cut UTF-8": (b'{"a": "\xe2\x82"}', "not UTF-8"),
    "invalid UTF-8 in a key": (b'{"\xfe": 1}', "0xfe"),
    "Latin-1": ('{"a": "ü"}'.encode("latin-1"), "0xfc"),
    "BOM": (b"\xef\xbb\xbf{}", "byte order mark"),
    "UTF-16": ("{}".encode("utf-16"), "byte order mark"),
    "UTF-16 without BOM": ("{}".encode("utf-16-le"), "not JSON"),
    "UTF-32 without BOM": ("{}".encode("utf-32-be"), "not JSON"),
    "only a BOM": (b"\xef\xbb\xbf", "byte order mark"),
    "compressed": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "not UTF-8"),
}
DEEP: dict[str, bytes] = {
    "101 lists": b"[" * 101 + b"]" * 101,
    "101 objects": b'{"a":' * 101 + b"1" + b"}" * 101,
    "1,000 lists": b"[" * 1_000 + b"]" * 1_000,
    "1,000 objects": b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
    "100,000 lists": b"[" * 100_000 + b"]" * 100_000,
    "100,000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "100,000 of both": b'[{"a":' * 50_000 + b"1" + b"}]" * 50_000,
    "100,000 open lists": b"[" * 100_000,
    "100,000 open objects": b'{"a":' * 100_000,
    "deep behind a text with brackets": b'["]]]]", ' + b"[" * 1_000 + b"]" * 1_001,
}
BODIES = [
    *("/flows", "/flows/validate", "/flows/execute", "/executions/none/cancel"),
    *("/executions/none/skip", "/executions/none/rerun", "/executions/bulk"),
]


FULLY_TRIED = ("/flows", "/flows/execute")


def unreadable_bodies() -> Iterator[Case]:
    for name, (body, says) in UNREADABLE.items():
        for target in FULLY_TRIED:
            yield post(f"{target}: {name}", target, body, 422, says)
    for name, body in DEEP.items():
        for target in BODIES:
            yield post(f"{target}: {name}", target, body, 422, "nested deeper than 100 levels")
    for target in BODIES:
        if target in FULLY_TRIED:
            continue
        for name in ("open object", "NaN", "invalid UTF-8", "duplicate key"):
            body, says = UNREADABLE[name]
            yield post(f"{target}: {name}", target, body, 422, says)


# Content types and sizes.

CONTENT_TYPES = [
    "text/plain",
    "text/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/xml",
    "application/yaml",
    "application/msgpack",
    "application/jsonx",
    "json",
    "*/*",
]


def declared_as_something_else() -> Iterator[Case]:
    body = json.dumps(EXAMPLE).encode()
    for content_type in CONTENT_TYPES:
        for target in ("/flows", "/flows/execute", "/executions/none/cancel"):
            headers = {"Content-Type": content_type.encode()}
            says = content_type.partition(";")[0]
            yield post(f"{target} as {content_type}", target, body, 422, says, headers=headers)
    for value in (b"", b"\xff\xfe", b";", b"application", b"application/json/x"):
        headers = {"Content-Type": value}
        name = f"content type {value!r}"
        yield post(name, "/flows", body, 422, "Content-Type: application/json", headers=headers)


def too_large() -> Iterator[Case]:
    says = "larger than this server accepts"
    for target in BODIES:
        yield post(f"{target}: one byte too many", target, b" " * (MAX_BODY + 1), 413, says)
        length = {"Content-Length": b"%d" % 10**12}
        yield post(f"{target}: a terabyte, announced", target, b"", 413, says, headers=length)
    # Without a length, so that only counting tells.
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    chunked = {"Transfer-Encoding": b"chunked"}
    body = chunk * 9 + b"0\r\n\r\n"
    yield post("/flows: nine chunks of a MiB", "/flows", body, 413, says, headers=chunked)
    yield post("/flows: blanks only, just not too many", "/flows", b" " * MAX_BODY, 422, "empty")


# Flows: the wrong type at every field, and one field too many at every level.

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
FIELDS: dict[tuple[Any, ...], dict[str, set[str]]] = {
    (): {
        "id": {"a string"} | OPTIONAL,
        "name": {"a string"},
        "start_task": {"a string"},
        "description": {"a string"} | OPTIONAL,
        "tasks": {"a list"},
        "conditions": {"a list"},
        "max_visits": {"a number"} | OPTIONAL,
        "metadata": {"an object"} | OPTIONAL,
    },
    ("tasks", 0): {
        "name": {"a string"},
        "description": {"a string"} | OPTIONAL,
        "activity": {"a string"} | OPTIONAL,
        "metadata": {"an object"} | OPTIONAL,
    },
    ("conditions", 0): {
        "name": {"a string"} | OPTIONAL,
        "description": {"a string"} | OPTIONAL,
        "source_task": {"a string"},
        "outcome": {"a string"} | OPTIONAL,
        "target_task_success": {"a string"},
        "target_task_failure": {"a string"} | OPTIONAL,
    },
}
"""The fields of a flow, of its tasks and of its conditions, and what each may be."""


def example() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(EXAMPLE["flow"]))
    return made


def changed(place: tuple[Any, ...], field: Any, value: Any) -> dict[str, Any]:
    """Return the example flow with another value at one place."""
    made = example()
    item: Any = made
    for step in place:
        item = item[step]
    item[field] = value
    return made


def pointer_to(*steps: Any) -> str:
    return "".join(f"/{step}" for step in steps)


def wrong_types_in_flows() -> Iterator[Case]:
    for place, fields in FIELDS.items():
        for field, right in fields.items():
            for kind, value in VALUES.items():
                if kind in right:
                    continue
                name = f"{pointer_to(*place, field)} is {kind}"
                says = f"'{field}'" if field != "outcome" else "invalid outcome"
                sent = changed(place, field, value)
                pointer = pointer_to("flow", *place, field)
                yield post(name, "/flows", {"flow": sent}, 400, says, pointer=pointer)
    for items, subject in (("tasks", "Task 1"), ("conditions", "Condition 1")):
        for kind, value in VALUES.items():
            if kind != "an object":
                sent = changed((), items, [value])
                yield post(
                    f"{items}/0 is {kind}", "/flows", sent, 400, subject, pointer=f"/{items}/0"
                )
    for kind, value in VALUES.items():
        if kind != "an object":
            yield post(f"flow is {kind}", "/flows", {"flow": value}, 400, "'flow'")
            yield post(f"flow_data is {kind}", "/flows", {"flow_data": value}, 422, "'flow_data'")
            yield post(f"the flow's body is {kind}", "/flows", value, 422, "object")
            inline = {"flow": value}
            status = 422 if kind == "null" else 400
            yield post(f"inline flow is {kind}", "/flows/execute", inline, status, "'flow'")


def unknown_fields() -> Iterator[Case]:
    for place in FIELDS:
        for field, says in (("nmae", "did you mean 'name'?"), ("retries", "'retries'")):
            name = f"{pointer_to(*place, field)} is unknown"
            pointer = pointer_to("flow", *place, field)
            sent = {"flow": changed(place, field, 1)}
            yield post(name, "/flows", sent, 400, says, pointer=pointer)
    yield post("beside flow", "/flows", {"flow": example(), "x": 1}, 400, "'x'", pointer="/x")
    wrapped = {"flow_data": {"flow": example()}, "x": 1}
    yield post("beside flow_data", "/flows", wrapped, 400, "'x'", pointer="/x")
    wrapped = {"flow_data": {"flow": example(), "x": 1}}
    yield post("in flow_data", "/flows", wrapped, 400, "'x'", pointer="/flow_data/x")
    yield post("nothing that is known", "/flows", {"x": 1}, 422, "'flow'")
    yield post("an empty object", "/flows", {}, 422, "'flow'")
    yield post("an empty flow_data", "/flows", {"flow_data": {}}, 400, "'flow'")
    yield post("an empty flow", "/flows", {"flow": {}}, 400, "'name'", pointer="/flow/name")
    key = "k" * 100_000
    yield post("a key of 100,000 letters", "/flows", {**example(), key: 1}, 400, "kkk")
    many = {f"x{n}": n for n in range(10_000)}
    yield post("10,000 unknown fields", "/flows", example() | many, 400, "more of these")
    for field in ("name", "start_task", "tasks", "conditions"):
        sent = example()
        del sent[field]
        says = f"Missing required field: '{field}'"
        yield post(f"no {field}", "/flows", sent, 400, says, pointer=f"/{field}")
    for place, field in (("tasks", "name"), ("conditions", "source_task")):
        sent = example()
        del sent[place][0][field]
        pointer = f"/{place}/0/{field}"
        yield post(f"no {pointer}", "/flows", sent, 400, f"'{field}'", pointer=pointer)


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
BAD_NAMES: dict[str, str] = {
    "empty": "",
    "blank": " \t",
    "129 letters": "a" * 129,
    "line break": "a\nb",
    "NUL": "a\0b",
    "reserved": "end",
}


def bad_values_in_flows() -> Iterator[Case]:
    for name, value in BAD_IDS.items():
        sent = {"flow": changed((), "id", value)}
        yield post(f"id: {name}", "/flows", sent, 400, "'id'", pointer="/flow/id")
    for name, value in list(BAD_IDS.items())[:10]:
        sent = changed(("tasks", 0), "activity", value)
        pointer = "/tasks/0/activity"
        yield post(f"activity: {name}", "/flows", sent, 400, "'activity'", pointer=pointer)
    for name, value in BAD_NAMES.items():
        sent = flow({"name": value, "activity": "task1"}, task("task1"))
        yield post(f"task name: {name}", "/flows", sent, 400, "'name'", pointer="/tasks/0/name")
    for value in (0, -1, 10_001, 10**18, 10**100):
        sent = changed((), "max_visits", value)
        yield post(f"max_visits {value:.0e}", "/flows", sent, 400, "must be from 1 to 10000")
    rules: dict[str, tuple[dict[str, Any], str]] = {
        "no tasks": (changed((), "tasks", []), "non-empty list"),
        "unknown start": (changed((), "start_task", "task4"), "start_task 'task4' not found"),
        "start at the end": (changed((), "start_task", "end"), "start_task 'end' not found"),
        "unknown source": (changed(("conditions", 0), "source_task", "z"), "source_task: 'z'"),
        "end as a source": (changed(("conditions", 0), "source_task", "end"), "nothing comes"),
        "unknown target": (
            changed(("conditions", 0), "target_task_success", "z"),
            "target_task_success: 'z'",
        ),
        "unknown other target": (
            changed(("conditions", 0), "target_task_failure", "z"),
            "target_task_failure: 'z'",
        ),
        "outcome": (changed(("conditions", 0), "outcome", "any"), "invalid outcome: 'any'"),
        "duplicate": (flow(task("task1"), task("task1")), "Duplicate task name: 'task1'"),
        "unknown activity": (chain("task1", "tsak2"), "'tsak2'"),
        "loop": (flow(task("task1"), conditions=[condition("task1", "task1")]), "cycle"),
        "deep metadata": (changed((), "metadata", nested(70)), "metadata"),
    }
    for name, (sent, says) in rules.items():
        yield post(f"flow: {name}", "/flows", sent, 400, says)
        yield post(f"inline flow: {name}", "/flows/execute", {"flow": sent}, 400, says)
    names = [f"t{n}" for n in range(2_000)]
    ring = [condition(a, b) for a, b in zip(names, names[1:] + names[:1], strict=True)]
    tasks = [task(name, "task1") for name in names]
    yield post("a ring of 2,000 tasks", "/flows", flow(*tasks, conditions=ring), 400, "cycle")
    wrong = [task(name) for name in names]
    yield post("2,000 unknown activities", "/flows", flow(*wrong), 400, "'t0'")


# Executing and cancelling.


def nested(levels: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for _ in range(levels - 1):
        made = {"a": made}
    return made


def wrong_executions() -> Iterator[Case]:
    known: dict[str, Any] = {"flow_id": "flow123"}
    for field, right in (
        ("flow_id", {"a string"}),
        ("version", {"a number"} | OPTIONAL),
        ("context", {"an object"} | OPTIONAL),
        ("metadata", {"an object"} | OPTIONAL),
    ):
        for kind, value in VALUES.items():
            if kind not in right:
                sent = known | {field: value}
                yield post(f"{field} is {kind}", "/flows/execute", sent, 422, f"'{field}'")
    for kind, value in VALUES.items():
        if kind != "an object":
            yield post(f"what to execute is {kind}", "/flows/execute", value, 422, "object")
    bodies: dict[str, tuple[dict[str, Any], int, str]] = {
        "nothing to execute": ({}, 422, "'flow_id'"),
        "two things to execute": (known | {"flow": example()}, 422, "either 'flow_id'"),
        "unknown field": (known | {"contxt": {}}, 422, "'contxt'"),
        "unknown field with a slash": (known | {"a/b~c": 1}, 422, "'a/b~c'"),
        "version of an inline flow": ({"flow": example(), "version": 1}, 422, "'version'"),
        "version 0": (known | {"version": 0}, 422, "'version'"),
        "version -1": (known | {"version": -1}, 422, "'version'"),
        "huge version": (known | {"version": 10**30}, 422, "'version'"),
        "unknown version": (known | {"version": 12345}, 404, "12345"),
        "unknown flow": ({"flow_id": "nowhere"}, 404, "'nowhere'"),
        "empty flow id": ({"flow_id": ""}, 404, "not found"),
        "context too large": (
            known | {"context": {"data": "x" * 1_048_565}},
            400,
            "Context too large: 1048577 bytes (max 1MB)",
        ),
        "context of many keys too large": (
            known | {"context": {f"k{n}": n for n in range(100_000)}},
            400,
            "Context too large",
        ),
        "context of 65 levels": (known | {"context": nested(65)}, 400, "deeper than 64 levels"),
        "context of 98 levels": (known | {"context": nested(98)}, 400, "deeper than 64 levels"),
        "inline flow in a wrapping": ({"flow": {"flow": example()}}, 400, "'flow'"),
    }
    for name, (sent, status, says) in bodies.items():
        yield post(f"execute: {name}", "/flows/execute", sent, status, says)
    for name, value in BAD_IDS.items():
        if len(value) < 1_000:
            yield post(f"execute flow: {name}", "/flows/execute", {"flow_id": value}, 404, "Flow")


BAD_METADATA: dict[str, tuple[dict[str, Any], str]] = {
    "33 entries": ({f"k{n}": n for n in range(33)}, "33 entries; 32 may be"),
    "a long text": ({"k": "x" * 257}, "at most 256 characters"),
    "a long name": ({"k" * 129: 1}, "1 to 128 characters"),
    "no name": ({"": 1}, "1 to 128 characters"),
    "null": ({"k": None}, "'k' must have"),
    "a list": ({"k": []}, "'k' must have"),
    "an object": ({"k": {}}, "'k' must have"),
}
BAD_KEYS = [
    b"",
    b" ",
    b"\t",
    b"\xff",
    "schl\u00fcssel".encode(),
    b"a\tb",
    b"x" * 256,
    b"x" * 60_000,
]


def wrong_metadata_and_keys() -> Iterator[Case]:
    target, body = "/flows/execute", {"flow_id": "flow123"}
    for name, (metadata, says) in BAD_METADATA.items():
        yield post(f"metadata: {name}", target, body | {"metadata": metadata}, 400, says)
    for name, pointer in (("a/b", "/metadata/a~1b"), ("~", "/metadata/~0")):
        sent = body | {"metadata": {name: None}}
        yield post(f"metadata: {name}", target, sent, 400, name, pointer=pointer)
    for key in BAD_KEYS:
        headers = {"Idempotency-Key": key}
        says = "1 to 255 printable ASCII characters"
        yield post(f"key {key[:20]!r} of {len(key)}", target, body, 400, says, headers=headers)
    twice = {"Idempotency-Key": b"a", "idempotency-key": b"b"}
    yield post("two keys", target, body, 400, "more than once", headers=twice)


FULL_WIDTH_ONE = "\uff11"
BAD_SECONDS = ["nan", "inf", "-inf", "Infinity", "-1", "abc", "0x10", "1_0", "1e999", "++1"]


def wrong_preferences() -> Iterator[Case]:
    for target in ("/flows/execute", "/executions/none/cancel", "/executions/none/pause"):
        for value in (*BAD_SECONDS, "", '"', "9" * 400, FULL_WIDTH_ONE, "x;y", " ;5"):
            name = f"{target}: Prefer wait={value[:20]}"
            headers = {"Prefer": b"wait=" + value.encode()}
            body = {"flow_id": "flow123"} if target == "/flows/execute" else {}
            yield post(name, target, body, 400, "Prefer: wait", headers=headers)
        headers = {"Prefer": b"respond-async, wait=\xff"}
        yield post(f"{target}: Prefer not in ASCII", target, {}, 400, "wait", headers=headers)
    for value in (*BAD_SECONDS, "", "true", "null", "9" * 400, "1;2", "%00", "%ff", "[1]"):
        yield get(f"wait={value[:20]}", f"/executions/none?wait={value}", 400, "wait")


VERBS: dict[str, tuple[str, ...]] = {
    "cancel": (),
    "pause": (),
    "resume": (),
    "retry": ("version",),
    "skip": ("task", "result"),
    "rerun": ("task", "context", "version"),
}
"""What can be asked of executions, with the fields that are its own."""

FIELDS_OF_VERBS: dict[str, set[str]] = {
    "by": {"a string"},
    "reason": {"a string"},
    "task": {"a string"},
    "version": {"a number"},
    "context": {"an object"},
}
TOO_LONG = {"by": 200, "reason": 1_000, "task": 128}


def wrong_changes() -> Iterator[Case]:
    for verb, own in VERBS.items():
        target = f"/executions/none/{verb}"
        for field in FIELDS_OF_VERBS:
            if field in {"by", "reason", *own}:
                yield from wrong_values(verb, field)
            else:
                name = f"{verb}: {field} is another verb's"
                yield post(name, target, {field: None}, 422, f"'{field}'", pointer=f"/{field}")
        for kind, value in VALUES.items():
            if kind != "an object":
                yield post(f"{verb}: body is {kind}", target, value, 422, "object")
        yield post(f"{verb}: unknown field", target, {"raeson": "x"}, 422, "'raeson'")
        yield post(f"{verb}: nothing", target, {}, 404, "'none'")
        yield Case(f"{verb}: nothing without a body", "POST", target.encode(), 404, "'none'")


def wrong_values(verb: str, field: str) -> Iterator[Case]:
    target, says, pointer = f"/executions/none/{verb}", f"'{field}'", f"/{field}"
    for kind, value in VALUES.items():
        if kind not in FIELDS_OF_VERBS[field] | OPTIONAL:
            name = f"{verb}: {field} is {kind}"
            yield post(name, target, {field: value}, 422, says, pointer=pointer)
    if (length := TOO_LONG.get(field)) is not None:
        sent = {field: "x" * (length + 1)}
        yield post(f"{verb}: {field} is too long", target, sent, 422, f"{length} characters")


def wrong_changes_in_detail() -> Iterator[Case]:
    for name, version in (("0", 0), ("-1", -1), ("huge", 10**30)):
        for verb in ("retry", "rerun"):
            target = f"/executions/none/{verb}"
            yield post(f"{verb}: version {name}", target, {"version": version}, 422, "'version'")
    result = {"result": nested(65)}
    yield post("skip: deep result", "/executions/none/skip", result, 400, "nested deeper")
    context = {"context": nested(65)}
    yield post("rerun: deep context", "/executions/none/rerun", context, 400, "nested deeper")
    for query in ("by=" + "x" * 201, "reason=" + "x" * 1_001, "wait=1"):
        target = f"/executions/none?{query}".encode()
        says = query.partition("=")[0]
        yield Case(f"delete: {query[:20]}", "DELETE", target, 400, says)


TIME_FILTERS = ["started_after", "started_before", "ended_before"]
BAD_TIMES = [
    *(
        "",
        "%20",
        "now",
        "yesterday",
        "2026",
        "nan",
        "inf",
        "-1",
        "1e9",
        "0x10",
        "1_0",
        "%00",
        "[1]",
    ),
    *("2026-01-31", "2026-01-31T12:00:00", "2026-01-31%2012:00", "2026-02-30T12:00:00Z"),
    *("2026-01-31T25:00:00Z", "2026-01-31T12:00:00X", "2026-01-31T12:00:00%2B25:00"),
    *("0001-01-01T00:00:00%2B14:00", "1969-12-31T23:59:59Z", "1769860800000", "9" * 400),
    *("2026-01-31T12:00:00Z,2027-01-31T12:00:00Z", "%EF%BC%91", "2026-W05-6", "12:00Z"),
]
"""Dates without a time or an offset, times that are none, times before 1970, milliseconds."""

FIELDS_OF_FILTERS: dict[str, set[str]] = {
    "status": set(),
    "flow_id": {"a string"},
    "version": {"a number"},
    "started_after": set(),
    "started_before": set(),
    "ended_before": set(),
    "had_failures": {"a boolean"},
    "metadata": {"an object"},
}
BULK = "/executions/bulk"


def wrong_bulk_requests() -> Iterator[Case]:
    body: dict[str, Any] = {"action": "cancel", "filter": {"status": "running"}, "dry_run": True}
    for field, right in (
        ("action", set()),
        ("filter", {"an object"} | OPTIONAL),
        ("dry_run", {"a boolean"} | OPTIONAL),
        ("by", {"a string"} | OPTIONAL),
        ("reason", {"a string"} | OPTIONAL),
    ):
        for kind, value in VALUES.items():
            if kind not in right:
                sent = body | {field: value}
                name, says = f"bulk: {field} is {kind}", f"'{field}'"
                yield post(name, BULK, sent, 422, says, pointer=f"/{field}")
    for field, right in FIELDS_OF_FILTERS.items():
        for kind, value in VALUES.items():
            if kind not in right | OPTIONAL:
                sent = body | {"filter": {field: value}}
                name, says = f"bulk: filter {field} is {kind}", f"'{field}'"
                yield post(name, BULK, sent, 422, says, pointer=f"/filter/{field}")
    for kind, value in VALUES.items():
        if kind != "an object":
            yield post(f"bulk: body is {kind}", BULK, value, 422, "object")


def wrong_bulk_requests_in_detail() -> Iterator[Case]:
    filters: dict[str, tuple[dict[str, Any], str]] = {
        "unknown field": ({"state": "failed"}, "'state'"),
        "field of the list": ({"limit": 1}, "'limit'"),
        "metadata as in a query": ({"metadata.k": 1}, "'metadata.k'"),
        "unknown status": ({"status": "done"}, "one of pending, running"),
        "version -1": ({"version": -1}, "'version'"),
        "huge version": ({"version": 10**30}, "'version'"),
        "huge time": ({"started_after": 10**400}, "'started_after'"),
        "small time": ({"started_before": 2026}, "'started_before'"),
        "time in milliseconds": ({"ended_before": 1769860800000}, "'ended_before'"),
        "list in metadata": ({"metadata": {"k": [1]}}, "'metadata'"),
        "null in metadata": ({"metadata": {"k": None}}, "'metadata'"),
        "long text in metadata": ({"metadata": {"k": "x" * 257}}, "'k' cannot be looked up"),
        "no name in metadata": ({"metadata": {"": 1}}, "'' cannot be looked up"),
        "33 metadata": ({"metadata": {f"k{n}": n for n in range(33)}}, "32 metadata at once"),
        "nothing": ({}, "this would retry every execution"),
    }
    for time in BAD_TIMES:
        if "%" not in time:
            filters[f"time {time[:30]!r} ({len(time)})"] = (
                {"started_after": time},
                "'started_after'",
            )
    for name, (chosen, says) in filters.items():
        sent = {"action": "retry", "filter": chosen, "dry_run": True}
        yield post(f"bulk: filter: {name}", BULK, sent, 422, says)
    wanted = {"status": "failed"}
    for name, sent in {
        "nothing": {},
        "no action": {"filter": wanted},
        "another action": {"action": "pause", "filter": wanted},
        "an action in capitals": {"action": "CANCEL", "filter": wanted},
    }.items():
        yield post(
            f"bulk: {name}", BULK, sent, 422, "'action' must be one of cancel, retry, delete"
        )
    sent = {"action": "cancel", "filter": wanted, "reason": "x" * 1_001}
    yield post("bulk: long reason", BULK, sent, 422, "1000 characters")
    sent = {"action": "cancel", "filter": wanted, "version": 1}
    yield post("bulk: unknown field", BULK, sent, 422, "'version'", pointer="/version")


# Paths and queries.

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


CASES = [
    case
    for make in (
        unreadable_bodies,
        declared_as_something_else,
        too_large,
        wrong_types_in_flows,
        unknown_fields,
        bad_values_in_flows,
        wrong_executions,
        wrong_metadata_and_keys,
        wrong_preferences,
        wrong_changes,
        wrong_changes_in_detail,
        wrong_bulk_requests,
        wrong_bulk_requests_in_detail,
        unknown_things,
        wrong_queries,
        wrong_methods,
    )
    for case in make()
]


@pytest.fixture(scope="module")
def server(served: Served) -> Served:
    """A server with the example, so that nothing is refused for want of a flow."""
    served.register(EXAMPLE)
    return served


def test_the_corpus_is_large_and_every_case_has_a_name_of_its_own():
    assert len(CASES) >= LEAST_CASES
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: case.name.encode("unicode_escape").decode()
)
def test_a_bad_request_is_answered_with_a_problem_that_says_what_is_wrong(server, case):
    answer = case.sent_to(server)
    assert answer.status == case.status, answer.body[:500]
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert list(told)[:4] == ["type", "title", "status", "detail"]
    assert told["type"].startswith("urn:flowmgr:problem:")
    assert told["status"] == case.status
    assert isinstance(told["title"], str)
    assert isinstance(told["detail"], str)
    assert told["title"]
    assert told["detail"]
    errors = told.get("errors", [])
    for error in errors:
        assert list(error) == ["pointer", "code", "message", "hint"]
        assert error["message"]
    said = [told["detail"], *(f"{error['message']} {error['hint']}" for error in errors)]
    assert any(case.says in text for text in said), said[:5]
    if case.pointer is not None:
        assert case.pointer in [error["pointer"] for error in errors]
    assert "Traceback" not in told["detail"]


def test_after_all_of_them_the_server_works_as_before(server):
    before = server.get("/health/ready").json()
    flows = server.get("/flows", limit=1000).json()
    for case in CASES:
        assert 400 <= case.sent_to(server).status < 500, case.name
    assert server.get("/health/ready").json() == before
    assert server.get("/flows", limit=1000).json() == flows
    server.check()


NOT_HTTP = {
    "nonsense": b"nonsense\r\n\r\n",
    "NUL": b"\x00" * 100 + b"\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "unknown method": b"FOO /flows HTTP/1.1\r\nHost: x\r\n\r\n",
    "small letters": b"get /flows HTTP/1.1\r\nHost: x\r\n\r\n",
    "no path": b"GET HTTP/1.1\r\nHost: x\r\n\r\n",
    "blank in the path": b"GET /flows/a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw bytes in the path": b"GET /flows/\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw bytes in the query": b"GET /flows?cursor=\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in the path": b"GET /flows/\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "length is a word": b"POST /flows HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    "length is negative": b"POST /flows HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "header without a name": b"GET /flows HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
    "no size of a chunk": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
}


@pytest.mark.parametrize("name", NOT_HTTP)
def test_what_is_not_http_is_refused_and_the_server_lives_on(server, name):
    answer = exchange(server.process.host, server.process.port, NOT_HTTP[name])
    assert 400 <= answer.status < 500
    assert server.get("/health/ready").status_code == 200
