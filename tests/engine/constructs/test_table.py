"""What becomes of each construct in each column of the table."""

import pytest

from tests.engine.constructs.conftest import real_time
from tests.engine.constructs.table import COLUMNS, children
from tests.engine.constructs.table_of_flows import CELLS, NO_CELL, column
from tests.engine.constructs.world import Acts, World, executions, kinds
from tests.support.flows import recorded

pytestmark = pytest.mark.anyio


def cells(name):
    return pytest.mark.parametrize(
        "cell", [pytest.param(cell, id=construct) for construct, cell in column(name)]
    )


async def start(engine, world, cell):
    for child in children(world.unit):
        await engine.register(child)
    await engine.register(cell.flow(world.unit))
    return (await engine.start("flow")).execution_id


async def send(engine, execution_id, cell):
    for name, value in cell.signals:
        await engine.signal(execution_id, name, value)


async def waits(world, engine, acts, cell, execution_id):
    """Wait until all that is to run is inside of its code, and all else waits."""
    await world.until(lambda: acts.came == cell.gates)
    await world.pass_units(0.4)
    assert (await engine.get(execution_id)).status == "running"


def as_expected(found, acts, cell, *, before=()):
    expected = "completed" if cell.error is None else "failed"
    assert (found.status, found.error and found.error.type) == (expected, cell.error)
    if cell.error is None:
        last = next(reversed(found.task_results.values()))
        assert last.error is None
        assert found.context[f"{next(reversed(found.task_results))}_result"] == cell.result
    ran = [*before, *acts.ran]
    if cell.ran is not None:
        assert sorted(ran) == sorted(cell.ran)
        assert cell.is_sorted or ran == cell.ran


async def nothing_lives(engine, execution_id):
    """Fail if an execution has not ended that this one has started."""
    listed = await executions(engine)
    assert [each.status for each in listed if each.status not in ENDED] == []


ENDED = {"completed", "failed", "cancelled"}


def test_every_construct_has_a_cell_in_every_column_or_a_reason_why_not():
    for construct, its in CELLS.items():
        for name in COLUMNS:
            has_reason = bool(NO_CELL.get((construct, name)))
            assert (name in its) != has_reason, (construct, name)
    assert {construct for construct, _ in NO_CELL} <= set(CELLS)


@cells("success")
async def test_it_succeeds(world, cell):
    acts = Acts(world, is_open=True, failing=cell.failing)
    async with world.open(acts) as engine:
        execution_id = await start(engine, world, cell)
        await send(engine, execution_id, cell)
        as_expected(await world.ended(engine, execution_id), acts, cell)
        await world.nothing_is_left(engine)


@cells("failure")
async def test_it_fails_with_the_error_that_says_why_and_nothing_is_left(world, cell):
    acts = Acts(world)
    async with world.open(acts) as engine:
        execution_id = await start(engine, world, cell)
        await send(engine, execution_id, cell)
        as_expected(await world.ended(engine, execution_id), acts, cell)
        assert acts.inside == 0
        await nothing_lives(engine, execution_id)
        await world.nothing_is_left(engine)


@cells("timeout")
async def test_its_time_is_over_and_nothing_of_it_is_left(world, cell):
    acts = Acts(world)
    async with world.open(acts) as engine:
        execution_id = await start(engine, world, cell)
        found = await world.ended(engine, execution_id)
        as_expected(found, acts, cell)
        assert acts.inside == 0
        assert found.ended_at - found.started_at < 20 * max(world.unit, 0.2)
        await nothing_lives(engine, execution_id)
        await world.nothing_is_left(engine)


@cells("cancel while running")
async def test_cancelled_while_it_runs_it_has_left_its_code_when_it_is_cancelled(world, cell):
    await cancelled(world, cell)


@cells("cancel while waiting")
async def test_cancelled_while_it_waits_or_backs_off_it_never_goes_on(world, cell):
    await cancelled(world, cell)


async def cancelled(world, cell):
    acts = Acts(world)
    async with world.open(acts) as engine:
        execution_id = await start(engine, world, cell)
        await waits(world, engine, acts, cell, execution_id)
        found = await engine.cancel(execution_id, wait=100 * world.unit)
        assert found.status == "cancelled"
        assert acts.inside == 0
        if cell.ran is not None:
            assert sorted(acts.ran) == sorted(cell.ran)
        before = (acts.came, list(acts.ran), acts.attempts)
        await nothing_lives(engine, execution_id)
        await world.nothing_is_left(engine)
        acts.is_open.set()
        await world.pass_units(3)
        assert (acts.came, acts.ran, acts.attempts) == before
        assert "TaskFinished" not in await since_cancelled(engine, execution_id)


async def since_cancelled(engine, execution_id):
    """What was recorded after the request to cancel, in the scopes of the flow's own tasks."""
    events = await recorded(engine, execution_id)
    types = [type(event).__name__ for event in events]
    later = events[types.index("CancelRequested") :]
    return [
        type(event).__name__ for event in later if not getattr(event, "scope", "").startswith("~")
    ]


@cells("crash and recovery")
async def test_killed_it_goes_on_where_it_was(world, cell):
    await recovers(world, cell)


@real_time
@cells("crash and recovery")
async def test_killed_it_goes_on_where_it_was_from_a_database(anyio_backend, tmp_path, cell):
    settings = {"journal": f"sqlite:{tmp_path}/flowmgr.db", "durability": "relaxed"}
    await recovers(World(settings, is_virtual=False), cell)


async def recovers(world, cell):
    acts, after = Acts(world), Acts(world, is_open=True)
    async with world.killed(acts) as engine:
        execution_id = await start(engine, world, cell)
        await waits(world, engine, acts, cell, execution_id)
        count = len(await executions(engine))
    async with world.open(after) as engine:
        await world.until(lambda: engine.recovery.is_over)
        await send(engine, execution_id, cell)
        found = await world.ended(engine, execution_id)
        as_expected(found, after, cell, before=acts.ran)
        assert after.came <= max(cell.gates, cell.ran.count("gate") if cell.ran else 1)
        assert len(await executions(engine)) == count
        types = await kinds(engine, execution_id)
        assert types[-1] in {"ExecutionCompleted", "ExecutionFailed"}
        await world.nothing_is_left(engine)


@cells("pause and resume")
async def test_paused_it_starts_nothing_and_resumed_it_goes_on(world, cell):
    acts = Acts(world)
    async with world.open(acts) as engine:
        execution_id = await start(engine, world, cell)
        await waits(world, engine, acts, cell, execution_id)
        await engine.pause(execution_id)
        before = list(acts.ran)
        acts.is_open.set()
        await send(engine, execution_id, cell)
        await world.pass_units(5)
        assert (await engine.get(execution_id)).status == "paused"
        assert acts.ran == before + ["gate"] * (len(acts.ran) - len(before))
        await engine.resume(execution_id)
        as_expected(await world.ended(engine, execution_id), acts, cell)
        await world.nothing_is_left(engine)
