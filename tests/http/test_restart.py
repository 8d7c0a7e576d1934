"""What a server remembers after it was started again on the same database, or after a while."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.flowmgr_server import (
    BACKENDS,
    chain,
    condition,
    eventually,
    flow,
    new_id,
    serving,
    task,
)
from tests.support.rest import execute_once, executions_of, is_replay, problem, rerun_once


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("is_killed", [False, True])
def test_after_a_restart_the_key_still_leads_to_its_execution(backend, is_killed, tmp_path, files):
    journal = ("--journal", f"sqlite:{tmp_path}/flowmgr.db", "--grace", "0.2")
    key = new_id("key")
    with serving(backend, *journal, is_killed=is_killed) as served:
        body = {"flow_id": served.register(chain("hold", "succeed")), "context": files}
        first = execute_once(served, key, body, Prefer="respond-async")
        assert first.status_code == 202
    Path(files["release"]).touch()
    with serving(backend, *journal) as served:
        again = execute_once(served, key, body)
        assert (again.status_code, is_replay(again)) == (200, True)
        assert again.json()["execution_id"] == first.json()["execution_id"]
        assert again.json()["status"] == "completed"
        assert len(executions_of(served, body["flow_id"])) == 1
        problem(execute_once(served, key, body | {"context": {}}), 422)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("is_killed", [False, True])
def test_after_a_restart_the_key_of_a_rerun_is_known(backend, is_killed, tmp_path):
    journal = ("--journal", f"sqlite:{tmp_path}/flowmgr.db", "--grace", "0.2")
    key = new_id("key")
    with serving(backend, *journal, is_killed=is_killed) as served:
        first = served.run(chain("succeed"))
        again = rerun_once(served, first["execution_id"], key, {"context": {"a": 1}})
        assert not is_replay(again)
    with serving(backend, *journal) as served:
        body = {"context": {"a": 1}}
        same = rerun_once(served, first["execution_id"], key, body, Prefer="wait=10")
        assert (same.status_code, is_replay(same)) == (200, True)
        assert same.json()["execution_id"] == again.json()["execution_id"]
        assert same.json()["status"] == "completed"
        problem(rerun_once(served, first["execution_id"], key, None), 422)
        assert len(executions_of(served, first["flow_id"])) == 2


def test_a_key_ends_with_its_time():
    with serving("asyncio", "--key-ttl", "1s") as served:
        body = {"flow_id": served.register(chain("succeed"))}
        key = new_id("key")

        def is_forgotten() -> bool:
            return not is_replay(execute_once(served, key, body))

        assert is_forgotten()
        assert not is_forgotten()
        eventually(is_forgotten)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("is_killed", [False, True])
def test_after_a_restart_signals_are_kept_and_their_keys_known(backend, is_killed, tmp_path, files):
    journal = ("--journal", f"sqlite:{tmp_path}/flowmgr.db", "--grace", "0.2")
    waits = [{"name": name, "kind": "signal", "signal": "go"} for name in ("one", "two")]
    steps = [condition("hold", "one"), condition("one", "two")]
    document = flow(task("hold"), *waits, conditions=steps)

    def sent(key: str, value: int, wait: str) -> bool:
        headers = {"Idempotency-Key": key, "Prefer": f"wait={wait}"}
        response = served.post(f"/executions/{execution_id}/signals/go", value, headers)
        assert response.status_code in {200, 202}, response.text
        return not is_replay(response)

    with serving(backend, *journal, is_killed=is_killed) as served:
        execution_id = served.start(served.register(document), files)
        assert sent("early", 1, "0")
    Path(files["release"]).touch()
    with serving(backend, *journal, is_killed=is_killed) as served:
        assert not sent("early", 1, "0")
        eventually(lambda: served.events(execution_id)[-1]["type"] == "ExecutionParked")
    with serving(backend, *journal) as served:
        assert sent("late", 2, "10")
        context = served.ended(execution_id)["context"]
        assert (context["one_result"], context["two_result"]) == (1, 2)
        assert not sent("late", 2, "0")


@pytest.mark.parametrize("backend", BACKENDS)
def test_after_a_restart_a_parked_execution_has_the_same_tree(backend, tmp_path):
    journal = ("--journal", f"sqlite:{tmp_path}/flowmgr.db", "--grace", "0.2")
    with serving(backend, *journal, is_killed=True) as served:
        execution_id = served.start(served.register(flow({"name": "go", "kind": "signal"})))
        # The journal shows that it is parked a moment before it is gone from memory.
        eventually(lambda: served.get(f"/executions/{execution_id}/tree").json()["is_parked"])
        tree = served.get(f"/executions/{execution_id}/tree").json()
    with serving(backend, *journal) as served:
        assert served.get(f"/executions/{execution_id}/tree").json() == tree
        assert len(served.events(execution_id)) == 4
