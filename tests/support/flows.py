"""Flows for tests, and what tests wait for and look at."""

import itertools

import anyio

from actors.events import TERMINAL
from flowmgr import activity

PATIENCE = 20.0
"""Seconds after which a test that waits for something has failed."""


def chain(*tasks, flow_id="chain", **fields):
    """A flow document: one task after the other, whatever comes of each leads on."""
    conditions = [
        {"source_task": source, "target_task_success": target, "target_task_failure": target}
        for source, target in itertools.pairwise(tasks)
    ]
    return {
        "id": flow_id,
        "name": flow_id,
        "start_task": tasks[0],
        "tasks": [{"name": task} for task in dict.fromkeys(tasks)],
        "conditions": conditions,
        **fields,
    }


async def until(condition):
    """Wait until *condition* holds."""
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what it is about has no event
            await anyio.sleep(0.001)


async def recorded(engine, execution_id):
    """The events of an execution."""
    return [each.event for each in await engine.events(execution_id)]


async def ending_of(engine, execution_id):
    """The terminal event of an execution, which is to have one, at its end."""
    events = await recorded(engine, execution_id)
    endings = [event for event in events if isinstance(event, TERMINAL)]
    assert endings == events[-1:]
    return endings[0]


class Gate:
    """An activity that waits until it is let through, and counts who came and who left."""

    def __init__(self, name="gate"):
        self.came = self.left = 0
        self.someone_came = anyio.Event()
        self.opened = anyio.Event()
        self.activity = activity(name)(self._pass)

    async def _pass(self, context):
        self.came += 1
        self.someone_came.set()
        try:
            await self.opened.wait()
        finally:
            self.left += 1
        return "passed"
