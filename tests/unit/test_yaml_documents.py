"""YAML documents: read as the JSON that they stand for, or refused with the line."""

from __future__ import annotations

import contextlib
import json
import re
import time

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from flowmgr.errors import DocumentError
from flowmgr.language.yaml_documents import MAX_YAML_BYTES, parse_yaml

ACCEPTED = {
    "a: 1": {"a": 1},
    "- 1\n- -2.5\n- 1e3\n- .5": [1, -2.5, 1000.0, 0.5],
    "[true, False, null, ~, '', \"\"]": [True, False, None, None, "", ""],
    "a:": {"a": None},
    "'yes'": "yes",
    '"2030-01-31"': "2030-01-31",
    "when: result.ok && context.x > 1": {"when": "result.ok && context.x > 1"},
    "a: ${context.b}": {"a": "${context.b}"},
    "a: |\n  x\n  y\n": {"a": "x\ny\n"},
    "a: &x [1]\nb: *x": {"a": [1], "b": [1]},
    "%YAML 1.1\n---\na: 1\n...\n": {"a": 1},
    "# nothing but this\na: b # and this": {"a": "b"},
    '"\\u00e4\\0"': "ä\0",
}


@pytest.mark.parametrize("text", ACCEPTED)
def test_it_is_read_as(text):
    assert parse_yaml(text.encode()) == ACCEPTED[text]


REFUSED = {
    "": ("empty_document", "is empty"),
    "# only this": ("empty_document", "is empty"),
    "a: [1": ("malformed_yaml", "line 2"),
    "a: b: c": ("malformed_yaml", "line 1, column 5"),
    "a: 1\n\ta: 2": ("malformed_yaml", "line 2"),
    "a: \x01": ("malformed_yaml", "not YAML"),
    "a: 1\n---\nb: 2": ("several_documents", "line 2"),
    "x: 1\na: 2030-01-31": ("date", "'2030-01-31', and JSON has no dates, at line 2, column 4"),
    "a: 2030-01-31T10:00:00Z": ("date", "no dates"),
    "a: .nan": ("not_finite", "'.nan'"),
    "a: -.inf": ("not_finite", "'-.inf'"),
    "a: 1e999": ("not_finite", "too large"),
    f"a: {'9' * 5000}": ("integer_too_long", "5,000 digits"),
    "1: a": ("invalid_key", "the key '1', which is not text"),
    "true: a": ("invalid_key", "'true'"),
    "~: a": ("invalid_key", "'~'"),
    "? [a]\n: b": ("invalid_key", "not text"),
    "&x a: 1\n*x : 2": ("invalid_key", "not text"),
    "a: 1\nb: 2\na: 3": ("duplicate_key", "'a' more than once in the same mapping, at line 3"),
    "a: yes": ("ambiguous", "'yes'"),
    "a: Off": ("ambiguous", "'Off'"),
    "a: 010": ("ambiguous", "'010'"),
    "a: 0x1F": ("ambiguous", "'0x1F'"),
    "a: 1_000": ("ambiguous", "'1_000'"),
    "a: 12:30:45": ("ambiguous", "'12:30:45'"),
    "a: &x {b: 1}\nc:\n  <<: *x": ("ambiguous", "'<<'"),
    "a: !!python/object/apply:os.system [ls]": ("unknown_tag", "python/object"),
    "a: !!str 5": ("unknown_tag", "JSON has no tags"),
    "a: ! 5": ("unknown_tag", "no tags"),
    "a: *b": ("unknown_alias", "'b'"),
    "a: &a [*a]": ("unknown_alias", "'a'"),
    "[" * 101: ("too_deep", "deeper than 100 levels"),
    "[" * 100_000: ("malformed_yaml", "nesting"),
    "a: 'x\u2028y'": ("ambiguous", "U+2028"),
    "{a: " * 101: ("too_deep", "deeper than 100 levels"),
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:30])
def test_it_is_refused(text):
    code, words = REFUSED[text]
    with pytest.raises(DocumentError) as caught:
        parse_yaml(text.encode())
    (problem,) = caught.value.problems
    assert problem.code == code
    assert words in problem.message


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xff\xfe", "not_utf8"),
        (b"a: \xed\xa0\x80", "not_utf8"),
        (b'"\\ud800"', "malformed_yaml"),
        (b"a" * (MAX_YAML_BYTES + 1), "too_large"),
    ],
)
def test_bytes_are_refused(data, code):
    with pytest.raises(DocumentError) as caught:
        parse_yaml(data)
    assert caught.value.problems[0].code == code


def test_a_problem_names_the_place():
    with pytest.raises(DocumentError) as caught:
        parse_yaml(b"tasks:\n  - name: a\n  - name: 2030-01-31\n")
    assert caught.value.problems[0].pointer == "/tasks/1/name"


@pytest.mark.parametrize("width", [2, 10, 100])
def test_a_billion_laughs_are_refused_quickly(width):
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, 60)]
    began = time.thread_time()
    with pytest.raises(DocumentError) as caught:
        parse_yaml("\n".join(lines).encode())
    assert caught.value.problems[0].code == "too_large"
    assert time.thread_time() - began < 1


def test_a_long_text_is_not_repeated_often():
    text = f"a: &a {'x' * 10_000}\nb: [{', '.join(['*a'] * 200)}]"
    with pytest.raises(DocumentError, match="by aliases"):
        parse_yaml(text.encode())


def test_aliases_cannot_make_it_deeper():
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 200))]
    with pytest.raises(DocumentError, match="nested deeper than 100 levels"):
        parse_yaml("\n".join(lines).encode())


PLAIN = st.text(st.characters(min_codepoint=32, max_codepoint=0x17F), max_size=12)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_json_is_yaml(value):
    assert parse_yaml(json.dumps(value).encode()) == value


EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
"""What JSON has for a number, and what writers of YAML 1.1 leave without quotes as text."""


@pytest.mark.parametrize("text", ["0E0", "1e3", "1e+16", "-2E-3", "1.5e3"])
def test_a_number_with_an_exponent_is_one_as_in_json(text):
    assert parse_yaml(f"- {text}".encode()) == [json.loads(text)]


def texts_in(value):
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [*value, *texts_in(list(value.values()))]
    return [text for item in value for text in texts_in(item)] if isinstance(value, list) else []


@given(VALUES)
def test_what_a_writer_of_yaml_makes_is_read_or_refused_as_ambiguous(value):
    assume(not any(map(EXPONENT.fullmatch, texts_in(value))))  # which are read as JSON has them
    written = yaml.safe_dump(value, allow_unicode=True)
    try:
        read = parse_yaml(written.encode())
    except DocumentError as error:
        read = value if error.problems[0].code == "ambiguous" else error
    assert read == value


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(DocumentError):
        json.dumps(parse_yaml(text.encode(errors="replace")), allow_nan=False)
