"""What the journal has of an execution, and of those that were started inside of it."""

import dataclasses

from actors.events import AttemptFailed, TaskFinished, TaskStarted, TaskStopped
from actors.evolving import fold
from actors.paths import task_path
from flowmgr.executions import view
from flowmgr.journal.store import ExecutionQuery
from tests.fuzz.invariants import broken

MOST = 10_000


@dataclasses.dataclass
class Member:
    """An execution.

    Attributes:
        name: "" for the first one; that of another is the path of the task that has started it.
        execution: it, as it is shown.
        events: its history.
    """

    name: str
    execution: object
    events: list


@dataclasses.dataclass
class Family:
    """An execution with all those that were started inside of it.

    Attributes:
        members: they, the outermost first.
        began: when it was started.
        problems: what is wrong about them, whatever their flows are.
        asked: the task that a rerun began with: its scope and its name; or why it was refused to
            have the execution go on.
    """

    members: list
    began: float
    problems: list
    asked: object = None

    @property
    def first(self):
        return self.members[0]

    @property
    def has_ended(self):
        return self.first.execution.has_ended


async def family_of(engine, execution_id, began, patience):
    """Look at an execution, which has ended, and at all inside of it; wait for them if need be."""
    problems = []
    listed = await engine.list(ExecutionQuery(), None, MOST)
    found = [await _member(engine, each.execution_id, patience) for each in listed]
    members = [each for each in found if each.execution.execution_id == execution_id]
    found.sort(key=lambda each: (each.events[0].at, each.events[0].parent_task or ""))
    for parent in members:  # which grows meanwhile
        for child in found:
            if child.execution.parent == parent.execution.execution_id:
                problems += _related(parent, child)
                members.append(child)
    for member in members:
        problems += _broken(member)
    return Family(members, began, problems)


async def unended(engine):
    """The executions that have not ended, those that were started first before the others."""
    listed = await engine.list(ExecutionQuery(), None, MOST)
    going_on = [each for each in listed if each.ended_at is None]
    return [each.execution_id for each in sorted(going_on, key=lambda each: each.started_at)]


async def _member(engine, execution_id, patience):
    execution = await engine.wait(execution_id, timeout=patience)
    events = [each.event for each in await engine.events(execution_id)]
    return Member("", execution, events)


def _broken(member):
    """What is wrong about an execution by itself."""
    execution, name = member.execution, member.name or "the first execution"
    if not execution.has_ended:
        return [f"has not ended: {name} is {execution.status}"]
    problems = broken(member.events)
    if execution != view(execution.execution_id, fold(member.events)):
        problems.append(f"what is shown is not what was recorded: {name}")
    return problems


def _related(parent, child):
    """Give an execution its name, and say what is wrong about it and the task it belongs to."""
    first, started, left = child.events[0], None, None
    for event in parent.events:
        if not isinstance(event, TaskStarted | TaskFinished | AttemptFailed | TaskStopped):
            continue
        if task_path(event.scope, event.task) != first.parent_task:
            continue
        if isinstance(event, TaskStarted):
            if event.at <= first.at:
                started, left = event, None
        elif left is None:
            left = event
    child.name = f"{parent.name}{first.parent_task}@{started.visit}.{started.attempt}:"
    if left is None or child.events[-1].at <= left.at:
        return []
    return [f"a flow has outlived the task that runs it: {child.name}"]
