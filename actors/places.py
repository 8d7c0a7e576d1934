"""Places: where one task waits until it is called; and the checkpoint of an event loop.

An `anyio.Event` does this as well, for any number of tasks and for once. Executions wait so often
(for the journal behind each task) that it shows: on asyncio and uvloop this costs half as much.
anyio's checkpoint finds out at each call which library it runs on.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final, Protocol

import sniffio
from trio.lowlevel import (
    Abort,
    Task,
    checkpoint,
    current_task,
    reschedule,
    wait_task_rescheduled,
)


class Place(Protocol):
    """Where one task at a time waits."""

    def wait(self) -> Awaitable[None]:
        """Wait until the place is called; a checkpoint. Cancelling it leaves the place empty."""

    def call(self) -> None:
        """Have the task go on that waits here, if one does; not a checkpoint."""


def new_place() -> Place:
    """Return a place for the tasks of the event loop that runs now."""
    return _PLACES[sniffio.current_async_library()]()


def own_checkpoint() -> Callable[[], Awaitable[None]]:
    """Return the checkpoint of the event loop that runs now, and of no other."""
    return _CHECKPOINTS[sniffio.current_async_library()]


@types.coroutine
def _asyncio_checkpoint() -> Generator[None, None, None]:
    yield


class _AsyncioPlace:
    __slots__ = ("_future", "_new_future")

    def __init__(self) -> None:
        # Asking for the loop asks the kernel which process this is, each time.
        self._new_future = asyncio.get_running_loop().create_future
        self._future: asyncio.Future[None] | None = None

    def wait(self) -> Awaitable[None]:
        self._future = self._new_future()
        return self._future

    def call(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)


class _TrioPlace:
    __slots__ = ("_task",)

    def __init__(self) -> None:
        self._task: Task | None = None

    def wait(self) -> Awaitable[None]:
        self._task = current_task()
        return wait_task_rescheduled(self._leave)  # noqa: ASYNC105 - by the caller

    def _leave(self, _: Any) -> Abort:
        self._task = None
        return Abort.SUCCEEDED

    def call(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            reschedule(task)


_PLACES: Final[dict[str, type[_AsyncioPlace | _TrioPlace]]] = {
    "asyncio": _AsyncioPlace,
    "trio": _TrioPlace,
}

_CHECKPOINTS: Final[dict[str, Callable[[], Awaitable[None]]]] = {
    "asyncio": _asyncio_checkpoint,
    "trio": checkpoint,
}
