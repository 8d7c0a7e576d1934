"""Executions inside of executions: how deep they go, and that none outlives what is around it."""

import anyio
import pytest

from flowmgr import Settings, activity, open_engine
from flowmgr.errors import JournalUnavailableError
from flowmgr.journal.store import ExecutionQuery
from flowmgr.subflows import MAX_DEPTH
from tests.support.virtual_time import LoopClock, in_virtual_time

pytestmark = pytest.mark.anyio

GRACE = 5


def flow(flow_id, task):
    return {
        "id": flow_id,
        "name": flow_id,
        "start_task": task["name"],
        "tasks": [task],
        "conditions": [],
    }


async def statuses(engine):
    listed = await engine.list(ExecutionQuery(), None, 1000)
    return [each.status for each in listed]


async def test_flows_that_run_each_other_come_to_an_end():
    @activity
    async def nothing(context):
        return None

    async with open_engine(activities=[nothing]) as engine:
        await engine.register(flow("a", {"name": "nothing"}))
        await engine.register(flow("b", {"name": "b", "kind": "flow", "flow": "a"}))
        await engine.register(flow("a", {"name": "a", "kind": "flow", "flow": "b"}))
        found = await engine.run("a", timeout=30)
        assert found.error.type == "SubflowFailed"
        assert await statuses(engine) == ["failed"] * (MAX_DEPTH + 1)


@in_virtual_time
async def test_what_a_sub_flow_is_inside_of_is_not_cancelled_before_it_is():
    @activity
    async def clean_up_long(context):
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(2 * GRACE)

    @activity
    async def undo(context):
        await anyio.sleep(3 * GRACE)

    inner = flow("inner", {"name": "clean_up_long"})
    inner["tasks"].insert(
        0, {"name": "first", "activity": "done", "compensate": {"activity": "undo"}}
    )
    inner["start_task"] = "first"
    inner["conditions"] = [{"source_task": "first", "target_task_success": "clean_up_long"}]

    @activity
    async def done(context):
        return 1

    settings = Settings(grace=GRACE)
    activities = [clean_up_long, undo, done]
    async with open_engine(settings, activities=activities, clock=LoopClock()) as engine:
        await engine.register(inner)
        outer = flow("outer", {"name": "outer", "kind": "flow", "flow": "inner"})
        started = await engine.start(outer)
        await anyio.sleep(1)
        found = await engine.cancel(started.execution_id, wait=100 * GRACE)
        assert found.status == "cancelled"
        assert [(line.task, line.how) for line in found.cancellation.tasks] == [
            ("outer", "stopped")
        ]
        assert await statuses(engine) == ["cancelled", "cancelled"]


@in_virtual_time
async def test_a_sub_flow_is_told_to_stop_until_that_is_recorded(monkeypatch):
    @activity
    async def take(context):
        await anyio.sleep_forever()

    async with open_engine(activities=[take], clock=LoopClock()) as engine:
        await engine.register(flow("inner", {"name": "take"}))
        outer = flow("outer", {"name": "outer", "kind": "flow", "flow": "inner", "timeout": 10})
        cancel, refused = engine.cancel, []

        async def refusing(execution_id, **about):
            if len(refused) < 3:
                refused.append(execution_id)
                raise JournalUnavailableError("the disk is full")
            return await cancel(execution_id, **about)

        monkeypatch.setattr(engine, "cancel", refusing)
        found = await engine.run(outer, timeout=100)
        assert found.error.type == "TimedOut"
        assert sorted(await statuses(engine)) == ["cancelled", "failed"]
        assert len(refused) == 3
