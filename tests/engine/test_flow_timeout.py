"""A flow's timeout bounds its tasks, and not what belongs to its end."""

import anyio
import pytest

from flowmgr import activity, open_engine
from tests.support.virtual_time import LoopClock, in_virtual_time

pytestmark = pytest.mark.anyio


@activity
async def take(context):
    await anyio.sleep(context["seconds"])


@activity
async def tidy(context):
    await anyio.sleep(1000)
    return "tidied"


@in_virtual_time
@pytest.mark.parametrize(("seconds", "status"), [(5, "completed"), (50, "failed")])
async def test_the_end_may_take_longer_than_the_timeout_that_the_tasks_have(seconds, status):
    flow = {
        "name": "f",
        "start_task": "take",
        "tasks": [{"name": "take"}],
        "conditions": [],
        "timeout": 10,
        "finally": {"tasks": [{"name": "tidy"}]},
    }
    async with open_engine(activities=[take, tidy], clock=LoopClock()) as engine:
        found = await engine.run(flow, {"seconds": seconds}, timeout=5000)
    assert found.status == status
    assert found.ended_at - found.started_at == pytest.approx(min(seconds, 10) + 1000)


@in_virtual_time
async def test_what_the_clean_up_of_a_late_attempt_raises_is_told():
    @activity
    async def break_down(context):
        try:
            await anyio.sleep(100)
        finally:
            raise OSError("the disk is gone")

    flow = {
        "name": "f",
        "start_task": "late",
        "tasks": [{"name": "late", "activity": "break_down", "timeout": 1}],
        "conditions": [],
    }
    async with open_engine(activities=[break_down], clock=LoopClock()) as engine:
        found = await engine.run(flow, timeout=500)
    assert found.error.type == "TimedOut"
    assert found.error.message.endswith("its clean-up raised OSError: the disk is gone")
