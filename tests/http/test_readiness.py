"""Whether the server says that it takes work is what decides who is sent to it."""

from __future__ import annotations

import pytest

from tests.support.asgi import asgi_client
from web.app import AppLifecycle, create_app

pytestmark = pytest.mark.anyio


async def test_a_server_that_stops_is_not_ready():
    lifecycle = AppLifecycle()
    async with asgi_client(create_app(lifecycle=lifecycle)) as client:
        assert (await client.get("/health/ready")).json()["status"] == "ready"
        lifecycle.drain(1.0)
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()["status"]) == (503, "stopping")
        assert (await client.get("/health")).status_code == 200


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
