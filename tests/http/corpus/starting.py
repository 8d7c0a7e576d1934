"""Starting executions, and waiting for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.http.corpus.cases import (
    BAD_IDS,
    OPTIONAL,
    VALUES,
    Case,
    example,
    get,
    nested,
    post,
)


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
    long = "n" * 200
    pointers = {"a/b": "/metadata/a~1b", "~": "/metadata/~0", long: f"/metadata/{long}"}
    for name, pointer in pointers.items():
        sent = body | {"metadata": {name: None}}
        yield post(f"metadata: {name}", target, sent, 400, name[:128], pointer=pointer)
    twice = {"Idempotency-Key": b"a", "idempotency-key": b"b"}
    requests: dict[str, dict[str, Any]] = {target: body, "/executions/none/rerun": {}}
    for asked, sent in requests.items():
        for key in BAD_KEYS:
            headers = {"Idempotency-Key": key}
            says = "1 to 255 printable ASCII characters"
            name = f"{asked}: key {key[:20]!r} of {len(key)}"
            yield post(name, asked, sent, 400, says, headers=headers)
        yield post(f"{asked}: two keys", asked, sent, 400, "more than once", headers=twice)


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


MAKERS = (wrong_executions, wrong_metadata_and_keys, wrong_preferences)
