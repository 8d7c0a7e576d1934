"""The dispatcher: runs the actors of one execution on its host task.

An actor is not a task. Spawning a task for each would cost an execution more than everything else
it does. Instead the actors that never wait (the supervisor, the router) are run by whoever sends
them mail, to completion, before the sender goes on; and the actors that do wait (task actors) are
run one after the other by the execution's host task.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio.lowlevel import checkpoint

if TYPE_CHECKING:
    from actors.actor import Actor, HostedActor

MAX_INLINE_RUNS: Final = 32
"""Task actors that the host runs before it lets other tasks of the event loop run."""

MAX_INLINE_SECONDS: Final = 0.001
"""How long it runs them before it does so all the same."""


class Dispatcher:
    """Runs actors that have mail.

    All of it happens in the event loop's thread, and nothing in it is re-entrant: an actor that
    sends to another one while handling a message only queues it.
    """

    __slots__ = ("_event_type", "_hosted", "_is_closed", "_is_draining", "_parked", "_ready")

    def __init__(self) -> None:
        self._ready: deque[Actor[Any]] = deque()
        self._hosted: deque[HostedActor[Any]] = deque()
        self._is_draining = False
        self._is_closed = False
        self._parked: anyio.Event | None = None  # set while the host has nothing to run
        self._event_type: type[anyio.Event] | None = None

    def schedule(self, actor: Actor[Any]) -> None:
        """Have *actor* handle its mail, now or right after the actor that is doing so."""
        ready = self._ready
        if self._is_draining:
            ready.append(actor)
            return
        self._is_draining = True
        try:
            actor.is_scheduled = False
            actor.handle_mail()
            while ready:
                actor = ready.popleft()
                actor.is_scheduled = False
                actor.handle_mail()
        finally:
            self._is_draining = False

    def spawn(self, actor: HostedActor[Any]) -> None:
        """Have *actor* run on the host task."""
        self._hosted.append(actor)
        if self._parked is not None:
            self._wake_host()

    def stop(self) -> None:
        """Run no task actor any more that has not begun; the one that runs is not touched."""
        self._hosted = deque(maxlen=0)  # which keeps nothing that is put into it

    def close(self) -> None:
        """Let the host end when the actor that it runs has ended."""
        self._is_closed = True
        self._hosted.clear()
        self._wake_host()

    async def host(self) -> None:
        """Run task actors until `close`; the body of the execution's host task.

        Cancelling it cancels the task actor that is running. That may end by itself all the same:
        call `stop` before, so that no further one is run.
        """
        runs = 0
        since = time.monotonic()
        while not self._is_closed:
            if not self._hosted:
                await self._park()
                continue
            if runs >= MAX_INLINE_RUNS or time.monotonic() - since > MAX_INLINE_SECONDS:
                await checkpoint()
                runs, since = 0, time.monotonic()
                continue  # what was ready may be no longer
            await self._hosted.popleft().run()
            runs += 1

    async def _park(self) -> None:
        # Made from the first one's own class: anyio looks the backend up for each, and on trio
        # makes it twice.
        make = anyio.Event if self._event_type is None else self._event_type
        event = self._parked = make()
        self._event_type = type(event)
        await event.wait()

    def _wake_host(self) -> None:
        if self._parked is not None:
            self._parked.set()
            self._parked = None
