"""What may pass from one task to the next."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import math
import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.values import MAX_BYTES, MAX_DEPTH, ValueRefusedError, decode_value, encode_value

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=8)
)
OTHERS = (
    st.binary(max_size=4)
    | st.sets(st.integers(), max_size=2)
    | st.frozensets(st.text(max_size=2), max_size=2)
    | st.complex_numbers()
    | st.builds(object)
    | st.builds(bytearray)
    | st.builds(range, st.integers(0, 3))
    | st.builds(collections.deque)
)
KEYS = st.text(max_size=4) | st.integers(0, 3) | st.none() | st.booleans() | st.floats()


def _containers(values):
    return (
        st.lists(values, max_size=4)
        | st.lists(values, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=4), values, max_size=4)
        | st.dictionaries(KEYS, values, max_size=2)
    )


ANYTHING = st.recursive(SCALARS | OTHERS, _containers, max_leaves=12)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda values: (
        st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=4), values, max_size=4)
    ),
    max_leaves=12,
)


class Colour(enum.Enum):
    RED = "red"


class Point(msgspec.Struct):
    x: float
    tags: object = None


@dataclasses.dataclass
class Place:
    point: Point


def as_lists(value):
    """*value* with every tuple as a list: the one thing that JSON may change."""
    if isinstance(value, (list, tuple)):
        return [as_lists(item) for item in value]
    if isinstance(value, dict):
        return {key: as_lists(item) for key, item in value.items()}
    return value


def typed(value):
    """*value* in a form in which 1, 1.0 and True differ, and 0.0 and -0.0."""
    if isinstance(value, list):
        return [typed(item) for item in value]
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    return type(value), repr(value)


def nested(levels, innermost):
    value = innermost
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


@given(ANYTHING)
def test_any_value_is_refused_or_read_back_as_it_was(value):
    try:
        data = encode_value(value)
    except ValueRefusedError:
        return
    assert typed(decode_value(data)) == typed(as_lists(value))


@given(JSON)
def test_json_is_never_refused(value):
    assert typed(decode_value(encode_value(value))) == typed(value)


@given(JSON)
def test_decoding_makes_a_new_value_every_time(value):
    data = encode_value([value])
    first, second = decode_value(data), decode_value(msgspec.Raw(data))
    first.append("changed")
    assert second == [value]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "result is nan: JSON has no such number"),
        ({"a": [1, math.inf]}, "result['a'][1] is inf"),
        ([{1}], "result[0] is a set"),
        (frozenset(), "result is a set"),
        ({"a": b"x"}, "result['a'] is bytes"),
        (bytearray(), "result is bytes"),
        (memoryview(b"x"), "result is bytes"),
        ({1: 2}, "result has the key 1: keys in JSON are text; use str(1)"),
        ({"a": {None: 2}}, "result['a'] has the key None"),
        (object(), "object is unsupported"),
        (msgspec.Raw(b"rubbish"), "result is raw JSON"),
        ([msgspec.Raw(b"1")], "result[0] is raw JSON"),
        ("\ud800", "cannot be written as JSON"),
        ({"\ud800": 1}, "cannot be written as JSON"),
        (10**5000, "cannot be written as JSON"),
        (Point(math.nan), "result.x is nan"),
        (Place(Point(1.0, {2})), "result.point.tags is a set"),
        (Point, "cannot be written as JSON"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_refusal_names_the_place_and_the_rule(value, message):
    with pytest.raises(ValueRefusedError) as refused:
        encode_value(value)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("value", "place", "instead", "code"),
    [
        ({"a": [1, math.inf]}, "['a'][1]", "None or text instead", "not_json"),
        ({1: 2}, "", "", "not_json"),
        ("\ud800", None, "", "not_json"),
        (nested(MAX_DEPTH + 1, 0), None, "a flatter value", "too_deep"),
    ],
)
def test_a_refusal_has_what_sentences_about_any_value_are_made_of(value, place, instead, code):
    with pytest.raises(ValueRefusedError) as refused:
        encode_value(value)
    found = refused.value.refusal
    assert (found.place, found.instead, found.code) == (place, instead, code)
    way_out = f"; send {instead}" if instead else ""
    assert found.sentence("it", "send") == f"it{place or ''} {found.rule}{way_out}"


@pytest.mark.parametrize("value", ["x" * MAX_BYTES, ["x" * 1024] * (MAX_BYTES >> 10)])
def test_a_value_that_is_too_large_is_refused_with_the_way_out(value):
    with pytest.raises(ValueRefusedError, match="67,108,864 are allowed; return a reference to it"):
        encode_value(value)
    assert len(encode_value("x" * (MAX_BYTES - 2))) == MAX_BYTES


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ((1, (2,)), [1, [2]]),
        (Place(Point(1.5, ["a"])), {"point": {"x": 1.5, "tags": ["a"]}}),
        (Colour.RED, "red"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (dt.date(2024, 2, 29), "2024-02-29"),
        (collections.OrderedDict(a=1), {"a": 1}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_a_form_in_json_is_read_back_in_that_form(value, found):
    assert typed(decode_value(encode_value(value))) == typed(found)


@pytest.mark.parametrize("innermost", [1, "a", None, 1.5, uuid.UUID(int=1)], ids=repr)
def test_as_many_levels_as_allowed_may_be_nested_and_no_more(innermost):
    value = nested(MAX_DEPTH, innermost)
    assert decode_value(encode_value(value)) == (
        nested(MAX_DEPTH, str(innermost)) if isinstance(innermost, uuid.UUID) else value
    )
    with pytest.raises(ValueRefusedError, match="nested deeper than 64 levels"):
        encode_value(nested(MAX_DEPTH + 1, innermost))


def test_objects_with_fields_count_as_levels():
    encode_value(nested(MAX_DEPTH - 1, Point(1.0)))
    with pytest.raises(ValueRefusedError, match="nested deeper than 64 levels"):
        encode_value(nested(MAX_DEPTH, Point(1.0)))


def test_a_value_that_contains_itself_is_refused():
    value = {"a": 1}
    value["self"] = [value]
    with pytest.raises(ValueRefusedError, match="nested deeper"):
        encode_value(value)
