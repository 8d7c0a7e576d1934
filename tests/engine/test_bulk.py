"""Changing many executions by one request: which ones, how many at once, and what goes wrong."""

import typing

import anyio
import pytest

from flowmgr import bulk
from flowmgr.bulk import AT_ONCE, BulkAction, BulkRequest, change_many
from flowmgr.engine import open_engine
from flowmgr.errors import EngineBusyError
from flowmgr.journal.store import ExecutionQuery
from tests.support.flows import Gate, chain

pytestmark = pytest.mark.anyio

ANY = ExecutionQuery()


async def start(engine, count, **options):
    return [(await engine.start(chain("gate"), **options)).execution_id for _ in range(count)]


async def statuses(engine):
    return {each.execution_id: each.status for each in await engine.list(ANY, None, 10_000)}


async def test_everything_that_matches_is_changed_and_nothing_else():
    gate = Gate()
    async with open_engine(activities=[gate.activity]) as engine:
        meant = await start(engine, 40, metadata={"batch": 1})
        others = await start(engine, 10, metadata={"batch": 2})
        query = ExecutionQuery(metadata={"batch": "1"})
        report = await change_many(engine, BulkRequest("cancel", query, "ada", "too many"))
        assert (list(report.matched), report.done, report.failed) == (meant[::-1], 40, [])
        assert not report.has_more
        for execution_id in meant:
            execution = await engine.wait(execution_id)
            assert execution.status == "cancelled"
            assert execution.cancellation.by == "ada"
            assert execution.cancellation.reason == "too many"
        gate.opened.set()
        for execution_id in others:
            assert (await engine.wait(execution_id)).status == "completed"


async def test_a_dry_run_changes_nothing():
    gate = Gate()
    async with open_engine(activities=[gate.activity]) as engine:
        started = await start(engine, 3)
        report = await change_many(engine, BulkRequest("cancel", ANY, is_dry_run=True))
        assert (list(report.matched), report.done) == (started[::-1], 0)
        assert set((await statuses(engine)).values()) == {"running"}
        gate.opened.set()


async def test_only_what_the_action_can_be_done_to_matches():
    gate = Gate()
    async with open_engine(activities=[gate.activity]) as engine:
        (paused,) = await start(engine, 1)
        await engine.pause(paused)
        (cancelled,) = await start(engine, 1)
        await engine.cancel(cancelled, wait=10)
        (running,) = await start(engine, 1)
        found = {}
        for action in typing.get_args(BulkAction):
            report = await change_many(engine, BulkRequest(action, ANY, is_dry_run=True))
            found[action] = list(report.matched)
        assert found == {
            "cancel": [running, paused],
            "retry": [cancelled],
            "delete": [cancelled],
        }
        completed_ones = ExecutionQuery(status="completed")
        report = await change_many(engine, BulkRequest("retry", completed_ones))
        assert list(report.matched) == []
        gate.opened.set()
        await engine.resume(paused)


async def test_what_was_cancelled_is_retried_and_then_deleted():
    gate = Gate()
    async with open_engine(activities=[gate.activity]) as engine:
        started = await start(engine, 50)
        await change_many(engine, BulkRequest("cancel", ANY))
        for execution_id in started:
            await engine.wait(execution_id)
        gate.opened.set()
        assert (await change_many(engine, BulkRequest("retry", ANY))).done == 50
        for execution_id in started:
            assert (await engine.wait(execution_id)).status == "completed"
        assert (await change_many(engine, BulkRequest("delete", ANY))).done == 50
        assert await statuses(engine) == {}


async def test_more_than_may_be_changed_are_said_to_be_there(monkeypatch):
    monkeypatch.setattr(bulk, "MAX_MATCHED", 5)
    monkeypatch.setattr(bulk, "_CHUNK", 2)
    gate = Gate()
    async with open_engine(activities=[gate.activity]) as engine:
        started = await start(engine, 12)
        request = BulkRequest("cancel", ANY)
        reports = [await change_many(engine, request) for _ in range(4)]
        assert [len(report.matched) for report in reports] == [5, 5, 2, 0]
        assert [report.has_more for report in reports] == [True, True, False, False]
        assert [each for report in reports for each in report.matched] == started[::-1]
        gate.opened.set()


async def test_one_that_cannot_be_changed_is_named_and_keeps_no_other_from_it(monkeypatch):
    gate = Gate()
    async with open_engine(activities=[gate.activity]) as engine:
        started = await start(engine, 5)
        cancel = engine.cancel

        async def cancel_most(execution_id, **options):
            if execution_id == started[2]:
                raise EngineBusyError("enough to do")
            return await cancel(execution_id, **options)

        monkeypatch.setattr(engine, "cancel", cancel_most)
        report = await change_many(engine, BulkRequest("cancel", ANY))
        assert report.done == 4
        assert [(each.execution_id, each.detail) for each in report.failed] == [
            (started[2], "enough to do")
        ]
        gate.opened.set()


async def test_not_more_than_some_are_changed_at_once(monkeypatch):
    gate = Gate()
    async with open_engine(activities=[gate.activity]) as engine:
        await start(engine, 3 * AT_ONCE)
        cancel, now, most = engine.cancel, 0, 0

        async def count(execution_id, **options):
            nonlocal now, most
            now += 1
            most = max(most, now)
            await anyio.sleep(0.001)
            now -= 1
            return await cancel(execution_id, **options)

        monkeypatch.setattr(engine, "cancel", count)
        assert (await change_many(engine, BulkRequest("cancel", ANY))).done == 3 * AT_ONCE
        assert most == AT_ONCE
        gate.opened.set()
