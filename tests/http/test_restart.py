"""What a server remembers after it was started again on the same database, or after a while."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.flowmgr_server import BACKENDS, chain, eventually, new_id, serving
from tests.support.rest import execute_once, executions_of, is_replay, problem


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


def test_a_key_ends_with_its_time():
    with serving("asyncio", "--key-ttl", "1s") as served:
        body = {"flow_id": served.register(chain("succeed"))}
        key = new_id("key")

        def is_forgotten() -> bool:
            return not is_replay(execute_once(served, key, body))

        assert is_forgotten()
        assert not is_forgotten()
        eventually(is_forgotten)
