"""The connections of HTTP tasks: each name is looked up once, judged, and connected to by address.

There is no second lookup between the judgement and the connection, so a name server that gives
another answer the next time (DNS rebinding) gains nothing by it.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Final, NoReturn, Self

import anyio
import httpcore

from flowmgr.http.addresses import Address, AllowList
from flowmgr.http.errors import address_refused

CONNECT_SECONDS: Final = 5.0
"""How long an address is tried if there is another one to try after it."""

CLOSE_SECONDS: Final = 1.0

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses that a host has, as text; raises `OSError` if it has none."""


async def resolve(host: str, port: int) -> list[str]:
    """Ask the system's resolver, once, for the addresses of *host*.

    Cancelling it stops the waiting at once; the resolver's own thread ends when it has its answer.

    Raises:
        OSError: the host is not known.
    """
    try:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"it is no name of a host: {error}") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class StoppedError(Exception):
    """No more is read, because `GuardedNetwork.stop` was called."""


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """What `httpcore` opens connections with, for one request.

    When its block has been left, none of its connections is open, however the block was left.

    Args:
        allow: what may be connected to although it is not public.
        lookup: finds the addresses of a host.
        dial: connects to an address that has been judged.
    """

    def __init__(
        self, allow: AllowList, lookup: Resolve, dial: httpcore.AsyncNetworkBackend
    ) -> None:
        self._allow = allow
        self._lookup = lookup
        self._dial = dial
        self._opened: list[httpcore.AsyncNetworkStream] = []
        self.is_stopped = False

    def stop(self) -> None:
        """Let the next reading raise `StoppedError`.

        An answer that is enough is ended so, and not by leaving the loop that reads it: httpcore
        reads in async generators inside each other, and those that are not run to their end would
        be left to the garbage collector.
        """
        self.is_stopped = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Cancelled while it makes a secure connection, httpcore would leave the plain one open.
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + CLOSE_SECONDS):
            for stream in self._opened:
                await stream.aclose()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's protocol has it
        local_address: str | None = None,  # noqa: ARG002 - likewise
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - likewise
    ) -> httpcore.AsyncNetworkStream:
        """Connect to an address of *host*, after all of its addresses have been judged.

        Raises:
            ReportedError: one of them is refused (`HttpAddressRefused`).
            httpcore.ConnectError: there is none, or none accepts the connection.
        """
        *others, last = await self._judged(host, port)
        for address in others:
            try:
                return await self._connect(address, port, CONNECT_SECONDS)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._connect(last, port, timeout)

    async def connect_unix_socket(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: an HTTP task has no business with the sockets of this machine."""
        raise httpcore.ConnectError("sockets of this machine cannot be connected to")

    async def sleep(self, seconds: float) -> None:
        """Sleep; cancelling it ends the sleep."""
        await anyio.sleep(seconds)

    async def _judged(self, host: str, port: int) -> list[Address]:
        try:
            addresses = [ip_address(text) for text in await self._lookup(host, port)]
        except (OSError, ValueError) as error:
            raise httpcore.ConnectError(f"host '{host}' cannot be resolved: {error}") from error
        if not addresses:
            raise httpcore.ConnectError(f"host '{host}' has no address")
        for address in addresses:
            if rule := self._allow.refusal(host, address):
                raise address_refused(host, str(address), rule)
        return addresses

    async def _connect(
        self, address: Address, port: int, seconds: float | None
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._dial.connect_tcp(str(address), port, seconds)
        self._opened.append(stream)
        return _Stream(stream, self)


class _Stream(httpcore.AsyncNetworkStream):
    """A connection that is read until its network is stopped."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, network: GuardedNetwork) -> None:
        self._stream = stream
        self._network = network

    async def read(
        self,
        max_bytes: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's protocol has it
    ) -> bytes:
        if self._network.is_stopped:
            raise StoppedError
        return await self._stream.read(max_bytes, timeout)

    async def write(
        self,
        buffer: bytes,
        timeout: float | None = None,  # noqa: ASYNC109 - likewise
    ) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - likewise
    ) -> httpcore.AsyncNetworkStream:
        secured = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        return _Stream(secured, self._network)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
