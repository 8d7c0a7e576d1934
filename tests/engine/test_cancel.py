"""When the API says `cancelled`, no code of that execution is running any more."""

import gc
import itertools
import threading
from collections import Counter
from types import FrameType

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest

from actors.events import (
    CancelRequested,
    ExecutionCancelled,
    ExecutionCompleted,
    TaskStarted,
    TaskStopped,
)
from flowmgr import Settings, activity, open_engine
from flowmgr.errors import ExecutionEndedError, ExecutionNotFoundError
from tests.contract.test_runners import is_gone, started
from tests.support import sample_activities as samples
from tests.support.flows import Gate, chain, ending_of, recorded, until
from tests.support.journals import HeldJournal, LateJournal
from tests.support.virtual_time import LoopClock, in_virtual_time

pytestmark = pytest.mark.anyio

WAIT = 20.0
"""Seconds that a cancellation may take before the test gives up."""


# --- helpers


def receipt_of(execution):
    return execution.cancellation.tasks


def only_line(execution):
    [line] = receipt_of(execution)
    return line


async def started_gate(engine, gate):
    """Start an execution that waits at *gate*, and wait until it does."""
    came = gate.came
    execution = await engine.start(chain(gate.activity.name))
    await until(lambda: gate.came > came)
    return execution.execution_id


def count_tasks():
    """How many tasks there are on this backend, whoever started them."""
    return len(anyio.get_running_tasks())


async def assert_nothing_is_left(engine, tasks):
    assert engine.live_executions == 0
    assert engine.abandoned_executions == 0
    await until(lambda: count_tasks() <= tasks)


# --- what is cancelled


async def test_a_task_that_sleeps_for_a_minute_is_cancelled_at_once_and_its_finally_has_run():
    ran, began = [], anyio.Event()

    @activity
    async def sleep(context):
        try:
            began.set()
            await anyio.sleep(60)
        finally:
            ran.append("finally")

    async with open_engine(activities=[sleep]) as engine:
        tasks = count_tasks()
        execution = await engine.start(chain("sleep"))
        await began.wait()
        found = await engine.cancel(execution.execution_id, reason="enough", wait=WAIT)
        assert ran == ["finally"]
        assert (found.status, found.cancellation.reason) == ("cancelled", "enough")
        line = only_line(found)
        assert (line.task, line.attempt, line.how, line.error) == ("sleep", 1, "stopped", None)
        assert 0 <= line.seconds < 0.1
        assert isinstance(await ending_of(engine, execution.execution_id), ExecutionCancelled)
        await assert_nothing_is_left(engine, tasks)


async def test_a_request_that_does_not_wait_returns_a_cancelling_execution():
    gate = Gate()
    async with open_engine(activities=[gate.activity]) as engine:
        execution_id = await started_gate(engine, gate)
        found = await engine.cancel(execution_id)
        assert (found.status, receipt_of(found), gate.left) == ("cancelling", (), 0)
        assert (await engine.wait(execution_id)).status == "cancelled"
        assert gate.left == 1


async def test_an_execution_that_has_not_begun_to_run_never_does():
    gate = Gate()
    async with open_engine(activities=[gate.activity]) as engine:
        tasks = count_tasks()
        execution = await engine.start(chain("gate"))
        found = await engine.cancel(execution.execution_id, wait=WAIT)
        assert (found.status, only_line(found).how, gate.came) == ("cancelled", "stopped", 0)
        await assert_nothing_is_left(engine, tasks)


async def test_an_unknown_execution_cannot_be_cancelled():
    async with open_engine() as engine:
        with pytest.raises(ExecutionNotFoundError, match="'unknown'"):
            await engine.cancel("unknown")


# --- clean-up


async def test_a_shielded_clean_up_is_waited_for():
    gate, going_on = Gate(), anyio.Event()

    @activity
    async def clean_up(context):
        try:
            await gate._pass(context)
        finally:
            with anyio.CancelScope(shield=True):
                await going_on.wait()

    async with open_engine(activities=[clean_up]) as engine:
        tasks = count_tasks()
        execution = await engine.start(chain("clean_up"))
        await gate.someone_came.wait()
        await engine.cancel(execution.execution_id)
        await until(lambda: gate.left)
        assert (await engine.get(execution.execution_id)).status == "cancelling"
        going_on.set()
        found = await engine.wait(execution.execution_id)
        assert (found.status, only_line(found).how) == ("cancelled", "stopped")
        await assert_nothing_is_left(engine, tasks)


@in_virtual_time
async def test_the_receipt_says_how_long_a_clean_up_took():
    gate = Gate()

    @activity
    async def clean_up(context):
        try:
            await gate._pass(context)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.3)

    async with open_engine(activities=[clean_up], clock=LoopClock()) as engine:
        execution = await engine.start(chain("clean_up"))
        await gate.someone_came.wait()
        found = await engine.cancel(execution.execution_id, wait=WAIT)
        assert (found.status, only_line(found).how) == ("cancelled", "stopped")
        assert only_line(found).seconds == pytest.approx(0.3)
        assert found.ended_at - found.cancellation.requested_at == pytest.approx(0.3)


async def test_a_clean_up_that_exceeds_the_grace_is_named_and_counted_until_it_ends():
    gate, going_on = Gate(), anyio.Event()

    @activity
    async def clean_up(context):
        try:
            await gate._pass(context)
        finally:
            with anyio.CancelScope(shield=True):
                await going_on.wait()
        return "too late"

    async with open_engine(Settings(grace=0), activities=[clean_up]) as engine:
        tasks = count_tasks()
        execution = await engine.start(chain("clean_up"))
        await gate.someone_came.wait()
        found = await engine.cancel(execution.execution_id, wait=WAIT)
        assert (found.status, only_line(found).how) == ("cancelled", "abandoned")
        assert (engine.live_executions, engine.abandoned_executions) == (0, 1)
        going_on.set()
        await until(lambda: engine.abandoned_executions == 0)
        assert await engine.get(execution.execution_id) == found
        await assert_nothing_is_left(engine, tasks)


async def test_of_a_cancelled_execution_only_what_runs_code_that_does_not_stop_is_abandoned():
    came, going_on = anyio.Event(), anyio.Event()

    @activity("stubborn")
    async def ignore(context):
        with anyio.CancelScope(shield=True):
            came.set()
            await going_on.wait()

    def fan(name, **branches):
        bodies = {each: {"start_task": each, "tasks": [task]} for each, task in branches.items()}
        return {"name": name, "kind": "parallel", "branches": bodies}

    signal = {"name": "signal", "kind": "signal"}
    wait = {"name": "wait", "kind": "wait", "seconds": 1000}
    inner = fan("inner", signal=signal, wait=wait)
    outer = fan("outer", stubborn={"name": "stubborn"}, signal=signal, wait=wait, inner=inner)
    flow = chain("outer", tasks=[outer])
    async with open_engine(Settings(grace=0), activities=[ignore]) as engine:
        execution = await engine.start(flow)
        await came.wait()
        found = await engine.cancel(execution.execution_id, wait=WAIT)
        receipt = {(line.scope, line.task): line.how for line in receipt_of(found)}
        going_on.set()
    abandoned = [line for line, how in receipt.items() if how == "abandoned"]
    assert (found.status, len(receipt)) == ("cancelled", 7)
    assert sorted(abandoned) == [("", "outer"), ("/outer/stubborn", "stubborn")]
    assert set(receipt.values()) == {"abandoned", "stopped"}


@in_virtual_time
async def test_every_execution_has_the_whole_grace():
    gate = Gate()

    @activity
    async def clean_up(context):
        try:
            await gate._pass(context)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(context["seconds"])

    settings = Settings(grace=10)
    async with open_engine(settings, activities=[clean_up], clock=LoopClock()) as engine:
        ids = []
        for seconds in [9, 20, 9, 20]:
            execution = await engine.start(chain("clean_up"), {"seconds": seconds})
            ids.append(execution.execution_id)
            await until(lambda: gate.came == len(ids))
        for execution_id in ids:
            await engine.cancel(execution_id)
            await anyio.sleep(4)
        found = [only_line(await engine.wait(execution_id)) for execution_id in ids]
        assert [line.how for line in found] == ["stopped", "abandoned"] * 2
        assert [line.seconds for line in found] == pytest.approx([9, 10.25, 9, 10.25])


async def test_an_error_in_a_clean_up_is_in_the_receipt():
    gate = Gate()

    @activity
    async def fail_in_finally(context):
        try:
            await gate._pass(context)
        finally:
            raise ValueError("the file is gone")

    async with open_engine(activities=[fail_in_finally]) as engine:
        execution = await engine.start(chain("fail_in_finally"))
        await gate.someone_came.wait()
        found = await engine.cancel(execution.execution_id, wait=WAIT)
        line = only_line(found)
        assert (found.status, line.how) == ("cancelled", "stopped")
        assert (line.error.type, line.error.message) == ("ValueError", "the file is gone")
        assert (found.error, found.had_failures) == (None, False)


async def test_errors_in_a_task_group_that_is_cancelled_are_in_the_receipt_without_the_rest():
    gate = Gate()

    async def fail_in_finally():
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError("the file is gone")

    @activity
    async def grouped(context):
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            group.start_soon(fail_in_finally)
            await gate._pass(context)

    async with open_engine(activities=[grouped]) as engine:
        tasks = count_tasks()
        execution = await engine.start(chain("grouped"))
        await gate.someone_came.wait()
        await anyio.wait_all_tasks_blocked()
        found = await engine.cancel(execution.execution_id, wait=WAIT)
        line = only_line(found)
        assert (found.status, line.how, line.error.type) == (
            "cancelled",
            "stopped",
            "ExceptionGroup",
        )
        assert line.error.message == "1 error: ValueError: the file is gone"
        await assert_nothing_is_left(engine, tasks)


async def test_a_group_of_cancellations_is_no_error():
    gate = Gate()

    @activity
    async def grouped(context):
        try:
            await gate._pass(context)
        except anyio.get_cancelled_exc_class() as cancelled:
            raise BaseExceptionGroup("cancelled", [cancelled]) from None

    async with open_engine(activities=[grouped]) as engine:
        execution = await engine.start(chain("grouped"))
        await gate.someone_came.wait()
        found = await engine.cancel(execution.execution_id, wait=WAIT)
        assert (found.status, only_line(found).how) == ("cancelled", "stopped")
        assert only_line(found).error is None


# --- races with the end of a task


async def test_a_task_that_swallows_the_cancellation_and_returns_has_finished():
    gate, ran = Gate(), []

    @activity
    async def swallow(context):
        try:
            await gate._pass(context)
        except anyio.get_cancelled_exc_class():
            return "all the same"

    @activity
    async def further(context):
        ran.append(context)

    async with open_engine(activities=[swallow, further]) as engine:
        tasks = count_tasks()
        execution = await engine.start(chain("swallow", "further"))
        await gate.someone_came.wait()
        found = await engine.cancel(execution.execution_id, wait=WAIT)
        assert (found.status, only_line(found).how) == ("cancelled", "finished")
        assert found.task_results["swallow"].value == "all the same"
        assert found.context["swallow_result"] == "all the same"
        assert (found.current_task, ran) == ("swallow", [])
        await assert_nothing_is_left(engine, tasks)


async def test_an_activity_may_cancel_its_own_execution():
    known = {}

    @activity
    async def give_up(context):
        found = await known["engine"].cancel(known["id"], reason="mine")
        assert found.status == "cancelling"
        await anyio.sleep_forever()

    @activity
    async def give_up_and_return(context):
        await known["engine"].cancel(known["id"])
        return "done"

    @activity
    async def further(context):
        known["further"] = True

    async with open_engine(activities=[give_up, give_up_and_return, further]) as engine:
        known["engine"] = engine
        for name, how in [("give_up", "stopped"), ("give_up_and_return", "finished")]:
            execution = await engine.start(chain(name, "further"))
            known["id"] = execution.execution_id
            found = await engine.wait(execution.execution_id, timeout=WAIT)
            assert (found.status, only_line(found).how) == ("cancelled", how)
            assert only_line(found).task == name
    assert "further" not in known


async def test_an_activity_that_waits_for_the_cancellation_of_its_own_execution_is_cancelled():
    known = {}

    @activity
    async def give_up(context):
        await known["engine"].cancel(known["id"], wait=WAIT)

    async with open_engine(activities=[give_up]) as engine:
        known["engine"] = engine
        execution = await engine.start(chain("give_up"))
        known["id"] = execution.execution_id
        found = await engine.wait(execution.execution_id, timeout=WAIT)
        assert (found.status, only_line(found).how) == ("cancelled", "stopped")
        assert only_line(found).seconds < WAIT / 2


@pytest.mark.parametrize("tasks", [["step"], ["step", "step2"]], ids=["one task", "two tasks"])
async def test_cancelling_while_tasks_finish_ends_in_exactly_one_terminal_status(tasks):
    ran = []

    async def step(context):
        for _ in range(context["checkpoints"]):
            await anyio.lowlevel.checkpoint()
        ran.append(1)

    activities = [activity(name)(step) for name in tasks]
    seen = set()
    async with open_engine(activities=activities) as engine:
        for checkpoints, delay in itertools.product(range(16), range(32)):
            ran.clear()
            execution = await engine.start(chain(*tasks), {"checkpoints": checkpoints})
            execution_id = execution.execution_id
            for _ in range(delay):
                await anyio.lowlevel.checkpoint()
            try:
                await engine.cancel(execution_id)
            except ExecutionEndedError:
                seen.add("too late")
            found = await engine.wait(execution_id, timeout=WAIT)
            ran_before = len(ran)
            ending = await ending_of(engine, execution_id)
            assert found.has_ended
            assert (found.status == "cancelled") == isinstance(ending, ExecutionCancelled)
            assert (found.status == "completed") == isinstance(ending, ExecutionCompleted)
            seen.add(found.status)
            await anyio.lowlevel.checkpoint()
            assert len(ran) == ran_before
        assert (engine.live_executions, engine.abandoned_executions) == (0, 0)
    assert seen == {"cancelled", "completed", "too late"}


@pytest.mark.parametrize("journal_checkpoints", [0, 1, 2])
async def test_cancelling_at_any_moment_ends_in_one_status_if_the_journal_takes_its_time(
    journal_checkpoints, monkeypatch
):
    journals = []

    def late_journal(keep_ended):
        journals.append(LateJournal(keep_ended, journal_checkpoints))
        return journals[0]

    async def step(context):
        for _ in range(context["checkpoints"]):
            await anyio.lowlevel.checkpoint()

    monkeypatch.setattr("flowmgr.journal.MemoryJournal", late_journal)
    activities = [activity("a")(step), activity("b")(step)]
    seen = set()
    async with anyio.create_task_group() as group:
        async with open_engine(activities=activities) as engine:
            group.start_soon(journals[0].write)
            for checkpoints, delay in itertools.product(range(6), range(32)):
                execution = await engine.start(chain("a", "b"), {"checkpoints": checkpoints})
                for _ in range(delay):
                    await anyio.lowlevel.checkpoint()
                try:
                    await engine.cancel(execution.execution_id)
                except ExecutionEndedError:
                    seen.add("too late")
                found = await engine.wait(execution.execution_id, timeout=WAIT)
                assert found.has_ended
                await ending_of(engine, execution.execution_id)
                seen.add(found.status)
            await until(lambda: engine.live_executions == 0)
            assert engine.abandoned_executions == 0
        group.cancel_scope.cancel()
    assert seen >= {"cancelled", "completed"}


async def test_a_task_that_was_about_to_start_when_the_request_was_recorded_does_not_start(
    monkeypatch,
):
    journals, ran, going_on = [], [], anyio.Event()

    def held_journal(keep_ended):
        journals.append(HeldJournal(keep_ended))
        journals[0].is_holding = False
        return journals[0]

    @activity
    async def first(context):
        await going_on.wait()

    @activity
    async def second(context):
        ran.append("second")

    monkeypatch.setattr("flowmgr.journal.MemoryJournal", held_journal)
    async with (
        open_engine(activities=[first, second]) as engine,
        anyio.create_task_group() as group,
    ):
        journal = journals[0]
        execution = await engine.start(chain("first", "second"))
        journal.is_holding = True
        going_on.set()
        await until(lambda: journal.held)  # the end of the first task, and the next one's start
        cancelling = group.create_task(engine.cancel(execution.execution_id, wait=WAIT))
        await anyio.wait_all_tasks_blocked()
        journal.let_go()
        with anyio.fail_after(WAIT):
            await cancelling.wait()
        found = cancelling.return_value
        assert (found.status, ran) == ("cancelled", [])
        assert (only_line(found).task, only_line(found).how) == ("second", "stopped")
        events = await recorded(engine, execution.execution_id)
        assert [event.task for event in events if isinstance(event, TaskStarted)] == [
            "first",
            "second",
        ]


# --- repeating


async def test_cancelling_twice_is_the_same_as_once():
    gate = Gate()
    async with open_engine(activities=[gate.activity]) as engine:
        execution_id = await started_gate(engine, gate)
        await engine.cancel(execution_id, reason="first")
        second = await engine.cancel(execution_id, reason="second", wait=WAIT)
        third = await engine.cancel(execution_id, reason="third", wait=WAIT)
        assert (second.status, second.cancellation.reason) == ("cancelled", "first")
        assert second == third
        events = await recorded(engine, execution_id)
        assert [type(event) for event in events[2:]] == [
            CancelRequested,
            TaskStopped,
            ExecutionCancelled,
        ]


async def test_many_requests_at_once_get_one_receipt():
    gate = Gate()
    found = []

    async def cancel(engine, execution_id, number):
        found.append(await engine.cancel(execution_id, reason=str(number), wait=WAIT))

    async with open_engine(activities=[gate.activity]) as engine:
        execution_id = await started_gate(engine, gate)
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(cancel, engine, execution_id, number)
        assert len(found) == 20
        assert all(each == found[0] for each in found)
        assert len(await recorded(engine, execution_id)) == 5


@pytest.mark.parametrize("name", ["succeed", "fail"])
async def test_cancelling_an_ended_execution_is_refused_and_changes_nothing(name):
    @activity
    async def succeed(context):
        return 1

    @activity
    async def fail(context):
        raise ValueError("no good")

    async with open_engine(activities=[succeed, fail]) as engine:
        ended = await engine.run(chain(name))
        events = await recorded(engine, ended.execution_id)
        for wait in [0, WAIT]:
            with pytest.raises(ExecutionEndedError, match=f"has {ended.status}"):
                await engine.cancel(ended.execution_id, wait=wait)
        assert await engine.get(ended.execution_id) == ended
        assert await recorded(engine, ended.execution_id) == events


# --- threads and processes


async def test_a_thread_that_asks_whether_it_is_cancelled_stops(tmp_path):
    files = {"started": str(tmp_path / "started"), "ended": str(tmp_path / "ended")}
    async with open_engine(activities=[samples.loop_until_cancelled]) as engine:
        execution = await engine.start(chain("loop_until_cancelled"), files)
        await started(tmp_path / "started")
        found = await engine.cancel(execution.execution_id, wait=WAIT)
        assert (found.status, only_line(found).how) == ("cancelled", "stopped")
        assert (tmp_path / "ended").exists()
        assert (engine.live_executions, engine.abandoned_executions) == (0, 0)


async def test_a_thread_that_returns_within_the_grace_has_finished():
    came, going_on = threading.Event(), threading.Event()

    @activity
    def deaf(context):
        came.set()
        going_on.wait(WAIT)
        return "done"

    async with open_engine(activities=[deaf]) as engine:
        execution = await engine.start(chain("deaf"))
        await until(came.is_set)
        await engine.cancel(execution.execution_id)
        going_on.set()
        found = await engine.wait(execution.execution_id, timeout=WAIT)
        assert (found.status, only_line(found).how) == ("cancelled", "finished")
        assert found.task_results["deaf"].value == "done"


async def test_a_thread_that_does_not_stop_is_abandoned_and_its_late_result_ignored():
    came, going_on = threading.Event(), threading.Event()

    @activity
    def deaf(context):
        came.set()
        going_on.wait(WAIT)
        return "too late"

    async with open_engine(Settings(grace=0), activities=[deaf]) as engine:
        execution = await engine.start(chain("deaf"))
        await until(came.is_set)
        found = await engine.cancel(execution.execution_id, wait=WAIT)
        assert (found.status, only_line(found).how) == ("cancelled", "abandoned")
        assert only_line(found).task == "deaf"
        assert (engine.live_executions, engine.abandoned_executions) == (0, 1)
        events = await recorded(engine, execution.execution_id)
        going_on.set()
        await until(lambda: engine.abandoned_executions == 0)
        assert await engine.get(execution.execution_id) == found
        assert await recorded(engine, execution.execution_id) == events


async def test_the_end_of_an_execution_does_not_wait_for_the_threads_that_it_has_abandoned():
    came, going_on, ran = threading.Event(), threading.Event(), []

    @activity
    def charge(context):
        return 1

    @activity
    def ship(context):
        came.set()
        going_on.wait(WAIT)

    @activity
    def refund(context):
        ran.append("refund")

    @activity
    def tell(context):
        ran.append("tell")

    flow = chain("charge", "ship", **{"finally": {"tasks": [{"name": "tell"}]}})
    flow["tasks"][0]["compensate"] = {"activity": "refund"}
    activities = [charge, ship, refund, tell]
    async with open_engine(Settings(grace=0.2, threads=1), activities=activities) as engine:
        execution = await engine.start(flow)
        await until(came.is_set)
        found = await engine.cancel(execution.execution_id, wait=WAIT / 2)
        assert (found.status, only_line(found).how) == ("cancelled", "abandoned")
        assert (ran, engine.abandoned_executions) == (["refund", "tell"], 1)
        going_on.set()


async def test_a_process_is_killed_when_the_request_comes(tmp_path):
    files = {"started": str(tmp_path / "started"), "ended": str(tmp_path / "ended")}
    settings = Settings(processes=1)
    async with open_engine(settings, activities=[samples.sleep_in_process]) as engine:
        execution = await engine.start(chain("sleep_in_process"), files)
        pid = await started(tmp_path / "started")
        found = await engine.cancel(execution.execution_id, wait=WAIT)
        assert (found.status, only_line(found).how) == ("cancelled", "killed")
        assert is_gone(pid)
        assert (tmp_path / "ended").exists()
        assert (engine.live_executions, engine.abandoned_executions) == (0, 0)


async def test_a_process_that_ignores_the_request_is_killed_after_the_grace(tmp_path):
    settings = Settings(grace=0.05, processes=1)
    async with open_engine(settings, activities=[samples.ignore_termination]) as engine:
        context = {"started": str(tmp_path / "started")}
        execution = await engine.start(chain("ignore_termination"), context)
        pid = await started(tmp_path / "started")
        found = await engine.cancel(execution.execution_id, wait=WAIT)
        assert (found.status, only_line(found).how) == ("cancelled", "killed")
        assert is_gone(pid)
        assert (engine.live_executions, engine.abandoned_executions) == (0, 0)


# --- many


async def test_of_a_thousand_executions_only_the_cancelled_one_is_cancelled():
    gate = Gate()
    async with open_engine(activities=[gate.activity]) as engine:
        ids = [(await engine.start(chain("gate"))).execution_id for _ in range(1000)]
        await until(lambda: gate.came == 1000)
        found = await engine.cancel(ids[500], wait=WAIT)
        assert (found.status, gate.left, engine.live_executions) == ("cancelled", 1, 999)
        gate.opened.set()
        statuses = [(await engine.wait(execution_id)).status for execution_id in ids]
        assert statuses == ["completed"] * 500 + ["cancelled"] + ["completed"] * 499


async def test_thousands_of_executions_that_sleep_are_all_cancelled():
    count = 2_000  # the benchmark of those asleep has 10,000
    gate = Gate()
    async with open_engine(activities=[gate.activity]) as engine:
        tasks = count_tasks()
        await engine.register(chain("gate"))
        ids = [(await engine.start("chain")).execution_id for _ in range(count)]
        await until(lambda: gate.came == count)
        for execution_id in ids:
            await engine.cancel(execution_id)
        for execution_id in ids:
            found = await engine.wait(execution_id)
            assert (found.status, only_line(found).how) == ("cancelled", "stopped")
        assert gate.left == count
        await assert_nothing_is_left(engine, tasks)


def kept_frames():
    """The functions that have been called and whose frames are still there."""
    return Counter(each.f_code for each in gc.get_objects() if isinstance(each, FrameType))


async def test_an_execution_that_is_cancelled_keeps_no_frames_of_who_has_cancelled_it():
    count, gate = 20, Gate()
    async with open_engine(activities=[gate.activity]) as engine:
        await engine.register(chain("gate"))
        ids = [(await engine.start("chain")).execution_id for _ in range(count)]
        await until(lambda: gate.came == count)
        before = kept_frames()
        for execution_id in ids:
            await engine.cancel(execution_id)
        assert [code for code, kept in (kept_frames() - before).items() if kept >= count] == []
