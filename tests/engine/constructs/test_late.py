"""What is recorded, or taken up, when its time is over, or its engine has been closed."""

import pytest

from flowmgr import activity
from tests.engine.constructs.conftest import real_time
from tests.engine.constructs.table import each, sub
from tests.engine.constructs.world import Acts, World, body, executions, flow, parallel_of, task

pytestmark = pytest.mark.anyio

UNDONE = flow(
    task("ok", compensate={"activity": "slow"}),
    task("gate"),
    flow_id="child-undone",
)


class Slow(Acts):
    """With a compensation that takes a unit of time, and one more that waits."""

    def __init__(self, world):
        super().__init__(world)
        self.all += [activity("slow")(self.slow), activity("beside")(self.beside)]

    async def slow(self, context):
        await self._world.pass_units(1)
        self.ran.append("slow")

    async def beside(self, context):
        await self.sleep(context)


class AtOnce(Slow):
    """Those that waited for ever are done at once."""

    async def sleep(self, context):
        self.ran.append("sleep")

    async def beside(self, context):
        self.ran.append("beside")


class Held:
    """Records what an engine gives to its journal when it is told to.

    Attributes:
        kept: what it was given since.
    """

    def __init__(self, engine):
        self.kept = []
        self._store = engine._store
        self._record = self._store.append
        self._store.append = lambda *given: self.kept.append(given)

    def record_all(self):
        kept, self.kept = self.kept, []
        for given in kept:
            self._record(*given)

    def let_go(self):
        self._store.append = self._record


def two(name, **fields):
    """A sub-flow beside a task that runs code."""
    return parallel_of(sub(name), task("sleep"), **fields)


@real_time
@pytest.mark.parametrize(
    "around",
    [
        lambda u: flow(two("undone"), timeout=5 * u),
        lambda u: flow(two("undone"), timeout=5 * u, **{"finally": body(task("tidy"))}),
        lambda u: flow(each(two("undone"), items=(1, 2)), timeout=5 * u),
        lambda u: flow(parallel_of(task("beside"), two("undone", timeout=5 * u))),
    ],
    ids=["flow", "finally", "map", "task"],
)
async def test_an_execution_that_is_too_late_after_a_restart_waits_for_its_sub_flows(
    anyio_backend, tmp_path, around
):
    world = World({"journal": f"sqlite:{tmp_path}/flowmgr.db"}, is_virtual=False)
    acts, after = Slow(world), AtOnce(world)
    world.unit = 0.1
    async with world.killed(acts) as engine:
        await engine.register(UNDONE)
        execution_id = (await engine.start(around(world.unit))).execution_id
        await world.pass_units(2)
        assert acts.inside >= 2
    await world.pass_units(3)
    async with world.open(after) as engine:
        found = await world.ended(engine, execution_id)
        statuses = [one.status for one in await executions(engine) if one.flow_id != "flow"]
        assert (found.status, set(statuses)) == ("failed", {"cancelled"})
        assert "TimedOut" in f"{found.error.type} {found.error.message}"
        assert (after.ran.count("slow"), after.ran.count("sleep")) == (len(statuses), 0)
        await world.nothing_is_left(engine)


@pytest.mark.parametrize(
    "around",
    [
        lambda u: flow(task("gate"), task("sleep"), timeout=2 * u),
        lambda u: flow(parallel_of(body(task("gate"), task("sleep")), timeout=2 * u)),
    ],
    ids=["flow", "task"],
)
async def test_no_task_begins_whose_time_was_over_before_its_start_was_recorded(world, around):
    acts = Acts(world)
    async with world.open(acts) as engine:
        execution_id = (await engine.start(around(world.unit))).execution_id
        await world.until(lambda: acts.inside)
        held = Held(engine)
        acts.is_open.set()
        await world.pass_units(3)
        while held.kept:
            held.record_all()
            await world.pass_units(0.1)
            assert (acts.came, acts.inside) == (1, 0)
        found = await world.ended(engine, execution_id)
        assert (found.status, found.error.type) == ("failed", "TimedOut")
        await world.nothing_is_left(engine)


async def test_what_is_recorded_of_a_branch_behind_the_end_of_its_engine_fails_nothing(world):
    acts, after = Acts(world), Acts(world, is_open=True)
    async with world.killed(acts) as engine:
        fan = parallel_of(body(task("gate"), task("ok")))
        execution_id = (await engine.start(flow(fan))).execution_id
        await world.until(lambda: acts.inside)
        held = Held(engine)
        acts.is_open.set()
        await world.until(lambda: held.kept)
    held.record_all()
    held.let_go()
    assert (held.kept, acts.ran) == ([], ["gate"])
    async with world.open(after) as engine:
        found = await world.ended(engine, execution_id)
        assert (found.status, after.ran) == ("completed", ["ok"])


@real_time
async def test_an_engine_can_be_closed_while_many_branches_have_something_to_record(
    anyio_backend, tmp_path
):
    world = World({"journal": f"sqlite:{tmp_path}/flowmgr.db"}, is_virtual=False)
    acts, after = Acts(world), Acts(world)
    steps = body(*(task(f"step{number}", activity="ok") for number in range(30)))
    async with world.killed(acts) as engine:
        execution_id = (await engine.start(flow(parallel_of(*[steps] * 4)))).execution_id
        await world.until(lambda: len(acts.ran) > 10)
    async with world.open(after) as engine:
        assert (await world.ended(engine, execution_id)).status == "completed"
