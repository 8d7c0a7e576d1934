"""The baselines in memory: bare ``await`` loops over the tasks of a flow.

`OriginalLoop` does for each step what the small service that flowmgr replaces does, neither more
nor less. `LeanestLoop` does what no orchestrator can leave out: it is the bound, not the rival.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

Function = Callable[[dict[str, Any]], Awaitable[Any]]


class Status(Enum):
    """How a task, or an execution, stands."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILURE = "failure"


@dataclass
class Task:
    """A task and its function."""

    name: str
    function: Function


@dataclass
class Condition:
    """Where to go after a task."""

    source: str
    outcome: Status
    on_match: str
    otherwise: str


@dataclass
class Result:
    """How a task ended, and how many seconds it took."""

    status: Status
    data: Any
    error: str | None
    execution_time: float


@dataclass
class Record:
    """An execution."""

    execution_id: str
    context: dict[str, Any]
    status: Status = Status.RUNNING
    current: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    results: dict[str, Result] = field(default_factory=dict)


def _chain(length: int, function: Function) -> tuple[list[Task], list[Condition]]:
    names = [f"task{number}" for number in range(1, length + 1)]
    targets = [*names[1:], "end"]
    tasks = [Task(name, function) for name in names]
    conditions = [
        Condition(source, Status.SUCCESS, target, "end")
        for source, target in zip(names, targets, strict=True)
    ]
    return tasks, conditions


class OriginalLoop:
    """Scans lists for the task and for its condition, and keeps every execution."""

    def __init__(self, length: int, function: Function) -> None:
        self._tasks, self._conditions = _chain(length, function)
        self._executions: dict[str, Record] = {}

    async def run(self, context: dict[str, Any]) -> Record:
        """Run one execution."""
        record = Record(str(uuid.uuid4()), dict(context), started=datetime.now())  # noqa: DTZ005
        self._executions[record.execution_id] = record
        current = self._tasks[0].name
        status = Status.SUCCESS
        while current != "end":
            record.current = current
            result = await self._run_task(current, record.context)
            record.results[current] = result
            record.context[f"{current}_result"] = result.data
            status = result.status
            current = self._next(current, status)
        record.status = status
        record.ended = datetime.now()  # noqa: DTZ005
        return record

    def forget(self) -> None:
        """Drop what was kept: a run must not measure how a list of millions slows the machine."""
        self._executions.clear()

    async def _run_task(self, name: str, context: dict[str, Any]) -> Result:
        task = next(task for task in self._tasks if task.name == name)
        started = datetime.now()  # noqa: DTZ005
        try:
            data = await task.function(context)
        except Exception as error:
            seconds = (datetime.now() - started).total_seconds()  # noqa: DTZ005
            return Result(Status.FAILURE, None, str(error), seconds)
        seconds = (datetime.now() - started).total_seconds()  # noqa: DTZ005
        return Result(Status.SUCCESS, data, None, seconds)

    def _next(self, source: str, status: Status) -> str:
        for condition in self._conditions:
            if condition.source == source:
                return condition.on_match if status == condition.outcome else condition.otherwise
        return "end"


class LeanestLoop:
    """Looks everything up in dictionaries, and records nothing but the data."""

    def __init__(self, length: int, function: Function) -> None:
        tasks, conditions = _chain(length, function)
        self._start = tasks[0].name
        self._functions = {task.name: task.function for task in tasks}
        self._targets = {condition.source: condition.on_match for condition in conditions}

    async def run(self, context: dict[str, Any]) -> dict[str, Any]:
        """Run one execution."""
        context = dict(context)
        current = self._start
        while current != "end":
            context[f"{current}_result"] = await self._functions[current](context)
            current = self._targets[current]
        return context
