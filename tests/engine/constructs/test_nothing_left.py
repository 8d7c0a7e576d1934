"""After a cancellation or a failure nothing of an execution is left: counted."""

import contextlib
import random
import threading
import time

import anyio
import anyio.from_thread
import pytest

from flowmgr import activity
from flowmgr.errors import ExecutionEndedError
from tests.engine.constructs.conftest import real_time
from tests.engine.constructs.table import again, children, each, ending, sub, subs, undone, wait
from tests.engine.constructs.world import (
    UNITS,
    Acts,
    World,
    body,
    executions,
    flow,
    parallel_of,
    task,
)

pytestmark = pytest.mark.anyio

ENDED = {"completed", "failed", "cancelled"}


def nested(unit):
    """Flows in which all kinds of scopes are inside of each other."""
    slow = task("refuse", retry=again(unit, 4))
    deep = parallel_of(
        body(wait(unit, 1), sub("undo")),
        each(task("gate"), sub("gate"), max_concurrency=2),
        body(slow),
        task("go", kind="signal"),
        on_failure="wait",
    )
    return [
        flow(deep),
        ending(undone(), deep),
        flow(each(parallel_of(task("gate"), wait(unit, 2), sub("wait"))), timeout=6 * unit),
        ending(undone(), subs("undo", timeout=4 * unit, retry=again(unit, 2))),
        flow(parallel_of(task("gate"), body(wait(unit, 2), task("refuse")), subs("gate"))),
    ]


@pytest.mark.parametrize("number", range(5))
async def test_cancelled_at_any_moment_nothing_of_nested_scopes_is_left(world, number):
    chance = random.Random(number)
    acts = Acts(world)
    threads = threading.active_count()
    async with world.open(acts) as engine:
        for child in children(world.unit):
            await engine.register(child)
        document = nested(world.unit)[number]
        for _ in range(8):
            started = await engine.start(document)
            await world.pass_units(chance.random() * 5)
            with contextlib.suppress(ExecutionEndedError):  # at some moments it has failed before
                if chance.random() < 0.3:
                    await engine.pause(started.execution_id)
                await engine.cancel(started.execution_id, wait=UNITS * world.unit)
            assert acts.inside == 0
            assert {each.status for each in await executions(engine)} <= ENDED
            await world.nothing_is_left(engine)
        statuses = {each.status for each in await executions(engine) if each.flow_id == "flow"}
        assert "cancelled" in statuses
    assert threading.active_count() <= threads + 1  # the backend keeps one for a while


@pytest.mark.parametrize("number", [2, 4])
async def test_failed_by_itself_nothing_of_nested_scopes_is_left(world, number):
    acts = Acts(world)
    async with world.open(acts) as engine:
        for child in children(world.unit):
            await engine.register(child)
        found = await world.ended(
            engine, (await engine.start(nested(world.unit)[number])).execution_id
        )
        assert found.status == "failed"
        assert acts.inside == 0
        assert {each.status for each in await executions(engine)} <= ENDED
        await world.nothing_is_left(engine)


class Threads:
    """A sync activity that looks now and then whether it is cancelled."""

    is_inside = False

    def __init__(self):
        self.inside = set()
        self.all = [activity("thread")(self.thread)]

    def thread(self, context):
        self.inside.add(threading.get_ident())
        try:
            while True:
                time.sleep(0.002)
                anyio.from_thread.check_cancelled()
        finally:
            self.inside.discard(threading.get_ident())


@real_time
async def test_threads_have_left_their_code_when_their_execution_is_cancelled(anyio_backend):
    world, acts = World({}, is_virtual=False), Threads()
    async with world.open(acts) as engine:
        started = await engine.start(flow(parallel_of(task("thread"), each(task("thread")))))
        await world.until(lambda: len(acts.inside) == 4)
        found = await engine.cancel(started.execution_id, wait=10)
        assert (found.status, acts.inside) == ("cancelled", set())
        await world.nothing_is_left(engine)
