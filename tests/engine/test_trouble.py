"""What is asked of an execution while the journal can record nothing, or the end has begun."""

import sqlite3

import anyio
import pytest

from flowmgr import Settings, activity, open_engine
from flowmgr.errors import ExecutionStateError, JournalUnavailableError
from flowmgr.journal.sqlite.recorder import Recorder
from tests.support.flows import PATIENCE, chain, until
from tests.support.journals import HeldJournal

pytestmark = pytest.mark.anyio


async def test_requests_are_refused_while_what_has_happened_cannot_be_recorded(
    monkeypatch, tmp_path
):
    finish, is_full, going_on = Recorder.finish, [], anyio.Event()

    def full(recorder):
        if is_full:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_FULL, "SQLITE_FULL"
            raise error
        finish(recorder)

    @activity
    async def first(context):
        await going_on.wait()

    @activity
    async def second(context):
        return 2

    monkeypatch.setattr(Recorder, "finish", full)
    settings = Settings(journal=f"sqlite:{tmp_path}/flowmgr.db")
    async with open_engine(settings, activities=[first, second]) as engine:
        execution_id = (await engine.start(chain("first", "second"))).execution_id
        is_full.append(True)
        going_on.set()
        await until(lambda: engine.trouble is not None)
        for ask in (engine.cancel, engine.pause, engine.skip):
            with anyio.fail_after(PATIENCE), pytest.raises(JournalUnavailableError, match="full"):
                await ask(execution_id)
        is_full.clear()
        assert (await engine.wait(execution_id, timeout=PATIENCE)).status == "completed"


async def test_what_is_asked_while_the_end_is_recorded_is_told_how_the_execution_stands(
    monkeypatch,
):
    journal, resting = HeldJournal(10), anyio.Event()
    journal.is_holding = False

    @activity
    async def done(context):
        return 1

    @activity
    async def undo(context):
        await anyio.sleep(0.01)

    @activity
    async def rest(context):
        resting.set()
        await anyio.sleep_forever()

    flow = chain("done", "rest")
    flow["tasks"][0]["compensate"] = {"activity": "undo"}
    monkeypatch.setattr("flowmgr.journal.MemoryJournal", lambda _: journal)
    async with open_engine(activities=[done, undo, rest]) as engine:
        execution_id = (await engine.start(flow)).execution_id
        await resting.wait()
        journal.is_holding = True
        async with anyio.create_task_group() as group:
            group.start_soon(engine.cancel, execution_id)
            await until(lambda: journal.held)
            journal.acknowledge_next()  # the request
            await until(lambda: journal.held)  # that the task has stopped
            await anyio.wait_all_tasks_blocked()  # and its host has closed

            async def pause():
                with pytest.raises(ExecutionStateError, match="is cancelling"):
                    await engine.pause(execution_id)
                group.cancel_scope.cancel()

            group.start_soon(pause)
            await anyio.wait_all_tasks_blocked()
            journal.acknowledge_next()
            await until(lambda: journal.held)  # the beginning of the end
            journal.let_go()
        assert (await engine.wait(execution_id, timeout=PATIENCE)).status == "cancelled"


async def test_a_retry_that_was_asked_for_while_the_failure_is_recorded_runs_the_task_again(
    monkeypatch,
):
    journal, going_on, runs = HeldJournal(10), anyio.Event(), []
    journal.is_holding = False

    @activity
    async def flaky(context):
        runs.append(len(runs))
        await going_on.wait()
        if len(runs) == 1:
            raise ValueError("the first time")

    monkeypatch.setattr("flowmgr.journal.MemoryJournal", lambda _: journal)
    async with open_engine(activities=[flaky]) as engine:
        execution_id = (await engine.start(chain("flaky"))).execution_id
        await until(lambda: runs)
        journal.is_holding = True
        going_on.set()
        await until(lambda: journal.held)  # its failure
        async with anyio.create_task_group() as group:
            group.start_soon(engine.retry, execution_id)
            await anyio.wait_all_tasks_blocked()
            journal.let_go()
        found = await engine.wait(execution_id, timeout=PATIENCE)
        assert (found.status, len(runs)) == ("completed", 2)
        await until(lambda: engine.live_executions == 0)
