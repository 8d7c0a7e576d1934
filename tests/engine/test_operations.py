"""What operators do to executions: each verb, its rules, and that it is there after a restart."""

import contextlib

import anyio
import pytest

from actors.events import (
    EndingStarted,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionPaused,
    ExecutionResumed,
    ExecutionRetried,
    TaskFinished,
    TaskSkipped,
    TaskStarted,
    WaitStarted,
)
from flowmgr import Settings, activity, open_engine
from flowmgr.errors import (
    ExecutionEndedError,
    ExecutionNotFoundError,
    ExecutionStateError,
    FlowNotFoundError,
    InputError,
    JournalError,
)
from flowmgr.journal.sqlite.journal import SqliteJournal
from flowmgr.journal.store import ExecutionQuery
from tests.support.flows import PATIENCE, Gate, chain, recorded, until
from tests.support.virtual_time import LoopClock, in_virtual_time

pytestmark = pytest.mark.anyio


class Flaky:
    """An activity that fails until it is mended."""

    def __init__(self, name):
        self.is_mended = False
        self.attempts = 0
        self.activity = activity(name)(self._run)

    async def _run(self, context):
        self.attempts += 1
        if not self.is_mended:
            raise ConnectionError("nobody answers")
        return f"mended, with {sorted(context)}"


@activity
async def first(context):
    return "first"


@activity
async def last(context):
    return "last"


def stopping_at_failure(*tasks, **fields):
    """A flow in which a task that fails ends the execution."""
    document = chain(*tasks, **fields)
    for condition in document["conditions"]:
        condition["target_task_failure"] = "end"
    return document


async def types(engine, execution_id):
    return [type(event) for event in await recorded(engine, execution_id)]


# --- pause and resume


async def test_a_paused_execution_finishes_what_runs_and_starts_nothing_more(reopened):
    gate = Gate()
    async with reopened.open(gate.activity, last) as engine:
        started = await engine.start(chain("gate", "last"))
        await until(lambda: gate.came == 1)
        found = await engine.pause(started.execution_id, by="ada", reason="a look")
        assert (found.status, found.has_ended) == ("paused", False)
        gate.opened.set()
        await until(lambda: gate.left == 1)
        found = await engine.wait(started.execution_id, timeout=0.05)
        assert (found.status, found.current_task, list(found.task_results)) == (
            "paused",
            "last",
            ["gate"],
        )
        event = (await recorded(engine, started.execution_id))[2]
        assert isinstance(event, ExecutionPaused)
        assert (event.by, event.reason) == ("ada", "a look")
    async with reopened.open(gate.activity, last) as engine:
        assert (await engine.get(started.execution_id)).status == "paused"
        await engine.resume(started.execution_id, by="bob")
        found = await engine.wait(started.execution_id, timeout=PATIENCE)
        events = await recorded(engine, started.execution_id)
    assert (found.status, found.interruptions) == ("completed", 0)
    assert isinstance(events[4], ExecutionResumed)
    assert events[4].by == "bob"
    assert gate.came == 1


@pytest.mark.parametrize("is_restarted", [False, True], ids=["live", "restarted"])
async def test_an_attempt_does_not_begin_when_the_deadline_of_its_task_is_over(
    reopened, is_restarted
):
    began = []

    @activity
    async def fail_once():
        began.append(1)
        if len(began) == 1:
            raise ValueError

    flow = chain("fail_once")
    retry = {"maximum_attempts": 5, "initial_interval": 0.3}
    flow["tasks"][0] |= {"deadline": 0.5, "retry": retry}
    async with contextlib.AsyncExitStack() as stack:
        engine = await stack.enter_async_context(reopened.open(fail_once))
        execution_id = (await engine.start(flow)).execution_id
        await until(lambda: began)
        await engine.pause(execution_id)
        await anyio.sleep(0.6)
        if is_restarted:
            await stack.aclose()
            engine = await stack.enter_async_context(reopened.open(fail_once))
        await engine.resume(execution_id)
        found = await engine.wait(execution_id, timeout=PATIENCE)
        assert (found.status, found.error.type) == ("failed", "TimedOut")
        assert len(began) == 1


@contextlib.asynccontextmanager
async def paused(reopened, *activities, flow, is_restarted):
    """Pause an execution when its task runs, and open the engine again if *is_restarted*."""
    gate = Gate()
    async with contextlib.AsyncExitStack() as stack:
        engine = await stack.enter_async_context(reopened.open(gate.activity, *activities))
        await engine.register(chain("gate", flow_id="inner"))
        execution_id = (await engine.start(flow)).execution_id
        await until(lambda: gate.came)
        await engine.pause(execution_id)
        if not is_restarted:
            yield engine, execution_id
            return
    async with reopened.open(gate.activity, *activities) as engine:
        yield engine, execution_id


async def ended(engine, execution_id):
    """Look at an execution until it has ended: whoever waits for a paused one has it taken up."""
    with anyio.fail_after(PATIENCE):
        while not (found := await engine.get(execution_id)).has_ended:  # noqa: ASYNC110 - it has no event
            await anyio.sleep(0.01)
    return found


@pytest.mark.parametrize("is_restarted", [False, True], ids=["live", "restarted"])
async def test_the_time_of_a_paused_execution_is_over_when_it_is(reopened, is_restarted):
    flow = chain("gate", timeout=0.3)
    async with paused(reopened, flow=flow, is_restarted=is_restarted) as (engine, execution_id):
        found = await ended(engine, execution_id)
        assert (found.status, found.error.type) == ("failed", "TimedOut")
        await until(lambda: not engine.live_executions)


WAITING = {
    "a signal": ({"kind": "signal", "timeout": 0.3}, "failed"),
    "a time": ({"kind": "wait", "seconds": 0.3}, "completed"),
    "a branch": (
        {
            "kind": "parallel",
            "timeout": 0.3,
            "branches": {"b": {"tasks": [{"name": "s", "kind": "signal"}]}},
        },
        "failed",
    ),
}


@pytest.mark.parametrize("is_restarted", [False, True], ids=["live", "restarted"])
@pytest.mark.parametrize("waits", WAITING)
async def test_what_is_due_while_an_execution_is_paused_happens(reopened, waits, is_restarted):
    fields, status = WAITING[waits]
    flow = chain("w")
    flow["tasks"][0] |= fields
    async with contextlib.AsyncExitStack() as stack:
        engine = await stack.enter_async_context(reopened.open())
        execution_id = (await engine.start(flow)).execution_id
        with anyio.fail_after(PATIENCE):
            while not isinstance((await recorded(engine, execution_id))[-1], WaitStarted):  # noqa: ASYNC110
                await anyio.sleep(0.01)
        await engine.pause(execution_id)
        if is_restarted:
            await stack.aclose()
            engine = await stack.enter_async_context(reopened.open())
        assert (await ended(engine, execution_id)).status == status


@pytest.mark.parametrize("read", ["get_pinned_flow", "read_events"])
async def test_the_time_of_a_paused_execution_is_over_also_if_the_journal_fails_meanwhile(
    durable, monkeypatch, read
):
    failed, really = [], getattr(SqliteJournal, read)

    async def read_or_fail(journal, *arguments):
        if len(failed) < 2:
            failed.append(1)
            raise JournalError("disk I/O error")
        return await really(journal, *arguments)

    for module in ("recovery", "waking"):
        monkeypatch.setattr(f"flowmgr.{module}.RETRY_SECONDS", 0.01)
    gate = Gate()
    async with durable.open(gate.activity) as engine:
        await engine.register(chain("gate", timeout=0.3))
        execution_id = (await engine.start("chain")).execution_id
        await until(lambda: gate.came)
        await engine.pause(execution_id)
    monkeypatch.setattr(SqliteJournal, read, read_or_fail)
    async with durable.open(gate.activity) as engine:
        await until(lambda: len(failed) == 2)
        found = await ended(engine, execution_id)
        assert (found.status, found.error.type) == ("failed", "TimedOut")


@pytest.mark.parametrize("is_restarted", [False, True], ids=["live", "restarted"])
async def test_the_finally_of_a_paused_execution_whose_time_is_over_waits_until_it_is_resumed(
    reopened, is_restarted
):
    tidied = []

    @activity
    async def tidy():
        tidied.append(1)

    closing = {"tasks": [{"name": "tidy"}]}
    flow = chain("gate", timeout=0.3) | {"finally": closing}
    opened = paused(reopened, tidy, flow=flow, is_restarted=is_restarted)
    async with opened as (engine, execution_id):
        with anyio.fail_after(PATIENCE):
            while not isinstance((await recorded(engine, execution_id))[-1], EndingStarted):  # noqa: ASYNC110
                await anyio.sleep(0.01)
        assert (await engine.get(execution_id)).status == "paused"
        assert not tidied
        await engine.resume(execution_id)
        found = await engine.wait(execution_id, timeout=PATIENCE)
        assert (found.status, found.error.type, tidied) == ("failed", "TimedOut", [1])


@pytest.mark.parametrize("is_restarted", [False, True], ids=["live", "restarted"])
async def test_a_paused_execution_whose_time_is_over_stops_its_sub_flow(reopened, is_restarted):
    flow = chain("inner", timeout=0.5)
    flow["tasks"][0] |= {"kind": "flow", "flow": "inner"}
    async with paused(reopened, flow=flow, is_restarted=is_restarted) as (engine, execution_id):
        found = await ended(engine, execution_id)
        (child,) = await engine.list(ExecutionQuery(flow_id="inner"), None, 10)
        assert (found.status, child.status) == ("failed", "cancelled")
        assert child.ended_at <= found.ended_at


async def test_a_task_that_runs_while_paused_runs_on_when_resumed(reopened):
    gate = Gate()
    async with reopened.open(gate.activity, last) as engine:
        started = await engine.start(chain("gate", "last"))
        await until(lambda: gate.came == 1)
        await engine.pause(started.execution_id)
        found = await engine.resume(started.execution_id)
        assert found.status == "running"
        gate.opened.set()
        assert (await engine.wait(started.execution_id, timeout=PATIENCE)).status == "completed"
    assert gate.came == 1


async def test_an_execution_whose_last_task_runs_ends_although_it_is_paused(reopened):
    gate = Gate()
    async with reopened.open(gate.activity) as engine:
        started = await engine.start(chain("gate"))
        await until(lambda: gate.came == 1)
        await engine.pause(started.execution_id)
        gate.opened.set()
        assert (await engine.wait(started.execution_id, timeout=PATIENCE)).status == "completed"


async def test_pausing_and_resuming_twice_is_the_same_as_once(reopened):
    gate = Gate()
    async with reopened.open(gate.activity) as engine:
        started = await engine.start(chain("gate"))
        await until(lambda: gate.came == 1)
        for verb in [engine.pause, engine.pause, engine.resume, engine.resume]:
            await verb(started.execution_id)
        events = await types(engine, started.execution_id)
        assert events[2:] == [ExecutionPaused, ExecutionResumed]


async def test_a_paused_execution_is_cancelled_with_what_runs_of_it(reopened):
    gate = Gate()
    async with reopened.open(gate.activity, last) as engine:
        started = await engine.start(chain("gate", "last"))
        await until(lambda: gate.came == 1)
        await engine.pause(started.execution_id)
        found = await engine.cancel(started.execution_id, wait=PATIENCE)
    assert (found.status, gate.left) == ("cancelled", 1)
    assert [line.how for line in found.cancellation.tasks] == ["stopped"]


@in_virtual_time
async def test_draining_does_not_wait_for_a_paused_execution():
    gate = Gate()
    async with open_engine(
        Settings(grace=1_000), activities=[gate.activity, last], clock=LoopClock()
    ) as engine:
        started = await engine.start(chain("gate", "last"))
        await until(lambda: gate.came == 1)
        await engine.pause(started.execution_id)
        since = anyio.current_time()
        engine.begin_draining()
        await anyio.sleep(10)
        gate.opened.set()
    assert anyio.current_time() - since < 11


# --- retry


async def test_a_failed_execution_goes_on_from_the_task_that_failed(reopened):
    flaky = Flaky("call")
    async with reopened.open(first, flaky.activity, last) as engine:
        failed = await engine.run(stopping_at_failure("first", "call", "last"))
        assert (failed.status, failed.error_task) == ("failed", "call")
    flaky.is_mended = True
    async with reopened.open(first, flaky.activity, last) as engine:
        found = await engine.retry(failed.execution_id, by="ada", reason="it is up again")
        assert (found.status, found.error) == ("running", None)
        found = await engine.wait(failed.execution_id, timeout=PATIENCE)
        events = await recorded(engine, failed.execution_id)
    assert (found.status, found.had_failures) == ("completed", True)
    assert list(found.task_results) == ["first", "call", "last"]
    assert flaky.attempts == 2
    endings = [
        type(each) for each in events if isinstance(each, ExecutionFailed | ExecutionRetried)
    ]
    assert endings == [ExecutionFailed, ExecutionRetried]
    starts = [each for each in events if isinstance(each, TaskStarted)]
    assert [(each.task, each.visit, each.attempt) for each in starts] == [
        ("first", 1, 1),
        ("call", 1, 1),
        ("call", 1, 2),
        ("last", 1, 1),
    ]
    assert isinstance(events[-1], ExecutionCompleted)


async def test_an_execution_can_fail_and_be_retried_any_number_of_times(reopened):
    flaky = Flaky("call")
    async with reopened.open(flaky.activity) as engine:
        failed = await engine.run(chain("call"))
        for attempts in range(2, 6):
            await engine.retry(failed.execution_id)
            found = await engine.wait(failed.execution_id, timeout=PATIENCE)
            assert (found.status, flaky.attempts) == ("failed", attempts)
        await until(lambda: engine.live_executions == 0)


async def test_a_retry_may_go_on_with_another_version_of_the_flow(reopened):
    flaky = Flaky("call")
    async with reopened.open(first, flaky.activity, last) as engine:
        await engine.register(stopping_at_failure("first", "call"))
        failed = await engine.run("chain")
        flaky.is_mended = True
        await engine.register(stopping_at_failure("first", "call", "last"))
        await engine.retry(failed.execution_id, version=2)
        found = await engine.wait(failed.execution_id, timeout=PATIENCE)
        listed = await engine.list(ExecutionQuery(flow_version=2), None, 10)
    assert (found.status, found.flow_version) == ("completed", 2)
    assert list(found.task_results) == ["first", "call", "last"]
    assert [each.execution_id for each in listed] == [failed.execution_id]


async def test_a_retry_that_names_no_version_never_takes_back_one_that_another_has_named(reopened):
    flaky, asked, may_read = Flaky("call"), anyio.Event(), anyio.Event()
    async with reopened.open(first, flaky.activity) as engine:
        await engine.register(stopping_at_failure("first", "call"))
        failed = await engine.run("chain")
        await engine.register(stopping_at_failure("call", "first"))
        history = engine._history

        async def read_late(execution_id):
            events = await history(execution_id)
            asked.set()
            await may_read.wait()
            return events

        async def retry():
            await engine.retry(failed.execution_id)
            asked.set()

        async with anyio.create_task_group() as group:
            engine._history = read_late  # if it is read at all
            group.start_soon(retry)
            await asked.wait()
            engine._history = history
            await engine.wait(failed.execution_id, timeout=PATIENCE)
            await engine.retry(failed.execution_id, version=2)
            await engine.wait(failed.execution_id, timeout=PATIENCE)
            may_read.set()
        found = await engine.wait(failed.execution_id, timeout=PATIENCE)
    assert (found.status, found.flow_version) == ("failed", 2)


async def test_a_version_without_the_task_that_failed_cannot_go_on(reopened):
    flaky = Flaky("call")
    async with reopened.open(first, flaky.activity) as engine:
        await engine.register(stopping_at_failure("first", "call"))
        failed = await engine.run("chain")
        await engine.register(chain("first"))
        with pytest.raises(ExecutionStateError, match="'call', which version 2 of flow 'chain'"):
            await engine.retry(failed.execution_id, version=2)
        with pytest.raises(FlowNotFoundError):
            await engine.retry(failed.execution_id, version=3)
        assert await engine.get(failed.execution_id) == failed


async def test_a_cancelled_execution_goes_on_from_the_task_that_was_stopped(reopened):
    gate = Gate()
    async with reopened.open(first, gate.activity, last) as engine:
        started = await engine.start(chain("first", "gate", "last"))
        await until(lambda: gate.came == 1)
        await engine.cancel(started.execution_id, wait=PATIENCE)
        gate.opened.set()
        await engine.retry(started.execution_id)
        found = await engine.wait(started.execution_id, timeout=PATIENCE)
    assert (found.status, found.cancellation, gate.came) == ("completed", None, 2)
    assert list(found.task_results) == ["first", "gate", "last"]


async def test_a_task_that_finished_in_spite_of_the_cancellation_is_not_run_again(reopened):
    gate = Gate()

    @activity
    async def deaf(context):
        try:
            await gate._pass(context)
        except anyio.get_cancelled_exc_class():
            return "all the same"

    async with reopened.open(deaf, last) as engine:
        started = await engine.start(chain("deaf", "last"))
        await until(lambda: gate.came == 1)
        found = await engine.cancel(started.execution_id, wait=PATIENCE)
        assert found.cancellation.tasks[0].how == "finished"
        await engine.retry(started.execution_id)
        found = await engine.wait(started.execution_id, timeout=PATIENCE)
    assert (found.status, gate.came) == ("completed", 1)
    assert found.context["deaf_result"] == "all the same"


async def test_of_several_retries_at_once_one_counts(reopened):
    flaky, answers = Flaky("call"), []

    async def retry(engine, execution_id):
        try:
            await engine.retry(execution_id)
            answers.append("retried")
        except ExecutionStateError:
            answers.append("refused")

    async with reopened.open(flaky.activity) as engine:
        failed = await engine.run(chain("call"))
        gate = Gate("call")
        flaky.is_mended = True
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(retry, engine, failed.execution_id)
        found = await engine.wait(failed.execution_id, timeout=PATIENCE)
        events = await types(engine, failed.execution_id)
    assert (found.status, flaky.attempts, gate.came) == ("completed", 2, 0)
    assert (events.count(ExecutionRetried), answers.count("retried")) == (1, 1)


async def test_a_retried_execution_is_recovered_like_any_other(reopened):
    gate, flaky = Gate("call"), Flaky("call")
    async with reopened.open(flaky.activity) as engine:
        failed = await engine.run(chain("call"))
    async with reopened.open(gate.activity) as engine:
        await engine.retry(failed.execution_id)
        await until(lambda: gate.came == 1)
    flaky.is_mended = True
    async with reopened.open(flaky.activity) as engine:
        found = await engine.wait(failed.execution_id, timeout=PATIENCE)
    assert (found.status, found.interruptions) == ("completed", 1)


# --- skip


async def test_a_failed_task_can_be_given_a_result_and_the_execution_goes_on(reopened):
    flaky = Flaky("call")
    async with reopened.open(first, flaky.activity, last) as engine:
        failed = await engine.run(stopping_at_failure("first", "call", "last"))
    async with reopened.open(first, flaky.activity, last) as engine:
        await engine.skip(
            failed.execution_id, task="call", result={"by": "hand"}, by="ada", reason="phoned them"
        )
        found = await engine.wait(failed.execution_id, timeout=PATIENCE)
        events = await recorded(engine, failed.execution_id)
        listed = await engine.list(ExecutionQuery(status="completed"), None, 10)
    assert (found.status, flaky.attempts, found.had_failures) == ("completed", 1, True)
    assert found.context["call_result"] == {"by": "hand"}
    assert found.task_results["call"].status == "success"
    [skipped] = [each for each in events if isinstance(each, TaskSkipped)]
    assert (skipped.by, skipped.reason, skipped.transition.target) == ("ada", "phoned them", "last")
    assert [each.execution_id for each in listed] == [failed.execution_id]


async def test_what_has_failed_only_in_its_output_has_no_task_to_skip():
    async with open_engine(activities=[first]) as engine:
        failed = await engine.run({**chain("first"), "output": "context.nothing"})
        assert (failed.status, failed.error_task) == ("failed", "output")
        with pytest.raises(ExecutionStateError, match="failed in its output, which is no task"):
            await engine.skip(failed.execution_id)


async def test_a_task_of_the_finally_that_has_failed_as_well_cannot_be_skipped(any_journal):
    @activity
    async def refuse():
        raise ValueError("no good")

    closing = {"start_task": "tidy", "tasks": [{"name": "tidy", "activity": "refuse"}]}
    async with open_engine(activities=[refuse]) as engine:
        failed = await engine.run({**chain("refuse"), "finally": closing})
        for name in ("tidy", "~finally/tidy"):
            with pytest.raises(ExecutionStateError, match="is at task 'refuse'"):
                await engine.skip(failed.execution_id, task=name)
        skipped = await engine.skip(failed.execution_id)
        found = await engine.wait(skipped.execution_id, timeout=PATIENCE)
        # What ran in the end runs again, and fails again.
        assert (found.status, found.error_task) == ("failed", "finally")
        with pytest.raises(ExecutionStateError, match="has failed in its finally"):
            await engine.skip(failed.execution_id)


async def test_a_task_that_waits_for_a_paused_execution_can_be_skipped(reopened):
    gate, ran = Gate(), []

    @activity
    async def middle(context):
        ran.append("middle")

    async with reopened.open(gate.activity, middle, last) as engine:
        started = await engine.start(chain("gate", "middle", "last"))
        await until(lambda: gate.came == 1)
        await engine.pause(started.execution_id)
        with pytest.raises(ExecutionStateError, match="running task 'gate'"):
            await engine.skip(started.execution_id)
        gate.opened.set()
        await until(lambda: gate.left == 1)
        await engine.wait(started.execution_id, timeout=0.01)
        with pytest.raises(ExecutionStateError, match="at task 'middle'; task 'last'"):
            await engine.skip(started.execution_id, task="last")
        found = await engine.skip(started.execution_id, result=7)
        assert (found.status, found.current_task) == ("paused", "last")
    async with reopened.open(gate.activity, middle, last) as engine:
        await engine.resume(started.execution_id)
        found = await engine.wait(started.execution_id, timeout=PATIENCE)
    assert (found.status, ran, found.context["middle_result"]) == ("completed", [], 7)


async def test_conditions_of_a_skipped_task_see_the_visit_that_is_recorded_of_it(reopened):
    gate = Gate()
    document = chain("middle", "gate", "last", max_visits=2)
    at_last = {"source_task": "middle", "when": "task.visit == 2", "target_task_success": "last"}
    again = {"source_task": "gate", "target_task_success": "middle"}
    document["conditions"] = [at_last, document["conditions"][0], again]
    ran = []

    @activity
    async def middle(context):
        ran.append("middle")

    async with reopened.open(gate.activity, middle, last) as engine:
        started = await engine.start(document)
        await until(lambda: gate.came == 1)
        await engine.pause(started.execution_id)
        gate.opened.set()
        await until(lambda: gate.left == 1)
        await engine.wait(started.execution_id, timeout=0.01)
        found = await engine.skip(started.execution_id, task="middle")
        events = await recorded(engine, started.execution_id)
    [skipped] = [each for each in events if isinstance(each, TaskSkipped)]
    assert (ran, skipped.visit, found.current_task) == (["middle"], 2, "last")


async def test_a_substitute_that_is_not_json_is_refused(reopened):
    flaky = Flaky("call")
    async with reopened.open(flaky.activity) as engine:
        failed = await engine.run(chain("call"))
        with pytest.raises(InputError, match="result"):
            await engine.skip(failed.execution_id, result={1})
        assert await engine.get(failed.execution_id) == failed


# --- rerun


async def test_a_rerun_begins_at_a_task_with_the_context_that_it_had(reopened):
    seen = []

    @activity
    async def look(context):
        seen.append(dict(context))
        return "seen"

    async with reopened.open(first, look, last) as engine:
        await engine.register(chain("first", "look", "last"))
        ended = await engine.run("chain", {"number": 1, "name": "ada"}, metadata={"team": "blue"})
        rerun = await engine.rerun(
            ended.execution_id, task="look", context={"number": 2}, by="bob", reason="wrong number"
        )
        assert rerun.execution_id != ended.execution_id
        found = await engine.wait(rerun.execution_id, timeout=PATIENCE)
        assert await engine.get(ended.execution_id) == ended
        started = (await recorded(engine, rerun.execution_id))[0]
    assert (found.status, found.rerun_of) == ("completed", ended.execution_id)
    assert list(found.task_results) == ["look", "last"]
    assert seen[1] == {"number": 2, "name": "ada", "first_result": "first"}
    assert found.metadata == {"team": "blue"}
    assert (started.by, started.reason) == ("bob", "wrong number")


async def test_a_rerun_of_a_task_that_is_not_there_is_refused(reopened):
    async with reopened.open(first, last) as engine:
        ended = await engine.run(chain("first"))
        with pytest.raises(InputError, match="no task 'other'"):
            await engine.rerun(ended.execution_id, task="other")
        again = await engine.rerun(ended.execution_id)
        assert (await engine.wait(again.execution_id, timeout=PATIENCE)).status == "completed"


# --- delete, and what none of them allows


async def test_a_deleted_execution_is_gone_and_one_that_runs_is_not_deleted(reopened):
    gate = Gate()
    async with reopened.open(gate.activity) as engine:
        started = await engine.start(chain("gate"))
        with pytest.raises(ExecutionStateError, match="running; only completed, failed and"):
            await engine.delete(started.execution_id)
        await engine.cancel(started.execution_id, wait=PATIENCE)
        await engine.delete(started.execution_id)
        with pytest.raises(ExecutionNotFoundError):
            await engine.get(started.execution_id)
        with pytest.raises(ExecutionNotFoundError):
            await engine.delete(started.execution_id)
        assert await engine.list(ExecutionQuery(), None, 10) == []


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "retry", "skip"])
async def test_a_completed_execution_stays_as_it_is(reopened, verb):
    async with reopened.open(first) as engine:
        ended = await engine.run(chain("first"))
        events = await recorded(engine, ended.execution_id)
        with pytest.raises(ExecutionEndedError, match="has completed; only "):
            await getattr(engine, verb)(ended.execution_id)
        assert await engine.get(ended.execution_id) == ended
        assert await recorded(engine, ended.execution_id) == events
        assert engine.live_executions == 0


@pytest.mark.usefixtures("any_journal")
@pytest.mark.parametrize("verb", ["retry", "skip"])
async def test_what_is_deleted_while_somebody_asks_it_to_go_on_is_gone_and_all_else_runs(
    verb, monkeypatch
):
    flaky = Flaky("call")
    async with open_engine(activities=[flaky.activity, first]) as engine:
        failed = await engine.run(chain("call"))
        pinned_plan = engine.flows.pinned_plan

        async def deleted_meanwhile(*args):
            if engine._recovery.is_taken(failed.execution_id):
                await engine.delete(failed.execution_id)
            return await pinned_plan(*args)

        monkeypatch.setattr(engine.flows, "pinned_plan", deleted_meanwhile)
        with pytest.raises(ExecutionNotFoundError):
            await getattr(engine, verb)(failed.execution_id)
        with pytest.raises(ExecutionNotFoundError):
            await engine.get(failed.execution_id)
        assert (engine.live_executions, flaky.attempts) == (0, 1)
        assert (await engine.run(chain("first", flow_id="other"))).status == "completed"


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "retry", "skip", "rerun", "delete"])
async def test_there_is_nothing_to_do_to_an_execution_that_is_not_there(reopened, verb):
    async with reopened.open() as engine:
        with pytest.raises(ExecutionNotFoundError):
            await getattr(engine, verb)("01999999-9999-7999-8999-999999999999")


async def test_every_change_is_there_after_a_restart(reopened):
    gate = Gate()
    async with reopened.open(gate.activity, last) as engine:
        started = await engine.start(chain("gate", "last"))
        await until(lambda: gate.came == 1)
        await engine.pause(started.execution_id)
        gate.opened.set()
        await until(lambda: gate.left == 1)
        await engine.wait(started.execution_id, timeout=0.01)
        await engine.skip(started.execution_id, result="by hand")
        before = await recorded(engine, started.execution_id)
    async with reopened.open(gate.activity, last) as engine:
        assert await recorded(engine, started.execution_id) == before
    assert [type(each) for each in before][-3:] == [TaskFinished, TaskSkipped, ExecutionCompleted]


# --- who asks, and why

VERBS = {
    "cancel": {},
    "pause": {},
    "resume": {},
    "retry": {},
    "skip": {},
    "signal": {"name": "approval"},
    "rerun": {},
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("told", [{"by": 5}, {"reason": "\ud800"}, {"reason": b"because"}])
async def test_who_asks_and_why_are_refused_unless_they_can_be_recorded(verb, told, tmp_path):
    gate = Gate()
    settings = Settings(journal=f"sqlite:{tmp_path}/journal.db")
    async with open_engine(settings, activities=[gate.activity]) as engine:
        execution = await engine.start(chain("gate"))
        with pytest.raises(InputError, match=f"'{next(iter(told))}' has to be text"):
            await getattr(engine, verb)(execution.execution_id, **VERBS[verb], **told)
        gate.opened.set()
        assert (await engine.wait(execution.execution_id)).status == "completed"
