"""The one timer of the engine: says which executions have something due by now."""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import anyio
from anyio.lowlevel import checkpoint

from actors.ports import Clock

CHUNK: Final = 200
"""Executions that are woken together; the event loop goes on with other things in between."""

LOOK_AGAIN: Final = 60.0
"""Seconds after which the clock is looked at again, however far away the next due instant is: it
may have been set.
"""

SHORTEST: Final = 0.001
"""Seconds that it sleeps at least: a clock need not come forward by less."""

SLACK: Final = 256
"""Outdated entries that the heap may have beside as many as there are valid ones."""

_Entry = tuple[float, str]


class Timers:
    """Due instants of executions, one for each, and the task that wakes what is due.

    An instant is wall-clock time, so the machine's sleep and its clock being set are taken into
    account. All of it happens in the event loop's thread. Each instant takes some 200 bytes.
    """

    def __init__(self, clock: Clock) -> None:
        self.now = clock.now
        self._entries: dict[str, _Entry] = {}
        self._heap: list[_Entry] = []  # those, and some that were replaced or cleared since
        self._sleeps_until = float("-inf")
        self._set_earlier = anyio.Event()

    def __len__(self) -> int:
        return len(self._entries)

    def due(self, execution_id: str) -> float | None:
        """Return the instant that is set for an execution; None if none is."""
        entry = self._entries.get(execution_id)
        return None if entry is None else entry[0]

    def set(self, execution_id: str, due: float) -> None:
        """Wake an execution when *due* has come, and at no other instant; not a checkpoint.

        Args:
            execution_id: the execution.
            due: seconds since 1970-01-01 UTC; it may have come already.
        """
        entry = self._entries[execution_id] = (due, execution_id)
        heapq.heappush(self._heap, entry)
        if due < self._sleeps_until:
            self._sleeps_until = due
            self._set_earlier.set()
        self._tidy()

    def clear(self, execution_id: str) -> None:
        """Do not wake an execution, if that was to be done; not a checkpoint."""
        if self._entries.pop(execution_id, None) is not None:
            self._tidy()

    def _tidy(self) -> None:
        """Drop the outdated entries once there are clearly more of them than of the others."""
        if len(self._heap) > 2 * len(self._entries) + SLACK:
            self._heap = list(self._entries.values())
            heapq.heapify(self._heap)

    async def run(self, wake: Callable[[Sequence[str]], Awaitable[None]]) -> None:
        """Wake what is due, for ever; the body of a task. Cancelling it ends it.

        Args:
            wake: is given the ids of executions whose instant has come, `CHUNK` of them at most,
                and awaited; none of them is set any more then. It must not raise.
        """
        while True:
            due = self._take_due()
            if due:
                await wake(due)
                await checkpoint()
            else:
                await self._sleep()

    def _take_due(self) -> list[str]:
        """Return what is due, the longest due first, up to a chunk; it is not set any more."""
        heap, entries, now = self._heap, self._entries, self.now()
        due: list[str] = []
        while heap and heap[0][0] <= now and len(due) < CHUNK:
            entry = heapq.heappop(heap)
            if entries.get(entry[1]) is entry:
                del entries[entry[1]]
                due.append(entry[1])
        return due

    async def _sleep(self) -> None:
        """Sleep until something may be due."""
        heap, entries = self._heap, self._entries
        while heap and entries.get(heap[0][1]) is not heap[0]:
            heapq.heappop(heap)
        earliest = heap[0][0] if heap else float("inf")
        self._set_earlier = anyio.Event()
        self._sleeps_until = earliest
        try:
            if heap:
                pause = min(max(earliest - self.now(), SHORTEST), LOOK_AGAIN)
                with anyio.move_on_after(pause):
                    await self._set_earlier.wait()
            else:
                await self._set_earlier.wait()
        finally:
            self._sleeps_until = float("-inf")
