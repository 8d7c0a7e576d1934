"""Waiting for an execution that is parked, without taking it up."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

import anyio

from actors.execution import ExecutionSupervisor


class Watches:
    """Tells those who watch an execution that is not live when it is taken up.

    While nobody watches, it costs no more than a look into an empty dictionary; and executions that
    are watched stay parked. All of it happens in the event loop's thread.
    """

    def __init__(self) -> None:
        self._watched: Final[dict[str, set[Watch]]] = {}
        self.is_closed = False  # nothing is taken up any more

    def watch(self, execution_id: str) -> Watch:
        """Return a watch on an execution, for a ``with`` block.

        Enter it before the execution is looked for: what happens from then on is not missed.
        """
        return Watch(self._watched, execution_id, is_closed=self.is_closed)

    def taken_up(self, supervisor: ExecutionSupervisor) -> None:
        """Tell those who watch that the execution is live; not a checkpoint."""
        for watch in self._watched.get(supervisor.execution_id, ()):
            watch.give(supervisor)

    def lost(self, execution_id: str) -> None:
        """Tell those who watch that the execution will not be live; not a checkpoint."""
        for watch in self._watched.get(execution_id, ()):
            watch.give(None)

    def close(self) -> None:
        """Tell all who watch, now or later, that nothing is taken up any more."""
        self.is_closed = True
        self.look_again()

    def look_again(self) -> None:
        """Have all who watch look again at how their execution stands."""
        for watches in self._watched.values():
            for watch in watches:
                watch.give(None)


class Watch:
    """One watch on one execution."""

    __slots__ = ("_event", "_execution_id", "_supervisor", "_watched")

    def __init__(
        self, watched: dict[str, set[Watch]], execution_id: str, *, is_closed: bool
    ) -> None:
        self._watched = watched
        self._execution_id = execution_id
        self._supervisor: ExecutionSupervisor | None = None
        self._event = anyio.Event()
        if is_closed:
            self._event.set()

    def __enter__(self) -> Self:
        self._watched.setdefault(self._execution_id, set()).add(self)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        watches = self._watched[self._execution_id]
        watches.remove(self)
        if not watches:
            del self._watched[self._execution_id]

    @property
    def is_taken_up(self) -> bool:
        """Whether the execution was taken up since the beginning."""
        return self._supervisor is not None

    def give(self, supervisor: ExecutionSupervisor | None) -> None:
        """Say that the execution was taken up, or, with None, that there is no use in waiting."""
        self._supervisor = supervisor or self._supervisor
        self._event.set()

    async def taken_up(self) -> ExecutionSupervisor | None:
        """Wait until the execution is taken up, or return at once if it was since the beginning.

        A checkpoint; cancelling it has no effect on the execution.

        Returns:
            Its supervisor, which may have come to its end by now; None if the engine is closing, or
            if the caller has to look again at how the execution stands.
        """
        await self._event.wait()
        return self._supervisor
