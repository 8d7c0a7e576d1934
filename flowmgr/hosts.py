"""Host tasks: what executions run on, used again where that cannot be noticed."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Final

import anyio
from anyio.abc import TaskGroup

from actors.execution import ExecutionSupervisor

MAX_IDLE: Final = 64
"""Host tasks that are kept for further executions."""


class Hosts:
    """Runs each execution on a host task of the engine's task group.

    Starting a task costs more than a short execution does, so a host whose execution has completed
    is given the next one. Nothing may show that it was used before: a host is kept only if no task
    failed or was cancelled on it and no context variable was left behind.
    """

    def __init__(self, root: TaskGroup) -> None:
        self._root = root
        self._idle: list[_Host] = []

    def run(self, supervisor: ExecutionSupervisor) -> None:
        """Run the execution of *supervisor* on a host; not a checkpoint."""
        if self._idle:
            self._idle.pop().give(supervisor)
            return
        host = _Host(supervisor)
        # A context of its own: the execution belongs to no request, and inherits nothing from one.
        handle = self._root.create_task(
            self._serve(host), name="execution host", context=contextvars.Context()
        )
        host.stop = supervisor.stop_host = handle.cancel

    async def _serve(self, host: _Host) -> None:
        while True:
            supervisor = host.supervisor
            await supervisor.host()
            state = supervisor.state
            if (
                state.status != "completed"
                or state.has_failures
                or len(contextvars.copy_context())
                or len(self._idle) >= MAX_IDLE
            ):
                return
            self._idle.append(host)
            await host.next()


class _Host:
    """A host task: what it runs, and how it is given something else."""

    __slots__ = ("_given", "stop", "supervisor")

    def __init__(self, supervisor: ExecutionSupervisor) -> None:
        self.supervisor = supervisor
        self.stop: Callable[[], None] = supervisor.stop_host
        self._given = anyio.Event()

    def give(self, supervisor: ExecutionSupervisor) -> None:
        """Have the host run *supervisor* next."""
        self.supervisor = supervisor
        supervisor.stop_host = self.stop
        self._given.set()

    async def next(self) -> None:
        """Wait until the host is given something to run."""
        self._given = anyio.Event()
        await self._given.wait()
