"""Host tasks: what executions run on, used again where that cannot be noticed."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import anyio
import sniffio
import trio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from actors.actor import is_being_cancelled, is_of_open_scopes
from actors.execution import ExecutionSupervisor
from actors.places import Place, new_place

MAX_IDLE: Final = 256
"""Host tasks that are kept for further executions."""

logger = logging.getLogger(__name__)


class Hosts:
    """Runs each execution on a host task of the engine's task group, `root`.

    Starting a task costs more than a short execution does, so a host whose execution has completed
    is given the next one. A host is kept only if no task failed or was cancelled on it, and neither
    a context variable nor a cancel scope was left behind, and on asyncio nobody has kept the task
    itself. What an activity keeps by the identity of its task (a lock that it still holds) is
    still there for the next execution.
    """

    def __init__(self, root: TaskGroup) -> None:
        self.root = root
        self._library = sniffio.current_async_library()
        self._idle: list[_Host] = []
        self._quarantine: list[anyio.CancelScope] = []
        self._is_closed = False

    @property
    def has_quarantined(self) -> bool:
        """Whether some host ends with a RuntimeError, and not before `close`."""
        return bool(self._quarantine)

    def run(self, supervisor: ExecutionSupervisor) -> None:
        """Run the execution of *supervisor* on a host; not a checkpoint."""
        if self._idle:
            self._idle.pop().give(supervisor)
        else:
            # A context of its own: it belongs to no request, and inherits nothing from one.
            self._run_in(contextvars.Context(), supervisor)

    def run_again(self, supervisor: ExecutionSupervisor) -> None:
        """Run an execution on a further host, also if no task calls; not a checkpoint."""
        context = contextvars.Context()
        # A task finds out by itself which library it runs on; where none runs, anyio looks here.
        context.run(sniffio.current_async_library_cvar.set, self._library)
        self._run_in(context, supervisor)

    def _run_in(self, context: contextvars.Context, supervisor: ExecutionSupervisor) -> None:
        host = _Host(supervisor, self._idle, _LIBRARIES[self._library])
        self.root.create_task(self._serve(host), name="execution host", context=context)

    def close(self) -> None:
        """Let the hosts in quarantine end, each with the RuntimeError that it is there for."""
        self._is_closed = True
        for scope in self._quarantine:
            scope.cancel()

    async def _serve(self, host: _Host) -> None:
        try:
            await host.run()
            await _absorb_stray_cancellation()
            _LIBRARIES[self._library].check_left()
        except RuntimeError as error:
            logger.error(  # noqa: TRY400 - it is not our error, and its place says nothing
                "execution %s: an activity has left a cancel scope open: %s",
                host.execution_id,
                str(error).partition("\n")[0],
            )
        else:
            return
        await self._sit_out()

    async def _sit_out(self) -> None:
        # An activity has left a cancel scope open (a task group that it entered and did not leave;
        # an async generator that yields inside of one and was not run to its end). This task can
        # no longer end without raising into the engine's task group, which would end every other
        # execution. So it does not end before the engine does.
        with anyio.CancelScope(shield=True) as scope:
            self._quarantine.append(scope)
            if not self._is_closed:
                await anyio.sleep_forever()


class _Library(NamedTuple):
    """What hosts do in a library's own way.

    Attributes:
        look: returns, for the cancel scope that a host is in, what is not equal as long as further
            ones are open in it, or the host could be cancelled by somebody else. To close a scope
            and make another would show it as well, and takes a tenth of a short execution. Where it
            cannot be seen, no host is used again.
        cancel: cancels a scope, in the next turn of the loop at the latest; not a checkpoint.
        check_left: raises a RuntimeError if the task that calls cannot end without one.
    """

    look: Callable[[anyio.CancelScope], object]
    cancel: Callable[[anyio.CancelScope], None]
    check_left: Callable[[], None]


class _Host:
    """A host task: what it runs, and how it is given something else or stopped.

    Args:
        supervisor: runs the execution that it is to run first.
        idle: hosts that wait for an execution; this one is there while it does.
        library: what it has to do in that library's own way.

    Attributes:
        supervisor: runs the execution that it is to run next; None while there is none.
        execution_id: the execution that it runs, or has run last.
    """

    __slots__ = (
        "_idle",
        "_is_stopped",
        "_library",
        "_place",
        "_scope",
        "execution_id",
        "supervisor",
    )

    def __init__(
        self, supervisor: ExecutionSupervisor, idle: list[_Host], library: _Library
    ) -> None:
        self._idle = idle
        self._library = library
        self._place: Place | None = None  # made when it first waits
        self._scope = anyio.CancelScope()
        self._is_stopped = False  # asking the scope takes longer: trio looks at the time for it
        self.execution_id = ""
        self.give(supervisor)

    def give(self, supervisor: ExecutionSupervisor) -> None:
        """Have the host run *supervisor* next."""
        self.supervisor: ExecutionSupervisor | None = supervisor
        supervisor.stop_host = self._stop
        if self._place is not None:
            self._place.call()

    def _stop(self) -> None:
        self._is_stopped = True
        self._library.cancel(self._scope)

    async def run(self) -> None:
        """Run executions, one after the other, for as long as none could tell of one before it.

        Raises:
            RuntimeError: an activity has left a cancel scope open in this task: closing the one
                around it shows that.
        """
        try:
            with self._scope as scope:
                look = self._library.look
                untouched = look(scope)
                while self.supervisor is not None:
                    supervisor, self.supervisor = self.supervisor, None
                    self.execution_id = supervisor.execution_id
                    await supervisor.host()
                    if self._is_stopped or not _has_left_nothing(supervisor):
                        return
                    del supervisor  # or it would be kept for as long as this waits
                    if look(scope) == untouched and len(self._idle) < MAX_IDLE:
                        await self._called()
        except anyio.get_cancelled_exc_class():
            # If an activity has cancelled the asyncio task that it ran in, the scope takes its own
            # cancellation for that one and lets it through. It is no reason for the engine to end.
            if is_being_cancelled():
                raise

    async def _called(self) -> None:
        """Wait until the host is given something to run.

        A cancellation that nobody asked for ends the waiting as well.
        """
        self._idle.append(self)
        if self._place is None:
            self._place = new_place()
        try:
            await self._place.wait()
        except anyio.get_cancelled_exc_class():
            if is_being_cancelled() and self.supervisor is None:
                raise  # what it was given, and is stopped already, has to be told so first
        if self.supervisor is None:
            self._idle.remove(self)


def _has_left_nothing(supervisor: ExecutionSupervisor) -> bool:
    """Whether the next execution could not tell that this one was before it, but for open scopes.

    Called in the host task.
    """
    state = supervisor.state
    return (
        state.status == "completed"
        and not state.has_failures
        and not supervisor.is_host_disturbed
        and not len(contextvars.copy_context())
    )


def _look_on_asyncio(scope: anyio.CancelScope) -> object:
    scopes = getattr(scope, "_child_scopes", None)
    if scopes is None or scopes:
        return object()
    # Who keeps the task, such as an `asyncio.timeout` that was not left, can cancel it later.
    return sys.getrefcount(asyncio.current_task())


def _look_on_trio(_: anyio.CancelScope) -> object:
    return getattr(trio.lowlevel.current_task(), "_cancel_status", None) or object()


def _cancel_on_asyncio(scope: anyio.CancelScope) -> None:
    scope.cancel()


def _cancel_on_trio(scope: anyio.CancelScope) -> None:
    # What is cancelled at once keeps the frames of those who have asked for it, down to the
    # request, until it has ended: with thousands, twice the time. trio itself finds a deadline that
    # is over, in its next turn.
    scope.deadline = -math.inf


def _check_left_on_asyncio() -> None:
    """Do nothing: only closing a scope tells that another one is open in it."""


def _check_left_on_trio() -> None:
    # Of the scopes around it that of the flow's time was closed first, which has told.
    if trio.lowlevel.current_task().child_nurseries:
        msg = "a nursery is open behind the scope of the flow's time"
        raise RuntimeError(msg)


_LIBRARIES: Final = {
    "asyncio": _Library(_look_on_asyncio, _cancel_on_asyncio, _check_left_on_asyncio),
    "trio": _Library(_look_on_trio, _cancel_on_trio, _check_left_on_trio),
}


async def _absorb_stray_cancellation() -> None:
    # An activity that has cancelled the asyncio task that it runs in would otherwise have this
    # task end as cancelled, which the engine's task group takes for a reason to end.
    if anyio.get_current_task().has_pending_cancellation():
        try:
            await checkpoint()
        except anyio.get_cancelled_exc_class():
            if is_being_cancelled():
                raise


@asynccontextmanager
async def open_hosts() -> AsyncIterator[Hosts]:
    """Open the task group that executions run in. Leaving it waits for everything in it.

    Raises:
        BaseExceptionGroup: a bug has ended a task of the group, and with it all others.
    """
    try:
        async with anyio.create_task_group() as root:
            hosts = Hosts(root)
            yield hosts
    except BaseExceptionGroup as group:
        rest = group.split(is_of_open_scopes)[1] if hosts.has_quarantined else group
        if rest is not None:
            raise rest from None
