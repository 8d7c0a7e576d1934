"""What is asked of executions: pause, resume, retry, skip, run again, delete; on each journal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.flowmgr_server import Served, chain, condition, eventually, flow, new_id, task
from tests.support.rest import EACH_JOURNAL, begin, cancel, ids, problem

pytestmark = EACH_JOURNAL

WHO = {"by": "ada", "reason": "because"}


def ask(
    served: Served, execution_id: str, verb: str, wait: float | None = None, **body: Any
) -> httpx.Response:
    headers = {} if wait is None else {"Prefer": f"wait={wait}"}
    return served.post(f"/executions/{execution_id}/{verb}", body or None, headers)


def asked(served: Served, execution_id: str, verb: str, **body: Any) -> dict[str, Any]:
    """Ask for something that is done at once; return the execution."""
    response = ask(served, execution_id, verb, **body)
    assert response.status_code == 200, response.text
    execution: dict[str, Any] = response.json()
    return execution


def event_of(served: Served, execution_id: str, kind: str) -> dict[str, Any]:
    (found,) = (each for each in served.events(execution_id) if each["type"] == kind)
    return found


def paused(served: Served, files: dict[str, str], *activities: str) -> str:
    """Return an execution that waits behind its first task."""
    execution_id = served.start(served.register(chain("hold", *activities)), files)
    asked(served, execution_id, "pause")
    Path(files["release"]).touch()

    def waits() -> bool:
        shown = served.get(f"/executions/{execution_id}").json()
        return "hold" in shown["task_results"]

    eventually(waits)
    return execution_id


# Pausing and resuming.


def test_a_paused_execution_starts_no_further_task_until_it_is_resumed(served, files):
    execution_id = served.start(served.register(chain("hold", "succeed")), files)
    execution = asked(served, execution_id, "pause", **WHO)
    assert (execution["status"], execution["end_time"]) == ("paused", None)
    assert execution_id in ids(served.get("/executions", status="paused").json()["items"])
    Path(files["release"]).touch()
    shown = served.get(f"/executions/{execution_id}", wait=0.2).json()
    assert (shown["status"], list(shown["task_results"])) == ("paused", ["hold"])
    ended = ask(served, execution_id, "resume", wait=10, **WHO)
    assert (ended.status_code, ended.json()["status"]) == (200, "completed")
    assert list(ended.json()["task_results"]) == ["hold", "succeed"]
    for kind in ("ExecutionPaused", "ExecutionResumed"):
        event = event_of(served, execution_id, kind)
        assert {name: event[name] for name in WHO} == WHO


def test_pausing_and_resuming_twice_are_the_same_as_once(served, files):
    execution_id = served.start(served.register(chain("hold")), files)
    for verb, status in (("pause", "paused"), ("resume", "running")):
        for _ in range(2):
            assert asked(served, execution_id, verb)["status"] == status
    kinds = [each["type"] for each in served.events(execution_id)]
    assert kinds.count("ExecutionPaused") == kinds.count("ExecutionResumed") == 1
    Path(files["release"]).touch()
    assert served.ended(execution_id)["status"] == "completed"


def test_a_paused_execution_can_be_cancelled(served, files):
    execution_id = paused(served, files, "succeed")
    response = cancel(served, execution_id, wait=10)
    assert (response.status_code, response.json()["status"]) == (200, "cancelled")
    assert response.json()["cancellation"]["tasks"] == []


# Retrying.


def test_a_failed_execution_goes_on_where_it_failed(served, files):
    failed = served.run(chain("succeed", "need", "return_false"), files)
    execution_id = failed["execution_id"]
    assert (failed["status"], failed["error"]["task"]) == ("failed", "need")
    Path(files["release"]).touch()
    response = ask(served, execution_id, "retry", wait=10, **WHO)
    assert response.status_code == 200
    execution = response.json()
    assert (execution["execution_id"], execution["status"]) == (execution_id, "completed")
    assert (execution["error"], execution["had_failures"]) == (None, True)
    assert list(execution["task_results"]) == ["succeed", "need", "return_false"]
    starts = [each for each in served.events(execution_id) if each["type"] == "TaskStarted"]
    assert [(each["task"], each["attempt"]) for each in starts] == [
        ("succeed", 1),
        ("need", 1),
        ("need", 2),
        ("return_false", 1),
    ]
    retried = event_of(served, execution_id, "ExecutionRetried")
    assert {name: retried[name] for name in WHO} == WHO
    assert served.get(f"/executions/{execution_id}").json() == execution


def test_a_cancelled_execution_goes_on_where_it_was_stopped(served, files):
    execution_id = begin(served, "stay", files)
    cancel(served, execution_id, wait=10)
    Path(files["started"]).unlink()
    assert asked(served, execution_id, "retry")["status"] == "running"
    eventually(Path(files["started"]).exists)
    assert cancel(served, execution_id, wait=10).json()["status"] == "cancelled"


def test_an_execution_can_be_retried_on_another_version(served, files):
    bare = flow(task("do", "need"))
    failed = served.run(bare, files)
    served.register(bare | {"tasks": [task("do", "succeed")]})
    response = ask(served, failed["execution_id"], "retry", wait=10, version=2)
    execution = response.json()
    assert (execution["status"], execution["flow_version"]) == ("completed", 2)
    for version, status in ((7, 404), (0, 422)):
        again = ask(served, failed["execution_id"], "retry", version=version)
        problem(again, status)


# Skipping.


def test_a_failed_task_can_be_given_a_result(served):
    failed = served.run(chain("fail", "keys"))
    execution_id = failed["execution_id"]
    response = ask(served, execution_id, "skip", wait=10, task="fail", result={"by": "hand"}, **WHO)
    assert response.status_code == 200
    execution = response.json()
    assert execution["status"] == "completed"
    assert execution["context"]["fail_result"] == {"by": "hand"}
    assert execution["context"]["keys_result"] == ["fail_result"]
    skipped = event_of(served, execution_id, "TaskSkipped")
    assert (skipped["task"], skipped["result"], skipped["by"]) == ("fail", {"by": "hand"}, "ada")


def test_the_task_that_a_paused_execution_waits_with_can_be_skipped(served, files):
    execution_id = paused(served, files, "fail", "succeed")
    execution = asked(served, execution_id, "skip")
    assert execution["status"] == "paused"
    assert execution["context"]["fail_result"] is None
    ended = ask(served, execution_id, "resume", wait=10).json()
    assert (ended["status"], ended["had_failures"]) == ("completed", False)
    assert list(ended["task_results"]) == ["hold", "fail", "succeed"]


def test_only_the_task_that_waits_can_be_skipped(served, files):
    execution_id = paused(served, files, "succeed", "keys")
    refused = problem(ask(served, execution_id, "skip", task="keys"), 409)
    assert "is at task 'succeed'" in refused["detail"]
    assert asked(served, execution_id, "skip", task="succeed")["status"] == "paused"
    cancel(served, execution_id)


def fork(**activities: str) -> dict[str, Any]:
    """Return a flow with a branch for each activity, whose only task has the name `charge`."""
    branches = {
        name: {"start_task": "charge", "tasks": [task("charge", activity)], "conditions": []}
        for name, activity in activities.items()
    }
    return flow({"name": "fan", "kind": "parallel", "branches": branches, "on_failure": "wait"})


def test_a_task_in_a_branch_is_skipped_by_its_path(served):
    execution_id = served.run(fork(left="fail", middle="succeed", right="fail"))["execution_id"]
    for name in (None, "charge"):
        body = {} if name is None else {"task": name}
        refused = problem(ask(served, execution_id, "skip", **body), 409)
        assert "'/fan/left/charge', '/fan/right/charge'" in refused["detail"]
    problem(ask(served, execution_id, "skip", task="/fan/middle/charge"), 409)
    first = ask(served, execution_id, "skip", wait=10, task="/fan/left/charge", result=1)
    assert first.json()["status"] == "failed", first.text
    ended = ask(served, execution_id, "skip", wait=10, task="charge", result=2).json()
    assert ended["status"] == "completed"
    result = ended["context"]["fan_result"]
    assert (result["left"], result["right"]) == (1, 2)
    skipped = [each for each in served.events(execution_id) if each["type"] == "TaskSkipped"]
    assert [each["scope"] for each in skipped] == ["/fan/left", "/fan/right"]


def test_a_task_of_a_running_execution_that_waits_is_skipped(served):
    waits = {"name": "long", "kind": "wait", "seconds": 1000}
    execution_id = served.start(served.register(flow(waits)))
    eventually(lambda: served.events(execution_id)[-1]["type"] == "ExecutionParked")
    ended = ask(served, execution_id, "skip", wait=10, task="/long", result="now").json()
    assert (ended["status"], ended["context"]["long_result"]) == ("completed", "now")


# Running again.


def test_a_rerun_begins_with_a_task_that_the_flow_has_or_not_at_all(served):
    execution_id = served.run(fork(left="fail"))["execution_id"]
    refused = problem(ask(served, execution_id, "rerun", task="/fan/left"), 400)
    assert "'/fan/left' is the path of a branch or an item, not of a task" in refused["detail"]
    assert refused["errors"][0]["hint"] == "Name a task in it, such as '/fan/left/charge'"
    for unknown in ("/fan/left", "/nowhere/left/charge", "/nowhere", "charge", "/"):
        assert unknown in problem(ask(served, execution_id, "rerun", task=unknown), 400)["detail"]
    again = ask(served, execution_id, "rerun", wait=10, task="/fan").json()
    assert (again["status"], again["rerun_of"]) == ("failed", execution_id)


def test_a_rerun_begins_inside_of_a_branch_and_keeps_what_has_succeeded_beside_it(served):
    first = served.run(fork(left="keys", middle="succeed", right="fail"))
    execution_id = first["execution_id"]
    body = {"task": "/fan/left/charge", "context": {"b": 2}} | WHO
    again = ask(served, execution_id, "rerun", wait=10, **body).json()
    assert (again["status"], again["rerun_of"]) == ("failed", execution_id)
    assert again["current_task"] == "end"
    events = served.events(again["execution_id"])
    started = [event.get("scope") for event in events if event["type"] == "TaskStarted"]
    assert (started[0], sorted(started[1:])) == (None, ["/fan/left", "/fan/right"])
    opened = {event["scope"]: event for event in events if event["type"] == "ScopeStarted"}
    assert opened["/fan/left"]["context"] == {"b": 2}
    assert "context" not in opened["/fan/middle"]
    finished = {event["scope"]: event for event in events if event["type"] == "ScopeFinished"}
    assert finished["/fan/left"]["result"] == ["b"]
    assert finished["/fan/middle"]["at"] == opened["/fan/left"]["at"]
    assert {name: events[0][name] for name in WHO} == WHO
    refused = problem(ask(served, execution_id, "rerun", task="/fan/far/charge"), 400)
    assert refused["errors"][0]["pointer"] == "/task"


def test_a_rerun_has_the_context_of_the_flows_own_task_and_not_of_one_inside_of_another(served):
    inner = {"start_task": "keys", "tasks": [task("keys")], "conditions": []}
    fan = {"name": "fan", "kind": "parallel", "branches": {"left": inner}}
    steps = [condition("first", "fan"), condition("fan", "keys")]
    document = flow(task("first", "succeed"), fan, task("keys"), conditions=steps)
    first = served.run(document)
    again = ask(served, first["execution_id"], "rerun", wait=10, task="keys").json()
    assert again["context"]["keys_result"] == first["context"]["keys_result"]
    assert "fan_result" in again["context"]


@pytest.mark.parametrize("activity", ["keys", "fail"])
def test_an_execution_can_be_run_again_from_a_task_on(served, activity):
    metadata = {"order": new_id()}
    flow_id = served.register(chain("succeed", "return_false", activity))
    first = served.execute(flow_id, {"a": 1, "b": 1}, metadata=metadata)
    body = {"task": "return_false", "context": {"b": 2}} | WHO
    response = ask(served, first["execution_id"], "rerun", wait=10, **body)
    assert response.status_code == 200
    again = response.json()
    assert again["execution_id"] != first["execution_id"]
    assert (again["rerun_of"], again["metadata"]) == (first["execution_id"], metadata)
    assert list(again["task_results"]) == ["return_false", activity]
    assert (again["context"]["a"], again["context"]["b"]) == (1, 2)
    started = event_of(served, again["execution_id"], "ExecutionStarted")
    assert started["rerun_of"] == first["execution_id"]
    assert {name: started[name] for name in WHO} == WHO
    assert served.get(f"/executions/{first['execution_id']}").json() == first


def test_running_again_without_a_wait_is_202_with_the_place_to_look(served, files):
    execution_id = begin(served, "stay", files)
    cancel(served, execution_id, wait=10)
    response = ask(served, execution_id, "rerun")
    assert response.status_code == 202
    again = response.json()
    assert response.headers["location"] == f"/executions/{again['execution_id']}"
    assert (again["status"], again["rerun_of"]) == ("running", execution_id)
    assert cancel(served, again["execution_id"], wait=10).status_code == 200


def test_running_again_with_something_that_is_not_there_is_refused(served):
    execution_id = served.run(chain("succeed"))["execution_id"]
    refused = problem(ask(served, execution_id, "rerun", task="nowhere"), 400)
    assert "'nowhere'" in refused["detail"]
    assert refused["errors"][0]["pointer"] == "/task"
    refused = problem(ask(served, execution_id, "rerun", version=9), 404)
    assert "9" in refused["detail"]
    large = {"data": "x" * 1_048_576}
    refused = problem(ask(served, execution_id, "rerun", context=large), 400)
    assert "Context too large" in refused["detail"]


# Deleting.


def test_a_deleted_execution_is_gone_and_its_key_is_free(served):
    flow_id = served.register(chain("succeed"))
    body, key = {"flow_id": flow_id, "metadata": {"order": flow_id}}, {"Idempotency-Key": "k"}
    execution_id = served.post("/flows/execute", body, key).json()["execution_id"]
    path = f"/executions/{execution_id}"
    response = served.client.delete(path, params=WHO)
    assert (response.status_code, response.content) == (204, b"")
    for gone in (
        served.get(path),
        served.get(f"{path}/events"),
        served.client.delete(path),
        ask(served, execution_id, "rerun"),
    ):
        assert execution_id in problem(gone, 404)["detail"]
    for filters in ({"flow_id": flow_id}, {"metadata.order": flow_id}):
        assert served.get("/executions", **filters).json()["items"] == []
    again = served.post("/flows/execute", body, key)
    assert "idempotency-replayed" not in again.headers


def test_who_has_deleted_an_execution_is_in_the_log(served):
    execution_id = served.run(chain("succeed"))["execution_id"]
    who = {"by": "ada", "reason": "said so\nERROR forged"}
    assert served.client.delete(f"/executions/{execution_id}", params=who).status_code == 204
    logged = f"{execution_id} was deleted by 'ada': 'said so\\nERROR forged'"
    served.process.stderr.wait_for(re.escape(logged))


def test_what_has_not_ended_is_not_deleted(served, files):
    execution_id = begin(served, "stay", files)
    refused = problem(served.client.delete(f"/executions/{execution_id}"), 409)
    assert refused["type"].endswith("wrong-state")
    assert "only completed, failed and cancelled" in refused["detail"]
    cancel(served, execution_id, wait=10)
    assert served.client.delete(f"/executions/{execution_id}").status_code == 204


# What is the same for all of them.

VERBS = ["cancel", "pause", "resume", "retry", "skip", "rerun"]


@pytest.mark.parametrize("verb", VERBS)
def test_whatever_is_asked_of_an_unknown_execution_is_404(served, verb):
    missing = new_id("missing")
    assert missing in problem(ask(served, missing, verb), 404)["detail"]


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "rerun"])
def test_what_a_completed_execution_does_not_allow_says_what_would(served, verb):
    execution = served.run(chain("succeed"))
    refused = problem(ask(served, execution["execution_id"], verb, wait=1), 409)
    assert refused["type"].endswith("execution-ended")
    assert "has completed; only" in refused["detail"]
    assert served.get(f"/executions/{execution['execution_id']}").json() == execution


def test_what_a_running_execution_does_not_allow_says_what_would(served, files):
    execution_id = begin(served, "stay", files)
    for verb, allowed in (("retry", "failed and cancelled"), ("skip", "paused and failed")):
        refused = problem(ask(served, execution_id, verb), 409)
        assert refused["type"].endswith("wrong-state")
        assert f"only {allowed} executions can be" in refused["detail"]
    cancel(served, execution_id, wait=10)


@pytest.mark.parametrize("verb", ["resume", "retry", "skip"])
def test_waiting_for_the_end_is_answered_with_202_while_it_is_not_there(served, files, verb):
    bare = flow(task("first", "fail"), task("second", "stay"))
    bare["conditions"] = [{"source_task": "first", "target_task_success": "second"}]
    if verb == "skip":
        execution_id = served.run(bare, files)["execution_id"]
    else:
        execution_id = begin(served, "stay", files)
        if verb == "retry":
            cancel(served, execution_id, wait=10)
        else:
            asked(served, execution_id, "pause")
    response = ask(served, execution_id, verb, wait=0.05)
    assert response.status_code == 202
    assert response.headers["location"] == f"/executions/{execution_id}"
    assert response.json()["status"] == "running"
    eventually(Path(files["started"]).exists)
    assert cancel(served, execution_id, wait=10).status_code == 200


def test_a_change_with_the_longest_words_is_recorded_as_they_are(served, files):
    execution_id = begin(served, "stay", files)
    who = {"by": "ü" * 200, "reason": "流" * 1000}
    asked(served, execution_id, "pause", **who)
    event = event_of(served, execution_id, "ExecutionPaused")
    assert {name: event[name] for name in who} == who
    receipt = cancel(served, execution_id, "no longer needed", wait=10).json()["cancellation"]
    assert (receipt["reason"], receipt["by"]) == ("no longer needed", None)


def test_openapi_has_the_verbs_with_their_bodies(served):
    paths = served.get("/openapi.json").json()["paths"]
    own = {
        "retry": {"version"},
        "skip": {"task", "result"},
        "rerun": {"task", "context", "version"},
    }
    for verb in VERBS:
        described = paths[f"/executions/{{execution_id}}/{verb}"]["post"]
        schema = described["requestBody"]["content"]["application/json"]["schema"]
        assert set(schema["properties"]) == {"by", "reason"} | own.get(verb, set())
        assert described["summary"]
        assert ("202" in described["responses"]) is (verb != "pause")
    assert "delete" in paths["/executions/{execution_id}"]
