"""Lanes: what the actors that wait are run on, one after the other."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio.lowlevel import checkpoint

if TYPE_CHECKING:
    from actors.actor import HostedActor

MAX_INLINE_RUNS: Final = 32
"""Actors that a lane runs before it lets other tasks of the event loop run."""

MAX_INLINE_SECONDS: Final = 0.001
"""How long it runs them before it does so all the same."""


class Lane:
    """Runs the task actors of one scope, one at a time, on a host task."""

    __slots__ = ("_event_type", "_hosted", "_is_closed", "_parked")

    def __init__(self) -> None:
        self._hosted: deque[HostedActor[Any]] = deque()
        self._is_closed = False
        self._parked: anyio.Event | None = None  # set while the host has nothing to run
        self._event_type: type[anyio.Event] | None = None

    def spawn(self, actor: HostedActor[Any]) -> None:
        """Have *actor* run on the host task."""
        self._hosted.append(actor)
        if self._parked is not None:
            self._wake_host()

    def stop(self) -> None:
        """Run no actor any more that has not begun; the one that runs is not touched."""
        self._hosted = deque(maxlen=0)  # which keeps nothing that is put into it

    def close(self) -> None:
        """Let the host end when the actor that it runs has ended."""
        self._is_closed = True
        self._hosted.clear()
        self._wake_host()

    async def host(self) -> None:
        """Run actors until `close`; the body of the lane's host task.

        Cancelling it cancels the actor that is running. That may end by itself all the same: call
        `stop` before, so that no further one is run.
        """
        runs = 0
        since = time.monotonic()
        while not self._is_closed:
            if not self._hosted:
                await self._park()
                runs, since = 0, time.monotonic()  # the others have run meanwhile
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
