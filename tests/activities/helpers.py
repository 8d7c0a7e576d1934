"""Making one request as a task does."""

from __future__ import annotations

import socket

import msgspec
import pytest

from actors.context import Context
from actors.events import TaskStarted
from actors.outcome import ReportedError
from actors.ports import Attempt
from actors.values import decode_value
from flowmgr.http.network import resolve
from flowmgr.http.runner import HttpResources, HttpRunner
from flowmgr.settings import Settings

LOOPBACK = ("127.0.0.1/32",)


def attempt(arguments, number=1):
    started = TaskStarted(at=0.0, task="fetch", attempt=number)
    return Attempt("e", started, Context(), 1.0, arguments=arguments)


def runner(*, expect=None, lookup=resolve, dial=None, tls=None, allow=LOOPBACK, **settings):
    settings = Settings(http_allow=allow, **settings).checked()
    return HttpRunner(HttpResources(settings, lookup=lookup, dial=dial, tls=tls), expect)


async def ask(of, url=msgspec.UNSET, **fields):
    arguments = fields if url is msgspec.UNSET else {"url": url, **fields}
    return decode_value(await of.run(attempt(arguments)))


async def failure(of, *arguments, **fields):
    """Return how the request fails."""
    with pytest.raises(ReportedError) as caught:
        await ask(of, *arguments, **fields)
    return caught.value.info


class Names:
    """A resolver for names that the test has made; it asks nobody else.

    Attributes:
        asked: the names that were asked for.
    """

    def __init__(self, **answers):
        self._answers = {name.replace("_", "."): list(each) for name, each in answers.items()}
        self.asked = []

    async def __call__(self, host, port):
        self.asked.append(host)
        answers = self._answers.get(host)
        if answers:
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            return answer if isinstance(answer, list) else [answer]
        if host == "localhost.":
            return ["::1", "127.0.0.1"]  # as some systems read it; others would ask a name server
        if host != "localhost":
            # Numbers in every spelling that the system knows; nothing that a name server is asked.
            flags = socket.AI_NUMERICHOST
            return [str(found[-1][0]) for found in socket.getaddrinfo(host, port, flags=flags)]
        return await resolve(host, port)
