"""The threads that sync activities run in: how many there are, and which ones are given up."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Threads:
    """Runs functions in threads, as many at once as there are places; further ones wait.

    A thread cannot be stopped. One that is given up has its place until it ends, so there is a
    further place until then: or such threads would in time leave none for the others.

    Args:
        places: how many run at once, besides those that are given up.
    """

    def __init__(self, places: int) -> None:
        self.limiter: Final = anyio.CapacityLimiter(places)
        self._unlimited: Final = anyio.CapacityLimiter(math.inf)  # who has a place has a thread
        self._calls: Final[dict[str, set[object]]] = {}  # not given up, by their execution
        self._given_up: Final[set[object]] = set()

    async def run(self, execution_id: str, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Run *function* in a thread, for an execution, and return what it returns.

        Cancelling it while no place is free starts nothing; later it waits for the thread.
        """
        call = object()
        await self.limiter.acquire_on_behalf_of(call)
        self._calls.setdefault(execution_id, set()).add(call)
        try:
            return await anyio.to_thread.run_sync(function, *arguments, limiter=self._unlimited)
        finally:
            self._ended(execution_id, call)  # first: its place is not to be taken by another
            self.limiter.release_on_behalf_of(call)

    def give_up(self, execution_id: str) -> None:
        """Have others run in the places of all threads that an execution has; not a checkpoint."""
        calls = self._calls.pop(execution_id, None)
        if calls:
            self._given_up.update(calls)
            self.limiter.total_tokens += len(calls)

    def _ended(self, execution_id: str, call: object) -> None:
        if call in self._given_up:
            self._given_up.remove(call)
            self.limiter.total_tokens -= 1
            return
        calls = self._calls[execution_id]
        calls.remove(call)
        if not calls:
            del self._calls[execution_id]
