"""Executions over HTTP, against a bare Litestar app that echoes bodies of the same shape.

``python -m tests.benchmarks.over_http scale`` writes the figures as JSON. Each server is a process
of its own on 127.0.0.1, and the client is another one. On a machine with two processors the number
that repeats is executions per CPU second of the server; wall time depends on who else is there.
"""

from __future__ import annotations

import contextlib
import sys
import time
from statistics import median

import msgspec

from tests.benchmarks.backends import in_fresh_process
from tests.benchmarks.figures import Figure, Target, amount
from tests.benchmarks.load import CONNECTIONS, Connection, Load, request_bytes
from tests.benchmarks.scale import SCALES, Scale
from tests.benchmarks.timing import percentile
from tests.support.server_process import ServerProcess

OPTIONS = {
    "asyncio": {"backend": "asyncio", "loop": "asyncio", "port": 0},
    "uvloop": {"backend": "asyncio", "loop": "uvloop", "port": 0},
    "trio": {"backend": "trio", "loop": "uvloop", "port": 0},
}
"""How each server is run. trio runs as a guest of the loop that is the default there: uvloop."""

TO_ECHO = Target(0.5, 0.7)
TRIO_TO_ASYNCIO = Target(0.6)
CANCEL = Target(600, 300, of="value", better="less")

FALL_ASLEEP = 0.002
"""Seconds in which an execution that was started surely is asleep."""


class Rounds(msgspec.Struct, frozen=True):
    """Every round of one server."""

    loads: list[Load]

    @property
    def per_cpu_second(self) -> float:
        """Executions per CPU second of the server, over all rounds.

        CPU time is counted in hundredths of a second, too coarse for one short round.
        """
        requests = sum(load.requests for load in self.loads)
        return requests / sum(load.server_cpu for load in self.loads)

    @property
    def per_second(self) -> float:
        """Executions per second of wall time, in the best round."""
        return max(load.requests / load.seconds for load in self.loads)

    @property
    def client_share(self) -> float:
        """CPU seconds that the client took for each second of wall time: 1 is one processor."""
        return median(load.client_cpu / load.seconds for load in self.loads)

    def latency(self, percent: int) -> float:
        """Seconds of latency, at this percentile of a round; the median of the rounds."""
        return median(percentile(load.latencies, percent) for load in self.loads)


def measure(scale: Scale) -> list[Figure]:
    """Measure executions of a 3-task flow of no-ops: per CPU second, per second, and latency.

    The ratio to the echo is ours divided by the echo's (of latencies too). The servers take turns
    with their rounds. All rounds together count for CPU time, the best one for throughput in wall
    time, the median one for latency.
    """
    with contextlib.ExitStack() as stack:
        servers = {
            (backend, which): stack.enter_context(_server(which, backend))
            for backend in scale.http_backends
            for which in ("flowmgr", "echo")
        }
        for server in servers.values():
            server.wait_until_ready()
            _load(server, max(scale.http_requests // 4, 1))  # to warm it up
        loads: dict[tuple[str, str], list[Load]] = {key: [] for key in servers}
        for _ in range(scale.http_rounds):
            for key, server in servers.items():
                loads[key].append(_load(server, scale.http_requests))
        rounds = {key: Rounds(each) for key, each in loads.items()}
        figures = []
        for backend in scale.http_backends:
            figures += _figures(backend, rounds[backend, "flowmgr"], rounds[backend, "echo"])
            ours, echo = servers[backend, "flowmgr"], servers[backend, "echo"]
            figures += _measure_cancel(backend, ours, echo, scale.http_cancellations)
        if "trio" in scale.http_backends:
            figures += _trio_figures(rounds["trio", "flowmgr"], rounds["uvloop", "flowmgr"])
    return figures


def _server(which: str, backend: str) -> ServerProcess:
    options = msgspec.json.encode(OPTIONS[backend]).decode()
    return ServerProcess(["tests.benchmarks.servers", which, options], is_fresh=True)


def _load(server: ServerProcess, requests: int) -> Load:
    return in_fresh_process(
        "tests.benchmarks.load",
        server.host,
        str(server.port),
        str(server.pid),
        str(requests),
        result=Load,
    )


def _figures(backend: str, ours: Rounds, echo: Rounds) -> list[Figure]:
    sizes = f"bodies of {ours.loads[-1].body_bytes} and {echo.loads[-1].body_bytes} bytes"
    client = f"client {ours.client_share:.0%} of a CPU, echo's {echo.client_share:.0%}"
    name = f"HTTP, {CONNECTIONS} connections: "
    figures = [
        Figure(
            backend,
            name + what,
            value,
            "/s",
            value / baseline,
            "ours / Litestar echo",
            TO_ECHO,
            f"echo {amount(baseline)}; {note}",
        )
        for what, value, baseline, note in (
            ("per CPU s", ours.per_cpu_second, echo.per_cpu_second, sizes),
            ("wall", ours.per_second, echo.per_second, client),
        )
    ]
    for percent in (50, 99):
        value, baseline = ours.latency(percent), echo.latency(percent)
        figures.append(
            Figure(
                backend,
                f"{name}p{percent}",
                value * 1e3,
                "ms",
                value / baseline,
                "ours / Litestar echo",
                None,
                f"echo {baseline * 1e3:.2f} ms",
            )
        )
    return figures


def _trio_figures(on_trio: Rounds, on_asyncio: Rounds) -> list[Figure]:
    return [
        Figure(
            "trio",
            f"HTTP, trio and asyncio: {what}",
            value,
            "/s",
            value / baseline,
            "ours / ours on uvloop",
            TRIO_TO_ASYNCIO,
            f"uvloop {amount(baseline)}",
        )
        for what, value, baseline in (
            ("per CPU s", on_trio.per_cpu_second, on_asyncio.per_cpu_second),
            ("wall", on_trio.per_second, on_asyncio.per_second),
        )
    ]


def _measure_cancel(
    backend: str, ours: ServerProcess, echo: ServerProcess, count: int
) -> list[Figure]:
    """Measure µs from the request to cancel a sleeping task to the answer with the receipt.

    One at a time. The baseline is one request to the echo, which takes turns with it.
    """
    to_ours, to_echo = (Connection(server.host, server.port) for server in (ours, echo))
    body = msgspec.json.encode({"flow_id": "chain-3", "context": {"user_id": 7}})
    echo_request = request_bytes("/flows/execute", body)
    cancels, echoes = [], []
    for _ in range(count):
        cancels.append(_cancel(to_ours))
        started = time.perf_counter()
        to_echo.ask(echo_request, 200)
        echoes.append(time.perf_counter() - started)
    to_ours.socket.close()
    to_echo.socket.close()
    figures = []
    for percent, target in ((50, CANCEL), (99, None)):
        value, baseline = percentile(cancels, percent), percentile(echoes, percent)
        figures.append(
            Figure(
                backend,
                f"HTTP, cancel a sleeping task: p{percent}",
                value * 1e6,
                "µs",
                value / baseline,
                "ours / Litestar echo",
                target,
                f"echo, one at a time {baseline * 1e6:.0f} µs",
            )
        )
    return figures


def _cancel(connection: Connection) -> float:
    body = b'{"flow_id":"chain-1","context":{}}'
    start = request_bytes("/flows/execute", body, "Prefer: respond-async")
    execution_id = msgspec.json.decode(connection.ask(start, 202))["execution_id"]
    cancel = request_bytes(f"/executions/{execution_id}/cancel", b"", "Prefer: wait=5")
    time.sleep(FALL_ASLEEP)
    started = time.perf_counter()
    answer = connection.ask(cancel, 200)
    seconds = time.perf_counter() - started
    assert msgspec.json.decode(answer)["status"] == "cancelled"
    return seconds


if __name__ == "__main__":
    measured = measure(SCALES[sys.argv[1]])
    sys.stdout.buffer.write(msgspec.json.encode(measured))
