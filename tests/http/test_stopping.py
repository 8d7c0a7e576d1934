"""How a real flowmgr server stops: by a signal, and because its engine has died."""

from __future__ import annotations

import json
import signal
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.flowmgr_server import (
    ACTIVITIES,
    BACKENDS,
    Served,
    chain,
    eventually,
    wait_for_file,
)
from tests.support.server_process import PATIENCE, ServerProcess

SIGNALS = (signal.SIGTERM, signal.SIGINT)
GRACE = 1.0
SLACK = 0.5
"""For the parent to notice that a process has ended."""


@pytest.fixture(params=BACKENDS)
def server(request: pytest.FixtureRequest):
    """A server that a test stops, and that has little grace."""
    options = ["--port", "0", "--backend", request.param, "--grace", str(GRACE)]
    with ServerProcess(
        ["web", "serve", "--journal", "memory", "--activities", ACTIVITIES, *options]
    ) as process:
        process.wait_until_ready()
        with httpx.Client(
            base_url=process.url, timeout=PATIENCE, trust_env=False, verify=False
        ) as client:
            yield Served(request.param, process, client)


@pytest.fixture
def background():
    with ThreadPoolExecutor() as pool:
        yield pool


def execute(server: Served, pool: ThreadPoolExecutor, flow_id: str, context: dict) -> Future:
    """Execute a flow and wait for it, in the background; return when its first task has begun."""
    body = {"flow_id": flow_id, "context": context}
    answer = pool.submit(server.post, "/flows/execute", body)
    wait_for_file(Path(context["started"]))
    return answer


@pytest.mark.parametrize("number", SIGNALS)
def test_a_client_that_waits_gets_its_execution_if_that_ends_within_the_grace(
    server, background, tmp_path, number
):
    flow_id = server.register(chain("win_the_race"))
    files = {"started": str(tmp_path / "started"), "release": str(tmp_path / "release")}
    answer = execute(server, background, flow_id, files)
    server.process.send(number)
    Path(files["release"]).touch()
    assert answer.result().json()["status"] == "completed"
    assert server.process.wait() == 0


def test_at_once_nobody_can_connect_any_more_and_only_requests_in_flight_are_answered(
    server, background, tmp_path
):
    flow_id = server.register(chain("win_the_race"))
    files = {"started": str(tmp_path / "started"), "release": str(tmp_path / "release")}
    body = json.dumps({"flow_id": flow_id}).encode()
    head = "POST /flows/execute HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with connect(server) as idle, connect(server) as in_flight:
        idle.sendall(b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in idle.recv(100)
        in_flight.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
        answer = execute(server, background, flow_id, files)
        server.process.send()
        while idle.recv(10_000):
            pass  # it is closed
        with pytest.raises(OSError, match="refused"):
            connect(server)
        in_flight.sendall(body)
        refused = in_flight.recv(10_000).lower()
        assert b" 503 " in refused
        assert b"retry-after: " in refused
    Path(files["release"]).touch()
    assert answer.result().status_code == 200
    assert server.process.wait() == 0


def connect(server: Served) -> socket.socket:
    url = httpx.URL(server.process.url)
    return socket.create_connection((url.host, url.port), timeout=PATIENCE)


@pytest.mark.parametrize("number", SIGNALS)
def test_an_execution_that_outlives_the_grace_is_stopped_and_its_client_told(
    server, background, tmp_path, number
):
    flow_id = server.register(chain("stay"))
    files = {"started": str(tmp_path / "started"), "ended": str(tmp_path / "ended")}
    answer = execute(server, background, flow_id, files)
    since = server.process.send(number)
    assert server.process.wait() == 0
    assert time.monotonic() - since <= GRACE + 1 + SLACK
    assert Path(files["ended"]).exists()  # its `finally` has run
    assert answer.result().status_code == 503
    assert answer.result().headers["Retry-After"]
    assert "stopped because the engine is closing" in answer.result().json()["detail"]


def test_who_waits_for_a_cancellation_at_the_end_of_the_grace_is_told_in_our_own_words(
    server, background, tmp_path
):
    flow_id = server.register(chain("clean_up_slowly"))
    files = {"started": str(tmp_path / "started"), "release": str(tmp_path / "never")}
    execution_id = server.start(flow_id, files)
    wait_for_file(Path(files["started"]))
    path, prefer = f"/executions/{execution_id}", {"Prefer": f"wait={PATIENCE:.0f}"}
    answer = background.submit(server.post, f"{path}/cancel", headers=prefer)
    eventually(lambda: server.get(path).json()["status"] == "cancelling")
    server.process.send()
    assert answer.result().status_code == 503
    assert answer.result().headers["Content-Type"] == "application/problem+json"
    problem = answer.result().json()
    assert (problem["type"], problem["status"]) == ("urn:flowmgr:problem:stopping", 503)
    assert "longer than the grace" in problem["detail"]
    assert server.process.wait() == 0


def test_a_clean_up_that_never_ends_does_not_keep_the_process(server, tmp_path):
    flow_id = server.register(chain("clean_up_slowly"))
    files = {"started": str(tmp_path / "started"), "release": str(tmp_path / "never")}
    server.start(flow_id, files)
    wait_for_file(Path(files["started"]))
    since = server.process.send()
    assert server.process.wait() == 0
    assert time.monotonic() - since <= GRACE + 1 + SLACK


def test_a_dead_engine_ends_the_process_with_an_error(server, background):
    flow_id = server.register(chain("break_the_journal"))
    answer = background.submit(server.post, "/flows/execute", {"flow_id": flow_id})
    assert server.process.wait() == 1
    assert "no space left on device" in server.process.stderr.text.splitlines()[-1]
    assert answer.exception() or answer.result().status_code == 503
