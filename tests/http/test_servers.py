"""What `web.servers.serve` promises, asked of real server processes on both backends."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import struct
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Self

import pytest

from tests.support.server_process import PATIENCE, ServerProcess
from web.servers.listening import bind_sockets

BACKENDS = ("asyncio", "trio")
APP = "tests.http.apps.server_app"
SLACK = 0.5
"""For a scheduler that is busy with other tests, on top of the second that is promised."""


def launch(backend: str, startup: str = "works", **options: object) -> ServerProcess:
    """Start a server process, without waiting until it is ready."""
    settings = json.dumps({"backend": backend, "port": 0, **options})
    return ServerProcess([APP, settings, startup])


@contextlib.contextmanager
def running(backend: str, startup: str = "works", **options: object) -> Iterator[ServerProcess]:
    with launch(backend, startup, **options) as server:
        yield server.wait_until_ready()


@contextlib.contextmanager
def running_litestar(backend: str) -> Iterator[ServerProcess]:
    settings = json.dumps({"backend": backend, "port": 0})
    with ServerProcess(["tests.http.apps.litestar_app", settings]) as server:
        yield server.wait_until_ready()


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module", params=BACKENDS)
def shared(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """A server that no test stops; each leaves it working."""
    with running(request.param) as server:
        server.backend = request.param
        yield server
        assert server.stop() == 0
        wanted = re.findall(r"(?m)^(ValueError|SystemExit): asked to$", server.stderr.text)
        assert server.stderr.text.count("Traceback") == len(wanted)


class Request:
    """One request that may take its time: sent now, answered when asked for."""

    def __init__(self, server: ServerProcess, path: str) -> None:
        self.connection = HTTPConnection(server.host, server.port, timeout=PATIENCE)
        self.connection.request("GET", path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.connection.close()

    def response(self) -> HTTPResponse:
        return self.connection.getresponse()

    def answer(self) -> tuple[int, str]:
        response = self.response()
        with response:
            return response.status, response.read().decode()


def get(server: ServerProcess, path: str) -> tuple[int, str]:
    with Request(server, path) as request:
        return request.answer()


def connect(server: ServerProcess) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=PATIENCE)


def is_refused(server: ServerProcess) -> bool:
    try:
        connect(server).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        return False  # connected just before the end of listening
    return False


def wait_until_refused(server: ServerProcess) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_refused(server):
        assert time.monotonic() < deadline


def reset(connection: socket.socket) -> None:
    """Close a connection with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


# Serving.


def test_a_handler_runs_on_the_library_of_the_backend(shared):
    assert get(shared, "/library") == (200, shared.backend)


def test_the_server_says_openly_what_drives_the_sockets(shared):
    status, text = get(shared, "/ready")
    assert status == 200
    joined = "trio guest run on uvloop" if shared.backend == "trio" else "uvloop"
    assert json.loads(text) == {
        "backend": shared.backend,
        "server": f"uvicorn (httptools), {joined}",
    }
    line = shared.stdout.text.splitlines()[0]
    where = re.escape(f"flowmgr listens on {shared.url} ")
    assert re.fullmatch(where + rf"\({shared.backend}, (guest run on )?uvloop\)", line)


@pytest.mark.parametrize("kind", ["error", "exit"])
def test_a_failing_request_is_a_500_and_the_server_lives_on(shared, kind):
    assert get(shared, f"/fail/{kind}")[0] == 500
    assert get(shared, "/library")[0] == 200


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("kind", ["exit", "interrupt"])
def test_no_task_inside_of_a_request_can_end_the_loop(backend, loop, kind):
    name = {"exit": "SystemExit", "interrupt": "KeyboardInterrupt"}[kind]
    with running(backend, loop=loop) as server:
        with connect(server) as slow:
            slow.sendall(b"GET /sleep/0.5 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert get(server, f"/fail_inside/{kind}") == (200, f"thread thread {name}")
            with slow.makefile("rb") as answers:
                assert answers.read().endswith(b"slept")
        assert get(server, "/library") == (200, backend)
        assert server.stop() == 0


def test_abrupt_closes_do_not_hurt_the_server(shared):
    request = b"GET /library HTTP/1.1\r\nhost: x\r\n\r\n"
    for number in range(50):
        connection = connect(shared)
        connection.sendall(request[: number * 2])
        (reset if number % 2 else socket.socket.close)(connection)
    assert get(shared, "/library") == (200, shared.backend)


def test_two_pipelined_requests_are_answered_in_order_with_contexts_of_their_own(shared):
    first = b"GET /sleep/0.05 HTTP/1.1\r\nhost: x\r\n\r\n"
    seen = b"GET /seen HTTP/1.1\r\nhost: x\r\n\r\n"
    last = b"GET /seen HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    with connect(shared) as connection, connection.makefile("rb") as answers:
        connection.sendall(first + seen + last)
        text = answers.read().decode()
    bodies = re.findall(r"\r\n\r\n(slept|\d)", text)
    assert bodies == ["slept", "1", "1"]


def test_requests_on_one_connection_do_not_share_context_variables(shared):
    with Request(shared, "/seen") as request:
        assert request.answer() == (200, "1")
        request.connection.request("GET", "/seen")
        assert request.answer() == (200, "1")


def test_a_large_body_arrives_whole(shared):
    size = 8 * 1024 * 1024
    connection = HTTPConnection(shared.host, shared.port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("POST", "/upload", body=bytes(size))
        assert connection.getresponse().read() == str(size).encode()


def test_a_large_streaming_response_arrives_whole_at_a_slow_reader(shared):
    with Request(shared, "/stream/200") as request, request.response() as response:
        assert len(response.read(1000)) == 1000
        assert len(response.read()) == 200 * 65536 - 1000


def test_a_handler_that_waits_for_the_client_sees_it_leave(shared):
    request = Request(shared, "/disconnect")
    shared.stdout.wait_for("disconnect: body read")
    reset(request.connection.sock)
    shared.stdout.wait_for("disconnect seen")


def test_a_receive_that_was_given_up_can_be_repeated(shared):
    assert get(shared, "/timed_receive") == (200, "waited")


def test_litestar_is_served_on_the_backend(backend):
    with running_litestar(backend) as server:
        assert get(server, "/library") == (200, f'{{"library":"{backend}"}}')
        assert get(server, "/nowhere")[0] == 404
        assert server.stop() == 0
        server.kill()
        assert server.stderr.text == ""


# Stopping.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_finishes_and_the_exit_is_clean(backend, number):
    with running(backend) as server, Request(server, "/sleep/0.5") as request:
        server.stdout.wait_for("sleep begins")
        server.send(number)
        wait_until_refused(server)
        assert server.stdout.text.count("finally") == 0, "listening ends before the request does"
        assert request.answer() == (200, "slept")
        assert server.wait() == 0
        assert server.stdout.wait_for("lifespan ended")
        server.stdout.wait_for(f"drain on {backend} with 10.0")
        server.kill()
        assert server.stderr.text == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_stops_at_once(backend, number):
    with running(backend) as server, contextlib.closing(connect(server)):
        assert server.stop(number, timeout=1.5) == 0
        server.kill()
        assert server.stderr.text == ""


def test_a_stream_that_ends_when_drained_does_not_use_up_the_grace(backend):
    with running(backend, grace=30) as server, Request(server, "/until_drain") as request:
        response = request.response()
        assert response.read(6) == b"hello "
        server.send()
        assert response.read() == b"bye"
        assert server.wait(timeout=1.5) == 0


def test_a_request_that_outlives_the_grace_is_cancelled_and_told_so(backend):
    with running(backend, grace=1.0) as server, Request(server, "/sleep/60") as request:
        server.stdout.wait_for("sleep begins")
        asked = server.send()
        response = request.response()
        assert response.status == 503
        assert response.headers["retry-after"]
        assert json.load(response)["status"] == 503
        assert server.wait(timeout=asked + 2.0 + SLACK - time.monotonic()) == 0
        assert server.stdout.wait_for(r"(?s)sleep: finally.*lifespan ended")
        server.kill()
        assert "Traceback" not in server.stderr.text


def test_a_second_signal_ends_the_grace(backend):
    with running(backend, grace=30) as server, Request(server, "/sleep/60") as request:
        server.stdout.wait_for("sleep begins")
        asked = server.send()
        server.stdout.wait_for("drain on .* with 30.0")
        # Signals closer than this are taken for one request; see the next test.
        while time.monotonic() < asked + 0.25:
            wait_until_refused(server)
        asked = server.send()
        assert request.answer()[0] == 503
        assert server.wait(timeout=asked + 1.0 + SLACK - time.monotonic()) == 0
        server.stdout.wait_for("drain on .* with 0.0")
        server.stdout.wait_for(r"(?s)sleep: finally.*lifespan ended")


def test_one_request_to_stop_may_be_delivered_as_two_signals(backend):
    with running(backend) as server, Request(server, "/sleep/0.5") as request:
        server.stdout.wait_for("sleep begins")
        server.send()
        server.send()
        assert request.answer() == (200, "slept")
        assert server.wait() == 0


def test_nothing_that_refuses_to_stop_outlives_the_grace_and_a_second(backend):
    refusals = {
        "/deaf": ("deaf begins", "GET /deaf"),
        "/thread": ("thread begins", "(GET /thread|thread ')"),
        "/thread/abandoned": ("thread begins", "thread '"),
        "/blocking": ("blocking begins", "GET /blocking"),
    }
    grace = 0.3
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(launch(backend, grace=grace)) for _ in refusals]
        deaf = stack.enter_context(launch(backend, "cannot stop", grace=grace)).wait_until_ready()
        for server, (path, (begun, _)) in zip(servers, refusals.items(), strict=True):
            stack.enter_context(Request(server.wait_until_ready(), path))
            server.stdout.wait_for(begun)
        asked = [(server, server.send()) for server in [*servers, deaf]]
        for server, since in asked:
            assert server.wait(timeout=since + grace + 1.0 + SLACK - time.monotonic()) == 0
        for server, (path, (_, named)) in zip(servers, refusals.items(), strict=True):
            # trio's threads are daemons: an abandoned one needs no force.
            if (backend, path) != ("trio", "/thread/abandoned"):
                server.stderr.wait_for(f"ended by force.*{named}")
        deaf.stderr.wait_for("ended by force.*the app's lifespan")


def test_a_shutdown_that_fails_is_reported(backend):
    with running(backend, "stops badly") as server:
        assert server.stop() == 1
        server.stderr.wait_for("flowmgr stopped because of an error: OSError: the disk is full")


# Failing to start.


def test_a_failed_startup_is_one_line_and_exit_code_3(backend):
    with launch(backend, "fails") as server:
        assert server.wait() == 3
        server.kill()
        assert server.stderr.text == (
            "flowmgr could not start: ValueError: the journal is locked\n"
        )
        assert server.stdout.text == ""


def test_a_signal_during_the_startup_cancels_it(backend):
    with launch(backend, "hangs", grace=30) as server:
        server.stdout.wait_for("starting")
        assert server.stop(timeout=1.5) == 0
        server.stdout.wait_for("startup was cancelled")
        server.kill()
        assert server.stderr.text == ""


def test_a_port_in_use_is_one_line_and_the_app_is_not_started(backend):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with launch(backend, "hangs", port=port) as server:
            assert server.wait() == 3
            server.kill()
            assert server.stdout.text == ""
            assert server.stderr.text == (
                f"flowmgr cannot listen on 127.0.0.1:{port}: Address already in use\n"
            )


def test_an_unknown_host_is_one_line():
    with launch("asyncio", host="no such host") as server:
        assert server.wait() == 3
        server.kill()
        assert re.fullmatch(
            r"flowmgr cannot listen on no such host:0: [^\n]+\n", server.stderr.text
        )


def test_a_port_lost_while_the_app_starts_is_one_line_and_the_app_is_shut_down(backend):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with launch(backend, "loses the port", port=port) as server:
        assert server.wait() == 3
        server.stdout.wait_for("lifespan ended")
        server.kill()
        assert server.stderr.text == (
            f"flowmgr cannot listen on 127.0.0.1:{port}: Address already in use\n"
        )


def test_a_name_with_two_addresses_listens_on_both_under_one_port(monkeypatch):
    resolve_to(monkeypatch, "127.0.0.1", "127.0.0.2", "127.0.0.1")
    with contextlib.ExitStack() as stack:
        bound = [stack.enter_context(s) for s in bind_sockets("a name", 0)]
        assert [s.getsockname()[0] for s in bound] == ["127.0.0.1", "127.0.0.2"]
        assert len({s.getsockname()[1] for s in bound}) == 1


def test_an_address_that_the_machine_lacks_is_skipped_unless_it_is_the_only_one(monkeypatch):
    lacking = "192.0.2.1"  # reserved for documentation
    resolve_to(monkeypatch, lacking, "127.0.0.1")
    (bound,) = bind_sockets("a name", 0)
    with bound:
        assert bound.getsockname()[0] == "127.0.0.1"
    resolve_to(monkeypatch, lacking)
    with pytest.raises(OSError, match="assign"):
        bind_sockets("a name", 0)


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 0)) for a in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)


# Dying.


@pytest.mark.parametrize("how", ["by-itself", "reported", "from-thread"])
def test_the_death_of_the_engine_stops_the_server_and_readiness(backend, how):
    with running(backend) as server, Request(server, f"/engine_death/{how}") as request:
        assert request.answer() == (200, "ready: False")
        wait_until_refused(server)
        assert server.wait() == 1
        server.kill()
        last = server.stderr.text.splitlines()[-1]
        assert last == "flowmgr stopped because of an error: RuntimeError: the engine died"


def test_a_lifespan_of_litestar_that_dies_stops_the_server(backend):
    with running_litestar(backend) as server:
        assert get(server, "/die")[0] == 200
        assert server.wait() == 1
        server.stderr.wait_for("flowmgr stopped because of an error: RuntimeError: engine died\n")


def test_a_crash_of_the_trio_run_stops_the_server():
    with running("trio") as server, Request(server, "/trio_crash") as request:
        assert request.answer()[0] == 500
        assert server.wait(timeout=5) == 1
        server.stderr.wait_for("the run crashed")
        server.stderr.wait_for("flowmgr stopped because of an error: GuestRunEndedError")
