"""The client: keep-alive connections that each send the next request when they have the answer.

``python -m tests.benchmarks.load host port pid requests`` writes a `Load` as JSON. It is a process
of its own and does as little as it can for a request: one `send` of bytes that were made before,
and one or two `recv`. On a machine with few processors a heavier client would measure itself.
"""

from __future__ import annotations

import os
import resource
import select
import socket
import sys
import time
from pathlib import Path

import msgspec

CONNECTIONS = 32
PATIENCE = 30.0
TICK = 1 / os.sysconf("SC_CLK_TCK")
"""Seconds that the kernel's count of a process's CPU time is exact to."""


class Load(msgspec.Struct, frozen=True):
    """What came of the requests.

    Attributes:
        requests: how many were sent and answered with 200.
        seconds: from the first request to the last answer.
        server_cpu: CPU seconds that the server took, user and system.
        client_cpu: likewise this client.
        latencies: seconds from each request to the end of its answer.
        body_bytes: length of the last answer's body.
    """

    requests: int
    seconds: float
    server_cpu: float
    client_cpu: float
    latencies: list[float]
    body_bytes: int


class UnexpectedAnswerError(Exception):
    """The server answered something else than was asked for, or hung up."""


def request_bytes(path: str, body: bytes, *headers: str) -> bytes:
    """Return a POST of JSON, as it is sent."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """One keep-alive connection, with at most one request on it."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at = 0.0
        self._received = b""

    def send(self, request: bytes) -> None:
        """Send a request."""
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> tuple[bytes, bytes] | None:
        """Take in what is there; return the answer's head and body if it is complete.

        Raises:
            UnexpectedAnswerError: the server hung up.
        """
        received = self.socket.recv(65536)
        if not received:
            raise UnexpectedAnswerError("the server closed the connection")
        self._received += received
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return None
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if len(body) < int(length):
            return None
        self._received = b""
        return head, body

    def ask(self, request: bytes, status: int) -> bytes:
        """Send a request, wait for the answer and return its body.

        Raises:
            UnexpectedAnswerError: the answer has another status.
        """
        self.send(request)
        while (answer := self.receive()) is None:
            pass
        check(*answer, status)
        return answer[1]


def check(head: bytes, body: bytes, status: int = 200) -> None:
    """Return if the answer has the *status*.

    Raises:
        UnexpectedAnswerError: it has another one.
    """
    if not head.startswith(b"HTTP/1.1 %d" % status):
        raise UnexpectedAnswerError((head + b"\r\n\r\n" + body).decode(errors="replace"))


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, that a process has taken, all of its threads."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK


def send_load(host: str, port: int, pid: int, requests: int) -> Load:
    """Send *requests* to start a 3-task flow, on 32 connections at once."""
    body = msgspec.json.encode({"flow_id": "chain-3", "context": {"user_id": 7}})
    request = request_bytes("/flows/execute", body)
    connections = [Connection(host, port) for _ in range(min(CONNECTIONS, requests))]
    server_cpu, client_cpu, started = cpu_seconds(pid), _own_cpu_seconds(), time.perf_counter()
    latencies, body_bytes = _exchange(connections, request, requests)
    seconds = time.perf_counter() - started
    client_cpu, server_cpu = _own_cpu_seconds() - client_cpu, cpu_seconds(pid) - server_cpu
    for connection in connections:
        connection.socket.close()
    return Load(requests, seconds, max(server_cpu, TICK), client_cpu, latencies, body_bytes)


def _exchange(
    connections: list[Connection], request: bytes, requests: int
) -> tuple[list[float], int]:
    by_number = {connection.socket.fileno(): connection for connection in connections}
    latencies, unsent, body = [], requests - len(connections), b""
    with select.epoll(len(connections)) as epoll:
        for number, connection in by_number.items():
            epoll.register(number, select.EPOLLIN)
            connection.send(request)
        while len(latencies) < requests:
            ready = epoll.poll(PATIENCE)
            if not ready:
                raise UnexpectedAnswerError("the server does not answer")
            for number, _ in ready:
                connection = by_number[number]
                answer = connection.receive()
                if answer is None:
                    continue
                head, body = answer
                check(head, body)
                latencies.append(time.perf_counter() - connection.sent_at)
                if unsent > 0:
                    unsent -= 1
                    connection.send(request)
    return latencies, len(body)


def _own_cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    host, port, pid, requests = sys.argv[1:]
    load = send_load(host, int(port), int(pid), int(requests))
    sys.stdout.buffer.write(msgspec.json.encode(load))
