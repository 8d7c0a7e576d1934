"""The fork actor: holds the scopes that a parallel task or a map opens."""

from __future__ import annotations

from collections import deque
from typing import Any

import anyio
import msgspec
from anyio.abc import TaskGroup

from actors.actor import HostedActor, is_being_cancelled
from actors.expressions import ExpressionError
from actors.lane import Lane
from actors.messages import ApplyConditions, BugFound, ForkClosed, ForkOpened, RunTask
from actors.outcome import NULL, Outcome
from actors.plan import Map
from actors.router import ROUTER
from actors.routing import expression_error
from actors.task import evaluated, seconds_left
from actors.values import ValueRefusedError, encode_value


class ForkActor(HostedActor[RunTask]):
    """Runs the scopes of one attempt of a task, each on a lane of its own.

    The lanes run in a task group of this actor's, so that none of them outlives it: whatever stops
    it (a timeout, the join, the end of what is around it) has stopped all of them when it ends.

    Attributes:
        is_reopened: whether the attempt goes on whose scopes are open: it asks nobody to open them.
        pending: paths of scopes that wait for a place; the supervisor's.
    """

    is_reopened: bool = False
    pending: deque[str] = msgspec.field(default_factory=deque)
    _group: TaskGroup | None = None  # None before it runs
    _limit: anyio.CancelScope | None = None
    _is_left: bool = False  # the task group ends when the lanes that it has do
    _is_stopped: bool = False
    _lanes: dict[str, Lane] = msgspec.field(default_factory=dict)
    _is_closed: anyio.Event = msgspec.field(default_factory=anyio.Event)

    async def run(self) -> None:
        """Let the supervisor open scopes until it closes or stops this, or the time is over.

        Cancelling it stops all scopes and waits for their clean-up.
        """
        message, environment = self._message, self._message.environment
        monotonic = environment.clock.monotonic
        started = monotonic()
        try:
            items = None if self.is_reopened else self._items()
        except ExpressionError as error:
            shown = ExpressionError(f"items of task '{message.task.name}': {error}")
            outcome = Outcome("failure", 0.0, error=expression_error(shown))
            ROUTER.send(ApplyConditions(message, outcome))
            return
        is_late = False
        try:
            is_late = await self._hold(items)
        except BaseException as error:  # noqa: BLE001 - as in a task actor, nothing may leave this
            if not is_being_cancelled():
                environment.supervisor.send(BugFound(_as_exception(error)))
                return
        environment.supervisor.send(ForkClosed(message, is_late, monotonic() - started))

    async def _hold(self, items: msgspec.Raw | None) -> bool:
        """Run the scopes to their end; return whether the time was over before."""
        message, environment = self._message, self._message.environment
        with anyio.move_on_after(seconds_left(message, environment.clock)) as self._limit:
            async with anyio.create_task_group() as self._group:
                for path, lane in self._lanes.items():
                    self._group.start_soon(self._run, path, lane, name="scope")
                if self._is_stopped:
                    self._group.cancel_scope.cancel()
                if items is not None:
                    environment.supervisor.send(ForkOpened(message, self, items))
                try:
                    await self._is_closed.wait()
                finally:
                    self._is_left = True
        return self._limit.cancel_called

    @property
    def is_late(self) -> bool:
        """Whether the time is over, so that all scopes are being stopped, or will be."""
        if self._limit is None:
            return seconds_left(self._message, self._message.environment.clock) == 0
        return self._limit.cancel_called

    def lane(self, path: str) -> Lane | None:
        """Return the lane of a scope; it is opened if there is none.

        None if this is closed or stopped, and opens none any more.
        """
        lane = self._lanes.get(path)
        if lane is None and not self._is_left:
            lane = self._lanes[path] = Lane()
            if self._group is not None:
                self._group.start_soon(self._run, path, lane, name="scope")
        return lane

    def close_lane(self, path: str) -> None:
        """Let a scope's lane end: its scope has."""
        lane = self._lanes.get(path)
        if lane is not None:
            lane.close()

    def close(self) -> None:
        """Open no further scope, and end when those that are open have ended; not a checkpoint."""
        self._is_closed.set()

    def stop_lanes(self) -> None:
        """Let no scope run a further task; not a checkpoint."""
        for lane in self._lanes.values():
            lane.stop()

    def stop(self) -> None:
        """Stop all scopes that are open, and then end; not a checkpoint."""
        self.stop_lanes()
        self._is_stopped = True
        if self._group is not None:
            self._group.cancel_scope.cancel()

    async def _run(self, path: str, lane: Lane) -> None:
        try:
            await lane.host()
        except Exception as error:  # noqa: BLE001 - a bug of ours ends this execution, no other
            self._message.environment.supervisor.send(BugFound(error))
        finally:
            if self._lanes.get(path) is lane:
                del self._lanes[path]

    def _items(self) -> msgspec.Raw:
        """Return what a map runs for, as a JSON list.

        Raises:
            ExpressionError: it is none, or has no value.
        """
        message = self._message
        if not isinstance(message.task.construct, Map):
            return NULL
        items = evaluated(message)
        if not isinstance(items, list):
            msg = f"they came to {_kind(items)}; they have to be a list"
            raise ExpressionError(msg)
        try:
            return msgspec.Raw(encode_value(items))
        except ValueRefusedError as error:
            raise ExpressionError(str(error)) from error


def _kind(value: Any) -> str:
    return "null" if value is None else f"a value of type {type(value).__name__}"


def _as_exception(error: BaseException) -> Exception:
    if isinstance(error, Exception):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")
