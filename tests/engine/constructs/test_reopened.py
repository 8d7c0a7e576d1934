"""What tasks had opened when the server ended is stopped as a whole, also before it runs again."""

import contextlib

import anyio
import pytest

from flowmgr.journal.memory import MemoryJournal
from tests.engine.constructs.table import each, sub, subs
from tests.engine.constructs.world import Acts, executions, flow, parallel_of, task

pytestmark = pytest.mark.anyio

UNDONE = flow(
    task("ok", compensate={"activity": "undo"}),
    task("gate"),
    flow_id="child-undone",
)

BESIDE = 3
"""Tasks beside them that are done as soon as they run again."""

NESTED = {
    "map of flows": (lambda: subs("undone"), 2),
    "parallel": (lambda: parallel_of(sub("undone")), 1),
    "parallel in map": (lambda: each(parallel_of(sub("undone"), task("sleep")), items=(1, 2)), 4),
    "map in parallel in map": (lambda: each(parallel_of(subs("undone")), items=(1, 2)), 4),
}
"""Tasks in which tasks open what their sub-flows are in, and how many activities wait then."""


@contextlib.asynccontextmanager
async def slow_journal(world, monkeypatch):
    """Have each commit take a while, as it does on a disk."""
    waiting, append = [], MemoryJournal.append

    async def commit():
        while True:
            await world.pass_units(0.1)
            group, waiting[:] = waiting[:], []
            for given in group:
                append(*given)

    async with anyio.create_task_group() as group:
        with monkeypatch.context() as slow:
            slow.setattr(MemoryJournal, "append", lambda *given: waiting.append(given))
            group.start_soon(commit)
            yield
        group.cancel_scope.cancel()


class Quick(Acts):
    """In which what waited for ever is done at once."""

    async def sleep(self, context):
        self.ran.append("sleep")


@contextlib.asynccontextmanager
async def reopened(world, monkeypatch, name, **fields):
    acts, after = Acts(world), Quick(world)
    nested, waiting = NESTED[name]
    fan = parallel_of(*[task("sleep")] * BESIDE, nested(), **fields)
    async with world.killed(acts) as engine:
        await engine.register(UNDONE)
        execution_id = (await engine.start(flow(fan))).execution_id
        await world.until(lambda: acts.inside == BESIDE + waiting)
    async with slow_journal(world, monkeypatch), world.open(after) as engine:
        yield engine, execution_id
        assert after.inside == 0
        await world.nothing_is_left(engine)


async def sub_flows(engine):
    return {found.status for found in await executions(engine) if found.flow_id != "flow"}


@pytest.mark.parametrize("name", NESTED)
async def test_the_losers_of_a_join_are_stopped_also_before_they_run_again(
    world, monkeypatch, name
):
    async with reopened(world, monkeypatch, name, join="any") as (engine, execution_id):
        assert (await world.ended(engine, execution_id)).status == "completed"
        assert await sub_flows(engine) == {"cancelled"}


@pytest.mark.parametrize("passed", [0, 0.05, 0.11, 0.25])
@pytest.mark.parametrize("name", NESTED)
async def test_what_is_cancelled_is_stopped_also_before_it_runs_again(
    world, monkeypatch, name, passed
):
    async with reopened(world, monkeypatch, name) as (engine, execution_id):
        await world.until(lambda: engine.recovery.is_over)
        await world.pass_units(passed)
        found = await engine.cancel(execution_id, wait=100 * world.unit)
        assert found.status == "cancelled"
        assert await sub_flows(engine) == {"cancelled"}
