"""What clients of the original Flow Manager API rely on, asked of real servers."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.support.flowmgr_server import (
    BACKENDS,
    EXAMPLE,
    Served,
    chain,
    condition,
    flow,
    new_id,
    serving,
    task,
)
from tests.support.rest import problem

EXECUTION_FIELDS = [
    "execution_id",
    "flow_id",
    "status",
    "current_task",
    "task_results",
    "start_time",
    "end_time",
    "context",
]
FLOW_FIELDS = ["id", "name", "start_task", "tasks", "conditions"]
CONDITION_FIELDS = [
    "name",
    "description",
    "source_task",
    "outcome",
    "target_task_success",
    "target_task_failure",
]
JSON = {"Content-Type": "application/json"}
LARGEST_CONTEXT = {"data": "x" * 1_048_564}

WRAPPINGS = {
    "flow_data": lambda bare: {"flow_data": {"flow": bare}},
    "flow": lambda bare: {"flow": bare},
    "bare": lambda bare: bare,
}


@pytest.fixture(scope="module", params=BACKENDS)
def simulating(request: pytest.FixtureRequest) -> Iterator[Served]:
    with serving(request.param, "--simulate-unknown-activities") as running:
        yield running


def example(**changes: Any) -> dict[str, Any]:
    """Return the example flow without its wrapping, under an id of its own."""
    return EXAMPLE["flow"] | {"id": new_id()} | changes


def with_descriptions(bare: dict[str, Any]) -> dict[str, Any]:
    """Return a flow as the original's code, and not its README, wants it."""
    described = [{**each, "description": ""} for each in bare["conditions"]]
    return bare | {"conditions": described}


def executed(served: Served, body: dict[str, Any]) -> dict[str, Any]:
    response = served.post("/flows/execute", body)
    assert response.status_code == 200, response.text
    execution: dict[str, Any] = response.json()
    return execution


def problem_of(response: Any, status: int) -> str:
    assert response.status_code == status, response.text
    detail = response.json()["detail"]
    assert isinstance(detail, str)
    return detail


# Registering and showing flows.


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("has_descriptions", [False, True])
def test_the_readme_example_registers_in_every_wrapping(served, wrapping, has_descriptions):
    bare = example()
    sent = with_descriptions(bare) if has_descriptions else bare
    response = served.post("/flows", WRAPPINGS[wrapping](sent))
    assert response.status_code == 201
    assert response.json()["message"] == f"Flow {bare['id']} created successfully"
    assert next(iter(response.json())) == "message"


def test_the_readme_example_as_it_is_registers_and_completes_in_order(served):
    assert served.post("/flows", EXAMPLE).status_code == 201
    execution = executed(served, {"flow_id": "flow123", "context": {"user_id": "tester"}})
    assert execution["status"] == "completed"
    assert list(execution["task_results"]) == ["task1", "task2", "task3"]


def test_the_same_id_can_be_registered_again_and_the_latest_counts(served):
    first = chain("succeed")
    assert served.post("/flows", {"flow": first}).status_code == 201
    assert served.post("/flows", {"flow": first}).status_code == 201
    second = first | {"name": "another name"}
    assert served.post("/flows", {"flow": second}).status_code == 201
    assert served.get(f"/flows/{first['id']}").json()["name"] == "another name"


def test_a_flow_is_shown_with_the_fields_of_the_original_first_and_in_order(served):
    bare = example()
    served.register({"flow_data": {"flow": bare}})
    response = served.get(f"/flows/{bare['id']}")
    assert response.status_code == 200
    shown = response.json()
    assert list(shown)[: len(FLOW_FIELDS)] == FLOW_FIELDS
    assert [list(each)[:2] for each in shown["tasks"]] == [["name", "description"]] * 3
    assert [list(each) for each in shown["conditions"]] == [CONDITION_FIELDS] * 2
    for field in ("id", "name", "start_task"):
        assert shown[field] == bare[field]
    for given, sent_back in zip(bare["tasks"], shown["tasks"], strict=True):
        assert given.items() <= sent_back.items()
    for given, sent_back in zip(bare["conditions"], shown["conditions"], strict=True):
        assert {**given, "description": ""} == sent_back


# Executing.


def test_an_execution_has_the_eight_fields_of_the_original_first_and_in_order(served):
    flow_id = served.register({"flow": example()})
    execution = executed(served, {"flow_id": flow_id, "context": {"user_id": "tester"}})
    assert list(execution)[: len(EXECUTION_FIELDS)] == EXECUTION_FIELDS
    assert str(uuid.UUID(execution["execution_id"])) == execution["execution_id"]
    assert execution["flow_id"] == flow_id
    assert execution["status"] == "completed"
    assert execution["current_task"] == "end"
    started, ended = (
        datetime.fromisoformat(execution[f"{when}_time"]) for when in ("start", "end")
    )
    # The tasks sleep 0.6 s in all; timers of a millisecond may ring a little early.
    assert 0.59 <= (ended - started).total_seconds() < 5


def test_task_results_have_the_four_fields_of_the_original(served):
    execution = served.run({"flow": example()})
    for result in execution["task_results"].values():
        assert list(result) == ["status", "data", "error", "execution_time"]
        assert result["status"] == "success"
        assert result["error"] is None
    seconds = [result["execution_time"] for result in execution["task_results"].values()]
    for took, at_least in zip(seconds, (0.2, 0.3, 0.1), strict=True):
        assert isinstance(took, float)
        assert at_least - 0.01 <= took < at_least + 1


def test_the_demo_tasks_return_what_those_of_the_original_do(served):
    results = served.run({"flow": example()})["task_results"]
    users = [{"id": 1, "name": "John"}, {"id": 2, "name": "Jane"}]
    assert results["task1"]["data"] == {"users": users}
    processed = results["task2"]["data"]
    assert list(processed) == ["processed_users", "timestamp"]
    assert processed["processed_users"] == 2
    datetime.fromisoformat(processed["timestamp"])
    stored = results["task3"]["data"]
    assert list(stored) == ["stored", "record_id"]
    assert stored["stored"] is True
    uuid.UUID(stored["record_id"])


def test_the_context_holds_the_input_and_every_result_under_the_name_of_its_task(served):
    execution = served.run({"flow": example()}, {"user_id": "tester"})
    results = execution["task_results"]
    assert execution["context"] == {
        "user_id": "tester",
        "task1_result": results["task1"]["data"],
        "task2_result": results["task2"]["data"],
        "task3_result": results["task3"]["data"],
    }


@pytest.mark.parametrize("context", [{}, {"context": None}, {"context": {}}])
def test_the_context_may_be_left_out(served, context):
    flow_id = served.register(chain("succeed"))
    assert executed(served, {"flow_id": flow_id} | context)["context"] == {
        "succeed_result": "succeeded"
    }


def test_a_failed_flow_is_answered_with_200_too(served):
    execution = served.run(chain("fail"))
    assert execution["status"] == "failed"
    assert execution["current_task"] == "end"
    assert execution["end_time"] is not None
    result = execution["task_results"]["fail"]
    assert result | {"execution_time": 0} == {
        "status": "failure",
        "data": None,
        "error": "asked to fail",
        "execution_time": 0,
    }


def test_a_failed_task_leaves_null_in_the_context(served):
    execution = served.run(chain("fail"), {"given": 1})
    assert execution["context"] == {"given": 1, "fail_result": None}


def test_an_error_without_a_text_is_an_empty_text(served):
    result = served.run(chain("fail_silently"))["task_results"]["fail_silently"]
    assert (result["status"], result["error"]) == ("failure", "")


@pytest.mark.parametrize(("activity", "data"), [("return_nothing", None), ("return_false", False)])
def test_whatever_a_task_returns_is_a_success(served, activity, data):
    execution = served.run(chain(activity))
    assert execution["status"] == "completed"
    assert execution["task_results"][activity]["data"] is data


def test_an_execution_is_shown_just_as_it_was_answered(served):
    for activity in ("succeed", "fail"):
        flow_id = served.register(chain(activity))
        answered = served.post("/flows/execute", {"flow_id": flow_id})
        shown = served.get(f"/executions/{answered.json()['execution_id']}")
        assert shown.status_code == 200
        assert shown.text == answered.text


def test_a_client_can_stand_in_for_task1_by_sending_its_result(served):
    lone = example(start_task="task2", tasks=EXAMPLE["flow"]["tasks"][1:2], conditions=[])
    served.register({"flow": lone})
    without = served.execute(lone["id"])
    assert without["status"] == "failed"
    assert "task1_result" in without["task_results"]["task2"]["error"]
    sent = {"task1_result": {"users": [{"id": 3, "name": "Jo"}]}}
    with_it = served.execute(lone["id"], sent)
    assert with_it["status"] == "completed"
    assert with_it["task_results"]["task2"]["data"]["processed_users"] == 1


def test_task3_needs_the_result_of_task2(served):
    lone = example(start_task="task3", tasks=EXAMPLE["flow"]["tasks"][2:], conditions=[])
    served.register({"flow": lone})
    assert served.execute(lone["id"])["status"] == "failed"
    assert served.execute(lone["id"], {"task2_result": {"x": 1}})["status"] == "completed"


def test_a_result_takes_the_place_of_what_the_client_sent_under_its_name(served):
    execution = served.run(chain("succeed"), {"succeed_result": "mine", "other": 1})
    assert execution["context"] == {"succeed_result": "succeeded", "other": 1}


# Routing.

NEXT = {
    ("success", "succeed"): "target_task_success",
    ("success", "fail"): "target_task_failure",
    ("failure", "succeed"): "target_task_failure",
    ("failure", "fail"): "target_task_success",
}
"""Which target is next, by the condition's outcome and what the task does."""

TARGETS = list(itertools.product(["other1", "end"], ["other2", "end"]))


@pytest.mark.parametrize(("on_match", "otherwise"), TARGETS)
@pytest.mark.parametrize(("outcome", "activity"), NEXT)
def test_the_outcome_decides_as_in_the_original(served, outcome, activity, on_match, otherwise):
    decides = condition("first", on_match, otherwise, outcome)
    others = [task("other1", "succeed"), task("other2", "succeed")]
    execution = served.run(flow(task("first", activity), *others, conditions=[decides]))
    target = decides[NEXT[outcome, activity]]
    ran = ["first"] if target == "end" else ["first", target]
    assert list(execution["task_results"]) == ran
    has_failed = activity == "fail" and target == "end"
    assert execution["status"] == ("failed" if has_failed else "completed")
    assert execution["had_failures"] is (activity == "fail")
    assert execution["current_task"] == "end"


@pytest.mark.parametrize(("activity", "status"), [("succeed", "completed"), ("fail", "failed")])
def test_a_task_without_a_condition_leads_to_the_end(served, activity, status):
    never = task("never", "succeed")
    execution = served.run(flow(task("first", activity), never))
    assert list(execution["task_results"]) == ["first"]
    assert execution["status"] == status


@pytest.mark.parametrize("activity", ["succeed", "fail"])
def test_only_the_first_condition_of_a_task_decides(served, activity):
    tasks = [task("first", activity), task("a", "succeed"), task("b", "succeed")]
    conditions = [
        condition("b", "end"),
        condition("first", "a", "a", "success"),
        condition("first", "b", "b", "failure"),
    ]
    execution = served.run(flow(*tasks, conditions=conditions))
    assert list(execution["task_results"]) == ["first", "a"]


@pytest.mark.parametrize(
    ("recovery", "status"), [("succeed", "completed"), ("fail", "failed")], ids=["good", "bad"]
)
def test_only_the_last_task_decides_about_the_status(served, recovery, status):
    tasks = [task("first", "fail"), task("recovery", recovery)]
    execution = served.run(flow(*tasks, conditions=[condition("first", "end", "recovery")]))
    assert list(execution["task_results"]) == ["first", "recovery"]
    assert execution["status"] == status
    assert execution["had_failures"] is True


def test_a_diamond_is_no_cycle(served):
    tasks = [task("first", "fail"), *(task(name, "succeed") for name in "abc")]
    conditions = [condition("first", "a", "b"), condition("a", "c"), condition("b", "c")]
    execution = served.run(flow(*tasks, conditions=conditions))
    assert list(execution["task_results"]) == ["first", "b", "c"]
    assert execution["status"] == "completed"


@pytest.mark.parametrize(
    "conditions",
    [
        [condition("a", "a")],
        [condition("a", "b"), condition("b", "a")],
        [condition("a", "end", "b"), condition("b", "end", "a")],
        [condition("a", "b"), condition("b", "end"), condition("b", "a")],
    ],
    ids=["of one", "on success", "on failure", "through a condition that never decides"],
)
def test_a_cycle_is_refused(served, conditions):
    cyclic = flow(task("a", "succeed"), task("b", "succeed"), conditions=conditions)
    detail = problem_of(served.post("/flows", {"flow": cyclic}), 400)
    assert detail.startswith("Flow validation error: Flow contains a cycle in task transitions")


def test_unreachable_tasks_are_accepted_with_a_warning_in_the_response(served):
    bare = flow(task("a", "succeed"), task("island", "succeed"))
    response = served.post("/flows", {"flow": bare})
    assert response.status_code == 201
    warnings = response.json()["warnings"]
    assert [warning["code"] for warning in warnings] == ["unreachable_task"]
    assert warnings[0]["pointer"] == "/flow/tasks/1"
    assert "island" in warnings[0]["message"]


# Fields that there are not: the original ignored those that are in no task and no condition.


@pytest.mark.parametrize(
    "place", ["/note", "/flow_data/note", "/flow_data/flow/note", "/flow_data/flow/tasks/0/note"]
)
def test_a_flow_with_a_field_that_there_is_not_is_refused(served, place):
    body = {"flow_data": {"flow": chain("succeed")}}
    *way, field = place.split("/")[1:]
    inside: Any = body
    for each in way:
        inside = inside[int(each) if each.isdigit() else each]
    inside[field] = "x"
    response = served.post("/flows", body)
    assert f"has no field '{field}'" in problem_of(response, 400)
    (error,) = response.json()["errors"]
    assert (error["pointer"], error["code"]) == (place, "unknown_field")


# Names of activities that do not exist.


def test_an_unknown_activity_is_refused(served):
    response = served.post("/flows", {"flow": chain("succeed", "ship_order")})
    assert "ship_order" in problem_of(response, 400)


def test_an_unknown_activity_is_simulated_if_the_server_is_told_to(simulating):
    execution = simulating.run({"flow": chain("ship_order", "task1", "thank")})
    assert execution["status"] == "completed"
    results = execution["task_results"]
    assert list(results) == ["ship_order", "task1", "thank"]
    assert results["ship_order"]["data"] == "Result from ship_order"
    assert results["thank"]["data"] == "Result from thank"
    assert list(results["task1"]["data"]) == ["users"]
    for name in ("ship_order", "thank"):
        assert 0.09 <= results[name]["execution_time"] < 1


# Health.


def test_health_has_exactly_two_fields(served):
    response = served.get("/health")
    assert response.status_code == 200
    assert response.text == '{"status":"healthy","service":"Flow Manager"}'


# What is refused, and how.


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("", "application/json"),
        ("{", "application/json"),
        ("[]", "application/json"),
        ('"text"', "application/json"),
        ("null", "application/json"),
        ("{}", "application/json"),
        ('{"something": "else"}', "application/json"),
        ('{"flow_data": null}', "application/json"),
        ('{"flow_data": []}', "application/json"),
        ('{"flow_data": "text"}', "application/json"),
        (json.dumps(EXAMPLE), "text/plain"),
        (json.dumps(EXAMPLE), "application/x-www-form-urlencoded"),
    ],
)
def test_a_body_of_another_shape_than_a_flow_is_422(served, body, content_type):
    sent = served.client.post("/flows", content=body, headers={"Content-Type": content_type})
    assert problem_of(sent, 422)


INVALID_FLOWS = {
    "no flow": ({"flow_data": {}}, "'flow'"),
    "flow is null": ({"flow_data": {"flow": None}}, "'flow'"),
    "flow is a number": ({"flow": 5}, "'flow'"),
    "no name": (example(name=""), "'name'"),
    "no tasks": (example(tasks=[]), "'tasks' of the flow must be a non-empty list"),
    "conditions are no list": (example(conditions={}), "'conditions'"),
    "task is no object": (example(tasks=[5]), "Task 1"),
    "two tasks of a name": (
        flow(task("task1"), task("task1")),
        "Duplicate task name: 'task1'",
    ),
    "unknown start": (example(start_task="x"), "start_task 'x' not found in tasks"),
    "unknown source": (
        example(conditions=[condition("x", "end")]),
        "uses unknown source_task: 'x'",
    ),
    "unknown target": (
        example(conditions=[condition("task1", "x")]),
        "uses unknown target_task_success: 'x'",
    ),
    "unknown other target": (
        example(conditions=[condition("task1", "end", "x")]),
        "uses unknown target_task_failure: 'x'",
    ),
    "END in capitals": (
        example(conditions=[condition("task1", "END")]),
        "uses unknown target_task_success: 'END'",
    ),
    "end as a source": (
        example(conditions=[condition("end", "task1")]),
        "uses unknown source_task: 'end'",
    ),
    "outcome in capitals": (
        example(conditions=[condition("task1", "end", "end", "Success")]),
        "has invalid outcome: 'Success' (expected 'success' or 'failure')",
    ),
    "another outcome": (
        example(conditions=[condition("task1", "end", "end", "any")]),
        "has invalid outcome: 'any'",
    ),
    "extra field of a task": (
        example(tasks=[{"name": "task1", "retries": 3}], conditions=[]),
        "'retries'",
    ),
}


@pytest.mark.parametrize("case", INVALID_FLOWS)
def test_a_flow_that_breaks_a_rule_is_400_and_says_so(served, case):
    document, says = INVALID_FLOWS[case]
    detail = problem_of(served.post("/flows", document), 400)
    assert detail.startswith("Flow validation error: ")
    assert says in detail


@pytest.mark.parametrize("field", ["name", "start_task", "tasks", "conditions"])
def test_a_missing_field_is_400_and_named(served, field):
    bare = example()
    del bare[field]
    detail = problem_of(served.post("/flows", {"flow": bare}), 400)
    assert f"Missing required field: '{field}'" in detail


@pytest.mark.parametrize(
    "body",
    [
        {"context": {}},
        {"flow_id": None},
        {"flow_id": 5},
        {"flow_id": ["flow123"]},
        {"flow_id": "flow123", "context": []},
        {"flow_id": "flow123", "context": "text"},
        [],
        "flow123",
    ],
)
def test_wrong_types_in_a_request_to_execute_are_422(served, body):
    assert problem_of(served.post("/flows/execute", body), 422)


def test_what_does_not_exist_is_404_and_named(served):
    missing = new_id("missing")
    assert missing in problem_of(served.post("/flows/execute", {"flow_id": missing}), 404)
    assert missing in problem_of(served.get(f"/flows/{missing}"), 404)
    assert missing in problem_of(served.get(f"/executions/{missing}"), 404)


def test_a_context_of_exactly_1_mib_passes(served):
    flow_id = served.register(chain("succeed"))
    assert len(json.dumps(LARGEST_CONTEXT)) == 1_048_576
    execution = executed(served, {"flow_id": flow_id, "context": LARGEST_CONTEXT})
    assert execution["status"] == "completed"
    assert execution["context"] == LARGEST_CONTEXT | {"succeed_result": "succeeded"}


def test_a_context_of_one_byte_more_is_400(served):
    flow_id = served.register(chain("succeed"))
    larger = {"data": LARGEST_CONTEXT["data"] + "x"}
    sent = served.post("/flows/execute", {"flow_id": flow_id, "context": larger})
    wanted = "Context validation error: Context too large: 1048577 bytes (max 1MB)"
    assert problem_of(sent, 400) == wanted


def test_the_limit_is_on_the_input_only(served):
    flow_id = served.register(chain("succeed", "keys"))
    execution = executed(served, {"flow_id": flow_id, "context": LARGEST_CONTEXT})
    assert execution["context"]["keys_result"] == ["data", "succeed_result"]


def test_a_flow_registered_again_does_not_disturb_what_runs(served, tmp_path):
    bare = flow(task("hold"), task("then", "first_edition"), conditions=[condition("hold", "then")])
    flow_id = served.register({"flow": bare})
    execution_id = served.start(flow_id, {"release": str(tmp_path / "release")})
    bare["tasks"][1]["activity"] = "second_edition"
    served.register({"flow": bare})
    (tmp_path / "release").touch()
    assert served.ended(execution_id)["context"]["then_result"] == "first edition"


# What the original accepted, as docs/rest.md names it.


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


A_TASK = task("first", "succeed")
DIFFERENT_FLOWS = {
    "an id with blanks around it": (flow(A_TASK, id=" pad "), "/id"),
    "an id that is reserved": (flow(A_TASK, id="execute"), "/id"),
    "a task called end": (flow(task("end", "succeed")), "/tasks/0/name"),
    "a name of over 128 characters": (flow(task("x" * 129, "succeed")), "/tasks/0/name"),
    "a name with a line break": (flow(task("a\nb", "succeed")), "/tasks/0/name"),
    "the function of a task": (flow(A_TASK | {"function": "f"}), "/tasks/0/function"),
    "a description that is no text": (
        flow(A_TASK, conditions=[condition("first", "end") | {"description": 5}]),
        "/conditions/0/description",
    ),
}


@pytest.mark.parametrize("case", DIFFERENT_FLOWS)
def test_a_flow_that_the_original_accepted_is_refused_as_it_is_named(served, case):
    document, pointer = DIFFERENT_FLOWS[case]
    assert pointer in {
        each["pointer"] for each in problem(served.post("/flows", document), 400)["errors"]
    }


DIFFERENT_BODIES = {
    "a context of 65 levels": (json.dumps({"context": nested(65)}), 400, "too_deep"),
    "a body of over 100 levels": (json.dumps({"context": nested(100)}), 422, "too_deep"),
    "NaN": ('{"context": {"a": NaN}}', 422, "not_finite"),
    "infinity": ('{"context": {"a": -Infinity}}', 422, "not_finite"),
    "a key that is there twice": ('{"context": {"a": 1, "a": 2}}', 422, "duplicate_key"),
    "a field that there is not": ('{"contxt": {}}', 422, "unknown_field"),
}


@pytest.mark.parametrize("case", DIFFERENT_BODIES)
def test_an_execution_that_the_original_started_is_refused_as_it_is_named(served, case):
    text, status, code = DIFFERENT_BODIES[case]
    body = f'{{"flow_id": "{served.register(chain("succeed"))}", {text[1:]}'
    sent = served.client.post("/flows/execute", content=body, headers=JSON)
    assert [each["code"] for each in problem(sent, status)["errors"]] == [code]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_body_with_a_byte_order_mark_is_refused(served, encoding):
    body = json.dumps({"flow": chain("succeed")}).encode(encoding)
    sent = served.client.post("/flows", content=body, headers=JSON)
    assert problem(sent, 422)["errors"][0]["code"] == "byte_order_mark"


def test_a_query_parameter_that_there_is_not_is_refused(served):
    flow_id = served.register(chain("succeed"))
    refused = problem(served.get(f"/flows/{flow_id}", a=1), 400)
    assert [each["code"] for each in refused["errors"]] == ["unknown_parameter"]


def test_the_list_of_what_is_wrong_with_a_body_is_in_errors_and_not_in_detail(served):
    refused = problem(served.post("/flows/execute", {"flow_id": 5, "context": []}), 422)
    assert isinstance(refused["detail"], str)
    assert [each["pointer"] for each in refused["errors"]] == ["/flow_id", "/context"]
    assert all(list(each) == ["pointer", "code", "message", "hint"] for each in refused["errors"])


def test_an_execution_has_an_id_of_version_7_and_times_in_utc(served):
    execution = served.run(chain("succeed"))
    assert uuid.UUID(execution["execution_id"]).version == 7
    for when in ("start_time", "end_time"):
        assert execution[when].endswith("+00:00")


def test_a_chain_of_any_length_is_registered(served):
    names = [f"t{number}" for number in range(964)]
    conditions = [condition(*pair) for pair in itertools.pairwise(names)]
    long = flow(*(task(name, "succeed") for name in names), conditions=conditions)
    assert served.post("/flows", long).status_code == 201


def test_redoc_is_not_there_and_docs_are(served):
    problem(served.get("/redoc"), 404)
    assert served.get("/docs").status_code == 200
    assert served.get("/openapi.json").status_code == 200
