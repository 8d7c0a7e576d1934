"""Bodies that are not JSON, not declared as JSON, or too large."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.http.corpus.cases import (
    BODIES,
    FULLY_TRIED,
    MAX_BODY,
    Case,
    post,
)
from tests.support.flowmgr_server import EXAMPLE

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


CONTENT_TYPES = [
    "text/plain",
    "text/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/xml",
    "application/x-yaml+xml",
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
    says = "larger than this server accepts: 8 MiB, which cannot be set"
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


YAML = {
    "not YAML": (b"a: [1", "The document is not YAML"),
    "nothing": (b"# nothing", "empty"),
    "not UTF-8": (b"a: \xff", "UTF-8"),
    "a date": (b"name: 2030-01-31", "JSON has no dates"),
    "not a number": (b"name: .nan", "no number in JSON"),
    "a number for a key": (b"1: a", "not text"),
    "a key twice": (b"id: a\nid: b", "more than once"),
    "an object of Python's": (b"a: !!python/object/apply:os.system [ls]", "JSON has no tags"),
    "two documents": (b"a: 1\n---\na: 2", "second document"),
    "yes": (b"a: yes", "different things"),
    "many levels": (b"[" * 500, "nested deeper than 100 levels"),
    "too many levels": (b"[" * 100_000, "nesting"),
    "a billion laughs": (
        "\n".join(
            ["a0: &a0 [x]"]
            + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 60)]
        ).encode(),
        "by aliases",
    ),
    "an alias of itself": (b"a: &a [*a]", "alias"),
    "a text": (b"just text", "must be a JSON object"),
    "too large": (b"#" * (1 << 20) + b"\n#", "larger than 1,048,576 bytes of YAML"),
}


def yaml_bodies() -> Iterator[Case]:
    headers = {"Content-Type": b"application/yaml"}
    for target in ("/flows", "/flows/execute"):
        for name, (body, says) in YAML.items():
            yield post(f"{target} in YAML: {name}", target, body, 422, says, headers=headers)
    for target in ("/executions/none/cancel", "/executions/bulk"):
        body = json.dumps({}).encode()
        yield post(f"{target} in YAML", target, body, 422, "application/yaml", headers=headers)


MAKERS = (unreadable_bodies, declared_as_something_else, yaml_bodies, too_large)
