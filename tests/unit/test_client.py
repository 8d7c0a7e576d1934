"""How the command line asks a server."""

import ssl

import anyio
import httpx
import pytest
from click.testing import CliRunner

from tests.support.answering import answering, message
from web.cli import main
from web.commands.changes import BULK_PATIENCE
from web.commands.client import PATIENCE, Server


@pytest.fixture
def asked(monkeypatch):
    """The timeouts and the query parameters of the requests, which are all answered at once."""
    requests = []

    def request(_self, _method, _path, *, timeout, params, **_):
        requests.append((timeout, params))
        return httpx.Response(200, json={"execution_id": "e", "failed": []})

    monkeypatch.setattr(httpx.Client, "request", request)
    return requests


def test_a_server_that_is_asked_to_wait_has_so_much_longer_to_answer(asked):
    with Server("http://127.0.0.1:1") as server:
        server.get("/executions/e", wait=60.0)
        server.post("/executions/e/cancel", {}, 60.0)
        server.get("/executions/e")
    assert asked == [(PATIENCE + 60, {"wait": 60.0}), (PATIENCE + 60, {}), (PATIENCE, {})]


def test_a_server_may_take_long_to_change_many(asked):
    filters = ["--status", "failed", "--yes", "--json"]
    ran = CliRunner().invoke(main, ["executions", "delete", *filters])
    assert ran.exit_code == 0, ran.output
    assert asked == [(BULK_PATIENCE, {})]


@pytest.mark.anyio
async def test_the_certificate_of_a_server_is_verified(certificate):
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    async with answering(message(200, b"{}"), tls) as server:
        command = ["executions", "show", "e", "--url", server.url("/", scheme="https")]
        ran = await anyio.to_thread.run_sync(CliRunner().invoke, main, command)
        assert server.requests == []
    assert ran.exit_code == 2
    assert "certificate" in ran.stderr
