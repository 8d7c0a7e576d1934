"""A parked execution is in the journal alone, and is taken up when it is due or asked something."""

import time

import anyio
import anyio.lowlevel
import pytest

from actors.actor import Reply
from actors.events import (
    ExecutionCompleted,
    ExecutionParked,
    ExecutionQuarantined,
    ExecutionStarted,
    TaskFinished,
    TaskStarted,
    WaitStarted,
)
from actors.execution import ExecutionSupervisor
from actors.ports import Batch
from flowmgr import Settings, activity, open_engine
from flowmgr.clock import SystemClock
from flowmgr.errors import EngineClosedError, JournalError
from flowmgr.journal.memory import MemoryJournal
from flowmgr.journal.sqlite.journal import SqliteJournal
from flowmgr.timers import CHUNK
from flowmgr.triage import MAX_KILLS, SUSPECT
from tests.support.flows import PATIENCE, Gate, recorded, until
from tests.support.virtual_time import LoopClock, in_virtual_time
from tests.support.waiting import Waiting, parked_history, wait_then

pytestmark = pytest.mark.anyio

DAY = 86_400.0
FOREVER = 1e12


class Ran:
    """An activity that counts its runs."""

    def __init__(self):
        self.count = 0

    def activity(self, name="a"):
        @activity(name)
        async def run(context):
            self.count += 1

        return run


@pytest.fixture(autouse=True)
def waiting(monkeypatch):
    """Have flows compiled with tasks that wait; for how long can be changed."""
    waiting = Waiting(DAY)
    monkeypatch.setattr("flowmgr.flows.compile_flow", waiting.compile)
    return waiting


def name(number):
    return f"01999999-9999-7999-8999-{number:012}"


async def park(engine, due, number=0, *tasks):
    """Record an execution that is parked, and that the engine's own recovery does not find."""
    if not engine.recovery.is_over:
        await recovered(engine)
    reply = Reply()
    batch = Batch(name(number), 1, parked_history(due, tasks or ("a",)))
    engine._store.append(batch, lambda error: reply.give(error or True))
    await reply.get()


async def recovered(engine):
    await until(lambda: engine.recovery.is_over)


async def is_parked(engine, execution_id):
    """Wait until an execution is parked."""
    await until(lambda: engine._live.get(execution_id) is None)
    assert (await engine._store.get_execution(execution_id)).is_parked


def watches(engine):
    return sum(map(len, engine._live.watches._watched.values()))


# --- after a start


async def test_what_came_due_while_the_server_was_down_goes_on_once_and_soon(reopened):
    ran, count = Ran(), CHUNK + 10
    async with reopened.open() as engine:
        for number in range(count):
            await park(engine, 1.0 + number, number)
    async with reopened.open(ran.activity()) as engine:
        for number in range(count):
            found = await engine.wait(name(number), timeout=PATIENCE)
            assert found.status == "completed"
        assert (ran.count, engine.live_executions, len(engine._timers)) == (count, 0, 0)
        assert (engine.recovery.unfinished, engine.recovery.recovered) == (count, count)
        events = [type(event) for event in await recorded(engine, name(0))]
        assert events == [
            ExecutionStarted,
            TaskStarted,
            WaitStarted,
            ExecutionParked,
            TaskFinished,
            TaskStarted,
            TaskFinished,
            ExecutionCompleted,
        ]


async def test_what_is_not_due_is_not_loaded_but_counts_as_recovered(reopened):
    ran = Ran()
    async with reopened.open() as engine:
        for number in range(10):
            await park(engine, FOREVER if number else None, number)
    async with reopened.open(ran.activity()) as engine:
        await recovered(engine)
        assert (engine.recovery.unfinished, engine.recovery.recovered) == (10, 10)
        assert (engine.live_executions, len(engine._timers), ran.count) == (0, 9, 0)
        assert (await engine.get(name(3))).status == "running"
        assert len(await recorded(engine, name(3))) == len(parked_history(FOREVER))


@in_virtual_time
async def test_a_week_passes_in_a_moment_with_a_restart_in_between(monkeypatch, waiting):
    ran, journal = Ran(), MemoryJournal(100)
    monkeypatch.setattr("flowmgr.journal.MemoryJournal", lambda _: journal)
    waiting.seconds = 7 * DAY
    async with open_engine(activities=[ran.activity()], clock=LoopClock()) as engine:
        started = await engine.start(wait_then("a"))
        await anyio.sleep(3 * DAY)
        assert engine.live_executions == 0
    async with open_engine(activities=[ran.activity()], clock=LoopClock()) as engine:
        found = await engine.wait(started.execution_id)
    assert (found.status, ran.count) == ("completed", 1)
    assert found.ended_at - found.started_at == pytest.approx(7 * DAY, abs=0.01)


# --- while the engine runs


async def test_an_execution_that_waits_long_is_not_live_and_goes_on_when_it_is_due(
    any_journal, waiting, monkeypatch
):
    monkeypatch.setattr("actors.waiting.PARK_SECONDS", 0.2)
    ran, waiting.seconds = Ran(), 0.4
    async with open_engine(activities=[ran.activity()]) as engine:
        began = SystemClock.now()
        started = await engine.start(wait_then("a"))
        await is_parked(engine, started.execution_id)
        assert (engine.live_executions, len(engine._timers), ran.count) == (0, 1, 0)
        assert (await engine.get(started.execution_id)).status == "running"
        found = await engine.wait(started.execution_id, timeout=PATIENCE)
        assert (found.status, ran.count, len(engine._timers)) == ("completed", 1, 0)
        assert found.ended_at - began >= 0.4


async def test_an_execution_that_waits_for_a_moment_stays_live(any_journal, waiting):
    ran, waiting.seconds = Ran(), 0.05
    async with open_engine(activities=[ran.activity()]) as engine:
        found = await engine.run(wait_then("a", "wait2"), timeout=PATIENCE)
        assert (found.status, ran.count, len(engine._timers)) == ("completed", 1, 0)
        types = [type(event) for event in await recorded(engine, found.execution_id)]
        assert ExecutionParked not in types


async def test_the_timer_of_an_execution_goes_with_it(any_journal, waiting):
    waiting.seconds = 0.9
    async with open_engine(activities=[Ran().activity()]) as engine:
        started = await engine.start(wait_then("a"))
        await until(lambda: len(engine._timers) == 1)
        assert engine.live_executions == 1
        await engine.cancel(started.execution_id, wait=PATIENCE)
        assert len(engine._timers) == 0


async def test_only_what_is_in_memory_counts_as_live(any_journal):
    async with open_engine(Settings(max_live=1), activities=[Ran().activity()]) as engine:
        for count in (1, 2, 3):
            started = await engine.start(wait_then("a"))
            await is_parked(engine, started.execution_id)
            assert (engine.live_executions, len(engine._timers)) == (0, count)


async def test_thousands_at_the_same_instant_do_not_keep_others_waiting(waiting):
    ran, most, count = Ran(), 0, 15 * CHUNK
    async with open_engine(activities=[ran.activity()]) as engine:
        for number in range(count):
            await park(engine, 0.0, number)
            engine._timers.set(name(number), 0.0)
        began = time.monotonic()
        while ran.count < count and time.monotonic() - began < PATIENCE:
            before = ran.count
            await anyio.lowlevel.checkpoint()
            most = max(most, ran.count - before)
    assert ran.count == count
    assert most <= 2 * CHUNK  # between two turns of another task


# --- asking something of one that is parked


async def test_a_parked_execution_is_taken_up_to_be_cancelled(any_journal):
    ran = Ran()
    async with open_engine(activities=[ran.activity()]) as engine:
        started = await engine.start(wait_then("a"))
        await is_parked(engine, started.execution_id)
        found = await engine.cancel(started.execution_id, wait=PATIENCE)
        assert (found.status, ran.count) == ("cancelled", 0)
        assert (engine.live_executions, len(engine._timers)) == (0, 0)


async def test_whoever_waits_is_told_of_the_end_and_the_execution_stays_parked_until_then(
    any_journal,
):
    found = []
    async with open_engine(activities=[Ran().activity()]) as engine:
        started = await engine.start(wait_then("a"))
        execution_id = started.execution_id

        async def wait():
            found.append(await engine.wait(execution_id))

        async def follow():
            found.append([each.event async for each in engine.follow(execution_id)])

        async with anyio.create_task_group() as group:
            group.start_soon(wait)  # some while it is live perhaps, others when it is not
            group.start_soon(follow)
            await is_parked(engine, execution_id)
            group.start_soon(wait)
            group.start_soon(follow)
            await until(lambda: watches(engine) == 4)
            assert (engine.live_executions, found) == (0, [])
            await engine.cancel(execution_id)
        assert watches(engine) == 0
        *executions, first, second = sorted(found, key=lambda each: isinstance(each, list))
        assert [each.status for each in executions] == ["cancelled"] * 2
        assert first == second == await recorded(engine, execution_id)


async def test_whoever_follows_an_execution_that_is_taken_up_just_then_sees_its_end(any_journal):
    gate, found = Gate("a"), []
    async with open_engine(activities=[gate.activity]) as engine:
        started = await engine.start(wait_then("a"))
        execution_id = started.execution_id
        await is_parked(engine, execution_id)
        get_execution = engine._store.get_execution

        async def get_later(each):
            engine._store.get_execution = get_execution
            await engine.skip(each)
            await gate.someone_came.wait()
            return await get_execution(each)

        engine._store.get_execution = get_later
        with anyio.fail_after(PATIENCE):
            async for each in engine.follow(execution_id):
                found.append(each.event)
                gate.opened.set()
        assert found == await recorded(engine, execution_id)
        assert isinstance(found[-1], ExecutionCompleted)


async def test_whoever_waits_for_the_next_part_of_a_flow_waits_through_every_wait(
    any_journal, waiting, monkeypatch
):
    monkeypatch.setattr("actors.waiting.PARK_SECONDS", 0.2)
    ran, waiting.seconds = Ran(), 0.4
    async with open_engine(activities=[ran.activity()]) as engine:
        found = await engine.run(wait_then("a", "wait2"), timeout=PATIENCE)
        assert (found.status, ran.count) == ("completed", 1)
        types = [type(event) for event in await recorded(engine, found.execution_id)]
        assert types.count(ExecutionParked) == 2


async def test_a_time_limit_ends_the_waiting_and_leaves_the_execution_parked(any_journal):
    async with open_engine(activities=[Ran().activity()]) as engine:
        started = await engine.start(wait_then("a"))
        await is_parked(engine, started.execution_id)
        found = await engine.wait(started.execution_id, timeout=0.02)
        assert (found.status, engine.live_executions, watches(engine)) == ("running", 0, 0)


async def test_whoever_waits_is_told_when_the_engine_closes(any_journal):
    told = []
    async with (
        anyio.create_task_group() as group,
        open_engine(activities=[Ran().activity()]) as engine,
    ):
        started = await engine.start(wait_then("a"))
        await is_parked(engine, started.execution_id)

        async def wait():
            with pytest.raises(EngineClosedError):
                await engine.wait(started.execution_id)
            told.append("wait")

        async def follow():
            told.append(len([each async for each in engine.follow(started.execution_id)]))

        group.start_soon(wait)
        group.start_soon(follow)
        await until(lambda: watches(engine) == 2)
        engine.begin_draining()
        await until(lambda: len(told) == 2)
        with pytest.raises(EngineClosedError):
            await engine.wait(started.execution_id)
    assert sorted(told, key=str) == [4, "wait"]


async def test_an_execution_that_is_wanted_is_parked_when_it_is_not_any_more(monkeypatch, waiting):
    waiting.seconds, sent = 0.9, []
    async with open_engine(activities=[Ran().activity()]) as engine:
        started = await engine.start(wait_then("a"))
        live, supervisor = engine._live, engine._live.get(started.execution_id)
        await until(lambda: supervisor.is_idle)
        monkeypatch.setattr(ExecutionSupervisor, "send", lambda _, message: sent.append(message))
        assert not live.is_wanted(supervisor)
        with live.asking(started.execution_id):
            with live.asking(started.execution_id):
                assert live.is_wanted(supervisor)
            assert not sent
        assert [type(message).__name__ for message in sent] == ["WakeUp"]
        assert not live.is_wanted(supervisor)
        with live.asking(started.execution_id):
            pass
        assert len(sent) == 1
        monkeypatch.undo()
        await engine.cancel(started.execution_id, wait=PATIENCE)


# --- executions that end the engine when they are taken up


async def test_one_that_ends_the_engine_when_it_is_taken_up_is_quarantined(durable, monkeypatch):
    taken_up, ran = [], Ran()
    async with durable.open() as engine:
        await park(engine, 0.0)

    async def end(store, execution_ids):
        taken_up.append(execution_ids)
        await anyio.sleep_forever()

    with monkeypatch.context() as broken:
        broken.setattr(SqliteJournal, "read_histories", end)
        for number in range(MAX_KILLS):
            async with durable.open(ran.activity()) as engine:
                await until(lambda: len(taken_up) > number)  # noqa: B023 - called at once
    async with durable.open(ran.activity()) as engine:
        await recovered(engine)
        assert (await engine.get(name(0))).status == "quarantined"
        [event] = [e for e in await recorded(engine, name(0)) if type(e) is ExecutionQuarantined]
        assert (event.recoveries, ran.count, engine.recovery.quarantined) == (MAX_KILLS, 0, 1)


async def test_one_that_is_suspected_is_taken_up_alone_and_forgiven(durable, monkeypatch):
    ran, taken_up = Ran(), []
    async with durable.open() as engine:
        for number in range(3):
            await park(engine, 0.0, number)
        for _ in range(2):
            await engine._store.count_recovery([name(1)])
    read = SqliteJournal.read_histories

    async def note(store, execution_ids):
        taken_up.append(execution_ids)
        return await read(store, execution_ids)

    monkeypatch.setattr(SqliteJournal, "read_histories", note)
    async with durable.open(ran.activity()) as engine:
        await until(lambda: ran.count == 3)
        assert taken_up == [[name(0), name(2)], [name(1)]]
        await until(lambda: not engine._recovery.suspects)


async def test_nobody_waits_for_those_that_are_suspected_of_whom_a_few_follow_one_at_a_time(
    durable, monkeypatch
):
    gate, ran, count = Gate(), Ran(), 5
    monkeypatch.setattr("flowmgr.timers.CHUNK", count)
    monkeypatch.setattr("flowmgr.recovery.PROBATION", FOREVER)
    async with durable.open() as engine:
        suspects = [name(number) for number in range(count)]
        for number in range(count):
            await park(engine, 0.0, number, "gate")
        await park(engine, 0.0, count)
        for _ in range(SUSPECT):
            await engine._store.count_recovery(suspects)
    async with durable.open(gate.activity, ran.activity()) as engine:
        await engine.wait(name(count), timeout=PATIENCE)
        await until(lambda: gate.came)
        assert (ran.count, gate.came, len(engine._recovery.suspects)) == (1, 1, count)
        gate.opened.set()
        for suspect in suspects:
            assert (await engine.wait(suspect, timeout=PATIENCE)).status == "completed"
        await until(lambda: not engine._recovery.suspects)


async def test_one_that_could_not_be_forgiven_at_first_is_not_taken_up_again_for_it(
    durable, monkeypatch
):
    gate, calls, forgive = Gate(), [], SqliteJournal.forgive
    monkeypatch.setattr("flowmgr.waking.RETRY_SECONDS", 0.01)
    monkeypatch.setattr("flowmgr.recovery.PROBATION", 0.01)
    async with durable.open() as engine:
        await park(engine, 0.0, 0, "gate")
        for _ in range(SUSPECT):
            await engine._store.count_recovery([name(0)])

    async def fail_once(store, execution_ids):
        calls.append(execution_ids)
        if len(calls) == 1:
            raise JournalError("there was no room")
        await forgive(store, execution_ids)

    async with durable.open(gate.activity) as engine:
        await recovered(engine)
        monkeypatch.setattr(SqliteJournal, "forgive", fail_once)
        await until(lambda: not engine._recovery.suspects)
        [unfinished] = await engine._store.list_unfinished()
        assert (calls, unfinished.recoveries) == ([[name(0)]] * 2, 0)
        gate.opened.set()
        assert (await engine.wait(name(0), timeout=PATIENCE)).status == "completed"


async def test_many_that_are_suspected_are_taken_up_in_groups(durable, monkeypatch):
    gate, count = Gate(), 50
    monkeypatch.setattr("flowmgr.recovery.PROBATION", FOREVER)
    async with durable.open() as engine:
        for number in range(count):
            await park(engine, 0.0, number, "gate")
        for _ in range(SUSPECT):
            await engine._store.count_recovery([name(number) for number in range(count)])
    async with durable.open(gate.activity) as engine:
        await until(lambda: gate.came == count // 10)
        assert engine.live_executions == count // 10
        gate.opened.set()
        await until(lambda: not engine._recovery.suspects)
        assert (gate.came, engine.live_executions) == (count, 0)


@pytest.mark.parametrize("is_suspected", [False, True])
@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_one_that_is_due_just_while_somebody_fails_to_take_it_up_is_woken_all_the_same(
    durable, monkeypatch, is_cancelled, is_suspected
):
    ran, asked, is_due = Ran(), anyio.Event(), anyio.Event()
    async with durable.open() as engine:
        await park(engine, FOREVER)
        for _ in range(SUSPECT * is_suspected):
            await engine._store.count_recovery([name(0)])

    async def fail(store, *args):
        asked.set()
        await is_due.wait()
        await anyio.sleep(0.05)
        raise JournalError("the journal could not be read")

    async def ask(scope):
        with scope, pytest.raises(JournalError):
            await engine.pause(name(0))

    async with durable.open(ran.activity()) as engine, anyio.create_task_group() as group:
        await recovered(engine)
        with monkeypatch.context() as broken:
            broken.setattr(SqliteJournal, "read_events", fail)
            scope = anyio.CancelScope()
            group.start_soon(ask, scope)
            await asked.wait()
            engine._timers.set(name(0), 0.0)
            await until(lambda: engine._timers.due(name(0)) is None)
            is_due.set()
            if is_cancelled:
                scope.cancel()
            await until(lambda: name(0) not in engine._recovery._loading)
        await until(lambda: engine.live_executions or engine._timers.due(name(0)) is not None)


async def test_one_that_is_forgiven_just_while_it_is_due_again_is_woken_all_the_same(
    durable, monkeypatch, waiting
):
    ran, other, suspect, may_forgive = Ran(), name(0), name(1), anyio.Event()
    waiting.seconds = 0.3
    monkeypatch.setattr("actors.waiting.PARK_SECONDS", 0.0)
    async with durable.open() as engine:
        await park(engine, FOREVER, 0)
        await park(engine, 0.0, 1, "a", "wait2", "b")
        for _ in range(SUSPECT):
            await engine._store.count_recovery([suspect])
    read, forgive = SqliteJournal.read_histories, SqliteJournal.forgive

    async def forgive_late(store, execution_ids):
        await may_forgive.wait()
        await forgive(store, execution_ids)

    async def read_late(store, execution_ids):
        if other in execution_ids:
            may_forgive.set()
            await until(lambda: not engine._recovery.suspects)
        return await read(store, execution_ids)

    monkeypatch.setattr(SqliteJournal, "forgive", forgive_late)
    monkeypatch.setattr(SqliteJournal, "read_histories", read_late)
    async with durable.open(ran.activity(), ran.activity("b")) as engine:
        await until(lambda: ran.count and engine._timers.due(suspect) is not None)
        engine._timers.set(other, engine._timers.due(suspect))
        assert (await engine.wait(suspect, timeout=PATIENCE)).status == "completed"
        assert ran.count == 2


async def test_one_that_cannot_go_on_is_named_and_keeps_no_other_from_it(reopened):
    ran = Ran()
    async with reopened.open() as engine:
        await park(engine, 0.0, 0, "a", "unknown")
        await park(engine, 0.0, 1)
    async with reopened.open(ran.activity()) as engine:
        await engine.wait(name(1), timeout=PATIENCE)
        assert list(engine.recovery.stranded) == [name(0)]
        progress = engine.recovery
        assert (progress.unfinished, progress.recovered, progress.quarantined) == (2, 1, 0)
        assert (await engine.get(name(0))).status == "running"


async def test_a_journal_that_cannot_be_read_for_a_while_delays_and_loses_nothing(
    durable, monkeypatch
):
    ran, failed, read = Ran(), [], SqliteJournal.read_histories

    async def fail_once(store, execution_ids):
        if not failed:
            failed.append(1)
            raise JournalError("not now")
        return await read(store, execution_ids)

    monkeypatch.setattr(SqliteJournal, "read_histories", fail_once)
    monkeypatch.setattr("flowmgr.waking.RETRY_SECONDS", 0.01)
    async with durable.open() as engine:
        await park(engine, 0.0)
    async with durable.open(ran.activity()) as engine:
        assert (await engine.wait(name(0), timeout=PATIENCE)).status == "completed"
    assert (failed, ran.count) == ([1], 1)
