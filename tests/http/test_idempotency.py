"""Of several equal requests with one key, one starts an execution."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.flowmgr_server import chain, new_id
from tests.support.rest import (
    EACH_JOURNAL,
    execute_once,
    executions_of,
    ids,
    is_replay,
    problem,
    rerun_once,
)

DUPLICATES = 100


pytestmark = EACH_JOURNAL


def test_an_equal_request_with_the_key_is_answered_with_the_same_execution(served):
    body = {"flow_id": served.register(chain("succeed")), "context": {"a": 1, "b": [2]}}
    key = new_id("key")
    first = execute_once(served, key, body)
    assert (first.status_code, is_replay(first)) == (200, False)
    reordered = {"context": {"b": [2], "a": 1}, "flow_id": body["flow_id"]}
    for again in (execute_once(served, key, body), execute_once(served, key, reordered)):
        assert (again.status_code, is_replay(again)) == (200, True)
        assert again.json() == first.json()
    at_once = execute_once(served, key, body, Prefer="respond-async")
    assert (at_once.status_code, is_replay(at_once)) == (200, True)
    assert ids(executions_of(served, body["flow_id"])) == [first.json()["execution_id"]]


def test_no_context_and_an_empty_one_are_the_same_request(served):
    flow_id, key = served.register(chain("succeed")), new_id("key")
    first = execute_once(served, key, {"flow_id": flow_id})
    for more in ({"context": None}, {"context": {}}, {"metadata": {}, "context": {}}):
        again = execute_once(served, key, {"flow_id": flow_id} | more)
        assert (again.status_code, is_replay(again)) == (200, True)
        assert again.json() == first.json()
    for more in ({"context": {"a": None}}, {"context": {}, "metadata": {"a": 1}}):
        problem(execute_once(served, key, {"flow_id": flow_id} | more), 422)


def test_a_request_that_is_repeated_while_it_runs_waits_as_the_first_one_does(served, files):
    body = {"flow_id": served.register(chain("hold")), "context": files}
    key = new_id("key")
    started = execute_once(served, key, body, Prefer="respond-async")
    short = execute_once(served, key, body, Prefer="wait=0.05")
    for answer in (started, short):
        assert answer.status_code == 202
        assert answer.headers["location"] == f"/executions/{started.json()['execution_id']}"
        assert answer.json()["status"] == "running"
    assert [is_replay(answer) for answer in (started, short)] == [False, True]
    with ThreadPoolExecutor(1) as others:
        waiting = others.submit(execute_once, served, key, body)
        Path(files["release"]).touch()
        ended = waiting.result()
    assert (ended.status_code, ended.json()["status"]) == (200, "completed")
    assert ended.json()["execution_id"] == started.json()["execution_id"]


@pytest.mark.parametrize("prefer", ["wait=10", "respond-async"])
def test_a_hundred_duplicates_at_once_are_one_execution(served, prefer):
    body = {"flow_id": served.register(chain("succeed"))}
    key = new_id("key")
    with ThreadPoolExecutor(DUPLICATES) as others:
        sent = [
            others.submit(execute_once, served, key, body, Prefer=prefer) for _ in range(DUPLICATES)
        ]
        answers = [each.result() for each in sent]
    assert {answer.status_code for answer in answers} <= {200, 202}
    assert len({answer.json()["execution_id"] for answer in answers}) == 1
    assert [is_replay(answer) for answer in answers].count(False) == 1
    assert len(executions_of(served, body["flow_id"])) == 1


def test_another_request_with_the_key_is_422_and_starts_nothing(served):
    flow_id = served.register(chain("succeed"))
    body = {"flow_id": flow_id, "context": {"a": 1}, "metadata": {"order": 1}}
    key = new_id("key")
    execute_once(served, key, body)
    for other in (
        {"flow_id": flow_id},
        body | {"context": {"a": 2}},
        body | {"version": 1},
        body | {"metadata": {"order": 2}},
    ):
        refused = problem(execute_once(served, key, other), 422)
        assert refused["type"] == "urn:flowmgr:problem:key-reused"
        assert f"'{key}'" in refused["detail"]
        assert "use a new key" in refused["detail"]
    assert len(executions_of(served, flow_id)) == 1


def test_a_key_belongs_to_its_flow_and_inline_flows_share_their_keys(served):
    key = new_id("key")
    bodies = [{"flow_id": served.register(chain("succeed"))} for _ in range(2)]
    assert not any(is_replay(execute_once(served, key, body)) for body in bodies)
    inline = {"flow": chain("succeed")}
    first, again = (execute_once(served, key, inline) for _ in range(2))
    assert first.json()["execution_id"] == again.json()["execution_id"]
    problem(execute_once(served, key, {"flow": chain("succeed")}), 422)


@pytest.mark.parametrize("key", ["k", "x" * 255, '"quoted"', "a b", "!#~{}"])
def test_a_key_is_any_printable_ascii(served, key):
    body = {"flow_id": served.register(chain("succeed"))}
    answers = [execute_once(served, key, body) for _ in range(2)]
    assert [is_replay(answer) for answer in answers] == [False, True]


def test_a_key_of_a_request_that_was_refused_is_not_taken(served):
    flow_id = new_id()
    key = new_id("key")
    problem(execute_once(served, key, {"flow_id": flow_id}), 404)
    served.register(chain("succeed") | {"id": flow_id})
    assert not is_replay(execute_once(served, key, {"flow_id": flow_id}))


# Running again.


def test_an_equal_rerun_with_the_key_is_answered_with_the_same_execution(served):
    first, key = served.run(chain("succeed")), new_id("key")
    execution_id = first["execution_id"]
    again = rerun_once(served, execution_id, key, {"by": "ada"}, Prefer="wait=10")
    assert (again.status_code, is_replay(again)) == (200, False)
    assert again.json()["rerun_of"] == execution_id
    for body in (None, {}, {"context": {}}, {"context": None, "by": "bob"}):
        for prefer in ("wait=10", "respond-async"):
            same = rerun_once(served, execution_id, key, body, Prefer=prefer)
            assert (same.status_code, is_replay(same)) == (200, True)
            assert same.json() == again.json()
    assert len(executions_of(served, first["flow_id"])) == 2
    assert not is_replay(rerun_once(served, execution_id, new_id("key"), None, Prefer="wait=10"))


def test_a_rerun_that_is_repeated_while_it_runs_waits_as_the_first_one_does(served, files):
    document = chain("hold")
    Path(files["release"]).touch()
    execution_id = served.run(document, files)["execution_id"]
    Path(files["release"]).unlink()
    key = new_id("key")
    sent = [rerun_once(served, execution_id, key, None, Prefer="wait=0.05") for _ in range(2)]
    assert [(each.status_code, is_replay(each)) for each in sent] == [(202, False), (202, True)]
    assert sent[0].headers["location"] == sent[1].headers["location"]
    Path(files["release"]).touch()
    ended = rerun_once(served, execution_id, key, None, Prefer="wait=10")
    assert (ended.status_code, is_replay(ended)) == (200, True)
    assert ended.json()["status"] == "completed"


def test_many_equal_reruns_at_once_are_one_execution(served):
    first, key = served.run(chain("succeed")), new_id("key")

    def rerun() -> httpx.Response:
        return rerun_once(served, first["execution_id"], key, None, Prefer="wait=10")

    with ThreadPoolExecutor(DUPLICATES) as others:
        answers = [each.result() for each in [others.submit(rerun) for _ in range(DUPLICATES)]]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["execution_id"] for answer in answers}) == 1
    assert [is_replay(answer) for answer in answers].count(False) == 1
    assert len(executions_of(served, first["flow_id"])) == 2


def test_another_rerun_with_the_key_is_422_and_starts_nothing(served):
    first, key = served.run(chain("succeed")), new_id("key")
    execution_id = first["execution_id"]
    rerun_once(served, execution_id, key, {"context": {"a": 1}})
    for other in (None, {"context": {"a": 2}}, {"context": {"a": 1}, "version": 1}):
        refused = problem(rerun_once(served, execution_id, key, other), 422)
        assert refused["type"] == "urn:flowmgr:problem:key-reused"
        assert f"'{key}'" in refused["detail"]
        assert f"rerun execution '{execution_id}'" in refused["detail"]
    assert len(executions_of(served, first["flow_id"])) == 2


def test_openapi_has_the_key_of_a_rerun(served):
    paths = served.get("/openapi.json").json()["paths"]
    described = paths["/executions/{execution_id}/rerun"]["post"]
    names = {each["name"] for each in described["parameters"]}
    assert names == {"execution_id", "Prefer", "Idempotency-Key"}
    for status in ("200", "202"):
        assert "Idempotency-Replayed" in described["responses"][status]["headers"]
    retry = paths["/executions/{execution_id}/retry"]["post"]
    assert "Idempotency-Key" not in {each["name"] for each in retry["parameters"]}
