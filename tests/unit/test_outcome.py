"""How errors are described."""

import pytest

from actors.outcome import describe_error
from actors.values import ValueRefusedError
from flowmgr import ActivityError


def test_an_activity_error_says_type_message_data_and_whether_to_try_again():
    error = ActivityError("PaymentDeclined", "No money", retryable=False, data={"code": 51})
    info = describe_error(error)
    assert info.as_value() == {
        "type": "PaymentDeclined",
        "message": "No money",
        "data": {"code": 51},
    }
    assert not info.retryable
    assert str(error) == "PaymentDeclined: No money"


def test_an_activity_error_may_be_tried_again_and_has_no_data_unless_it_says_so():
    info = describe_error(ActivityError("Busy", ""))
    assert info.retryable
    assert info.as_value()["data"] is None


def test_data_that_is_not_json_is_refused_where_the_error_is_made():
    with pytest.raises(ValueRefusedError, match=r"data of an ActivityError\['x'\] is a set.*Busy"):
        ActivityError("Busy", "later", data={"x": {1}})


@pytest.mark.parametrize(("kind", "message"), [("", "x"), (None, "x"), ("Busy", None), (5, "x")])
def test_a_type_and_a_message_are_text(kind, message):
    with pytest.raises(TypeError, match="both text"):
        ActivityError(kind, message)


@pytest.mark.parametrize("retryable", [None, 0, "no"])
def test_whether_to_try_again_is_true_or_false(retryable):
    with pytest.raises(TypeError, match="True or False as retryable"):
        ActivityError("Busy", "later", retryable=retryable)


def test_any_other_exception_is_described_by_its_class():
    assert describe_error(ValueError("x")).as_value() == {
        "type": "ValueError",
        "message": "x",
        "data": None,
    }
