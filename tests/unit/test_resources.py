"""How things are sent."""

import random
from datetime import datetime

import msgspec
import pytest

from actors.events import ExecutionFailed, ExecutionParked, SignalReceived, TaskFinished
from actors.outcome import ErrorInfo, Outcome
from flowmgr.executions import RecordedEvent
from web.event_resources import event_resource
from web.resources import timestamp


def test_a_time_that_was_shown_is_never_later_than_the_time_that_it_shows():
    chance = random.Random(1)
    for _ in range(20_000):
        at = 1.7e9 + 1e9 * chance.random()
        shown = datetime.fromisoformat(timestamp(at)).timestamp()
        assert at - 2e-6 < shown <= at


def sent(event):
    return msgspec.json.decode(msgspec.json.encode(event_resource(RecordedEvent(1, event))))


def test_an_event_of_a_simple_flow_says_nothing_of_scopes():
    finished = TaskFinished(at=0, task="a", visit=1, attempt=1, outcome=Outcome("success", 0.5))
    assert sent(finished).keys() == {
        *("seq", "type", "at", "task", "visit", "attempt", "transition"),
        *("outcome", "result", "error", "seconds"),
    }
    assert "due" not in sent(ExecutionParked(at=0, due=None))
    assert sent(ExecutionParked(at=0, due=0.0))["due"] == "1970-01-01T00:00:00.000000+00:00"


@pytest.mark.parametrize(("due", "year"), [(-1e12, "0001"), (1e12, "9999")])
def test_what_is_due_outside_of_all_years_is_due_at_their_end(due, year):
    assert sent(ExecutionParked(at=0, due=due))["due"].startswith(year)


def test_what_an_event_says_of_its_scope_is_sent():
    outcome = Outcome("success", 0.5)
    finished = TaskFinished(
        at=0, scope="/a/0", task="b", visit=1, attempt=1, outcome=outcome, is_compensable=True
    )
    assert sent(finished)["scope"] == "/a/0"
    assert sent(finished)["is_compensable"] is True
    taken = SignalReceived(at=0, name="go", value=msgspec.Raw(b"null"))
    assert sent(taken)["value"] is None


def test_an_error_has_the_data_that_its_activity_has_given():
    assert sent(failed(ErrorInfo("Declined", "no")))["error"] == {
        "type": "Declined",
        "message": "no",
    }
    without = ErrorInfo("Declined", "no", msgspec.Raw(b"null"))
    assert sent(failed(without)) == sent(failed(ErrorInfo("Declined", "no")))
    more = ErrorInfo("Declined", "no", msgspec.Raw(b'{"a":1}'), retryable=False)
    assert sent(failed(more))["error"] == {
        "type": "Declined",
        "message": "no",
        "data": {"a": 1},
        "retryable": False,
    }


def failed(error):
    return ExecutionFailed(at=0, error=error, task="a")
