"""Of several equal requests with one key, one starts an execution."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.flowmgr_server import BACKENDS, Served, chain, eventually, new_id, serving
from tests.support.rest import ids, page_through, problem

DUPLICATES = 100


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def journal(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "memory":
        return "memory"
    return f"sqlite:{tmp_path_factory.mktemp('journal') / 'flowmgr.db'}"


@pytest.fixture(scope="module", params=BACKENDS)
def served(request: pytest.FixtureRequest, journal: str) -> Iterator[Served]:
    """A server on each backend with each journal."""
    with serving(request.param, "--journal", journal) as running:
        yield running


def execute(served: Served, key: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    return served.post("/flows/execute", body, {"Idempotency-Key": key} | headers)


def executions(served: Served, flow_id: str) -> list[dict[str, Any]]:
    return page_through(served, "/executions", flow_id=flow_id, limit=1000)


def is_replay(response: httpx.Response) -> bool:
    assert response.headers.get("idempotency-replayed", "true") == "true"
    return "idempotency-replayed" in response.headers


def test_an_equal_request_with_the_key_is_answered_with_the_same_execution(served):
    body = {"flow_id": served.register(chain("succeed")), "context": {"a": 1, "b": [2]}}
    key = new_id("key")
    first = execute(served, key, body)
    assert (first.status_code, is_replay(first)) == (200, False)
    reordered = {"context": {"b": [2], "a": 1}, "flow_id": body["flow_id"]}
    for again in (execute(served, key, body), execute(served, key, reordered)):
        assert (again.status_code, is_replay(again)) == (200, True)
        assert again.json() == first.json()
    at_once = execute(served, key, body, Prefer="respond-async")
    assert (at_once.status_code, is_replay(at_once)) == (200, True)
    assert ids(executions(served, body["flow_id"])) == [first.json()["execution_id"]]


def test_a_request_that_is_repeated_while_it_runs_waits_as_the_first_one_does(served, files):
    body = {"flow_id": served.register(chain("hold")), "context": files}
    key = new_id("key")
    started = execute(served, key, body, Prefer="respond-async")
    short = execute(served, key, body, Prefer="wait=0.05")
    for answer in (started, short):
        assert answer.status_code == 202
        assert answer.headers["location"] == f"/executions/{started.json()['execution_id']}"
        assert answer.json()["status"] == "running"
    assert [is_replay(answer) for answer in (started, short)] == [False, True]
    with ThreadPoolExecutor(1) as others:
        waiting = others.submit(execute, served, key, body)
        Path(files["release"]).touch()
        ended = waiting.result()
    assert (ended.status_code, ended.json()["status"]) == (200, "completed")
    assert ended.json()["execution_id"] == started.json()["execution_id"]


@pytest.mark.parametrize("prefer", ["wait=10", "respond-async"])
def test_a_hundred_duplicates_at_once_are_one_execution(served, prefer):
    body = {"flow_id": served.register(chain("succeed"))}
    key = new_id("key")
    with ThreadPoolExecutor(DUPLICATES) as others:
        sent = [others.submit(execute, served, key, body, Prefer=prefer) for _ in range(DUPLICATES)]
        answers = [each.result() for each in sent]
    assert {answer.status_code for answer in answers} <= {200, 202}
    assert len({answer.json()["execution_id"] for answer in answers}) == 1
    assert [is_replay(answer) for answer in answers].count(False) == 1
    assert len(executions(served, body["flow_id"])) == 1


def test_another_request_with_the_key_is_422_and_starts_nothing(served):
    flow_id = served.register(chain("succeed"))
    body = {"flow_id": flow_id, "context": {"a": 1}, "metadata": {"order": 1}}
    key = new_id("key")
    execute(served, key, body)
    for other in (
        {"flow_id": flow_id},
        body | {"context": {"a": 2}},
        body | {"version": 1},
        body | {"metadata": {"order": 2}},
    ):
        refused = problem(execute(served, key, other), 422)
        assert refused["type"] == "urn:flowmgr:problem:key-reused"
        assert f"'{key}'" in refused["detail"]
        assert "use a new key" in refused["detail"]
    assert len(executions(served, flow_id)) == 1


def test_a_key_belongs_to_its_flow_and_inline_flows_share_their_keys(served):
    key = new_id("key")
    bodies = [{"flow_id": served.register(chain("succeed"))} for _ in range(2)]
    assert not any(is_replay(execute(served, key, body)) for body in bodies)
    inline = {"flow": chain("succeed")}
    first, again = (execute(served, key, inline) for _ in range(2))
    assert first.json()["execution_id"] == again.json()["execution_id"]
    problem(execute(served, key, {"flow": chain("succeed")}), 422)


@pytest.mark.parametrize("key", ["k", "x" * 255, '"quoted"', "a b", "!#~{}"])
def test_a_key_is_any_printable_ascii(served, key):
    body = {"flow_id": served.register(chain("succeed"))}
    answers = [execute(served, key, body) for _ in range(2)]
    assert [is_replay(answer) for answer in answers] == [False, True]


def test_a_key_of_a_request_that_was_refused_is_not_taken(served):
    flow_id = new_id()
    key = new_id("key")
    problem(execute(served, key, {"flow_id": flow_id}), 404)
    served.register(chain("succeed") | {"id": flow_id})
    assert not is_replay(execute(served, key, {"flow_id": flow_id}))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("is_killed", [False, True])
def test_after_a_restart_the_key_still_leads_to_its_execution(backend, is_killed, tmp_path, files):
    journal = ("--journal", f"sqlite:{tmp_path}/flowmgr.db", "--grace", "0.2")
    key = new_id("key")
    with serving(backend, *journal, is_killed=is_killed) as served:
        body = {"flow_id": served.register(chain("hold", "succeed")), "context": files}
        first = execute(served, key, body, Prefer="respond-async")
        assert first.status_code == 202
    Path(files["release"]).touch()
    with serving(backend, *journal) as served:
        again = execute(served, key, body)
        assert (again.status_code, is_replay(again)) == (200, True)
        assert again.json()["execution_id"] == first.json()["execution_id"]
        assert again.json()["status"] == "completed"
        assert len(executions(served, body["flow_id"])) == 1
        problem(execute(served, key, body | {"context": {}}), 422)


def test_a_key_ends_with_its_time():
    with serving("asyncio", "--key-ttl", "1s") as served:
        body = {"flow_id": served.register(chain("succeed"))}
        key = new_id("key")

        def is_forgotten() -> bool:
            return not is_replay(execute(served, key, body))

        assert is_forgotten()
        assert not is_forgotten()
        eventually(is_forgotten)
