"""HTTP requests byte by byte: what a client library would refuse to send."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Mapping
from http.client import HTTPResponse
from typing import Any, NamedTuple

from tests.support.server_process import PATIENCE


class Answer(NamedTuple):
    """A response that was read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def request_bytes(method: str, target: bytes, headers: Mapping[str, bytes], body: bytes) -> bytes:
    """Return a request; its length is told by a header unless *headers* tell it otherwise."""
    names = {name.lower() for name in headers}
    lines = [method.encode() + b" " + target + b" HTTP/1.1", b"Host: test"]
    lines += [name.encode() + b": " + value for name, value in headers.items()]
    if not names & {"content-length", "transfer-encoding"}:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, b"", body])


def exchange(host: str, port: int, request: bytes) -> Answer:
    """Send *request* on a connection of its own and read the answer.

    A server may answer, and stop to read, before it has all of the request.
    """
    with socket.create_connection((host, port), timeout=PATIENCE) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        with HTTPResponse(connection) as response:
            response.begin()
            return Answer(response.status, dict(response.headers.items()), response.read())
