"""The rules of routing."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.events import (
    ExecutionCompleted,
    ExecutionFailed,
    TaskFinished,
    TaskStarted,
    Transition,
)
from actors.outcome import ErrorInfo, Outcome
from actors.plan import END, Condition, Plan, PlannedTask
from actors.routing import decide, follow
from actors.state import ExecutionState

BROKEN = ErrorInfo("ValueError", "no good")
SUCCESS = Outcome("success", 0.1, msgspec.Raw(b"1"))
FAILURE = Outcome("failure", 0.1, error=BROKEN)
TARGETS = st.sampled_from(["a", "b", END])
OUTCOMES = st.sampled_from([SUCCESS, FAILURE])


def planned(*conditions):
    return PlannedTask("task", None, tuple(Condition.of(*condition) for condition in conditions))


def plan(max_visits=1):
    return Plan(
        flow_id="flow",
        flow_version=1,
        start_task="a",
        tasks={name: planned() for name in "ab"},
        max_visits=max_visits,
    )


def finished(outcome, task="a"):
    return TaskFinished(at=2.0, task=task, visit=1, attempt=1, outcome=outcome)


@pytest.mark.parametrize(
    ("expected", "outcome", "matched", "target"),
    [
        ("success", SUCCESS, True, "on_match"),
        ("success", FAILURE, False, "otherwise"),
        ("failure", SUCCESS, False, "otherwise"),
        ("failure", FAILURE, True, "on_match"),
    ],
)
def test_an_equal_outcome_leads_to_the_target_for_a_match(expected, outcome, matched, target):
    task = planned(("c", expected, "on_match", "otherwise"))
    assert decide(task, outcome) == Transition("c", matched=matched, target=target)


@pytest.mark.parametrize("outcome", [SUCCESS, FAILURE])
def test_a_task_without_conditions_leads_to_the_end(outcome):
    assert decide(planned(), outcome) == Transition(None, matched=False, target=END)


@given(st.lists(st.tuples(st.just("c"), st.sampled_from(["success", "failure"]), TARGETS, TARGETS)))
def test_only_the_first_condition_decides(conditions):
    for outcome in SUCCESS, FAILURE:
        whole, first = planned(*conditions), planned(*conditions[:1])
        assert decide(whole, outcome) == decide(first, outcome)


def test_a_success_that_leads_to_the_end_completes_the_execution():
    assert follow(plan(), ExecutionState(), finished(SUCCESS), END) == (ExecutionCompleted(at=2.0),)


def test_a_failure_that_leads_to_the_end_fails_the_execution():
    expected = ExecutionFailed(at=2.0, error=BROKEN, task="a")
    assert follow(plan(), ExecutionState(), finished(FAILURE), END) == (expected,)


@given(OUTCOMES, st.integers(0, 5), st.integers(1, 5))
def test_a_task_runs_again_until_it_has_run_as_often_as_it_may(outcome, visits, max_visits):
    state = ExecutionState()
    state.visits = {"a": 7, "b": visits} if visits else {}
    (found,) = follow(plan(max_visits), state, finished(outcome), "b")
    if visits < max_visits:
        assert found == TaskStarted(at=2.0, task="b", visit=visits + 1)
    else:
        assert isinstance(found, ExecutionFailed)
        assert (found.task, found.error.type) == ("b", "MaxVisitsExceeded")
        assert found.error.message == (
            f"visit {visits + 1} of task 'b' is more than the flow allows: "
            f"{max_visits} (max_visits)"
        )
