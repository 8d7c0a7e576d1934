"""The state of an execution as the fold of its events."""

import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.events import (
    CancelRequested,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionEvent,
    ExecutionFailed,
    ExecutionStarted,
    TaskFinished,
    TaskStarted,
    TaskStopped,
    Transition,
)
from actors.evolving import evolve, fold
from actors.outcome import ErrorInfo, Outcome
from actors.state import Cancellation, ExecutionState

BROKEN = ErrorInfo("ValueError", "no good")
STARTED = ExecutionStarted(
    at=1.0, flow_id="flow", flow_version=3, start_task="a", context=msgspec.Raw(b'{"user":7}')
)


def running(task, at=2.0, visit=1):
    return TaskStarted(at=at, task=task, visit=visit)


def finished(task, target="end", *, at=3.0, visit=1, data=b"1", error=None):
    status = "success" if error is None else "failure"
    data = data if error is None else b"null"
    return TaskFinished(
        at=at,
        task=task,
        visit=visit,
        attempt=1,
        outcome=Outcome(status, 0.5, msgspec.Raw(data), error),
        transition=None if target is None else Transition("c", matched=True, target=target),
    )


HISTORY = (
    STARTED,
    running("a"),
    finished("a", "b", error=BROKEN),
    running("b", 3.0),
    finished("b", "a", at=4.0, data=b'{"rows":[1]}'),
    running("a", 4.0, visit=2),
    finished("a", at=5.0, visit=2, data=b"2"),
    ExecutionCompleted(at=5.0),
)


def test_nothing_has_happened_to_an_execution_without_events():
    state = fold(())
    assert (state.status, state.seq, state.has_ended) == ("pending", 0, False)


def test_a_started_execution_has_its_flow_and_its_context():
    state = fold(HISTORY[:2])
    assert (state.flow_id, state.flow_version, state.started_at) == ("flow", 3, 1.0)
    assert (state.status, state.current_task, state.seq) == ("running", "a", 2)
    assert state.context == {"user": 7}
    assert state.running == running("a")
    assert state.visits == {"a": 1}


def test_a_finished_task_leaves_its_result_and_leads_on():
    state = fold(HISTORY[:5])
    assert (state.current_task, state.running) == ("a", None)
    assert state.context == {"user": 7, "a_result": None, "b_result": {"rows": [1]}}
    assert state.has_failures


def test_a_task_that_runs_again_is_last_in_the_results_and_has_its_last_result():
    state = fold(HISTORY)
    assert list(state.results) == ["b", "a"]
    assert state.results["a"].value == 2
    assert state.visits == {"a": 2, "b": 1}
    assert list(state.context) == ["user", "a_result", "b_result"]
    assert state.context["a_result"] == 2


def test_of_a_loop_only_the_last_results_are_kept():
    state, size = fold(HISTORY[:2]), 10_000
    tracemalloc.start()
    try:
        for visit in range(1, 500):
            data = b'"%s"' % (b"x" * size)
            evolve(state, (finished("a", "a", visit=visit, data=data), running("a", visit=visit)))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 50 * size
    assert state.context["user"] == 7
    assert len(state.context["a_result"]) == size


def test_a_failure_on_the_way_is_remembered_although_the_execution_completes():
    state = fold(HISTORY)
    assert (state.status, state.has_failures, state.error) == ("completed", True, None)
    assert (state.current_task, state.ended_at, state.has_ended) == ("end", 5.0, True)


def test_a_failed_execution_says_why_and_where():
    failed = ExecutionFailed(at=3.0, error=BROKEN, task="a")
    state = fold((STARTED, running("a"), finished("a", error=BROKEN), failed))
    assert (state.status, state.error, state.error_task) == ("failed", BROKEN, "a")
    assert state.ended_at == 3.0


def test_a_cancelled_execution_has_a_receipt_in_the_order_of_stopping():
    first = TaskStopped(at=5.0, task="b", attempt=1, how="stopped", seconds=1.0)
    second = TaskStopped(at=6.0, task="a", attempt=1, how="abandoned", seconds=2.0)
    requested = CancelRequested(at=4.0, reason="enough")
    state = fold((STARTED, running("a"), running("b"), requested))
    assert (state.status, state.has_ended) == ("cancelling", False)
    assert state.cancellation == Cancellation(4.0, "enough")
    evolve(state, (first, second, ExecutionCancelled(at=6.0)))
    assert (state.status, state.ended_at, state.running) == ("cancelled", 6.0, None)
    assert state.cancellation == Cancellation(4.0, "enough", (first, second))


def test_a_task_that_finishes_while_it_is_cancelled_leads_nowhere():
    stopped = TaskStopped(at=5.0, task="a", attempt=1, how="finished", seconds=1.0)
    requested = CancelRequested(at=4.0)
    state = fold((STARTED, running("a"), requested, finished("a", None), stopped))
    assert (state.status, state.current_task) == ("cancelling", "a")
    assert state.context["a_result"] == 1


def test_an_earlier_view_of_the_context_does_not_see_later_results():
    state = fold(HISTORY[:2])
    before = state.context
    evolve(state, HISTORY[2:])
    assert before == {"user": 7}


@given(st.lists(st.integers(0, len(HISTORY)), max_size=4).map(sorted))
def test_it_does_not_matter_how_the_events_are_cut_into_batches(cuts):
    state, done = ExecutionState(), 0
    for cut in [*cuts, len(HISTORY)]:
        evolve(state, HISTORY[done:cut])
        done = cut
    assert state == fold(HISTORY)
    assert state.seq == len(HISTORY)


@pytest.mark.parametrize(
    "event",
    [
        *HISTORY,
        CancelRequested(at=4.0, reason="enough"),
        TaskStopped(at=5.0, task="b", attempt=1, how="killed", seconds=1.0, error=BROKEN),
        ExecutionFailed(at=3.0, error=BROKEN, task="a"),
        ExecutionCancelled(at=6.0),
    ],
    ids=lambda event: type(event).__name__,
)
def test_an_event_is_read_back_as_it_was_written(event):
    data = msgspec.json.encode(event)
    assert msgspec.json.decode(data, type=ExecutionEvent) == event


def test_an_event_that_a_later_version_wrote_with_more_fields_can_be_read():
    data = b'{"type":"ExecutionCompleted","at":1.0,"later":{"field":true}}'
    assert msgspec.json.decode(data, type=ExecutionEvent) == ExecutionCompleted(at=1.0)
