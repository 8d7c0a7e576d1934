"""The tree of an execution over HTTP and on the command line, on each journal."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from click.testing import CliRunner

from tests.support.flowmgr_server import Served, chain, eventually, flow, new_id
from tests.support.rest import EACH_JOURNAL, cancel, problem
from web.cli import main

pytestmark = EACH_JOURNAL

SIGNAL = {"name": "ask", "kind": "signal", "signal": "answer"}
LONG = {"name": "long", "kind": "wait", "until": "2096-10-02T07:06:40Z"}


def body(task: dict[str, Any]) -> dict[str, Any]:
    return {"start_task": task["name"], "tasks": [task], "conditions": []}


def branches() -> dict[str, Any]:
    """Return a flow with a branch that waits for each thing that can be waited for."""
    retry = {"name": "fail", "retry": {"maximum_attempts": 2, "initial_interval": 1000}}
    items = {"name": "each", "kind": "map", "items": [1, 2, 3], "do": body(SIGNAL)}
    items["max_concurrency"] = 2
    fork = {
        "name": "fork",
        "kind": "parallel",
        "timeout": 3600,
        "branches": {"clock": body(LONG), "again": body(retry), "items": body(items)},
    }
    return flow(fork)


def tree_of(served: Served, execution_id: str) -> dict[str, Any]:
    response = served.get(f"/executions/{execution_id}/tree")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def parked(served: Served) -> str:
    execution_id = served.start(served.register(branches()))
    eventually(lambda: served.events(execution_id)[-1]["type"] == "ExecutionParked")
    return execution_id


def check_branches(tree: dict[str, Any]) -> None:
    assert (tree["status"], tree["compensation"], tree["finally"]) == ("running", None, None)
    assert list(tree["scope"]) == ["path", "status", "task", "error"]
    task = tree["scope"]["task"]
    assert list(task) == [
        *("name", "path", "since", "visit", "attempt", "deadline"),
        *("waits_for", "scopes", "unlisted"),
    ]
    assert (task["name"], task["path"], task["visit"], task["attempt"]) == ("fork", "/fork", 1, 1)
    begun, ends = (datetime.fromisoformat(task[name]) for name in ("since", "deadline"))
    assert 3599.999 < (ends - begun).total_seconds() < 3600.001
    assert task["waits_for"] == {
        "kind": "scopes",
        "total": 3,
        "open": 3,
        "succeeded": 0,
        "failed": 0,
        "stopped": 0,
        "unopened": 0,
    }
    scopes = {scope["path"]: scope["task"] for scope in task["scopes"]}
    assert scopes["/fork/clock"]["waits_for"] == {
        "kind": "timer",
        "due": "2096-10-02T07:06:40.000000+00:00",
    }
    again = scopes["/fork/again"]["waits_for"]
    assert (again["kind"], again["error"]["type"]) == ("retry", "ValueError")
    items = scopes["/fork/items"]
    assert (items["waits_for"]["open"], items["waits_for"]["unopened"]) == (2, 1)
    assert items["scopes"][0]["task"]["path"] == "/fork/items/each/0/ask"
    assert items["scopes"][0]["task"]["waits_for"] == {"kind": "signal", "name": "answer"}


def test_the_tree_of_a_parked_execution_shows_what_every_scope_waits_for(served):
    execution_id = parked(served)
    tree = tree_of(served, execution_id)
    check_branches(tree)
    assert tree["is_parked"] is True
    assert tree_of(served, execution_id) == tree
    assert served.events(execution_id)[-1]["type"] == "ExecutionParked"
    cancel(served, execution_id, wait=10)


def test_the_tree_of_an_execution_that_has_ended(served):
    completed = tree_of(served, served.run(chain("succeed"))["execution_id"])
    assert completed["scope"] == {"path": "", "status": "completed", "task": None, "error": None}
    failed = tree_of(served, served.run(chain("succeed", "fail"))["execution_id"])
    assert (failed["scope"]["status"], failed["scope"]["task"]["name"]) == ("failed", "fail")


def test_the_tree_names_the_executions_of_sub_flows(served):
    waits = flow(SIGNAL)
    inner = served.register(waits)
    one = {"name": "one", "kind": "flow", "flow": inner}
    each = {"name": "each", "kind": "map", "items": [1, 2], "flow": inner}
    fork = {"name": "fork", "kind": "parallel", "branches": {"a": body(one), "b": body(each)}}
    execution_id = served.start(served.register(flow(fork)))
    children = eventually(lambda: found_in(served, inner, 3))
    tree = tree_of(served, execution_id)
    left, right = tree["scope"]["task"]["scopes"]
    tasks = [left["task"], *(scope["task"] for scope in right["task"]["scopes"])]
    named = {task["path"]: task["waits_for"] for task in tasks}
    assert {wait["kind"] for wait in named.values()} == {"flow"}
    assert {wait["execution_id"] for wait in named.values()} == set(children)
    for path, wait in named.items():
        started = served.events(wait["execution_id"])[0]
        assert (started["parent"], started["parent_task"]) == (execution_id, path)
    environment = {"FLOWMGR_URL": served.process.url}
    drawn = CliRunner().invoke(main, ["executions", "tree", execution_id], env=environment)
    assert f"waits for execution {named['/fork/a/one']['execution_id']}" in drawn.output
    cancel(served, execution_id, wait=10)


def found_in(served: Served, flow_id: str, number: int) -> list[str] | None:
    """Return the executions of a flow if there are so many and all of them wait."""
    found = served.get("/executions", flow_id=flow_id).json()["items"]
    executions = [each["execution_id"] for each in found]
    trees = [tree_of(served, each)["scope"] for each in executions]
    is_waiting = all(scope["status"] == "waiting" for scope in trees)
    return executions if len(executions) == number and is_waiting else None


def test_there_is_no_tree_of_an_unknown_execution(served):
    missing = new_id("missing")
    assert missing in problem(served.get(f"/executions/{missing}/tree"), 404)["detail"]


def test_the_tree_is_drawn_on_the_terminal(served):
    execution_id = parked(served)
    environment = {"FLOWMGR_URL": served.process.url}
    drawn = CliRunner().invoke(main, ["executions", "tree", execution_id], env=environment)
    assert drawn.exit_code == 0, drawn.output
    lines = drawn.output.splitlines()
    assert lines[0].split()[0] == execution_id
    assert lines[0].rstrip().endswith("running (parked)")
    assert "fork, since" in lines[1]
    assert "waits for 3 scopes: 3 open, 0 succeeded" in lines[1]
    text = drawn.output
    assert "clock waiting" in text
    assert "waits for 2096-10-0" in text
    assert "waits for its next attempt at" in text
    assert "2 open, 0 succeeded, 1 still to be opened" in text
    assert text.count("waits for signal answer") == 2
    as_json = CliRunner().invoke(
        main, ["executions", "tree", execution_id, "--json"], env=environment
    )
    assert '"is_parked": true' in as_json.output
    cancel(served, execution_id, wait=10)


def test_openapi_has_the_tree(served):
    document = served.get("/openapi.json").json()
    described = document["paths"]["/executions/{execution_id}/tree"]["get"]
    assert described["summary"]
    assert "finally" in document["components"]["schemas"]["TreeResource"]["properties"]
