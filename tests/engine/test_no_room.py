"""No room in the journal, and something is asked of executions that have to wait for it."""

import contextlib
import sqlite3

import anyio
import pytest

from actors.events import (
    CancelRequested,
    ExecutionPaused,
    ExecutionResumed,
    SignalReceived,
    TaskSkipped,
)
from flowmgr import Settings, open_engine
from flowmgr.bulk import BulkRequest, change_many
from flowmgr.errors import JournalUnavailableError
from flowmgr.journal.store import ExecutionQuery
from tests.support.flows import PATIENCE, Gate, recorded, until

pytestmark = pytest.mark.anyio

ASKED = (CancelRequested, ExecutionPaused, ExecutionResumed, SignalReceived, TaskSkipped)
FLOW = {
    "id": "f",
    "name": "f",
    "start_task": "step",
    "tasks": [{"name": "step"}, {"name": "go", "kind": "signal", "signal": "go", "timeout": 0.01}],
    "conditions": [{"source_task": "step", "target_task_success": "go"}],
}
REQUESTS = {
    "cancel": lambda engine, execution_id: engine.cancel(execution_id),
    "pause": lambda engine, execution_id: engine.pause(execution_id),
    "resume": lambda engine, execution_id: engine.resume(execution_id),
    "skip": lambda engine, execution_id: engine.skip(execution_id),
    "signal": lambda engine, execution_id: engine.signal(execution_id, "go"),
}


class Full:
    """An engine with an execution whose step has ended, while the database is somebody else's.

    Attributes:
        engine: the engine.
        execution_id: the execution: that its step has ended is to be recorded.
        release: gives the database back.
    """

    def __init__(self, engine, execution_id, release):
        self.engine, self.execution_id, self.release = engine, execution_id, release

    @property
    def waiting(self):
        """The requests that wait in the mailbox of the execution."""
        return len(self.engine._live.get(self.execution_id)._mail or ())

    async def refused(self, request):
        """Make a request that is to be refused, and return what it is told."""
        with anyio.fail_after(PATIENCE), pytest.raises(JournalUnavailableError) as refused:
            await request(self.engine, self.execution_id)
        return str(refused.value)

    async def ends_as_if_nothing_had_been_asked(self):
        self.release()
        await until(lambda: self.engine.trouble is None)
        ended = await self.engine.wait(self.execution_id, timeout=PATIENCE)
        assert ended.task_results["go"].error.type == "TimedOut"
        events = await recorded(self.engine, self.execution_id)
        assert not [event for event in events if isinstance(event, ASKED)]


@pytest.fixture
def full(tmp_path, monkeypatch):
    """Open an engine, whose journal gives up after some milliseconds to record anything."""

    @contextlib.asynccontextmanager
    async def opened(milliseconds=10):
        monkeypatch.setattr("flowmgr.journal.sqlite.connection.BUSY_MILLISECONDS", milliseconds)
        path, step = tmp_path / "journal.db", Gate("step")
        async with open_engine(
            Settings(journal=f"sqlite:{path}"), activities=[step.activity]
        ) as engine:
            execution_id = (await engine.start(FLOW)).execution_id
            await step.someone_came.wait()
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                step.opened.set()
                await until(lambda: engine._live.get(execution_id)._pending)
                yield Full(engine, execution_id, lambda: other.execute("ROLLBACK"))

    return opened


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_behind_a_fact_that_waits_for_room_is_refused_at_once(full, name):
    async with full() as found:
        await until(lambda: found.engine.trouble is not None)
        told = await found.refused(REQUESTS[name])
        assert "nothing has changed: The journal cannot record anything" in told
        assert told == await found.refused(lambda engine, _: engine.start(FLOW))
        await found.ends_as_if_nothing_had_been_asked()


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_that_waits_when_the_room_ends_is_refused_and_never_done(full, name):
    async with full(milliseconds=500) as found, anyio.create_task_group() as group:
        refusing = group.create_task(found.refused(REQUESTS[name]))
        await until(lambda: found.waiting)
        assert found.engine.trouble is None
        await refusing
        await found.ends_as_if_nothing_had_been_asked()


async def test_many_executions_are_cancelled_at_once_though_one_of_them_waits_for_room(full):
    async with full() as found:
        await until(lambda: found.engine.trouble is not None)
        with anyio.fail_after(PATIENCE):
            report = await change_many(found.engine, BulkRequest("cancel", ExecutionQuery()))
        [failure] = report.failed
        assert failure.execution_id == found.execution_id
        assert "cannot record anything" in failure.detail
        await found.ends_as_if_nothing_had_been_asked()
