"""A day takes milliseconds where nothing real runs."""

import time

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from flowmgr import activity, open_engine
from tests.support.flows import chain
from tests.support.virtual_time import LoopClock, VirtualTimeLoop, in_virtual_time

pytestmark = pytest.mark.anyio

DAY = 86_400.0
"""Seconds that pass for the engine alone: a test that waited for them would not come to its end."""


@in_virtual_time
async def test_a_day_of_sleeping_takes_a_moment():
    virtual = anyio.current_time()
    await anyio.sleep(DAY)
    assert anyio.current_time() - virtual == pytest.approx(DAY)


@in_virtual_time
async def test_timers_go_off_in_their_order_and_at_their_time():
    since, woken = anyio.current_time(), []

    async def sleep(seconds):
        await anyio.sleep(seconds)
        woken.append((seconds, anyio.current_time() - since))

    async with anyio.create_task_group() as group:
        for seconds in [3, 0.25, 400 * DAY, 1, DAY]:
            group.start_soon(sleep, seconds)
    assert [seconds for seconds, _ in woken] == [0.25, 1, 3, DAY, 400 * DAY]
    assert [at for _, at in woken] == pytest.approx([0.25, 1, 3, DAY, 400 * DAY])


@in_virtual_time
async def test_time_stands_still_while_something_is_ready():
    since = anyio.current_time()
    for _ in range(1000):
        await anyio.lowlevel.checkpoint()
    assert anyio.current_time() == since


@in_virtual_time
async def test_a_timeout_that_comes_first_wins():
    with anyio.move_on_after(DAY) as scope:
        await anyio.sleep(DAY + 1)
    assert scope.cancelled_caught


@in_virtual_time
async def test_a_flow_that_sleeps_for_two_days_is_run_in_a_moment():
    @activity
    async def sleep(context):
        await anyio.sleep(DAY)

    flow = chain("sleep", "again")
    for task in flow["tasks"]:
        task["activity"] = "sleep"
    async with open_engine(activities=[sleep], clock=LoopClock()) as engine:
        found = await engine.run(flow)
    assert (found.status, found.ended_at - found.started_at) == (
        "completed",
        pytest.approx(2 * DAY),
    )
    assert found.task_results["again"].seconds == pytest.approx(DAY)


@in_virtual_time
async def test_a_week_of_back_off_takes_a_moment():
    since, attempts = anyio.current_time(), []

    @activity
    async def unready(context):
        attempts.append((anyio.current_time() - since) / DAY)
        if len(attempts) < 9:
            raise ConnectionError("not yet")

    flow = chain("poll")
    flow["tasks"][0] |= {
        "activity": "unready",
        "retry": {
            "maximum_attempts": 20,
            "initial_interval": DAY / 2,
            "backoff_coefficient": 2,
            "maximum_interval": DAY,
        },
    }
    async with open_engine(activities=[unready], clock=LoopClock()) as engine:
        found = await engine.run(flow)
    assert found.status == "completed"
    assert attempts == pytest.approx([0, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5], abs=0.001)
    assert found.ended_at - found.started_at == pytest.approx(7.5 * DAY, abs=DAY / 1000)


def test_a_thread_that_calls_wakes_the_loop():
    loop = VirtualTimeLoop()
    try:
        answer = loop.run_until_complete(loop.run_in_executor(None, time.sleep, 0.01))
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    assert answer is None
