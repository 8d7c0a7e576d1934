"""`flowmgr run`: one flow in this process, with a live view of its progress."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Collection
from typing import Any

import anyio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from actors.events import Event, ScopeStopped, TaskFinished, TaskStarted, TaskStopped
from actors.paths import COMPENSATION, ROOT, task_path
from flowmgr.activities.declaration import Activity
from flowmgr.engine import Engine, open_engine
from flowmgr.errors import ExecutionEndedError
from flowmgr.settings import Settings
from web.commands.showing import print_json
from web.resources import execution_resource

EXIT_CODES = {"completed": 0, "failed": 1, "cancelled": 130}


async def run_flow(
    document: Any,
    context: Any,
    *,
    settings: Settings,
    activities: Collection[Activity[..., Any]],
) -> int:
    """Run a flow, show its progress, print the execution, and return the exit code.

    SIGINT and SIGTERM cancel the execution; its clean-up is waited for. A second signal does not
    wait.
    """
    async with open_engine(settings, activities=activities) as engine:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            started = await engine.start(document, context)
            async with anyio.create_task_group() as group:
                group.start_soon(_cancel_on_signal, engine, started.execution_id, signals)
                await _show_progress(engine, started.execution_id)
                group.cancel_scope.cancel()
        execution = await engine.get(started.execution_id)
        print_json(execution_resource(execution))
        if engine.abandoned_executions:  # a thread that does not stop would keep the process
            sys.stdout.flush()
            os._exit(EXIT_CODES[execution.status])
    return EXIT_CODES[execution.status]


async def _cancel_on_signal(
    engine: Engine, execution_id: str, signals: AsyncIterator[signal.Signals]
) -> None:
    is_first = True
    async for received in signals:
        if not is_first:
            os._exit(EXIT_CODES["cancelled"])
        is_first = False
        with contextlib.suppress(ExecutionEndedError):  # it has ended meanwhile
            await engine.cancel(execution_id, reason=f"interrupted by {received.name}")


async def _show_progress(engine: Engine, execution_id: str) -> None:
    console = Console(stderr=True)
    view = _Progress()
    if not console.is_terminal:
        async for recorded in engine.follow(execution_id):
            line = view.update(recorded.event)
            if line is not None:
                console.print(line)
        return
    with Live(view, console=console, refresh_per_second=10) as live:
        async for recorded in engine.follow(execution_id):
            view.update(recorded.event)
            live.refresh()


class _Progress:
    """What has happened, a line for each finished task, and what is running."""

    def __init__(self) -> None:
        self._lines: list[Text] = []
        self._running: dict[tuple[str, str], Spinner] = {}  # by scope and task

    def __rich__(self) -> RenderableType:
        return Group(*self._lines, *self._running.values())

    def update(self, event: Event) -> Text | None:
        """Take in *event* and return the line that it makes, if any."""
        if isinstance(event, TaskStarted):
            spinner = Spinner("dots", text=Text(f"{_name(event)} is running"))
            self._running[event.scope, event.task] = spinner
            return None
        if isinstance(event, ScopeStopped):
            self._forget(event.scope)
            return None
        if isinstance(event, TaskFinished):
            line = _finished(event)
        elif isinstance(event, TaskStopped):
            line = Text(f"■ {_name(event)}  {event.how} after {event.seconds:.3f} s", "yellow")
        else:
            return None
        self._running.pop((event.scope, event.task), None)
        self._lines.append(line)
        return line

    def _forget(self, stopped: str) -> None:
        """Forget what ran in a scope, and in those inside of it."""
        for scope, task in list(self._running):
            if f"{scope}/".startswith(f"{stopped}/"):
                del self._running[scope, task]


def _name(event: TaskStarted | TaskFinished | TaskStopped) -> str:
    """Return the task's name; its path if it is inside of another one."""
    if event.scope == COMPENSATION:  # where tasks have paths for names
        return f"{COMPENSATION} {event.task}"
    return event.task if event.scope == ROOT else task_path(event.scope, event.task)


def _finished(event: TaskFinished) -> Text:
    outcome = event.outcome
    if outcome.error is None:
        return Text(f"✓ {_name(event)}  {outcome.seconds:.3f} s", "green")
    error = f"{outcome.error.type}: {outcome.error.message}"
    return Text(f"✗ {_name(event)}  {outcome.seconds:.3f} s  {error}", "red")
