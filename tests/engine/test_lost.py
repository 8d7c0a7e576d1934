"""Executions that the journal loses while they are live: they stop, and all others go on."""

import contextlib
import sqlite3

import anyio
import pytest

from flowmgr import Settings, open_engine
from flowmgr.errors import ExecutionDamagedError, ExecutionNotFoundError
from tests.support.flows import PATIENCE, Gate, chain, until

pytestmark = pytest.mark.anyio

NOTHING_KNOWN = "UPDATE event SET epoch = 9 WHERE execution = 1"
LOST = (ExecutionDamagedError, ExecutionNotFoundError)


@contextlib.contextmanager
def database(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as it:
        yield it


@contextlib.asynccontextmanager
async def opened(tmp_path, *activities):
    settings = Settings(journal=f"sqlite:{tmp_path / 'journal.db'}")
    async with open_engine(settings, activities=activities) as engine:
        await until(lambda: engine.recovery.is_over)  # or it may come to what is started meanwhile
        yield engine


async def goes_on(engine, gate, execution_id):
    pass


async def is_cancelled(engine, gate, execution_id):
    with pytest.raises(ExecutionDamagedError, match=execution_id):
        await engine.cancel(execution_id)
    await until(lambda: gate.left == 1)


async def is_deleted(engine, gate, execution_id):
    await engine.delete(execution_id)


@pytest.mark.parametrize("what_follows", [goes_on, is_cancelled, is_deleted])
async def test_a_live_execution_that_is_found_damaged_does_not_end_the_others(
    tmp_path, what_follows
):
    gate, last = Gate(), Gate("last")
    last.opened.set()
    async with opened(tmp_path, gate.activity, last.activity) as engine:
        lost = (await engine.start(chain("gate", "last"))).execution_id
        other = (await engine.start(chain("gate", "last"))).execution_id
        await until(lambda: gate.came == 2)
        with database(tmp_path) as connection:
            connection.execute(NOTHING_KNOWN)
        with pytest.raises(ExecutionDamagedError, match=lost):
            await engine.events(lost)
        await what_follows(engine, gate, lost)
        gate.opened.set()
        with pytest.raises(LOST, match=lost):
            await engine.wait(lost, timeout=PATIENCE)
        ended = await engine.wait(other, timeout=PATIENCE)
        assert ended.status == "completed"
        await until(lambda: not engine.live_executions)
        assert last.came == 1
        assert engine.is_accepting


@pytest.mark.parametrize("request_name", ["retry", "skip"])
async def test_what_is_asked_of_an_execution_that_is_deleted_meanwhile_finds_none(
    tmp_path, request_name
):
    document = {
        "id": "f",
        "name": "f",
        "start_task": "stop",
        "tasks": [{"name": "stop", "kind": "raise", "type": "Stopped", "message": "it is enough"}],
        "conditions": [],
    }
    async with opened(tmp_path) as engine:
        execution_id = (await engine.run(document, timeout=PATIENCE)).execution_id

        async def ask():
            with pytest.raises(ExecutionNotFoundError, match=execution_id):
                await getattr(engine, request_name)(execution_id)

        with database(tmp_path) as other, anyio.fail_after(PATIENCE):
            other.execute("BEGIN IMMEDIATE")
            async with anyio.create_task_group() as group:
                group.start_soon(engine.delete, execution_id)
                group.start_soon(ask)
                await until(lambda: engine._live.get(execution_id))
                await until(lambda: engine._live.get(execution_id)._pending)
                other.execute("ROLLBACK")
        assert not engine.live_executions
        assert engine.is_accepting
        assert (await engine.run(document, timeout=PATIENCE)).status == "failed"
