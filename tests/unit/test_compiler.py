"""What plans are made of definitions."""

from __future__ import annotations

import json

import msgspec
import pytest

from actors.context import Context
from actors.events import TaskStarted
from actors.expressions import Values
from actors.outcome import Outcome, ReportedError
from actors.plan import Map, Parallel, Plan, Signal, Wait
from actors.ports import Attempt
from flowmgr.language.compiler import compile_flow
from flowmgr.language.fields import MAX_SECONDS
from flowmgr.language.inline import RaiseRunner, SetRunner
from tests.support.definitions import read_definition

pytestmark = pytest.mark.anyio


class Named:
    """Runners that only say what they are."""

    def activity(self, name):
        return ("activity", name)

    def http(self, expect):
        return ("http", expect)

    def flow(self, flow_id, version):
        return ("flow", flow_id, version)


def plan_of(*tasks: dict, **more: object) -> Plan:
    document = {"id": "f", "name": "F", "start_task": tasks[0]["name"], "tasks": list(tasks)}
    document |= {"conditions": [], **more}
    definition = read_definition(document, activities=None, new_id=str).definition
    return compile_flow(definition, 3, Named())


def task_of(**fields: object):
    return plan_of({"name": "t", **fields}).tasks["t"]


def values(**context: object) -> Values:
    return Values(
        Context.from_json(msgspec.json.encode(context)),
        task={"name": "t", "visit": 1, "attempt": 1},
        execution=dict,
        outcome=Outcome("success", 0.1, msgspec.Raw(b'{"ok": true}')),
    )


def test_a_plain_task_has_a_runner_and_nothing_else():
    task = task_of(at_most_once=True)
    assert task.runner == ("activity", "t")
    assert task.at_most_once
    assert (task.construct, task.arguments, task.output, task.retry) == (None,) * 4
    assert (task.timeout, task.deadline, task.compensation) == (None,) * 3


def test_arguments_and_output_are_evaluated():
    task = task_of(arguments={"a": "${context.x}", "b": "<${context.x}>"}, output="result.ok")
    assert task.arguments.evaluate(values(x=[1])) == {"a": [1], "b": "<[1]>"}
    assert task.output.evaluate(values()) is True


def test_retry_waits_a_hundred_initial_intervals_at_most_unless_it_says_otherwise():
    retry = task_of(retry={"initial_interval": 2, "non_retryable_error_types": ["A"]}).retry
    assert (retry.maximum_attempts, retry.initial_interval, retry.maximum_interval) == (3, 2, 200)
    assert retry.non_retryable_error_types == {"A"}
    assert task_of(retry={"maximum_interval": 5}).retry.maximum_interval == 5
    assert task_of(retry={"initial_interval": MAX_SECONDS}).retry.maximum_interval == MAX_SECONDS


def test_timeout_deadline_and_compensation():
    task = task_of(
        timeout=1,
        deadline=2,
        compensate={
            "activity": "undo",
            "arguments": {"a": "${result.ok}"},
            "retry": {},
            "timeout": 3,
        },
    )
    assert (task.timeout, task.deadline) == (1, 2)
    undo = task.compensation
    assert undo.runner == ("activity", "undo")
    assert undo.arguments.evaluate(values()) == {"a": True}
    assert (undo.retry.maximum_attempts, undo.timeout) == (3, 3)


def test_a_condition_has_its_when():
    go = {"source_task": "t", "target_task_success": "end", "when": "context.x > 1"}
    condition = plan_of({"name": "t"}, conditions=[go]).tasks["t"].conditions[0]
    assert condition.when.evaluate(values(x=2)) is True


@pytest.mark.parametrize("field", ["seconds", "until"])
def test_a_wait_evaluates_for_how_long(field):
    task = task_of(kind="wait", **{field: "${context.x}"})
    assert task.construct == Wait()
    assert task.runner is None
    assert task.arguments.evaluate(values(x=5)) == {field: 5}


def test_signals_of_every_body_are_listed_with_their_schemas():
    number = {"kind": "signal", "signal": "go", "schema": {"type": "integer"}}
    plan = plan_of(
        {"name": "mine", "kind": "signal", "timeout": 5},
        {"name": "p", "kind": "parallel", "branches": {"b": {"tasks": [{"name": "x", **number}]}}},
        {"name": "m", "kind": "map", "items": [], "do": {"tasks": [{"name": "y", **number}]}},
        **{"finally": {"tasks": [{"name": "z", "kind": "signal", "signal": "late"}]}},
    )
    assert plan.tasks["mine"].construct == Signal("mine")
    assert plan.tasks["mine"].timeout == 5
    assert {name: len(schemas) for name, schemas in plan.signals.items()} == {
        "mine": 1,
        "go": 2,
        "late": 1,
    }
    assert plan.signals["go"][0].problems("x")
    assert not plan.signals["go"][0].problems(1)


@pytest.mark.parametrize(
    ("more", "needed", "cancels"),
    [
        ({}, 3, True),
        ({"join": "any"}, 1, True),
        ({"join": {"at_least": 2}, "on_failure": "wait"}, 2, False),
    ],
)
def test_a_parallel_task_needs_as_many_branches_as_its_join_says(more, needed, cancels):
    branches = {name: {"tasks": [{"name": name}]} for name in "cab"}
    construct = task_of(kind="parallel", branches=branches, **more).construct
    assert isinstance(construct, Parallel)
    assert list(construct.branches) == ["c", "a", "b"]
    assert construct.branches["a"].tasks["a"].runner == ("activity", "a")
    assert (construct.needed, construct.cancels) == (needed, cancels)


def test_a_map_runs_a_body_for_each_item():
    do = {"tasks": [{"name": "x"}], "max_visits": 4}
    task = task_of(
        kind="map", items=["${context.x}", 2], do=do, max_concurrency=5, tolerated_failures=6
    )
    assert task.arguments.evaluate(values(x=1)) == [1, 2]
    construct = task.construct
    assert isinstance(construct, Map)
    assert (construct.body.start_task, construct.body.max_visits) == ("x", 4)
    assert (construct.binds, construct.max_concurrency) == ("item", 5)
    assert (construct.tolerated_failures, construct.cancels) == (6, True)


def test_a_map_runs_a_flow_for_each_item():
    task = task_of(kind="map", items="${context.x}", flow="other", **{"as": "file"})
    inner = task.construct.body.tasks[task.construct.body.start_task]
    assert (inner.runner, inner.goes_on) == (("flow", "other", None), True)
    assert inner.arguments.evaluate(values(file="a")) == {"file": "a"}


def test_a_flow_gets_an_empty_context_unless_it_is_given_another():
    task = task_of(kind="flow", flow="other", version=2)
    assert (task.runner, task.goes_on) == (("flow", "other", 2), True)
    assert task.arguments.evaluate(values()) == {}


def test_a_request_is_a_template():
    task = task_of(kind="http", request={"url": "http://x/${context.x}", "method": None})
    assert task.runner == ("http", None)
    assert task.arguments.evaluate(values(x=1)) == {"url": "http://x/1"}
    statuses = task_of(kind="http", request={"url": "http://x"}, expect=[404, "2xx"]).runner
    assert statuses == ("http", (404, "2xx"))


def attempt(arguments: object) -> Attempt:
    return Attempt("e", TaskStarted(at=0.0, task="t"), Context(), 10.0, arguments=arguments)


async def test_set_returns_its_values_which_are_merged():
    task = task_of(kind="set", values={"a": "${context.x}"})
    assert task.merges
    assert isinstance(task.runner, SetRunner)
    found = await task.runner.run(attempt(task.arguments.evaluate(values(x=1))))
    assert json.loads(found) == {"a": 1}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ("T1", "", None)),
        ({"message": "m ${context.x}", "data": ["${context.x}"]}, ("T1", "m 1", [1])),
        ({"message": "${context.x}"}, ("T1", "1", None)),
    ],
)
async def test_raise_fails_with_what_it_says(fields, expected):
    task = task_of(kind="raise", type="T${context.x}", **fields)
    assert isinstance(task.runner, RaiseRunner)
    with pytest.raises(ReportedError) as caught:
        await task.runner.run(attempt(task.arguments.evaluate(values(x=1))))
    info = caught.value.info
    error = info.as_value()
    assert (error["type"], error["message"], error["data"]) == expected
    assert not info.retryable


def test_a_flow_has_its_own_parts_of_the_plan():
    plan = plan_of(
        {"name": "t"},
        timeout=5,
        input={"type": "object"},
        output="context.x",
        **{"finally": {"tasks": [{"name": "sweep"}]}},
    )
    assert (plan.flow_id, plan.flow_version, plan.timeout) == ("f", 3, 5)
    assert plan.input.problems(1)
    assert plan.output.evaluate(values(x=1)) == 1
    assert plan.closing.tasks["sweep"].runner == ("activity", "sweep")


def test_a_body_inside_of_twenty_others_is_compiled():
    body = {"tasks": [{"name": "leaf"}]}
    for _ in range(20):
        body = {"tasks": [{"name": "t", "kind": "parallel", "branches": {"b": body}}]}
    found = plan_of(*body["tasks"])
    for _ in range(20):
        found = found.tasks["t"].construct.branches["b"]
    assert found.start_task == "leaf"
