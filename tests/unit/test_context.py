"""The context against a plain dictionary."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.context import MIN_COMPACTED, Context
from actors.values import encode_value

KEYS = st.sampled_from(["a", "b", "c", "ä", 'quote"', "", "task1_result"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(KEYS, values, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)

# Which of the contexts so far is extended (0 is the newest), and by what.
EXTENSIONS = st.lists(st.tuples(st.integers(0, 3), KEYS, VALUES), max_size=20)


def raw(value):
    return msgspec.Raw(encode_value(value))


def of(values):
    return Context.of({key: raw(value) for key, value in values.items()})


def assert_is_like(context, model):
    assert dict(context) == model
    assert list(context) == list(model)
    assert len(context) == len(model)
    assert context == model
    assert json.loads(context.to_json()) == model
    assert {key: json.loads(bytes(data)) for key, data in context.raw().items()} == model
    for key in ["a", "b", "c", "ä", 'quote"', "", "missing"]:
        assert (key in context) == (key in model)
        assert context.get(key) == model.get(key)


@given(OBJECTS, EXTENSIONS)
def test_contexts_behave_as_dictionaries_that_are_copied_when_they_are_extended(start, extensions):
    contexts, models = [of(start)], [start]
    for back, key, value in extensions:
        index = max(len(contexts) - 1 - back, 0)
        contexts.append(contexts[index].extended(key, raw(value)))
        models.append({**models[index], key: value})
    for context, model in zip(contexts, models, strict=True):
        assert_is_like(context, model)


@given(OBJECTS, st.lists(st.tuples(KEYS, VALUES), min_size=MIN_COMPACTED, max_size=80))
def test_a_context_without_what_was_overwritten_is_equal(start, extensions):
    context, model, earlier = of(start), start, []
    for key, value in extensions:
        earlier.append((context, model))
        context, model = context.compacted().extended(key, raw(value)), {**model, key: value}
    for each, expected in [*earlier, (context, model)]:
        assert_is_like(each, expected)


@pytest.mark.parametrize("keys", [1, 10, 1_000])
def test_only_a_few_times_what_is_not_overwritten_is_kept(keys):
    context, looks, kept = of({}), [], []
    for number in range(20 * keys + 100):
        compacted = context.compacted()
        looks.append(compacted is not context)
        context = compacted.extended(f"key {number % keys}", raw(number))
        kept.append(len(context._log.entries))
    assert max(kept) <= max(MIN_COMPACTED, 4 * keys)
    assert sum(looks) <= 2 * len(looks) / max(keys, MIN_COMPACTED)
    assert len(context) == keys


@given(OBJECTS)
def test_reading_json_and_writing_it_are_inverse(values):
    assert_is_like(Context.from_json(of(values).to_json()), values)


@given(OBJECTS, KEYS, VALUES)
def test_a_copy_is_equal_and_may_be_extended_independently(values, key, value):
    context = of(values)
    copy = context.copy()
    extended = context.extended(key, raw(value))
    assert_is_like(copy, values)
    assert_is_like(copy.extended("copy", raw(1)), {**values, "copy": 1})
    assert_is_like(extended, {**values, key: value})
    assert_is_like(context, values)


def test_a_value_that_is_changed_is_changed_for_its_reader_alone():
    context = of({"list": [1]})
    later, copy = context.extended("b", raw(2)), context.copy()
    context["list"].append("mine")
    assert context["list"] == [1, "mine"]
    assert later["list"] == copy["list"] == [1]
    assert context.to_json() == b'{"list":[1]}'


def test_assigning_is_refused_with_the_way_out():
    with pytest.raises(TypeError, match="return 'a' as part of the task's result"):
        of({})["a"] = 1


def test_a_missing_key_is_a_key_error():
    with pytest.raises(KeyError, match="missing"):
        of({"a": 1})["missing"]


def test_a_key_that_is_not_text_is_not_there():
    assert 1 not in of({"1": 1})


@pytest.mark.parametrize("data", [b"[]", b"1", b"null", b'"a"'])
def test_json_that_is_not_an_object_is_refused(data):
    with pytest.raises(msgspec.ValidationError):
        Context.from_json(data)


@pytest.mark.parametrize("data", [b"", b"{", b'{"a":}', b"{} {}"])
def test_what_is_not_json_is_refused(data):
    with pytest.raises(msgspec.DecodeError):
        Context.from_json(data)


def test_the_values_can_be_seen_in_the_representation():
    assert repr(of({"a": [1]})) == "Context({'a': [1]})"
