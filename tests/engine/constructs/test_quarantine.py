"""What was open in an execution when it was quarantined goes on, or is stopped, with it."""

import contextlib

import anyio
import pytest

from actors.events import ExecutionQuarantined
from flowmgr.errors import ExecutionStateError
from flowmgr.journal.memory import MemoryJournal
from flowmgr.triage import MAX_KILLS
from tests.engine.constructs.table import each, nested, subs, wait
from tests.engine.constructs.world import Acts, body, executions, flow, parallel_of, task

pytestmark = pytest.mark.anyio

CHILD = flow(task("ok", compensate={"activity": "undo"}), task("gate"), flow_id="child-undone")


def child(name="sub"):
    return task(name, kind="flow", flow="child-undone")


def at_the_end(*tasks):
    return flow(task("ok"), **{"finally": body(*tasks)})


FLOWS = {
    "activity": lambda u: flow(task("gate")),
    "flow": lambda u: flow(child()),
    "parallel": lambda u: flow(parallel_of(task("gate"), child(), wait(u, 1))),
    "map": lambda u: flow(each(task("gate"), task("ok"), max_concurrency=2)),
    "map of flows": lambda u: flow(subs("undone")),
    "parallel in map": lambda u: flow(nested(child(), task("gate"), task("go", kind="signal"))),
    "finally": lambda u: at_the_end(task("gate"), task("tidy")),
    "parallel in finally": lambda u: at_the_end(parallel_of(task("gate"), child())),
}


@contextlib.asynccontextmanager
async def quarantined(world, monkeypatch, made, after, *, is_child_too=True, times=1):
    """Open an engine that puts into quarantine what one before it was killed with."""
    acts = Acts(world)
    async with world.killed(acts) as engine:
        await engine.register(CHILD)
        execution_id = (await engine.start(made(world.unit))).execution_id
        await world.until(lambda: acts.inside)
        await world.pass_units(0.5)

    def kills(unfinished):
        return MAX_KILLS if is_child_too or unfinished.execution_id == execution_id else 1

    monkeypatch.setattr("flowmgr.triage.kills", kills)
    for _ in range(times - 1):
        async with world.killed(Acts(world)) as engine:
            await world.until(lambda: engine.recovery.is_over)
    async with world.open(after) as engine:
        await world.until(lambda: engine.recovery.is_over)
        assert (await engine.get(execution_id)).status == "quarantined"
        yield engine, execution_id


async def resume_all(engine):
    for found in reversed(await executions(engine)):  # those that wait for others come first
        if found.status == "quarantined":
            await engine.resume(found.execution_id)


@pytest.mark.parametrize("times", [1, 2], ids=["same server", "next server"])
@pytest.mark.parametrize("name", FLOWS)
async def test_what_was_open_goes_on_when_its_execution_is_resumed(world, monkeypatch, name, times):
    after = Acts(world, is_open=True)
    async with quarantined(world, monkeypatch, FLOWS[name], after, times=times) as given:
        engine, execution_id = given
        await resume_all(engine)
        if name == "parallel in map":
            for value in range(2):
                await engine.signal(execution_id, "go", value)
        assert (await world.ended(engine, execution_id)).status == "completed"
        await world.nothing_is_left(engine)
        assert {found.status for found in await executions(engine)} == {"completed"}


@pytest.mark.parametrize("is_child_too", [True, False], ids=["all", "outermost"])
@pytest.mark.parametrize("name", FLOWS)
async def test_what_was_open_is_stopped_when_its_execution_is_cancelled(
    world, monkeypatch, name, is_child_too
):
    after, world.grace = Acts(world), 3 * world.unit
    made = FLOWS[name]
    async with quarantined(world, monkeypatch, made, after, is_child_too=is_child_too) as given:
        engine, execution_id = given
        found = await engine.cancel(execution_id, wait=100 * world.unit)
        assert found.status == "cancelled"
        assert {found.status for found in await executions(engine)} == {"cancelled"}
        assert after.inside == 0
        await world.nothing_is_left(engine)


async def test_an_execution_in_quarantine_is_not_live_whatever_is_asked_of_it(world, monkeypatch):
    after = Acts(world, is_open=True)
    async with quarantined(world, monkeypatch, FLOWS["flow"], after) as (engine, execution_id):
        for request in (engine.pause, engine.retry, engine.skip):
            await world.until(lambda: not engine.live_executions)
            with pytest.raises(ExecutionStateError, match="is quarantined"):
                await request(execution_id)
        await world.until(lambda: not engine.live_executions)
        assert (await engine.wait(execution_id, world.unit)).status == "quarantined"
        async with anyio.create_task_group() as group:
            group.start_soon(world.ended, engine, execution_id)
            await world.pass_units(1)
            assert not engine.live_executions
            await resume_all(engine)
        assert (await engine.get(execution_id)).status == "completed"


async def test_an_execution_can_be_resumed_while_its_quarantine_is_recorded(world, monkeypatch):
    after, kept, append = Acts(world, is_open=True), [], MemoryJournal.append

    def hold(journal, batch, acknowledge):
        is_held = any(isinstance(event, ExecutionQuarantined) for event in batch.events)
        keep = kept.append if is_held else lambda given: append(*given)
        keep((journal, batch, acknowledge))

    acts = Acts(world)
    async with world.killed(acts) as engine:
        execution_id = (await engine.start(FLOWS["map"](1))).execution_id
        await world.until(lambda: acts.inside)
    monkeypatch.setattr("flowmgr.triage.kills", lambda _: MAX_KILLS)
    monkeypatch.setattr(MemoryJournal, "append", hold)
    async with world.open(after) as engine:
        await world.until(lambda: kept)
        async with anyio.create_task_group() as group:
            group.start_soon(engine.resume, execution_id)
            await world.pass_units(1)
            append(*kept.pop())
        assert (await world.ended(engine, execution_id)).status == "completed"
