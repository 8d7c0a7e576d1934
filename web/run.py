"""`flowmgr run`: one flow in this process, with a live view of its progress."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Collection
from typing import Any

import anyio
import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from actors.events import Event, TaskFinished, TaskStarted, TaskStopped
from flowmgr.activities.declaration import Activity
from flowmgr.engine import Engine, open_engine
from flowmgr.errors import ExecutionEndedError
from flowmgr.executions import Execution
from flowmgr.settings import Settings
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
        _print(execution)
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
        self._running: dict[str, Spinner] = {}

    def __rich__(self) -> RenderableType:
        return Group(*self._lines, *self._running.values())

    def update(self, event: Event) -> Text | None:
        """Take in *event* and return the line that it makes, if any."""
        line = None
        if isinstance(event, TaskStarted):
            self._running[event.task] = Spinner("dots", text=Text(f"{event.task} is running"))
        elif isinstance(event, TaskFinished):
            line = self._finished(event)
        elif isinstance(event, TaskStopped):
            line = Text(f"■ {event.task}  {event.how} after {event.seconds:.3f} s", "yellow")
        if line is not None:
            self._running.pop(event.task, None)  # type: ignore[attr-defined]
            self._lines.append(line)
        return line

    @staticmethod
    def _finished(event: TaskFinished) -> Text:
        outcome = event.outcome
        if outcome.error is None:
            return Text(f"✓ {event.task}  {outcome.seconds:.3f} s", "green")
        error = f"{outcome.error.type}: {outcome.error.message}"
        return Text(f"✗ {event.task}  {outcome.seconds:.3f} s  {error}", "red")


def _print(execution: Execution) -> None:
    encoded = msgspec.json.encode(execution_resource(execution))
    sys.stdout.write(msgspec.json.format(encoded, indent=2).decode() + "\n")
