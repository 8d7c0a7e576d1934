"""How activities get their arguments."""

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

import msgspec
import pytest

from actors.context import Context
from flowmgr.activities.binding import Binding, InvalidParameterError, MissingParameterError
from flowmgr.activities.catalogue import ActivityCatalogue
from flowmgr.activities.declaration import activity
from flowmgr.errors import ActivityDeclarationError


class Order(msgspec.Struct):
    id: int
    lines: "list[Line]" = []


class Whole(TypedDict):
    a: int


def context_of(**values):
    return Context.from_json(msgspec.json.encode(values))


def bound(function, **values):
    return Binding("charge", function).bind(context_of(**values))


def declared_later(order: "LaterOrder"):
    return order


declared_early = activity(declared_later)


class Line(msgspec.Struct):
    item: str


class LaterOrder(msgspec.Struct):
    id: int


def test_a_function_without_parameters_gets_nothing():
    def f():
        pass

    assert bound(f, a=1) == {}


@pytest.mark.parametrize("annotation", [None, Context, Any, object, Mapping, Mapping[str, Any]])
def test_the_parameter_context_gets_the_whole_context(annotation):
    def f(context):
        pass

    if annotation is not None:
        f.__annotations__["context"] = annotation
    binding, context = Binding("charge", f), context_of(a=1)
    assert binding.bind(context)["context"] is context
    assert binding.is_context_only


def test_a_parameter_of_the_type_context_gets_it_whatever_its_name():
    def f(everything: Context):
        pass

    assert bound(f, a=1) == {"everything": {"a": 1}}
    assert Binding("charge", f).is_context_only


def test_a_single_parameter_without_annotation_gets_the_context_whatever_its_name():
    def f(ctx):
        pass

    assert isinstance(bound(f, a=1)["ctx"], Context)
    assert Binding("charge", f).is_context_only


def test_an_annotation_for_type_checkers_only_does_no_harm_to_the_context():
    def f(context: "Context_") -> "Nothing":  # noqa: F821
        pass

    assert isinstance(bound(f, a=1)["context"], Context)


@pytest.mark.parametrize("annotation", [dict, dict[str, Any], dict[str, object], "dict[str, Any]"])
def test_a_context_annotated_as_dict_is_a_plain_dict(annotation):
    def f(context):
        pass

    f.__annotations__["context"] = annotation
    found = bound(f, a=[1])["context"]
    assert type(found) is dict
    assert found == {"a": [1]}


@pytest.mark.parametrize("annotation", [Whole, dict[str, int]])
def test_a_context_annotated_with_another_type_is_converted(annotation):
    def f(context):
        pass

    f.__annotations__["context"] = annotation
    assert bound(f, a=1)["context"] == {"a": 1}
    with pytest.raises(InvalidParameterError, match="Expected `int`, got `str`"):
        bound(f, a="x")


def test_other_parameters_get_the_value_of_their_name_converted_to_their_type():
    def f(order: Order, amount: float, note: str | None, *, loose, context):
        pass

    values = {"order": {"id": 1, "unknown": 2}, "amount": 3, "note": None, "loose": [1], "more": 0}
    found = bound(f, **values)
    assert found["order"] == Order(1)
    assert type(found["amount"]) is float
    assert found["note"] is None
    assert found["loose"] == [1]
    assert dict(found["context"]) == values
    assert set(found) == {"order", "amount", "note", "loose", "context"}


def test_a_single_parameter_with_an_annotation_is_a_value_by_its_name():
    def f(ctx: dict):
        pass

    assert bound(f, ctx={"a": 1}) == {"ctx": {"a": 1}}
    with pytest.raises(MissingParameterError):
        bound(f, a=1)


def test_the_newest_value_of_a_name_is_taken():
    def f(a: int):
        pass

    context = context_of(a=1).extended("a", msgspec.Raw(b"2"))
    assert Binding("charge", f).bind(context) == {"a": 2}


def test_a_missing_value_is_left_to_the_default():
    def f(amount: float = 2.0, loose=None):
        pass

    assert bound(f) == {}
    assert bound(f, amount=1.5) == {"amount": 1.5}


def test_a_missing_value_without_default_is_an_error_that_says_what_there_is():
    def f(amount: float):
        pass

    with pytest.raises(MissingParameterError) as caught:
        bound(f, price=1, other=2)
    assert str(caught.value).startswith(
        "activity 'charge' needs 'amount', which is not in the context "
        "(which has: 'price', 'other')"
    )
    with pytest.raises(MissingParameterError, match="which has: nothing"):
        bound(f)
    with pytest.raises(MissingParameterError, match="'k9' and 40 more"):
        bound(f, **{f"k{number}": 1 for number in range(50)})


def test_a_value_of_another_type_is_an_error_that_says_which():
    def f(order: Order, amount: Annotated[float, msgspec.Meta(gt=0)] = 1.0):
        pass

    with pytest.raises(InvalidParameterError) as caught:
        bound(f, order={"id": "x"})
    assert str(caught.value) == (
        f"activity 'charge' needs 'order' to be {__name__}.Order: "
        "Expected `int`, got `str` - at `$.id`"
    )
    with pytest.raises(InvalidParameterError, match="'amount'"):
        bound(f, order={"id": 1}, amount=0)
    with pytest.raises(InvalidParameterError, match="Expected `float`, got `str`"):
        bound(f, order={"id": 1}, amount="1.0")


def test_a_keyword_only_context_is_bound_by_name():
    def f(*, context):
        pass

    assert not Binding("charge", f).is_context_only
    assert isinstance(bound(f)["context"], Context)


def test_forward_references_of_a_module_work():
    assert declared_early.binding.bind(context_of(order={"id": 1})) == {"order": LaterOrder(1)}


def test_an_annotation_that_cannot_be_resolved_is_an_error_when_it_is_catalogued():
    @activity
    def f(order: "Nowhere"):  # noqa: F821
        pass

    with pytest.raises(ActivityDeclarationError, match="'Nowhere' of 'order' cannot be resolved"):
        ActivityCatalogue([f])
