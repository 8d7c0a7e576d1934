"""What waits for its next attempt has none any more when its execution, or its scope, is over."""

import anyio
import pytest

from actors.events import CancelRequested, ScopeStopped, TaskStarted
from flowmgr import activity, open_engine
from tests.support.virtual_time import LoopClock, in_virtual_time

pytestmark = pytest.mark.anyio

RETRIED = {
    "tasks": [
        {"name": "refuse", "retry": {"maximum_attempts": 9, "initial_interval": 5}},
    ]
}


@activity
async def refuse(context):
    raise ValueError("no")


@activity
async def take(context):
    await anyio.sleep(1000)


@activity
async def soon(context):
    await anyio.sleep(1)


@activity
async def fail_soon(context):
    await anyio.sleep(1)
    raise KeyError("no")


def flow(*tasks, conditions=(), **fields):
    start = tasks[0]["name"]
    return {
        "name": "f",
        "start_task": start,
        "tasks": list(tasks),
        "conditions": list(conditions),
        **fields,
    }


def starts_behind(events, kind):
    """The tasks that were started behind the first event of a kind."""
    kinds = [type(each.event) for each in events]
    behind = events[kinds.index(kind) :]
    return [each.event.task for each in behind if isinstance(each.event, TaskStarted)]


@in_virtual_time
@pytest.mark.parametrize("is_in_a_branch", [True, False])
async def test_behind_a_cancellation_only_what_belongs_to_the_end_starts(is_in_a_branch):
    branches = {"retried": RETRIED, "long": {"tasks": [{"name": "take"}]}}
    first = {"name": "fan", "kind": "parallel", "branches": branches}
    document = flow(
        first if is_in_a_branch else RETRIED["tasks"][0],
        **{
            "finally": {
                "tasks": [{"name": "soon"}, {"name": "last", "activity": "tidy"}],
                "start_task": "soon",
                "conditions": [{"source_task": "soon", "target_task_success": "last"}],
            }
        },
    )

    @activity
    async def tidy(context):
        await anyio.sleep(8)  # over the instant at which the next attempt would have been due

    async with open_engine(activities=[refuse, take, soon, tidy], clock=LoopClock()) as engine:
        started = await engine.start(document)
        await anyio.sleep(1)
        found = await engine.cancel(started.execution_id, wait=100)
        events = await engine.events(started.execution_id)
    assert found.status == "cancelled"
    assert starts_behind(events, CancelRequested) == ["soon", "last"]


@in_virtual_time
@pytest.mark.parametrize("decides", ["soon", "fail_soon"])
async def test_a_branch_that_was_stopped_is_not_tried_again(decides):
    branches = {"retried": RETRIED, "decides": {"tasks": [{"name": decides}]}}
    join = "any" if decides == "soon" else "all"
    document = flow(
        {"name": "fan", "kind": "parallel", "branches": branches, "join": join},
        {"name": "take"},
        conditions=[
            {"source_task": "fan", "target_task_success": "take", "target_task_failure": "take"}
        ],
    )
    activities = [refuse, take, soon, fail_soon]
    async with open_engine(activities=activities, clock=LoopClock()) as engine:
        found = await engine.run(document, timeout=5000)
        events = await engine.events(found.execution_id)
    assert found.status == "completed"
    assert starts_behind(events, ScopeStopped) == ["take"]
