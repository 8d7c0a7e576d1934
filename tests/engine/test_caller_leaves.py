"""Whoever asks for an ended execution to go on does not wait for the answer."""

import contextlib
import sqlite3

import anyio
import pytest

from actors.events import ExecutionRetried, TaskSkipped
from flowmgr import Settings, activity, open_engine
from tests.support.flows import PATIENCE, chain, recorded, until

pytestmark = pytest.mark.anyio

REQUESTS = {
    "retry": lambda engine, execution_id: engine.retry(execution_id),
    "skip": lambda engine, execution_id: engine.skip(execution_id),
}


class Left:
    """An engine with a failed execution, which somebody has asked to go on, and left.

    Attributes:
        engine: the engine.
        execution_id: the execution: that it goes on is to be recorded.
        release: gives the database back, which is somebody else's.
    """

    def __init__(self, engine, execution_id, release):
        self.engine, self.execution_id, self.release = engine, execution_id, release

    async def requests(self):
        events = await recorded(self.engine, self.execution_id)
        return [each for each in events if isinstance(each, ExecutionRetried | TaskSkipped)]


@pytest.fixture(params=REQUESTS)
def left(request, tmp_path, monkeypatch):
    """Open an engine, whose journal gives up after some milliseconds to record anything."""

    @contextlib.asynccontextmanager
    async def opened(milliseconds):
        monkeypatch.setattr("flowmgr.journal.sqlite.connection.BUSY_MILLISECONDS", milliseconds)
        path, attempts = tmp_path / "journal.db", []

        @activity
        async def step(context):
            attempts.append(context)
            if len(attempts) == 1:
                raise ConnectionError("nobody answers")

        @activity
        async def last(context):
            await anyio.sleep(0.01)

        document = chain("step", "last")
        document["conditions"][0]["target_task_failure"] = "end"
        async with open_engine(Settings(journal=f"sqlite:{path}"), activities=[step, last]) as it:
            await until(lambda: it.recovery.is_over)  # or it may come to this execution meanwhile
            failed = await it.run(document, timeout=PATIENCE)
            assert failed.status == "failed"
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                async with anyio.create_task_group() as group:
                    group.start_soon(REQUESTS[request.param], it, failed.execution_id)
                    await until(lambda: it._live.get(failed.execution_id))
                    await until(lambda: it._live.get(failed.execution_id)._pending)
                    group.cancel_scope.cancel()
                yield Left(it, failed.execution_id, lambda: other.execute("ROLLBACK"))

    return opened


async def test_an_ended_execution_goes_on_although_the_caller_has_left(left):
    async with left(milliseconds=5000) as found:
        found.release()
        await until(lambda: not found.engine.live_executions)
        ended = await found.engine.get(found.execution_id)
        assert (ended.status, ended.error) == ("completed", None)
        assert len(await found.requests()) == 1


async def test_an_ended_execution_stays_so_if_the_caller_has_left_and_it_cannot_be_recorded(left):
    async with left(milliseconds=10) as found:
        await until(lambda: found.engine.trouble is not None)
        await until(lambda: not found.engine.live_executions)
        found.release()
        await until(lambda: found.engine.trouble is None)
        assert (await found.engine.get(found.execution_id)).status == "failed"
        assert await found.requests() == []
