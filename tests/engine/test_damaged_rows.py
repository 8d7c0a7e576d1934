"""Rows of flows and keys that are damaged: who needs them cannot go on, and all others do."""

import contextlib
import sqlite3

import anyio
import msgspec
import pytest

from actors.outcome import NULL
from actors.ports import Batch
from flowmgr.errors import ExecutionStateError, FlowDamagedError
from flowmgr.subflows import SubflowRunner
from tests.journal.helpers import record
from tests.support.flows import PATIENCE, Gate, chain, until
from tests.support.waiting import Waiting, parked_history, wait_then

pytestmark = pytest.mark.anyio

FLOW = "UPDATE flow SET definition = x'7b7d' WHERE flow_id = 'chain'"
KEY = "UPDATE start_key SET expires_at = 0.0"


@pytest.fixture
def damage(tmp_path):
    """Change the database behind the journal's back, between two engines."""

    def change(statement):
        path = tmp_path / "flowmgr.db"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            assert connection.execute(statement).rowcount == 1

    return change


async def recovered(engine):
    await until(lambda: engine.recovery.is_over)


async def delete_chain(durable):
    async with durable.open() as engine:
        await engine.flows.delete("chain")


@pytest.mark.parametrize("is_deleted", [False, True])
async def test_a_damaged_flow_keeps_only_its_own_executions_from_being_recovered(
    durable, damage, is_deleted
):
    before, after = Gate(), Gate()
    after.opened.set()
    async with durable.open(before.activity) as engine:
        await engine.register(chain("gate"))
        stranded = (await engine.start("chain")).execution_id
        other = (await engine.start(chain("gate"))).execution_id
        await until(lambda: before.came == 2)
    damage(FLOW)
    if is_deleted:
        await delete_chain(durable)
    async with durable.open(after.activity) as engine:
        assert (await engine.wait(other, timeout=PATIENCE)).status == "completed"
        await recovered(engine)
        why = "its definition is lost" if is_deleted else "Version 1 of flow 'chain' is damaged"
        assert why in engine.recovery.stranded[stranded]
        progress = engine.recovery
        assert (progress.unfinished, progress.recovered, progress.quarantined) == (2, 1, 0)
        assert (await engine.get(stranded)).status == "running"
        assert (await engine.tree(stranded)).status == "running"
        with pytest.raises(ExecutionStateError, match="cannot go on"):
            await engine.cancel(stranded)
        with pytest.raises(FlowDamagedError):
            await engine.rerun(stranded)


async def test_a_damaged_flow_keeps_only_its_own_executions_from_being_woken(
    durable, damage, monkeypatch
):
    monkeypatch.setattr("flowmgr.flows.compile_flow", Waiting(1.0).compile)
    gate = Gate()
    gate.opened.set()
    names = [f"01999999-9999-7999-8999-{number:012}" for number in range(2)]
    async with durable.open(gate.activity) as engine:
        await recovered(engine)
        await engine.register(wait_then("gate"))
        for number, name in enumerate(names):
            started, *rest = parked_history(1.0 + number, ("gate",))
            if not number:
                started = msgspec.structs.replace(started, flow_version=1, definition=NULL)
            await record(engine._store, Batch(name, 1, (started, *rest)))
    damage(FLOW)
    async with durable.open(gate.activity) as engine:
        assert (await engine.wait(names[1], timeout=PATIENCE)).status == "completed"
        assert list(engine.recovery.stranded) == names[:1]
        assert (engine.recovery.unfinished, engine.recovery.recovered) == (2, 1)


async def test_what_is_to_stop_a_sub_flow_that_is_not_known_any_more_waits_and_all_others_go_on(
    durable, damage, monkeypatch
):
    before, after, is_told = Gate(), Gate(), anyio.Event()
    after.opened.set()

    async def say_nothing(runner, *_):
        is_told.set()
        while not runner._children.is_closing:  # noqa: ASYNC110 - until the engine ends
            await anyio.sleep(0.01)

    with monkeypatch.context() as patched:
        patched.setattr(SubflowRunner, "_stop", say_nothing)
        async with durable.open(before.activity) as engine:
            await engine.register(chain("gate", flow_id="inner"))
            outer = chain("run")
            outer["tasks"] = [{"name": "run", "kind": "flow", "flow": "inner"}]
            parent = (await engine.start(outer)).execution_id
            other = (await engine.start(chain("gate"))).execution_id
            await until(lambda: before.came == 2)
            await engine.cancel(parent)
            await is_told.wait()
    damage(KEY)
    async with durable.open(after.activity) as engine:
        assert (await engine.wait(other, timeout=PATIENCE)).status == "completed"
        await recovered(engine)
        assert f"of flow '{parent}' is damaged" in engine.recovery.stranded[parent]
        assert (engine.recovery.unfinished, engine.recovery.recovered) == (3, 2)
        assert (await engine.get(parent)).status == "cancelling"
        with pytest.raises(ExecutionStateError, match="cannot go on"):
            await engine.resume(parent)


async def test_who_waits_for_a_parked_execution_is_told_when_it_turns_out_to_be_damaged(
    durable, damage
):
    async with durable.open() as engine:
        await recovered(engine)
        inner = chain("nap", flow_id="inner")
        inner["tasks"] = [{"name": "nap", "kind": "wait", "seconds": 2}]
        await engine.register(inner)
        outer = chain("run")
        outer["tasks"] = [{"name": "run", "kind": "flow", "flow": "inner"}]
        parent = (await engine.start(outer)).execution_id
        while not (await engine.tree(parent)).sub_flows:  # noqa: ASYNC110 - it has no event
            await anyio.sleep(0.01)
        await until(lambda: engine.live_executions == 1)
        damage("UPDATE event SET epoch = 9 WHERE execution = 2 AND first_seq = 1")
        ended = await engine.wait(parent, timeout=PATIENCE)
        assert (ended.status, ended.error.type) == ("failed", "ExecutionDamagedError")
