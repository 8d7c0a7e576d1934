"""Lanes: what the actors that wait are run on, one after the other."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import Any, Final

import anyio
import msgspec
from anyio.lowlevel import checkpoint

from actors.actor import HostedActor, is_being_cancelled
from actors.places import Place, new_place

MAX_INLINE_RUNS: Final = 32
"""Actors that a lane runs before it lets other tasks of the event loop run."""

MAX_INLINE_SECONDS: Final = 0.001
"""How long it runs them before it does so all the same."""


class Lane(msgspec.Struct, eq=False):
    """Runs the task actors of one scope, one at a time, on a host task.

    Attributes:
        is_closed: whether it runs no further one.
    """

    is_closed: bool = False
    _hosted: list[HostedActor[Any]] = []  # a few at most
    _resumed: list[HostedActor[Any]] = []
    _is_stopped: bool = False
    _place: Place | None = None  # where the host waits while it has nothing to run

    def spawn(self, actor: HostedActor[Any]) -> None:
        """Have *actor* run on the host task."""
        if self._is_stopped:
            return
        self._hosted.append(actor)
        if self._place is not None:
            self._place.call()

    def resume(self, actor: HostedActor[Any]) -> None:
        """Have *actor* run whose attempt goes on, also if it has not begun here when this stops.

        It is cancelled then, and has to do about that what there is to do.
        """
        self._resumed.append(actor)
        if self._place is not None:
            self._place.call()

    def stop(self) -> None:
        """Run no actor any more that has not begun; the one that runs is not touched."""
        self._is_stopped = True
        self._hosted.clear()

    def close(self) -> None:
        """Let the host end when the actor that it runs has ended."""
        self.is_closed = True
        self._hosted.clear()
        if self._place is not None:
            self._place.call()

    async def host(self) -> bool:
        """Run actors until `close`; the body of the lane's host task.

        Cancelling it cancels the actor that is running. That may end by itself all the same: call
        `stop` before, so that no further one is run.

        Returns:
            Whether an activity has disturbed the host task: one that cancels the asyncio task that
            it runs in, and returns without having waited, leaves a cancellation that nobody asked
            for. It is no reason to stop.
        """
        hosted, runs, since, is_disturbed = self._hosted, 0, 0.0, False
        try:
            while not self.is_closed:
                try:
                    if hosted:
                        if not runs:
                            since = time.monotonic()
                        elif (
                            runs >= MAX_INLINE_RUNS or time.monotonic() - since > MAX_INLINE_SECONDS
                        ):
                            await checkpoint()
                            runs = 0
                            continue  # what was ready may be no longer
                        runs += 1
                        await hosted.pop(0).run()
                    elif self._resumed:
                        await self._resumed.pop(0).run()
                    else:
                        await self._called()
                        runs = 0  # the others have run meanwhile
                except anyio.get_cancelled_exc_class():
                    if is_being_cancelled():
                        raise
                    is_disturbed, runs = True, 0
        finally:
            while self._resumed:
                await self._resumed.pop(0).run()
        return is_disturbed

    def _called(self) -> Awaitable[None]:
        """Wait until there may be something to do."""
        if self._place is None:
            self._place = new_place()
        return self._place.wait()
