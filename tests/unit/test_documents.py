"""The door for JSON from outside: read exactly, or refused with a reason and a place."""

from __future__ import annotations

import json
import math
import time
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmgr.errors import ContextError, DocumentError
from flowmgr.language.documents import check_context, parse_json
from flowmgr.language.findings import MAX_FINDINGS, MAX_QUOTED

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(ANY_TEXT, inner, max_size=5),
    max_leaves=25,
)


def nested(levels: int, inner: object = 0) -> object:
    for _ in range(levels):
        inner = [inner]
    return inner


@given(JSON_VALUES, st.booleans())
@settings(max_examples=200, deadline=None)
def test_what_was_written_is_read_back(value, ensure_ascii):
    read = parse_json(json.dumps(value, ensure_ascii=ensure_ascii).encode())
    assert read == value
    assert json.dumps(read) == json.dumps(value)


def strict_reading(text: bytes) -> object:
    """What the standard library reads, with the same refusals: a slow model of `parse_json`."""

    def distinct(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError("duplicate key")
        return dict(pairs)

    def finite(number):
        if not math.isfinite(float(number)):
            raise ValueError("not finite")
        return float(number)

    def refuse(constant):
        raise ValueError(constant)

    decoder = json.JSONDecoder(
        object_pairs_hook=distinct, parse_float=finite, parse_constant=refuse
    )
    value = decoder.decode(text.decode())
    json.dumps(value, ensure_ascii=False).encode()  # refuses lone surrogates
    return value


FRAGMENTS = [
    *(bytes([byte]) for byte in b'{}[]",:\\ \n\x00\x1f019.-+eEtu\xc3\xa9\xff'),
    b'"a":',
    b'"a"',
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"true",
    b"null",
    b"\\ud800",
    b"\\udc00",
    b"\\u00e9",
    b"\\n",
]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(b"".join) | st.binary(max_size=12))
@settings(max_examples=200, deadline=None)
def test_exactly_the_documents_that_a_strict_model_reads_are_read(text):
    try:
        expected = strict_reading(text)
    except ValueError:
        with pytest.raises(DocumentError) as caught:
            parse_json(text)
        assert caught.value.problems
    else:
        assert parse_json(text) == expected


REFUSED = {
    "empty text": (b"", "empty_document", "", "empty"),
    "only blanks": (b" \n\t ", "empty_document", "", "empty"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "byte_order_mark", "", "byte order mark"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "byte_order_mark", "", "byte order mark"),
    "Latin-1": (b'{"a": "\xe9"}', "not_utf8", "", "0xe9 at offset 7"),
    "a surrogate in UTF-8": (b'"\xed\xa0\x80"', "not_utf8", "", "offset 1"),
    "a trailing comma": (b'{"a": 1,\n }', "malformed_json", "", "line 2, column 2"),
    "a second document": (b"{} {}", "malformed_json", "", "line 1, column 4"),
    "an open string": (b'["abc', "malformed_json", "", "line 1, column 2"),
    "a control character": (b'"a\nb"', "malformed_json", "", "line 1, column 3"),
    "single quotes": (b"{'a': 1}", "malformed_json", "", "line 1, column 2"),
    "a duplicate key": (b'{"a": 1, "b": 2, "a": 3}', "duplicate_key", "/a", "'a'"),
    "a duplicate key inside": (
        b'[{"b": {"x/y": 1, "x/y": 1}}]',
        "duplicate_key",
        "/0/b/x~1y",
        "x/y",
    ),
    "a duplicate of another spelling": (b'{"a": 1, "\\u0061": 1}', "duplicate_key", "/a", "'a'"),
    "NaN": (b'{"a": [0, NaN]}', "not_finite", "/a/1", "NaN"),
    "infinity": (b"[-Infinity]", "not_finite", "/0", "-Infinity"),
    "a float that overflows": (b'{"a": -1e999}', "not_finite", "/a", "-1e999"),
    "an integer without end": (b"[" + b"9" * 4301 + b"]", "integer_too_long", "/0", "4301 digits"),
    "half a character": (b'{"a": "\\ud83d"}', "lone_surrogate", "/a", "surrogate"),
    "half a character in a key": (b'{"a": {"\\udc00": 1}}', "lone_surrogate", "/a", "surrogate"),
    "halves in the wrong order": (b'["\\ude00\\ud83d"]', "lone_surrogate", "/0", "surrogate"),
}


@pytest.mark.parametrize(("text", "code", "pointer", "words"), REFUSED.values(), ids=REFUSED)
def test_a_document_is_refused_for(text, code, pointer, words):
    with pytest.raises(DocumentError) as caught:
        parse_json(text)
    problem = caught.value.problems[0]
    assert (problem.code, problem.pointer) == (code, pointer)
    assert words in problem.message
    assert problem.message in str(caught.value)
    assert problem.hint


def test_all_unreadable_values_are_named_at_once():
    with pytest.raises(DocumentError, match="and 3 more problems") as caught:
        parse_json(b'{"a": NaN, "b": {"c": 1, "c": 2}, "d": ["\\ud800", 1e999]}')
    assert [problem.pointer for problem in caught.value.problems] == ["/a", "/b/c", "/d/0", "/d/1"]


def test_long_values_are_cut_and_their_number_is_bounded():
    with pytest.raises(DocumentError) as caught:
        parse_json(b"[" + b",".join([b"9" * 5000] * 500) + b"]")
    assert len(caught.value.problems) == MAX_FINDINGS
    assert all(len(problem.message) < 2 * MAX_QUOTED for problem in caught.value.problems)


def test_a_pointer_never_repeats_a_very_long_key():
    text = b'{"a": {"' + b"k" * 500_000 + b'": [' + b"1," * 100_000 + b"NaN]}}"
    with pytest.raises(DocumentError) as caught:
        parse_json(text)
    assert caught.value.problems[0].pointer == "/a"


@pytest.mark.parametrize(("levels", "limit"), [(100, 100), (3, 3), (0, 0)])
def test_as_many_levels_as_allowed_are_read(levels, limit):
    value = nested(levels)
    assert parse_json(json.dumps(value).encode(), max_depth=limit) == value


def test_one_level_more_is_refused_at_its_place():
    with pytest.raises(DocumentError, match="deeper than 2 levels, at line 2, column 3") as caught:
        parse_json(b'[{"a":\n  [1]}]', max_depth=2)
    assert caught.value.problems[0].code == "too_deep"


@pytest.mark.parametrize("text", ["[" * 500, '\\"[{' * 100, '"', "\\" * 3], ids=repr)
def test_brackets_in_strings_do_not_count(text):
    value = [[text, {text: [text]}]]
    assert parse_json(json.dumps(value).encode(), max_depth=4) == value


def test_many_brackets_side_by_side_are_not_deep():
    value = [[{}] for _ in range(1000)]
    assert parse_json(json.dumps(value).encode(), max_depth=3) == value


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 1_000_000,
        b'{"a":' * 1_000_000,
        b"[" * 101 + b'"' * 1_000_000,
        b"[" * 101 + b'"' + b'\\"' * 500_000,
        b'"' + b"[" * 1_000_000,
        b'"' + b'\\"[' * 300_000,
    ],
    ids=["lists", "objects", "quotes", "escapes", "an open string", "an open string of escapes"],
)
def test_a_hostile_million_is_answered_at_once(text):
    began = time.thread_time()
    with pytest.raises(DocumentError):
        parse_json(text)
    assert time.thread_time() - began < 0.5


def test_colons_in_strings_are_not_taken_for_duplicate_keys():
    value = {"at": "12:00:00", "a:b": {"url": "http://x/"}}
    assert parse_json(json.dumps(value).encode()) == value


# The context of an execution.


def test_no_context_is_an_empty_one():
    assert check_context(None) == check_context({}) == b"{}"


def test_a_context_is_encoded_without_spaces():
    assert check_context({"a": [1, 2.5, "é"], "b": {}}) == '{"a":[1,2.5,"é"],"b":{}}'.encode()


@pytest.mark.parametrize("filling", ["x", "é", '"', "\n"])
def test_a_context_of_exactly_one_mebibyte_passes_and_one_more_byte_does_not(filling):
    room = 1_048_576 - len('{"data": ""}')
    size = len(json.dumps(filling, ensure_ascii=False).encode()) - 2
    fitting = filling * (room // size) + "x" * (room % size)
    assert check_context({"data": fitting})
    with pytest.raises(
        ContextError, match=r"Context too large: 1048577 bytes \(max 1MB\)"
    ) as caught:
        check_context({"data": f"{fitting}x"})
    assert caught.value.problems[0].code == "too_large"
    assert caught.value.problems[0].hint


@given(st.dictionaries(ANY_TEXT, JSON_VALUES, max_size=5), st.integers(-3, 3))
@settings(max_examples=100, deadline=None)
def test_the_size_of_a_context_is_that_of_its_usual_text(context, difference):
    size = len(json.dumps(context, ensure_ascii=False).encode())
    if difference >= 0:
        assert json.loads(check_context(context, max_bytes=size + difference)) == context
    else:
        with pytest.raises(ContextError, match=f"{size} bytes"):
            check_context(context, max_bytes=size + difference)


REFUSED_CONTEXTS = {
    "a list": ([1], "wrong_type", "must be an object, not a list"),
    "text": ("abc", "wrong_type", "must be an object, not a string"),
    "zero": (0, "wrong_type", "must be an object, not a number"),
    "false": (False, "wrong_type", "must be an object, not a boolean"),
    "NaN": ({"a": {"b": math.nan}}, "not_json", r"^context\['a'\]\['b'\] is nan.*; send None"),
    "infinity": ({"a": [math.inf]}, "not_json", r"^context\['a'\]\[0\] is inf"),
    "a set": ({"a": {1}}, "not_json", "is a set"),
    "bytes": ({"a": b"1"}, "not_json", "is bytes"),
    "a key that is not text": ({"a": {1: 2}}, "not_json", "keys in JSON are text"),
    "a key that has text": ({("; return x",): 2}, "not_json", r"use str\(\('; return x'"),
    "half a character": ({"a": "\ud800"}, "not_json", "context cannot be written as JSON"),
    "something else": ({"a": deque}, "not_json", "context cannot be written as JSON"),
    "deep nesting": ({"a": nested(64)}, "too_deep", "deeper than 64 levels"),
    "very deep nesting": ({"a": nested(500)}, "too_deep", "deeper than 64 levels"),
}


@pytest.mark.parametrize(
    ("context", "code", "words"), REFUSED_CONTEXTS.values(), ids=REFUSED_CONTEXTS
)
def test_a_context_is_refused_for(context, code, words):
    with pytest.raises(ContextError, match=words) as caught:
        check_context(context)
    assert [problem.code for problem in caught.value.problems] == [code]


def test_a_context_that_contains_itself_is_refused():
    context: dict[str, object] = {}
    context["self"] = context
    with pytest.raises(ContextError, match="deeper than 64 levels"):
        check_context(context)


def test_a_context_may_have_64_levels():
    assert check_context({"a": nested(63)})
    assert check_context({"a": "[" * 100})
