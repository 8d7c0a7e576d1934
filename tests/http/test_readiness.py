"""Whether the server says that it takes work is what decides who is sent to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest

from flowmgr.journal.sqlite.library import has_reset_bug
from tests.support.asgi import asgi_client
from tests.support.flowmgr_server import BACKENDS, Served, chain, eventually, serving
from tests.support.rest import execute_once, ids, problem
from tests.support.server_process import PATIENCE
from web.app import AppLifecycle, create_app


async def ready(client: httpx.AsyncClient) -> None:
    """Wait until the server is ready."""
    with anyio.fail_after(PATIENCE):
        while (await client.get("/health/ready")).json()["status"] != "ready":  # noqa: ASYNC110
            await anyio.sleep(0.001)


@pytest.mark.anyio
async def test_a_server_that_stops_is_not_ready():
    lifecycle = AppLifecycle()
    async with asgi_client(create_app(lifecycle=lifecycle)) as client:
        await ready(client)
        lifecycle.drain(1.0)
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()["status"]) == (503, "stopping")
        assert (await client.get("/health")).status_code == 200


@pytest.mark.anyio
async def test_a_server_whose_engine_has_died_is_not_ready(monkeypatch):
    lifecycle, reported = AppLifecycle(), []
    lifecycle.bind(reported.append)
    async with asgi_client(create_app(lifecycle=lifecycle)) as client:
        no_space = OSError("no space left on device")
        monkeypatch.setattr(
            "flowmgr.journal.memory.MemoryJournal.append", lambda _, __, done: done(no_space)
        )
        flow = {"name": "x", "start_task": "task1", "tasks": [{"name": "task1"}], "conditions": []}
        assert (await client.post("/flows/execute", json={"flow": flow})).status_code == 503
        assert (await client.get("/health/ready")).status_code == 503
        assert reported == [no_space]


@pytest.mark.anyio
async def test_a_server_that_recovers_is_not_ready_yet_but_accepts_executions(monkeypatch):
    is_over = anyio.Event()

    async def list_unfinished(_: object) -> list[object]:
        await is_over.wait()
        return []

    monkeypatch.setattr("flowmgr.journal.memory.MemoryJournal.list_unfinished", list_unfinished)
    async with asgi_client(create_app()) as client:
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()["status"]) == (503, "recovering")
        flow = {"name": "x", "start_task": "task1", "tasks": [{"name": "task1"}], "conditions": []}
        assert (await client.post("/flows/execute", json={"flow": flow})).status_code == 200
        is_over.set()
        await ready(client)


@pytest.mark.anyio
async def test_a_server_whose_journal_can_record_nothing_is_degraded(monkeypatch):
    async with asgi_client(create_app()) as client:
        await ready(client)
        trouble = "The disk is full"
        monkeypatch.setattr("flowmgr.journal.memory.MemoryJournal.trouble", trouble)
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()["status"]) == (503, "degraded")
        assert answer.json()["trouble"] == trouble
        assert (await client.get("/health")).status_code == 200
        monkeypatch.setattr("flowmgr.journal.memory.MemoryJournal.trouble", None)
        assert (await client.get("/health/ready")).json()["trouble"] is None


def test_a_server_says_what_became_of_what_was_unfinished(restarted, stranded, files):
    answer = restarted.get("/health/ready")
    assert answer.status_code == 200
    ready = answer.json()
    assert ready["status"] == "ready"
    assert ready["recovery"] == {"unfinished": 2, "recovered": 1, "quarantined": 0, "stranded": 1}
    assert list(ready["stranded"]) == [stranded]
    assert "'gone'" in ready["stranded"][stranded]
    assert ready["sqlite"] == sqlite3.sqlite_version
    assert bool(ready["warnings"]) is has_reset_bug(sqlite3.sqlite_version_info)
    (other,) = (each for each in unfinished(restarted) if each != stranded)
    assert restarted.get(f"/executions/{other}").json()["interruptions"] == 1
    Path(files["release"]).touch()
    assert restarted.ended(other)["status"] == "completed"


def test_one_that_cannot_go_on_is_shown_as_it_is_and_cannot_be_changed(restarted, stranded):
    path = f"/executions/{stranded}"
    shown = restarted.get(path, wait=5)
    assert shown.elapsed.total_seconds() < 4
    assert (shown.status_code, shown.json()["status"]) == (200, "running")
    body = {"flow_id": shown.json()["flow_id"]}
    again = execute_once(restarted, "key", body)
    assert (again.status_code, again.json()["execution_id"]) == (202, stranded)
    for verb in ("cancel", "pause"):
        refused = problem(restarted.post(f"{path}/{verb}"), 409)
        assert refused["type"].endswith("wrong-state")
        assert "cannot go on" in refused["detail"]
        assert "'gone'" in refused["detail"]


def test_a_damaged_execution_is_named_and_can_only_be_deleted(backend, tmp_path):
    database = tmp_path / "flowmgr.db"
    journal = ("--journal", f"sqlite:{database}")
    with serving(backend, *journal) as served:
        flow_id = served.register(chain("succeed"))
        damaged, other = (served.execute(flow_id)["execution_id"] for _ in range(2))
    with sqlite3.connect(database) as connection:
        connection.execute(
            "UPDATE event SET events = CAST(replace(events, 'succeed', 'succeeD') AS BLOB)"
            " WHERE execution = (SELECT number FROM execution WHERE execution_id = ?)",
            [damaged],
        )
    connection.close()
    with serving(backend, *journal) as served:
        path = f"/executions/{damaged}"
        for answer in (
            served.get(path),
            served.get(path, wait=1),
            served.get(f"{path}/events"),
            *(served.post(f"{path}/{verb}") for verb in ("cancel", "retry", "rerun")),
        ):
            refused = problem(answer, 409)
            assert refused["type"] == "urn:flowmgr:problem:execution-quarantined"
            assert damaged in refused["detail"]
            assert "backup" in refused["detail"]
        assert served.get(f"/executions/{other}").json()["status"] == "completed"
        assert damaged in ids(served.get("/executions").json()["items"])
        assert served.client.delete(path).status_code == 204
        assert ids(served.get("/executions").json()["items"]) == [other]


@pytest.mark.parametrize(
    ("change", "name", "told"),
    [
        ("UPDATE flow SET digest = 'x'", "flow-damaged", "Version 1 of flow"),
        ("UPDATE start_key SET fingerprint = 'x'", "key-damaged", "The key 'key'"),
    ],
)
def test_whoever_asks_for_a_damaged_flow_or_key_is_told(backend, tmp_path, change, name, told):
    database = tmp_path / "flowmgr.db"
    journal = ("--journal", f"sqlite:{database}")
    with serving(backend, *journal) as served:
        body = {"flow_id": served.register(chain("succeed"))}
        execution_id = execute_once(served, "key", body).json()["execution_id"]
    with sqlite3.connect(database) as connection:
        assert connection.execute(change).rowcount == 1
    connection.close()
    with serving(backend, *journal) as served:
        refused = problem(execute_once(served, "key" if "key" in name else "other", body), 409)
        assert refused["type"] == f"urn:flowmgr:problem:{name}"
        assert told in refused["detail"]
        assert "backup" in refused["detail"]
        assert served.get(f"/executions/{execution_id}").json()["status"] == "completed"


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def restarted(backend: str, tmp_path: Path, files: dict[str, str]) -> Iterator[Served]:
    """A server that was killed while two executions ran, and does not know one's activity now."""
    (tmp_path / "module_of_gone.py").write_text(GONE)
    journal = ("--journal", f"sqlite:{tmp_path}/flowmgr.db")
    env = {"PYTHONPATH": str(tmp_path)}
    more = ("--activities", "module_of_gone")
    with serving(backend, *journal, *more, env=env, is_killed=True) as served:
        served.start(served.register(chain("hold")), files)
        body = {"flow_id": served.register(chain("gone"))}
        execute_once(served, "key", body, Prefer="respond-async")
    with serving(backend, *journal, "--grace", "0.2") as served:
        eventually(lambda: served.get("/health/ready").json()["status"] == "ready")
        yield served


@pytest.fixture
def stranded(restarted: Served) -> str:
    (found,) = restarted.get("/health/ready").json()["stranded"]
    return str(found)


def unfinished(served: Served) -> list[str]:
    return ids(served.get("/executions", status="running").json()["items"])


GONE = """
import anyio
from flowmgr import activity


@activity
async def gone(context):
    await anyio.sleep_forever()
"""


@pytest.mark.parametrize(
    ("version", "has_it"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 0), False),
        ((4, 0, 0), False),
    ],
)
def test_the_bug_of_sqlite_is_known_by_its_versions(version, has_it):
    assert has_reset_bug(version) is has_it
