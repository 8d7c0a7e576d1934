"""Signals to executions, on each journal: early and late ones, repeated and refused ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.flowmgr_server import (
    Served,
    chain,
    condition,
    eventually,
    flow,
    new_id,
    task,
)
from tests.support.rest import EACH_JOURNAL, cancel, is_replay, problem

pytestmark = EACH_JOURNAL

APPROVAL: dict[str, Any] = {"name": "wait_for_it", "kind": "signal", "signal": "approval"}
SCHEMA = {
    "type": "object",
    "required": ["approved"],
    "properties": {"approved": {"type": "boolean"}, "by": {"type": "string"}},
}
WHO = {"by": "ada", "reason": "looks fine"}


def send(
    served: Served, execution_id: str, name: str = "approval", value: Any = None, **headers: str
) -> httpx.Response:
    return served.post(f"/executions/{execution_id}/signals/{name}", value, headers)


def waiting(served: Served, **fields: Any) -> str:
    """Return an execution that waits for a signal, and for nothing else."""
    execution_id = served.start(served.register(flow(APPROVAL | fields)))
    wait_for_event(served, execution_id, "WaitStarted")
    return execution_id


def wait_for_event(served: Served, execution_id: str, kind: str) -> dict[str, Any]:
    return eventually(
        lambda: next((e for e in served.events(execution_id) if e["type"] == kind), None)
    )


def parked(served: Served, **fields: Any) -> str:
    """Return an execution that waits for a signal, and is in the journal alone."""
    execution_id = waiting(served, **fields)
    wait_for_event(served, execution_id, "ExecutionParked")
    return execution_id


@pytest.mark.parametrize("value", [None, 0, False, "text", [1, [2]], {"a": {"b": None}}])
def test_the_value_of_a_signal_is_the_result_of_the_task_that_waits(served, value):
    execution_id = parked(served)
    response = send(served, execution_id, value=value, Prefer="wait=10")
    assert response.status_code == 200, response.text
    execution = response.json()
    assert execution["status"] == "completed"
    assert execution["context"]["wait_for_it_result"] == value
    assert execution["task_results"]["wait_for_it"]["status"] == "success"


def test_who_has_sent_a_signal_and_why_is_recorded(served):
    execution_id = waiting(served)
    path = f"/executions/{execution_id}/signals/approval"
    response = served.client.post(path, params=WHO, json=1, headers={"Idempotency-Key": "one"})
    assert response.status_code == 200
    event = wait_for_event(served, execution_id, "SignalReceived")
    assert {name: event[name] for name in WHO} == WHO
    assert (event["name"], event["value"], event["key"]) == ("approval", 1, "one")
    problem(served.client.post(path, params={"by": "x" * 201}), 400)


def test_a_signal_is_answered_when_it_is_recorded_or_after_the_wait(served, files):
    then = flow(APPROVAL, task("stay"), conditions=[condition("wait_for_it", "stay")])
    flow_id = served.register(then)
    at_once = served.start(flow_id, files)
    response = send(served, at_once, value=1)
    assert response.status_code == 200
    assert "location" not in response.headers
    late = served.start(flow_id, files)
    response = send(served, late, Prefer="wait=0.05")
    assert response.status_code == 202
    assert response.headers["location"] == f"/executions/{late}"
    for execution_id in (at_once, late):
        assert cancel(served, execution_id, wait=10).json()["status"] == "cancelled"


def test_early_signals_are_kept_in_their_order_until_tasks_take_them(served, files):
    tasks = [task("hold"), *(APPROVAL | {"name": name} for name in ("first", "second"))]
    steps = [condition("hold", "first"), condition("first", "second")]
    execution_id = served.start(served.register(flow(*tasks, conditions=steps)), files)
    assert [send(served, execution_id, value=n).status_code for n in (1, 2)] == [200, 200]
    Path(files["release"]).touch()
    context = served.ended(execution_id)["context"]
    assert (context["first_result"], context["second_result"]) == (1, 2)


def test_a_paused_execution_takes_a_signal_and_goes_on_when_it_is_resumed(served):
    document = flow(APPROVAL, task("keys"), conditions=[condition("wait_for_it", "keys")])
    execution_id = served.start(served.register(document))
    wait_for_event(served, execution_id, "WaitStarted")
    served.post(f"/executions/{execution_id}/pause")
    response = send(served, execution_id, value="early", Prefer="wait=0.05")
    assert (response.status_code, response.json()["status"]) == (202, "paused")
    assert response.json()["context"]["wait_for_it_result"] == "early"
    served.post(f"/executions/{execution_id}/resume")
    assert list(served.ended(execution_id)["task_results"]) == ["wait_for_it", "keys"]


def test_the_branch_that_has_waited_longest_takes_the_signal(served):
    branches = {
        name: {"start_task": "wait_for_it", "tasks": [APPROVAL], "conditions": []}
        for name in ("left", "right")
    }
    fork = {"name": "fork", "kind": "parallel", "branches": branches}
    execution_id = served.start(served.register(flow(fork)))

    def order() -> list[str]:
        begun = [e["scope"] for e in served.events(execution_id) if e["type"] == "WaitStarted"]
        return begun if len(begun) == len(branches) else []

    first, second = (scope.rpartition("/")[2] for scope in eventually(order))
    send(served, execution_id, value=1)
    execution = send(served, execution_id, value=2, Prefer="wait=10").json()
    assert execution["context"]["fork_result"] == {first: 1, second: 2}


# Of several with one key, one counts.


@pytest.mark.parametrize("has_ended", [False, True])
def test_a_signal_with_the_same_key_changes_nothing(served, has_ended):
    two = flow(
        APPROVAL, APPROVAL | {"name": "second"}, conditions=[condition("wait_for_it", "second")]
    )
    execution_id = served.start(served.register(flow(APPROVAL) if has_ended else two))
    headers = {"Idempotency-Key": new_id("key"), "Prefer": "wait=5" if has_ended else "wait=0"}
    first = send(served, execution_id, value=1, **headers)
    assert (first.status_code, is_replay(first)) == (200 if has_ended else 202, False)
    for _ in range(3):
        again = send(served, execution_id, value=1, **headers)
        assert (again.status_code, is_replay(again)) == (first.status_code, True)
    kinds = [each["type"] for each in served.events(execution_id)]
    assert kinds.count("SignalReceived") == 1
    if not has_ended:
        assert not is_replay(send(served, execution_id, value=2, **{"Idempotency-Key": "k"}))
        assert served.ended(execution_id)["context"]["second_result"] == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "ü"])
def test_a_key_that_cannot_be_one_is_refused(served, key):
    execution_id = waiting(served)
    path = f"/executions/{execution_id}/signals/approval"
    headers = [(b"Idempotency-Key", key.encode())]
    refused = problem(served.client.post(path, headers=headers), 400)
    assert "printable ASCII" in refused["detail"]
    send(served, execution_id)


# What is refused.


def test_a_signal_to_an_unknown_execution_is_404(served):
    missing = new_id("missing")
    assert missing in problem(send(served, missing), 404)["detail"]


def test_a_signal_to_an_execution_that_has_ended_is_409(served):
    completed = served.run(chain("succeed"))["execution_id"]
    cancelled = waiting(served)
    cancel(served, cancelled, wait=10)
    for execution_id in (completed, cancelled):
        for name in ("approval", "aproval"):
            refused = problem(send(served, execution_id, name), 409)
            assert refused["type"].endswith("execution-ended")
            assert "only running and paused" in refused["detail"]


def test_an_unknown_signal_is_422_with_the_one_that_was_meant(served, files):
    execution_id = waiting(served)
    refused = problem(send(served, execution_id, "aproval"), 422)
    assert refused["type"].endswith("invalid-signal")
    assert "'aproval'" in refused["detail"]
    (error,) = refused["errors"]
    assert (error["pointer"], error["code"]) == ("", "unknown_signal")
    assert error["hint"] == "Did you mean 'approval'?"
    other = problem(send(served, execution_id, "xyz"), 422)
    assert other["errors"][0]["hint"] == "Its signals are: approval"
    without = served.start(served.register(chain("hold")), files)
    hint = problem(send(served, without), 422)["errors"][0]["hint"]
    assert hint == "It has no signals"
    for each in (execution_id, without):
        cancel(served, each, wait=10)


@pytest.mark.parametrize(
    ("value", "pointers"),
    [
        ({"approved": "yes"}, {"/approved"}),
        ({"approved": 1, "by": 2}, {"/approved", "/by"}),
        ({}, {""}),
        (None, {""}),
    ],
)
def test_a_value_that_is_not_as_the_schema_wants_is_422_with_its_places(served, value, pointers):
    execution_id = parked(served, schema=SCHEMA)
    refused = problem(send(served, execution_id, value=value), 422)
    assert {error["pointer"] for error in refused["errors"]} == pointers
    kinds = [each["type"] for each in served.events(execution_id)]
    assert "SignalReceived" not in kinds
    good = send(served, execution_id, value={"approved": True}, Prefer="wait=10")
    assert good.json()["context"]["wait_for_it_result"] == {"approved": True}


@pytest.mark.parametrize("body", [b"{", b"NaN", b'{"a":1,"a":2}', b"[" * 70 + b"]" * 70])
def test_a_body_that_is_no_json_value_is_422(served, body):
    execution_id = waiting(served)
    path = f"/executions/{execution_id}/signals/approval"
    headers = {"Content-Type": "application/json"}
    problem(served.client.post(path, content=body, headers=headers), 422)
    send(served, execution_id)


def test_openapi_has_signals(served):
    paths = served.get("/openapi.json").json()["paths"]
    described = paths["/executions/{execution_id}/signals/{name}"]["post"]
    names = {each["name"] for each in described["parameters"]}
    assert names == {"execution_id", "name", "by", "reason", "Prefer", "Idempotency-Key"}
    assert {"200", "202"} < described["responses"].keys()
    assert described["requestBody"].get("required", False) is False
