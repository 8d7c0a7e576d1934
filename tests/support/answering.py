"""A server on 127.0.0.1 that answers byte by byte, in the event loop of the test."""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener

Answer = Callable[["AnsweringServer", bytes, ByteStream], Awaitable[None]]


class AnsweringServer:
    """What the server has seen.

    Attributes:
        port: where it listens.
        requests: what has come, each with its body.
        connections: how many there were.
        is_open: how many are open now.
    """

    def __init__(self, port: int, answer: Answer) -> None:
        self.port = port
        self.requests: list[bytes] = []
        self.connections = 0
        self.is_open = 0
        self._answer = answer

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def serve(self, stream: ByteStream) -> None:
        self.connections += 1
        self.is_open += 1
        try:
            async with stream:
                with contextlib.suppress(
                    anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError
                ):
                    request = await _read(stream)
                    self.requests.append(request)
                    await self._answer(self, request, stream)
                    while True:
                        await stream.receive()
        finally:
            self.is_open -= 1


async def _read(stream: ByteStream) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    while length and len(body) < int(length[1]):
        body += await stream.receive()
    return head + b"\r\n\r\n" + body


def message(
    status: int = 200, body: bytes = b"", content_type: str = "", *headers: tuple[str, str]
) -> bytes:
    """Return an answer, byte by byte."""
    named = [("content-type", content_type)] if content_type else []
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in [*named, *headers]]
    return "\r\n".join([*lines, "", ""]).encode() + body


def always(answer: bytes) -> Answer:
    """Answer every request in the same way."""

    async def send(_: AnsweringServer, __: bytes, stream: ByteStream) -> None:
        await stream.send(answer)

    return send


@contextlib.asynccontextmanager
async def answering(
    answer: Answer | bytes, tls: ssl.SSLContext | None = None
) -> AsyncIterator[AnsweringServer]:
    """Serve on a free port of 127.0.0.1 while the block runs."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    server = AnsweringServer(port, always(answer) if isinstance(answer, bytes) else answer)

    serving = TLSListener(listener, tls, standard_compatible=False) if tls else listener
    async with serving, anyio.create_task_group() as group:
        group.start_soon(serving.serve, server.serve)
        yield server
        group.cancel_scope.cancel()
