"""What is done to executions at random, and a look at how they stand meanwhile."""

import contextlib

from actors.events import TaskStarted
from actors.evolving import fold
from actors.paths import is_of_the_end, task_path
from flowmgr.errors import FlowmgrError

SKIPPED = 1
"""The result of tasks that are skipped."""


def picked(events, more, pick):
    """One of the tasks that have been started, by a number from 0 to 1: its scope and its name."""
    started = [(each.scope, each.task) for each in events if isinstance(each, TaskStarted)]
    places = [place for place in dict.fromkeys([*started, *more]) if not is_of_the_end(place[0])]
    return places[int(pick * len(places))]


async def skip(engine, execution_id, pick):
    """Skip the one task that can be skipped, or else one of those that have been started."""
    events = [each.event for each in await engine.events(execution_id)]
    try:
        await engine.skip(execution_id, result=SKIPPED)
    except FlowmgrError:
        path = task_path(*picked(events, [], pick))
        await engine.skip(execution_id, task=path, result=SKIPPED)


async def meddle(engine, going_on, what, pick):
    """Pause or resume one of the executions that go on, or skip a task of it."""
    if not going_on:
        return
    execution_id = going_on[int(pick * len(going_on))]
    with contextlib.suppress(FlowmgrError):
        if what == "skip":
            await skip(engine, execution_id, pick)
        else:
            await getattr(engine, what)(execution_id)


async def not_as_recorded(engine, going_on):
    """Say which executions are not, in memory, as their histories say."""
    problems = []
    for execution_id in going_on:
        supervisor = engine._live.get(execution_id)
        if supervisor is None:
            continue
        events = [each.event for each in await engine.events(execution_id)]
        if supervisor.state != fold(events):
            problems.append(f"what is in memory is not what was recorded: {events[0].flow_id}")
    return problems
