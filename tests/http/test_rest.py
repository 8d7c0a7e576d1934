"""The REST surface beyond what the original had, asked of real servers."""

from __future__ import annotations

import gzip
import json
import re
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import jsonschema_rs
import pytest

from tests.docs.test_language import EXAMPLES
from tests.examples.helpers import NAMES, documents
from tests.support.flowmgr_server import (
    BACKENDS,
    EXAMPLE,
    Served,
    chain,
    condition,
    eventually,
    flow,
    new_id,
    serving,
    task,
    wait_for_file,
)
from tests.support.rest import begin, cancel, ids, page_through, problem
from tests.unit.test_task_kinds import ALSO_VALID, VALID, a_task

MEMORY = "memory"
WAIT_LIMIT = 0.1
RECEIPT = ["task", "attempt", "how", "seconds"]
SUMMARY = [
    "execution_id",
    "flow_id",
    "flow_version",
    "status",
    "start_time",
    "end_time",
    "had_failures",
    "metadata",
]
CANCELLATION = ["reason", "requested_at", "tasks", "by"]


@pytest.fixture(scope="module", params=BACKENDS)
def impatient(request: pytest.FixtureRequest) -> Iterator[Served]:
    """A server that lets no request wait for long."""
    with serving(request.param, "--wait-limit", str(WAIT_LIMIT)) as running:
        yield running


@pytest.fixture(scope="module", params=BACKENDS)
def lenient(request: pytest.FixtureRequest) -> Iterator[Served]:
    """A server that takes flows with activities that it does not have."""
    with serving(request.param, "--simulate-unknown-activities") as running:
        yield running


# Flows and their versions.


def test_registering_answers_with_id_version_warnings_and_place(served):
    bare = chain("succeed")
    response = served.post("/flows", bare)
    assert response.status_code == 201
    assert response.json() == {
        "message": f"Flow {bare['id']} created successfully",
        "id": bare["id"],
        "version": 1,
        "warnings": [],
    }
    assert response.headers["location"] == f"/flows/{bare['id']}"


def test_a_flow_without_an_id_is_given_one(served):
    bare = chain("succeed")
    del bare["id"]
    first, second = (served.register(bare) for _ in range(2))
    assert first != second
    assert served.get(f"/flows/{first}").json()["id"] == first
    assert served.execute(first)["status"] == "completed"


def test_the_same_definition_is_the_same_version_and_another_one_the_next(served):
    bare = chain("succeed")
    reordered = dict(reversed(bare.items()))
    changed = bare | {"name": "changed"}
    versions = [
        served.post("/flows", sent).json()["version"]
        for sent in (bare, bare, {"flow": bare}, reordered, changed, changed, bare)
    ]
    assert versions == [1, 1, 1, 1, 2, 2, 3]


def test_every_version_can_be_shown_and_listed_the_oldest_first(served):
    bare = chain("succeed")
    names = ["one", "two", "three", "four", "five"]
    for name in names:
        served.register(bare | {"name": name})
    path = f"/flows/{bare['id']}"
    assert [served.get(path, version=n).json()["name"] for n in range(1, 6)] == names
    latest = served.get(path).json()
    assert (latest["version"], latest["name"]) == (5, "five")
    for limit in (1, 2, 5, 100):
        listed = page_through(served, f"{path}/versions", limit=limit)
        assert [item["version"] for item in listed] == [1, 2, 3, 4, 5]
        assert listed[-1] == {k: v for k, v in latest.items() if k != "definition"}
    registered = [datetime.fromisoformat(item["registered_at"]) for item in listed]
    assert registered == sorted(registered)


def test_an_unknown_version_is_404_and_named(served):
    flow_id = served.register(chain("succeed"))
    for response in (
        served.get(f"/flows/{flow_id}", version=7),
        served.post("/flows/execute", {"flow_id": flow_id, "version": 7}),
    ):
        assert "7" in problem(response, 404)["detail"]


def test_an_execution_is_pinned_to_its_version(served, files):
    bare = flow(task("hold"), task("then", "first_edition"), conditions=[condition("hold", "then")])
    flow_id = served.register(bare)
    pinned = served.start(flow_id, files)
    bare["tasks"][1]["activity"] = "second_edition"
    assert served.post("/flows", bare).json()["version"] == 2
    Path(files["release"]).touch()
    latest, older = served.execute(flow_id, files), served.execute(flow_id, files, version=1)
    for execution, version, edition in (
        (served.ended(pinned), 1, "first edition"),
        (latest, 2, "second edition"),
        (older, 1, "first edition"),
    ):
        assert execution["flow_version"] == version
        assert execution["context"]["then_result"] == edition


def test_if_none_match_refuses_an_id_that_exists_and_changes_nothing(served):
    bare, only_new = chain("succeed"), {"If-None-Match": "*"}
    assert served.post("/flows", bare, only_new).status_code == 201
    for again in (bare, bare | {"name": "changed"}):
        assert bare["id"] in problem(served.post("/flows", again, only_new), 412)["detail"]
    shown = served.get(f"/flows/{bare['id']}").json()
    assert (shown["version"], shown["name"]) == (1, bare["name"])


def test_a_deleted_flow_is_gone_and_its_versions_are_not_used_again(served):
    bare = chain("succeed")
    path = f"/flows/{bare['id']}"
    served.register(bare)
    served.register(bare | {"name": "second"})
    response = served.client.delete(path)
    assert (response.status_code, response.content) == (204, b"")
    gone = [
        served.get(path),
        served.get(path, version=1),
        served.get(f"{path}/versions"),
        served.post("/flows/execute", {"flow_id": bare["id"]}),
        served.client.delete(path),
    ]
    for refused in gone:
        assert bare["id"] in problem(refused, 404)["detail"]
    assert bare["id"] not in ids(page_through(served, "/flows", limit=1000), "id")
    assert served.post("/flows", bare, {"If-None-Match": "*"}).json()["version"] == 3
    assert [v["version"] for v in served.get(f"{path}/versions").json()["items"]] == [3]


def test_executions_of_a_deleted_flow_go_on_and_stay_visible(served, files):
    flow_id = served.register(chain("hold", "succeed"))
    execution_id = served.start(flow_id, files)
    assert served.client.delete(f"/flows/{flow_id}").status_code == 204
    Path(files["release"]).touch()
    assert served.ended(execution_id)["status"] == "completed"
    assert ids(served.get("/executions", flow_id=flow_id).json()["items"]) == [execution_id]


def test_the_list_of_flows_has_each_once_in_order_with_its_latest_version(served):
    registered = {served.register(chain("succeed")) for _ in range(5)}
    changed = chain("succeed")
    served.register(changed)
    served.register(changed | {"name": "changed"})
    everything = page_through(served, "/flows", limit=1000)
    assert ids(everything, "id") == sorted(set(ids(everything, "id")))
    assert registered < set(ids(everything, "id"))
    for limit in (1, 3):
        assert page_through(served, "/flows", limit=limit) == everything
    found = next(item for item in everything if item["id"] == changed["id"])
    assert (found["version"], found["name"]) == (2, "changed")
    assert list(found) == ["id", "name", "description", "version", "registered_at"]


def test_metadata_and_descriptions_come_back_as_they_were_sent(served):
    metadata = {"team": "payments", "nested": {"list": [1, 2.5, None, "ü"]}}
    bare = chain("succeed") | {"description": "What for", "metadata": metadata}
    bare["tasks"][0] |= {"description": "Do it", "metadata": metadata}
    shown = served.get(f"/flows/{served.register(bare)}").json()
    assert (shown["description"], shown["metadata"]) == ("What for", metadata)
    assert shown["tasks"][0] == {
        "name": "succeed",
        "description": "Do it",
        "activity": "succeed",
        "metadata": metadata,
    }


ASK = {
    "name": "ask",
    "kind": "http",
    "request": {"url": "https://api.example.com/${context.id}", "headers": {"x-id": "1"}},
    "retry": {"maximum_attempts": 5},
    "output": "result.body",
}
FAN = {
    "name": "fan",
    "kind": "parallel",
    "timeout": 2.5,
    "branches": {
        "one": {"start_task": "wait", "tasks": [{"name": "wait", "kind": "wait", "seconds": 1.5}]}
    },
}

AFTER_ASK = {
    "name": "after",
    "source_task": "ask",
    "target_task_success": "fan",
    "when": "error == null",
}


def test_the_definition_of_a_flow_has_all_that_it_says(served):
    bare = flow(
        ASK,
        FAN,
        {"name": "succeed", "arguments": {"a": "${context.fan_result}"}},
        conditions=[AFTER_ASK],
        input={"required": ["id"]},
        output="context.fan_result",
        timeout=60.5,
    ) | {"finally": {"start_task": "succeed", "tasks": [{"name": "succeed"}]}}
    shown = served.get(f"/flows/{served.register(bare)}").json()
    assert shown["definition"] == bare
    assert list(shown)[-1] == "definition"


def test_a_task_that_runs_no_activity_is_shown_with_none(served):
    shown = served.get(f"/flows/{served.register(flow(ASK, FAN, task('succeed')))}").json()
    assert [each["activity"] for each in shown["tasks"]] == [None, None, "succeed"]


def test_the_definition_of_a_flow_is_that_of_its_version(served):
    bare = chain("succeed")
    served.register(bare)
    served.register(bare | {"name": "changed"})
    path = f"/flows/{bare['id']}"
    shown = [served.get(path, version=version).json() for version in (1, 2)]
    assert [each["definition"]["name"] for each in shown] == [bare["name"], "changed"]


RICH = [
    *(document for name in NAMES for document in documents(name)),
    *EXAMPLES,
    *(flow(a_task(kind), id=f"of-kind-{kind}") for kind in VALID),
    *(flow({"name": "t"} | each, id=f"also-{at}") for at, each in enumerate(ALSO_VALID.values())),
]


def test_the_definition_of_a_flow_can_be_registered_again_as_the_same_version(lenient):
    for name in ("1", "2", "3"):
        lenient.register(chain("succeed") | {"id": "other", "name": name})
    for document in RICH:
        path = f"/flows/{lenient.register(document)}"
        shown = lenient.get(path).json()
        for again in (shown["definition"], {"flow_data": {"flow": shown["definition"]}}):
            assert lenient.post("/flows", again).json()["version"] == shown["version"]
        assert lenient.get(path).json() == shown


# Validating.


def test_validating_a_good_flow_keeps_nothing(served):
    bare = chain("succeed")
    response = served.post("/flows/validate", {"flow": bare})
    assert response.status_code == 200
    assert response.json() == {"valid": True, "problems": [], "warnings": []}
    problem(served.get(f"/flows/{bare['id']}"), 404)


def test_validating_tells_all_problems_at_once_each_with_its_place(served):
    wrong = flow(task("a", "succeed"), task("b", "suceed"), start_task="c", nmae="x")
    wrong["conditions"] = [condition("a", "z", outcome="maybe")]
    report = served.post("/flows/validate", {"flow_data": {"flow": wrong}}).json()
    assert report["valid"] is False
    assert {(each["code"], each["pointer"]) for each in report["problems"]} == {
        ("unknown_field", "/flow_data/flow/nmae"),
        ("unknown_task", "/flow_data/flow/start_task"),
        ("unknown_activity", "/flow_data/flow/tasks/1/activity"),
        ("invalid_outcome", "/flow_data/flow/conditions/0/outcome"),
        ("unknown_task", "/flow_data/flow/conditions/0/target_task_success"),
    }
    for each in report["problems"]:
        assert list(each) == ["pointer", "code", "message", "hint"]
        assert each["message"]
    said = " ".join(f"{each['message']} {each['hint']}" for each in report["problems"]).lower()
    assert "did you mean 'name'?" in said
    assert "did you mean 'succeed'?" in said
    refused = problem(served.post("/flows", {"flow_data": {"flow": wrong}}), 400)
    assert refused["errors"] == report["problems"]


@pytest.mark.parametrize("media_type", ["application/yaml", "application/x-yaml", "text/yaml"])
def test_a_flow_can_be_sent_as_yaml(served, media_type):
    headers = {"Content-Type": f"{media_type}; charset=utf-8"}
    text = (
        "flow:\n  id: in-yaml\n  name: In YAML\n  start_task: a\n"
        "  tasks: [{name: a, activity: succeed}]\n  conditions: []\n"
    )
    report = served.client.post("/flows/validate", content=text, headers=headers)
    assert report.json()["valid"] is True
    registered = served.client.post("/flows", content=text, headers=headers)
    assert registered.status_code == 201
    asked = "flow_id: in-yaml\ncontext:\n  amount: 1.5\n"
    executed = served.client.post("/flows/execute", content=asked, headers=headers)
    assert executed.json()["status"] == "completed"
    wrong = served.client.post("/flows", content="name: x\ntasks: 2030-01-01", headers=headers)
    told = problem(wrong, 422)
    assert told["errors"][0]["pointer"] == "/tasks"
    assert "line 2" in told["detail"]


@pytest.mark.parametrize("path", ["/flows", "/flows/execute", "/executions/none/cancel"])
def test_a_body_that_is_said_to_be_compressed_is_refused_with_the_way_out(served, path):
    body, headers = gzip.compress(b"{}"), {"Content-Encoding": "gzip"}
    refused = problem(served.client.post(path, content=body, headers=headers), 422)
    assert "Content-Encoding: gzip" in refused["detail"]
    assert "send it as it is" in refused["detail"]
    plain = served.client.post("/flows", json=chain("succeed"), headers={"Content-Encoding": ""})
    assert plain.status_code == 201


def test_the_schema_of_flows_is_published(served):
    answer = served.get("/schema/flow.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/schema+json"
    jsonschema_rs.Draft202012Validator(answer.json()).validate(chain("succeed"))


def test_validating_tells_what_is_worth_a_look(served):
    tasks = [task(name, "succeed") for name in "ab"]
    conditions = [condition("a", "end", outcome="failure"), condition("a", "b")]
    report = served.post("/flows/validate", flow(*tasks, conditions=conditions)).json()
    assert report["valid"] is True
    codes = {warning["code"] for warning in report["warnings"]}
    assert {"unreachable_task", "unused_condition", "outcome_failure"} <= codes


def test_validating_tells_what_is_worth_a_look_also_beside_problems(served):
    conditions = [condition("a", "end"), condition("a", "end", outcome="failure")]
    wrong = flow(task("a", "suceed"), conditions=conditions)
    report = served.post("/flows/validate", wrong).json()
    assert report["valid"] is False
    assert [each["code"] for each in report["problems"]] == ["unknown_activity"]
    codes = {warning["code"] for warning in report["warnings"]}
    assert {"unused_condition", "outcome_failure"} <= codes


# Executing.


def test_an_inline_flow_is_run_and_not_kept(served):
    bare = chain("succeed")
    for sent in (bare, bare | {"name": "again"}):
        response = served.post("/flows/execute", {"flow": sent, "context": {"given": 1}})
        assert response.status_code == 200
        execution = response.json()
        assert (execution["flow_id"], execution["flow_version"]) == (bare["id"], 0)
        assert execution["context"] == {"given": 1, "succeed_result": "succeeded"}
        assert served.get(f"/executions/{execution['execution_id']}").json() == execution
    problem(served.get(f"/flows/{bare['id']}"), 404)


def test_an_inline_flow_with_problems_is_400_with_each_of_them(served):
    wrong = chain("succeed", "no_such_activity")
    refused = problem(served.post("/flows/execute", {"flow": wrong}), 400)
    assert refused["detail"].startswith("Flow validation error: ")
    assert [each["pointer"] for each in refused["errors"]] == ["/flow/tasks/1/name"]


def test_a_client_that_would_rather_not_wait_is_answered_at_once(served, files):
    flow_id = served.register(chain("hold"))
    body = {"flow_id": flow_id, "context": files}
    response = served.post("/flows/execute", body, {"Prefer": "respond-async"})
    assert response.status_code == 202
    execution = response.json()
    assert response.headers["location"] == f"/executions/{execution['execution_id']}"
    assert response.headers["preference-applied"] == "respond-async"
    assert (execution["status"], execution["current_task"]) == ("running", "hold")
    assert execution["end_time"] is None
    shown = served.client.get(response.headers["location"])
    assert shown.json()["status"] == "running"
    Path(files["release"]).touch()
    assert served.ended(execution["execution_id"])["status"] == "completed"


@pytest.mark.parametrize(
    "prefer",
    ["wait=0.05", "wait=0", 'wait="0.05"', "WAIT = 0.05", "wait=0.05; x=y", "x, wait=0.05"],
)
def test_a_client_can_bound_its_wait(served, files, prefer):
    body = {"flow_id": served.register(chain("hold")), "context": files}
    response = served.post("/flows/execute", body, {"Prefer": prefer})
    assert response.status_code == 202
    assert response.json()["status"] == "running"
    assert response.headers["location"] == f"/executions/{response.json()['execution_id']}"
    Path(files["release"]).touch()
    assert served.ended(response.json()["execution_id"])["status"] == "completed"


@pytest.mark.parametrize("prefer", ["wait=10", "respond-async, wait=10", "handling=lenient"])
def test_an_execution_that_ends_within_the_wait_is_200(served, prefer):
    body = {"flow_id": served.register(chain("succeed"))}
    response = served.post("/flows/execute", body, {"Prefer": prefer})
    assert response.status_code == 200
    assert response.json()["status"] == "completed"


def test_preferences_may_be_in_several_headers(served, files):
    body = json.dumps({"flow_id": served.register(chain("hold")), "context": files})
    headers = [("Prefer", "wait=0.05"), ("Prefer", "handling=lenient")]
    assert served.client.post("/flows/execute", content=body, headers=headers).status_code == 202
    Path(files["release"]).touch()


@pytest.mark.parametrize("headers", [{}, {"Prefer": "wait=60"}])
def test_the_server_bounds_every_wait_for_the_start(impatient, files, headers):
    body = {"flow_id": impatient.register(chain("hold")), "context": files}
    response = impatient.post("/flows/execute", body, headers)
    assert response.status_code == 202
    assert response.json()["status"] == "running"
    assert response.elapsed.total_seconds() < WAIT_LIMIT + 2
    Path(files["release"]).touch()


def test_the_server_bounds_every_wait_for_an_end(impatient, files):
    execution_id = begin(impatient, "clean_up_slowly", files)
    shown = impatient.get(f"/executions/{execution_id}", wait=60)
    assert shown.json()["status"] == "running"
    cancelled = cancel(impatient, execution_id, wait=60)
    assert cancelled.status_code == 202
    assert cancelled.json()["status"] == "cancelling"
    for response in (shown, cancelled):
        assert WAIT_LIMIT - 0.05 < response.elapsed.total_seconds() < WAIT_LIMIT + 2
    Path(files["release"]).touch()

    def has_ended() -> bool:
        return impatient.get(f"/executions/{execution_id}").json()["status"] == "cancelled"

    eventually(has_ended)


def test_showing_an_execution_can_wait_for_its_end(served, files):
    execution_id = served.start(served.register(chain("hold")), files)
    path = f"/executions/{execution_id}"
    for wait in (0, 0.05):
        assert served.get(path, wait=wait).json()["status"] == "running"
    with ThreadPoolExecutor(1) as others:
        waiting = others.submit(served.get, path, wait=10)
        Path(files["release"]).touch()
        ended = waiting.result()
    assert ended.json()["status"] == "completed"
    assert served.get(path, wait=10).text == ended.text


def test_a_client_that_goes_away_while_waiting_cancels_nothing(served, files):
    flow_id = served.register(chain("hold", "succeed"))
    body = json.dumps({"flow_id": flow_id, "context": files}).encode()
    head = f"POST /flows/execute HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    address = (served.process.host, served.process.port)
    for is_abrupt in (False, True):
        before = served.get("/health/ready").json()["live_executions"]
        connection = socket.create_connection(address)
        connection.sendall(head.encode() + body)

        def runs(more_than: int = before) -> bool:
            return bool(served.get("/health/ready").json()["live_executions"] > more_than)

        eventually(runs)
        if is_abrupt:  # RST instead of FIN
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.close()
    for execution_id in ids(served.get("/executions", flow_id=flow_id).json()["items"]):
        # Every answer is a turn of the server's loop, in which it could have seen the close.
        for _ in range(5):
            assert served.get(f"/executions/{execution_id}").json()["status"] == "running"
    Path(files["release"]).touch()
    for execution_id in ids(served.get("/executions", flow_id=flow_id).json()["items"]):
        assert served.ended(execution_id)["status"] == "completed"


# What went wrong.


def test_a_failed_execution_says_what_went_wrong_and_where(served):
    execution = served.run(chain("succeed", "fail"))
    assert execution["status"] == "failed"
    assert execution["error"] == {"type": "ValueError", "message": "asked to fail", "task": "fail"}
    assert execution["had_failures"] is True
    assert execution["cancellation"] is None


def test_a_completed_execution_has_no_error(served):
    tasks = [task("first", "fail"), task("second", "succeed")]
    execution = served.run(flow(*tasks, conditions=[condition("first", "end", "second")]))
    assert (execution["status"], execution["error"]) == ("completed", None)
    assert execution["had_failures"] is True


def test_a_result_that_json_would_change_is_a_failure_and_not_a_500(served):
    execution = served.run(chain("return_nan"))
    assert execution["status"] == "failed"
    assert "nan" in execution["error"]["message"]


def test_a_loop_runs_as_often_as_it_needs_to(served):
    tasks = [task("count"), task("check", "expect_count"), task("succeed")]
    conditions = [condition("count", "check"), condition("check", "succeed", "count")]
    execution = served.run(flow(*tasks, conditions=conditions, max_visits=5), {"wanted": 3})
    assert execution["status"] == "completed"
    assert execution["context"]["count_result"] == 3
    assert list(execution["task_results"]) == ["count", "check", "succeed"]
    started = [each for each in served.events(execution["execution_id"]) if "visit" in each]
    visits = [each["visit"] for each in started if each["type"] == "TaskStarted"]
    assert visits == [1, 1, 2, 2, 3, 3, 1]


def test_a_loop_that_does_not_end_is_bounded(served):
    conditions = [condition("count", "succeed"), condition("succeed", "count")]
    bare = flow(task("count"), task("succeed"), conditions=conditions, max_visits=4)
    execution = served.run(bare)
    assert execution["status"] == "failed"
    assert execution["error"]["type"] == "MaxVisitsExceeded"
    assert execution["error"]["task"] == "count"
    assert "4" in execution["error"]["message"]
    assert execution["context"]["count_result"] == 4


# Listing executions.


def test_paging_through_executions_finds_each_once_the_newest_first(served):
    flow_id = served.register(chain("succeed"))
    started = [served.execute(flow_id)["execution_id"] for _ in range(11)]
    newest_first = started[::-1]
    for limit in (1, 3, 10, 11, 12):
        listed = page_through(served, "/executions", flow_id=flow_id, limit=limit)
        assert ids(listed) == newest_first
    everything = page_through(served, "/executions", limit=4)
    assert len(set(ids(everything))) == len(everything)
    assert ids(everything)[:11] == newest_first
    times = [each["start_time"] for each in everything]
    assert times == sorted(times, reverse=True)


def test_executions_started_between_two_pages_neither_repeat_nor_hide_others(served):
    flow_id = served.register(chain("succeed"))
    started = [served.execute(flow_id)["execution_id"] for _ in range(6)]
    first = served.get("/executions", flow_id=flow_id, limit=3).json()
    for _ in range(4):
        served.execute(flow_id)
    rest = page_through(
        served, "/executions", flow_id=flow_id, limit=2, cursor=first["next_cursor"]
    )
    assert ids(first["items"] + rest) == started[::-1]


def test_executions_can_be_filtered_by_status_and_flow(served, files):
    bare = flow(task("first", "fail"), task("last", "succeed"))
    bare["conditions"] = [condition("first", "end", "last")]
    flow_id = served.register(bare)
    recovered = served.execute(flow_id)
    failed = served.run(chain("fail"))
    running = served.start(served.register(chain("hold")), files)
    stopped = begin(served, "stay", files)
    cancel(served, stopped, wait=10)
    found = {
        status: page_through(served, "/executions", status=status, limit=1000)
        for status in ("completed", "failed", "running", "cancelled", "cancelling", "pending")
    }
    for status, wanted in (
        ("completed", recovered["execution_id"]),
        ("failed", failed["execution_id"]),
        ("running", running),
        ("cancelled", stopped),
    ):
        assert wanted in ids(found[status])
    for status, items in found.items():
        assert {item["status"] for item in items} <= {status}
    both = served.get("/executions", status="failed", flow_id=flow_id).json()
    assert both == {"items": [], "next_cursor": None}
    (summary,) = served.get("/executions", status="completed", flow_id=flow_id).json()["items"]
    assert list(summary) == SUMMARY
    assert summary == {name: recovered[name] for name in SUMMARY}
    Path(files["release"]).touch()
    served.ended(running)


# Cancelling.


def test_cancelling_with_a_wait_answers_with_the_receipt_and_nothing_runs(served, files):
    execution_id = begin(served, "stay", files)
    response = cancel(served, execution_id, "no longer needed", wait=10)
    assert Path(files["ended"]).exists()  # the clean-up has run before the answer came
    assert response.status_code == 200
    execution = response.json()
    assert execution["status"] == "cancelled"
    assert execution["end_time"] is not None
    assert execution["error"] is None
    receipt = execution["cancellation"]
    assert list(receipt) == CANCELLATION
    assert receipt["reason"] == "no longer needed"
    requested = datetime.fromisoformat(receipt["requested_at"])
    assert requested <= datetime.fromisoformat(execution["end_time"])
    (line,) = receipt["tasks"]
    assert list(line) == RECEIPT
    assert (line["task"], line["attempt"], line["how"]) == ("stay", 1, "stopped")
    assert 0 <= line["seconds"] < 5
    assert served.get(f"/executions/{execution_id}").json() == execution


def test_cancelling_without_a_wait_is_accepted_and_ends_when_the_clean_up_has(served, files):
    execution_id = begin(served, "clean_up_slowly", files)
    response = cancel(served, execution_id)
    assert response.status_code == 202
    assert response.headers["location"] == f"/executions/{execution_id}"
    assert response.json()["status"] == "cancelling"
    assert response.json()["end_time"] is None
    receipt = response.json()["cancellation"]
    assert (receipt["reason"], receipt["tasks"]) == (None, [])
    assert served.get(f"/executions/{execution_id}").json()["status"] == "cancelling"
    listed = served.get("/executions", status="cancelling").json()["items"]
    assert execution_id in ids(listed)
    Path(files["release"]).touch()
    execution = served.ended(execution_id)
    assert execution["status"] == "cancelled"
    (line,) = execution["cancellation"]["tasks"]
    assert (line["task"], line["how"]) == ("clean_up_slowly", "stopped")


def test_a_wait_that_is_too_short_for_the_clean_up_is_answered_with_202(served, files):
    execution_id = begin(served, "clean_up_slowly", files)
    response = cancel(served, execution_id, wait=0.05)
    assert response.status_code == 202
    assert response.json()["status"] == "cancelling"
    Path(files["release"]).touch()
    assert served.ended(execution_id)["status"] == "cancelled"


def test_cancelling_twice_is_the_same_as_once(served, files):
    execution_id = begin(served, "clean_up_slowly", files)
    first = cancel(served, execution_id, "first").json()["cancellation"]
    second = cancel(served, execution_id, "second")
    assert second.status_code == 202
    assert second.json()["cancellation"] == first
    Path(files["release"]).touch()
    ended = served.ended(execution_id)
    again = cancel(served, execution_id, "third", wait=10)
    assert again.status_code == 200
    assert again.json() == ended
    kinds = [event["type"] for event in served.events(execution_id)]
    assert kinds.count("CancelRequested") == 1


def test_cancellations_at_the_same_time_are_one(served, files):
    execution_id = begin(served, "stay", files)
    with ThreadPoolExecutor(8) as others:
        reasons = [str(n) for n in range(8)]
        responses = list(others.map(lambda r: cancel(served, execution_id, r, wait=10), reasons))
    assert {response.status_code for response in responses} == {200}
    assert len({response.text for response in responses}) == 1


@pytest.mark.parametrize("activity", ["succeed", "fail"])
def test_cancelling_what_has_ended_is_409_and_changes_nothing(served, activity):
    ended = served.run(chain(activity))
    for wait in (None, 10):
        response = cancel(served, ended["execution_id"], "too late", wait)
        assert ended["status"] in problem(response, 409)["detail"]
    assert served.get(f"/executions/{ended['execution_id']}").json() == ended


def test_cancelling_what_does_not_exist_is_404(served):
    missing = new_id("missing")
    assert missing in problem(cancel(served, missing), 404)["detail"]


def test_a_task_that_wins_the_race_is_in_the_receipt_and_in_the_results(served, files):
    execution_id = served.start(served.register(chain("win_the_race", "succeed")), files)
    wait_for_file(Path(files["started"]))
    cancel(served, execution_id)
    Path(files["release"]).touch()
    execution = served.ended(execution_id)
    assert execution["status"] == "cancelled"
    (line,) = execution["cancellation"]["tasks"]
    assert (line["task"], line["how"]) == ("win_the_race", "finished")
    assert list(execution["task_results"]) == ["win_the_race"]
    assert execution["context"]["win_the_race_result"] == "won"


# The history.


def test_the_history_tells_what_happened_and_which_condition_decided(served):
    tasks = [task("first", "fail"), task("second", "succeed")]
    conditions = [
        condition("first", "second", "end", "failure"),
        condition("second", "end", "first", "success") | {"target_task_failure": "end"},
    ]
    execution = served.run(flow(*tasks, conditions=conditions), {"given": 1})
    events = served.events(execution["execution_id"])
    assert [each["seq"] for each in events] == list(range(1, len(events) + 1))
    times = [datetime.fromisoformat(each["at"]) for each in events]
    assert times == sorted(times)
    assert [each["type"] for each in events] == [
        "ExecutionStarted",
        "TaskStarted",
        "TaskFinished",
        "TaskStarted",
        "TaskFinished",
        "ExecutionCompleted",
    ]
    started, _, failed, _, succeeded, _ = events
    assert started["flow_id"] == execution["flow_id"]
    assert (started["flow_version"], started["start_task"]) == (1, "first")
    assert started["context"] == {"given": 1}
    assert failed["transition"] == {
        "condition": "after first",
        "matched": True,
        "target": "second",
    }
    assert succeeded["transition"] == {
        "condition": "after second",
        "matched": True,
        "target": "end",
    }
    assert (failed["task"], failed["visit"], failed["attempt"]) == ("first", 1, 1)
    assert (failed["outcome"], failed["result"]) == ("failure", None)
    assert failed["error"] == {"type": "ValueError", "message": "asked to fail"}
    assert (succeeded["outcome"], succeeded["result"]) == ("success", "succeeded")
    assert succeeded["error"] is None
    assert succeeded["seconds"] >= 0


def test_the_history_tells_when_no_condition_decided_or_the_other_target_was_taken(served):
    tasks = [task("first", "fail"), task("second", "fail")]
    execution = served.run(flow(*tasks, conditions=[condition("first", "end", "second")]))
    events = served.events(execution["execution_id"])
    transitions = [each["transition"] for each in events if each["type"] == "TaskFinished"]
    assert transitions == [
        {"condition": "after first", "matched": False, "target": "second"},
        {"condition": None, "matched": False, "target": "end"},
    ]
    assert events[-1]["type"] == "ExecutionFailed"
    assert events[-1]["task"] == "second"
    assert events[-1]["error"] == {"type": "ValueError", "message": "asked to fail"}


def test_the_history_of_a_cancelled_execution_has_the_receipt(served, files):
    execution_id = begin(served, "stay", files)
    cancel(served, execution_id, "because", wait=10)
    events = served.events(execution_id)
    assert [each["type"] for each in events] == [
        "ExecutionStarted",
        "TaskStarted",
        "CancelRequested",
        "TaskStopped",
        "ExecutionCancelled",
    ]
    assert events[2]["reason"] == "because"
    assert (events[3]["task"], events[3]["how"]) == ("stay", "stopped")


def test_the_history_of_an_inline_flow_has_its_definition(served):
    bare = chain("succeed")
    execution = served.post("/flows/execute", {"flow": bare}).json()
    started = served.events(execution["execution_id"])[0]
    assert started["definition"]["id"] == bare["id"]
    assert [each["name"] for each in started["definition"]["tasks"]] == ["succeed"]


def test_paging_through_the_history_finds_every_event_once_in_order(served):
    execution_id = served.run(chain("succeed", "keys", "return_nothing"))["execution_id"]
    everything = served.events(execution_id)
    for limit in (1, 2, 3, len(everything), 1000):
        path = f"/executions/{execution_id}/events"
        assert page_through(served, path, limit=limit) == everything


def test_the_history_of_what_does_not_exist_is_404(served):
    missing = new_id("missing")
    assert missing in problem(served.get(f"/executions/{missing}/events"), 404)["detail"]


# The catalogue, readiness and the documentation.


def test_the_catalogue_describes_every_activity_with_json_schemas(served):
    catalogue = served.get("/activities").json()["items"]
    found = {each["name"]: each for each in catalogue}
    assert {"task1", "task2", "task3", "succeed", "charge", "count_in_thread"} <= set(found)
    for each in catalogue:
        assert list(each) == ["name", "description", "isolation", "parameters", "result"]
    charge = found["charge"]
    assert charge["description"] == "Charge an order."
    assert charge["isolation"] == "task"
    assert charge["parameters"]["type"] == "object"
    assert list(charge["parameters"]["properties"]) == ["order", "amount"]
    assert charge["parameters"]["required"] == ["order"]
    assert charge["parameters"]["properties"]["amount"]["default"] == 2.5
    order = charge["parameters"]["$defs"]["Order"]
    assert order["properties"]["articles"] == {"type": "array", "items": {"type": "string"}}
    assert "Receipt" in json.dumps(charge["result"])
    assert found["count_in_thread"]["isolation"] == "thread"
    assert found["count_in_thread"]["result"] == {"type": "integer"}


def test_typed_activities_take_their_arguments_from_the_context(served):
    order = {"id": 7, "articles": ["pen", "ink"]}
    execution = served.run(chain("charge", "count_in_thread"), {"order": order, "amount": 1.5})
    assert execution["context"]["charge_result"] == {"order_id": 7, "total": 3.0}
    assert execution["context"]["count_in_thread_result"] == 2
    wrong = served.run(chain("charge"), {"order": {"id": "x"}})
    assert wrong["status"] == "failed"
    assert "order" in wrong["error"]["message"]


def test_readiness_names_the_backend_and_the_server(served):
    response = served.get("/health/ready")
    assert response.status_code == 200
    ready = response.json()
    assert (ready["status"], ready["backend"]) == ("ready", served.backend)
    assert "uvicorn" in ready["server"]
    assert ("trio guest run" in ready["server"]) is (served.backend == "trio")
    assert ready["journal"] == MEMORY
    assert ready["version"]
    assert ready["abandoned_executions"] == 0


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
def test_health_can_be_asked_for_without_a_body(served, path):
    answer = served.client.head(path)
    whole = served.get(path)
    assert (answer.status_code, answer.content) == (whole.status_code, b"")
    for name in ("content-type", "content-length"):
        assert answer.headers[name] == whole.headers[name]
    problem(served.client.post(path), 405)
    assert "head" not in served.get("/openapi.json").json()["paths"][path]


def test_readiness_counts_what_is_live(served, files):
    before = served.get("/health/ready").json()["live_executions"]
    execution_id = begin(served, "stay", files)
    assert served.get("/health/ready").json()["live_executions"] == before + 1
    cancel(served, execution_id, wait=10)
    assert served.get("/health/ready").json()["live_executions"] == before


def test_the_openapi_document_has_every_route(served):
    response = served.get("/openapi.json")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/json")
    document = response.json()
    assert document["openapi"].startswith("3.")
    routes = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert {
        ("post", "/flows"),
        ("get", "/flows"),
        ("get", "/flows/{flow_id}"),
        ("delete", "/flows/{flow_id}"),
        ("get", "/flows/{flow_id}/versions"),
        ("post", "/flows/validate"),
        ("post", "/flows/execute"),
        ("get", "/executions"),
        ("get", "/executions/{execution_id}"),
        ("post", "/executions/{execution_id}/cancel"),
        ("get", "/executions/{execution_id}/events"),
        ("get", "/activities"),
        ("get", "/health"),
        ("get", "/health/ready"),
    } <= routes
    assert not {path for _, path in routes if path.startswith(("/docs", "/assets", "/openapi"))}
    for method, path in routes:
        assert document["paths"][path][method]["summary"]


def test_the_documentation_loads_nothing_from_another_host(served):
    page = served.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    loaded = re.findall(r"""(?:src|href)\s*=\s*["']([^"']+)""", page.text)
    assert any(address.endswith(".js") for address in loaded)
    for address in loaded:
        assert re.match(r"/\w", address), address
        asset = served.get(address)
        assert asset.status_code == 200
        assert asset.content
        if address.endswith(".css"):
            assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", asset.text)
    assert not re.search(r"(url\(|@import|import\()\s*[\"']?(https?:)?//", page.text)


# What is not there.

NOT_THERE = [
    ("GET", "/"),
    ("GET", "/hello/User"),
    ("GET", "/flow"),
    ("POST", "/flows/x/y"),
    ("GET", "/executions/x/nothing"),
    ("GET", "/assets/nothing.js"),
    ("GET", "/docs/nothing"),
]
NOT_POSSIBLE = [
    ("PUT", "/flows", "GET"),
    ("DELETE", "/flows", "POST"),
    ("PATCH", "/flows/x", "DELETE"),
    ("GET", "/flows/validate", "POST"),
    ("GET", "/flows/execute", "POST"),
    ("PATCH", "/executions/x", "DELETE"),
    ("GET", "/executions/x/cancel", "POST"),
    ("POST", "/health", "GET"),
    ("POST", "/openapi.json", "GET"),
]


@pytest.mark.parametrize(("method", "path"), NOT_THERE)
def test_a_path_that_is_not_there_is_a_problem_that_names_it(served, method, path):
    assert repr(path) in problem(served.client.request(method, path), 404)["detail"]


@pytest.mark.parametrize(("method", "path", "possible"), NOT_POSSIBLE)
def test_a_method_that_is_not_possible_is_a_problem_that_says_which_are(
    served, method, path, possible
):
    response = served.client.request(method, path)
    detail = problem(response, 405)["detail"]
    assert method in detail
    assert possible in detail
    assert possible in response.headers["allow"]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/flows", "GET, OPTIONS, POST"),
        ("/flows/x", "DELETE, GET, OPTIONS"),
        ("/flows/execute", "OPTIONS, POST"),
        ("/executions/x", "DELETE, GET, OPTIONS"),
        ("/health", "GET, HEAD, OPTIONS"),
    ],
)
def test_options_names_every_method_that_a_path_has(served, path, methods):
    answer = served.client.request("OPTIONS", path)
    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, methods, b"")


def test_every_problem_has_a_type_that_programs_can_rely_on(served):
    running = served.run(chain("succeed"))["execution_id"]
    bare = chain("succeed")
    served.register(bare)
    kinds = [
        problem(response, status)["type"]
        for response, status in (
            (served.post("/flows", {"flow": {}}), 400),
            (served.client.post("/flows", content="{"), 422),
            (served.get("/flows/none"), 404),
            (served.get("/executions/none"), 404),
            (cancel(served, running), 409),
            (served.post("/flows", bare, {"If-None-Match": "*"}), 412),
        )
    ]
    assert kinds == [
        f"urn:flowmgr:problem:{name}"
        for name in (
            "invalid-flow",
            "unreadable-document",
            "flow-not-found",
            "execution-not-found",
            "execution-ended",
            "flow-exists",
        )
    ]


def test_many_executions_at_once_all_complete(served):
    flow_id = served.register(EXAMPLE | {"flow": EXAMPLE["flow"] | {"id": new_id()}})
    began = time.monotonic()
    started = [served.start(flow_id, {"n": n}) for n in range(100)]
    executions = [served.ended(execution_id) for execution_id in started]
    assert time.monotonic() - began < 10  # one after the other it would be a minute
    assert {execution["status"] for execution in executions} == {"completed"}
    assert [execution["context"]["n"] for execution in executions] == list(range(100))
