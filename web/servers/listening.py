"""Taking the address to listen on, before anything else is started."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import ExitStack

Address = tuple[socket.AddressFamily, tuple[str, int]]


def bind_sockets(host: str, port: int) -> list[socket.socket]:
    """Bind *port* on every address of *host*, without listening yet.

    Bound before the app starts, so that a second server on the same port fails before its engine
    has recovered anything; listening only afterwards, so that clients are refused, and not kept
    waiting, until the app can answer.

    Args:
        host: an address or a name.
        port: a TCP port; with 0 the first address takes a free one and the others take the same.

    Raises:
        OSError: the name is unknown, or an address cannot be taken.
    """
    addresses = _resolve(host, port)
    sockets: list[socket.socket] = []
    with ExitStack() as opened:
        for family, (address, _) in addresses:
            # asyncio switches Nagle's algorithm off only where the protocol is named; with it, each
            # answer on a kept connection would be 40 ms late.
            listener = opened.enter_context(
                socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            )
            _prepare(listener)
            taken = sockets[0].getsockname()[1] if sockets else port
            try:
                listener.bind((address, taken))
            except OSError as error:
                # A name such as localhost may have an address that this machine has switched off.
                if error.errno != errno.EADDRNOTAVAIL:
                    raise
                listener.close()
            else:
                sockets.append(listener)
        if not sockets:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        opened.pop_all()
    return sockets


def url_of(listener: socket.socket) -> str:
    """Return the URL under which *listener* is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _resolve(host: str, port: int) -> list[Address]:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # One address may be listed several times; the order is the resolver's.
    return list(dict.fromkeys((family, (str(a[0]), int(a[1]))) for family, _, _, _, a in found))


def _prepare(listener: socket.socket) -> None:
    if os.name == "posix":
        # A restart must not wait for the connections of the last run to leave TIME_WAIT.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if listener.family == socket.AF_INET6:
        # IPv4 has a socket of its own.
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
