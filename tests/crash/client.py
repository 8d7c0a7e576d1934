"""A client of servers that come and go."""

from __future__ import annotations

import json
import threading
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple

TIMEOUT = 10.0


class LostError(Exception):
    """There was no answer: what was asked for may have happened or not."""


class NoAnswerError(Exception):
    """A server that lives does not answer."""


class Address:
    """Where the server listens; changed when it has been started again. For many threads.

    Attributes:
        port: the port.
        timeout: seconds after which a server that does not answer is taken for one that never will.
    """

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self.port = 0
        self.timeout = timeout
        self._number = 0
        self._is_closed = False
        self._changed = threading.Condition()

    def move(self, port: int) -> None:
        """There is a new server."""
        with self._changed:
            self.port = port
            self._number += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody is to wait for another one."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def number(self) -> int:
        """Return which server this is, from 1."""
        with self._changed:
            return self._number

    def wait_behind(self, number: int) -> bool:
        """Wait for a server after the *number*-th; return whether there is one."""
        with self._changed:
            self._changed.wait_for(lambda: self._number > number or self._is_closed)
            return self._number > number


class Answer(NamedTuple):
    """An answer that was read to its end."""

    status: int
    headers: Any
    body: Any


class Client:
    """Sends one request after the other, on a connection that it keeps. For one thread."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._number = 0
        self._connection: HTTPConnection | None = None

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send a request and return the answer.

        Raises:
            LostError: there was none.
            NoAnswerError: there was none, although the server lives.
        """
        self._number = self._address.number()
        if self._connection is None:
            self._connection = HTTPConnection(
                "127.0.0.1", self._address.port, timeout=self._address.timeout
            )
        content = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if content else {}
        try:
            self._connection.request(method, path, content, sent | (headers or {}))
            response = self._connection.getresponse()
            text = response.read()
        except TimeoutError as error:
            raise NoAnswerError(f"{method} {path}") from error
        except (OSError, HTTPException) as error:
            self.close()
            raise LostError(f"{method} {path}: {error!r}") from error
        return Answer(response.status, response.headers, json.loads(text) if text else None)

    def reconnect(self) -> bool:
        """Wait for the next server; return whether there is one."""
        return self._address.wait_behind(self._number)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
