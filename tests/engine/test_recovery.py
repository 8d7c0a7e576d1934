"""What was unfinished when the engine ended goes on from its last finished task."""

import pkgutil

import anyio
import msgspec
import pytest

from actors.actor import Reply
from actors.events import (
    AttemptInterrupted,
    CancelRequested,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionPaused,
    ExecutionQuarantined,
    ExecutionStarted,
    SignalReceived,
    TaskFinished,
    TaskStarted,
    TaskStopped,
    WaitStarted,
)
from actors.ports import Batch
from actors.recovery import GIVEN_UP
from flowmgr import activity
from flowmgr.errors import ExecutionStateError, SignalError
from flowmgr.journal.sqlite.journal import SqliteJournal
from flowmgr.journal.store import ExecutionQuery
from flowmgr.language.definition import FlowDefinition
from flowmgr.recovery import Recovery
from flowmgr.triage import MAX_KILLS, SUSPECT
from tests.engine.constructs.world import body, task
from tests.support.flows import PATIENCE, chain, ending_of, recorded, until

pytestmark = pytest.mark.anyio


EMPTY = msgspec.Raw(b"{}")


class Recorded:
    """The history of an execution as an engine would find it that another one has left."""

    execution_id = "01999999-9999-7999-8999-999999999999"

    def __init__(self, started, *events, definition):
        flow = msgspec.convert(definition, FlowDefinition)
        encoded = msgspec.Raw(msgspec.json.encode(flow))
        self.events = (msgspec.structs.replace(started, definition=encoded), *events)

    async def append_to(self, engine):
        reply = Reply()
        batch = Batch(self.execution_id, 1, self.events)
        engine._store.append(batch, lambda error: reply.give(error or True))
        await reply.get()


class Steps:
    """Activities that note when they run; one of them waits, once, until the engine ends."""

    def __init__(self, waits_in=None):
        self.ran = []
        self.waiting = 0
        self._waits_in = waits_in

    def make(self, name, *, fails=False):
        @activity(name)
        async def step(context):
            self.ran.append(name)
            if name == self._waits_in:
                self.waiting += 1
                await anyio.sleep_forever()
            if fails:
                raise ValueError("no good")
            return f"{name} {len(context)}"

        return step

    def all(self, *names):
        return [self.make(name) for name in names]


async def recovered(engine):
    await until(lambda: engine.recovery.is_over)


async def test_what_was_unfinished_goes_on_and_what_had_finished_stays_finished(reopened):
    before, after = Steps(waits_in="b"), Steps()
    async with reopened.open(*before.all("a", "b", "c")) as engine:
        await engine.register(chain("a", "b", "c"))
        started = await engine.start("chain", {"number": 1})
        await until(lambda: before.waiting)
    async with reopened.open(*after.all("a", "b", "c")) as engine:
        found = await engine.wait(started.execution_id, timeout=PATIENCE)
        events = await recorded(engine, started.execution_id)
    assert (before.ran, after.ran) == (["a", "b"], ["b", "c"])
    assert (found.status, found.interruptions, found.had_failures) == ("completed", 1, False)
    assert found.context["a_result"] == "a 1"
    assert found.context["b_result"] == "b 2"
    assert [type(event) for event in events] == [
        ExecutionStarted,
        TaskStarted,
        TaskFinished,
        TaskStarted,
        AttemptInterrupted,
        TaskStarted,
        TaskFinished,
        TaskStarted,
        TaskFinished,
        ExecutionCompleted,
    ]
    assert [e.attempt for e in events if isinstance(e, TaskStarted)] == [1, 1, 2, 1]


async def test_whoever_follows_an_execution_before_it_is_recovered_sees_its_end(
    reopened, monkeypatch
):
    before, after, is_asked, found = Steps(waits_in="a"), Steps(), anyio.Event(), []
    async with reopened.open(*before.all("a")) as engine:
        execution_id = (await engine.start(chain("a"))).execution_id
        await until(lambda: before.waiting)
    recover = Recovery._recover

    async def recover_late(self, unfinished):
        await is_asked.wait()
        await recover(self, unfinished)

    monkeypatch.setattr(Recovery, "_recover", recover_late)
    async with reopened.open(*after.all("a")) as engine:
        with anyio.fail_after(PATIENCE):
            async for each in engine.follow(execution_id):
                found.append(each.event)
                is_asked.set()
        assert found == await recorded(engine, execution_id)
        assert isinstance(found[-1], ExecutionCompleted)


async def test_a_flow_that_is_only_run_goes_on_as_well(reopened):
    before, after = Steps(waits_in="a"), Steps()
    async with reopened.open(*before.all("a", "b")) as engine:
        started = await engine.start(chain("a", "b"))
        await until(lambda: before.waiting)
    async with reopened.open(*after.all("a", "b")) as engine:
        found = await engine.wait(started.execution_id, timeout=PATIENCE)
    assert (found.status, after.ran) == ("completed", ["a", "b"])


@pytest.mark.parametrize("is_deleted", [False, True])
async def test_an_execution_stays_with_its_version_whatever_becomes_of_its_flow(
    reopened, is_deleted
):
    before, after = Steps(waits_in="a"), Steps()
    async with reopened.open(*before.all("a", "b", "c")) as engine:
        await engine.register(chain("a", "b"))
        started = await engine.start("chain")
        await engine.register(chain("a", "c"))
        if is_deleted:
            await engine.flows.delete("chain")
        await until(lambda: before.waiting)
    async with reopened.open(*after.all("a", "b", "c")) as engine:
        found = await engine.wait(started.execution_id, timeout=PATIENCE)
    assert (found.flow_version, after.ran) == (1, ["a", "b"])


@pytest.mark.parametrize(("target", "status"), [("end", "failed"), ("mend", "completed")])
async def test_a_task_that_runs_at_most_once_has_failed_when_it_was_interrupted(
    reopened, target, status
):
    document = chain("pay", "ship")
    document["tasks"] = [{"name": "pay", "at_most_once": True}, {"name": "ship"}, {"name": "mend"}]
    document["conditions"][0]["target_task_failure"] = target
    before, after = Steps(waits_in="pay"), Steps()
    async with reopened.open(*before.all("pay", "ship", "mend")) as engine:
        started = await engine.start(document)
        await until(lambda: before.waiting)
    async with reopened.open(*after.all("pay", "ship", "mend")) as engine:
        found = await engine.wait(started.execution_id, timeout=PATIENCE)
    assert (found.status, after.ran) == (status, ["mend"] if target == "mend" else [])
    assert found.task_results["pay"].error.type == "Interrupted"
    assert (found.interruptions, found.had_failures) == (1, True)


async def test_a_condition_of_an_interrupted_task_knows_which_execution_it_is_of(reopened):
    document = chain("pay", "mend")
    document["tasks"] = [{"name": "pay", "at_most_once": True}, {"name": "mend"}]
    document["conditions"][0] |= {"target_task_failure": "mend", "when": "execution.id != ''"}
    before, after = Steps(waits_in="pay"), Steps()
    async with reopened.open(*before.all("pay", "mend")) as engine:
        started = await engine.start(document)
        await until(lambda: before.waiting)
    async with reopened.open(*after.all("pay", "mend")) as engine:
        found = await engine.wait(started.execution_id, timeout=PATIENCE)
    assert (found.status, after.ran) == ("completed", ["mend"])


async def test_what_was_being_cancelled_is_cancelled(reopened):
    after = Steps()
    journal = Recorded(
        ExecutionStarted(at=1.0, flow_id="x", flow_version=0, start_task="a", context=EMPTY),
        TaskStarted(at=1.0, task="a"),
        CancelRequested(at=2.0, by="ada", reason="enough"),
        definition=chain("a"),
    )
    async with reopened.open(*after.all("a")) as engine:
        await journal.append_to(engine)
    async with reopened.open(*after.all("a")) as engine:
        found = await engine.wait(journal.execution_id, timeout=PATIENCE)
        ending = await ending_of(engine, journal.execution_id)
    assert (found.status, after.ran) == ("cancelled", [])
    assert isinstance(ending, ExecutionCancelled)
    [line] = found.cancellation.tasks
    assert isinstance(line, TaskStopped)
    assert (line.task, line.how, line.seconds > 0) == ("a", "killed", True)
    assert (found.cancellation.by, found.cancellation.reason) == ("ada", "enough")


@pytest.mark.parametrize("is_paused", [False, True])
@pytest.mark.parametrize("due", [None, 2.0])
async def test_a_signal_that_was_received_but_not_taken_is_taken_after_a_restart(
    reopened, due, is_paused
):
    definition = chain(
        "go",
        tasks=[{"name": "go", "kind": "signal", "timeout": 1.0}, {"name": "a"}],
        conditions=[{"name": "then", "source_task": "go", "target_task_success": "a"}],
    )
    after = Steps()
    journal = Recorded(
        ExecutionStarted(at=1.0, flow_id="x", flow_version=0, start_task="go", context=EMPTY),
        TaskStarted(at=1.0, task="go"),
        WaitStarted(at=1.0, task="go", visit=1, attempt=1, due=due, signal="go"),
        *([ExecutionPaused(at=1.2)] if is_paused else []),
        SignalReceived(at=1.5, name="go", value=msgspec.Raw(b"7")),
        definition=definition,
    )
    async with reopened.open(*after.all("a")) as engine:
        await journal.append_to(engine)
    async with reopened.open(*after.all("a")) as engine:
        await recovered(engine)
        if is_paused:
            await engine.resume(journal.execution_id)
        found = await engine.wait(journal.execution_id, timeout=PATIENCE)
    assert (found.status, found.context["go_result"], after.ran) == ("completed", 7, ["a"])


async def test_a_paused_execution_stays_paused_and_is_no_task_until_it_is_resumed(reopened):
    before, after = Steps(waits_in="a"), Steps()
    async with reopened.open(*before.all("a", "b")) as engine:
        started = await engine.start(chain("a", "b"))
        await until(lambda: before.waiting)
        await engine.pause(started.execution_id)
    async with reopened.open(*after.all("a", "b")) as engine:
        await recovered(engine)
        assert engine.live_executions == 0
        assert (await engine.get(started.execution_id)).status == "paused"
        await engine.resume(started.execution_id)
        found = await engine.wait(started.execution_id, timeout=PATIENCE)
    assert (found.status, after.ran, found.interruptions) == ("completed", ["a", "b"], 1)


async def test_a_paused_execution_can_be_cancelled_after_a_restart(reopened):
    before = Steps(waits_in="a")
    async with reopened.open(*before.all("a", "b")) as engine:
        started = await engine.start(chain("a", "b"))
        await until(lambda: before.waiting)
        await engine.pause(started.execution_id)
    async with reopened.open(*Steps().all("a", "b")) as engine:
        found = await engine.cancel(started.execution_id, wait=PATIENCE)
        assert (found.status, engine.live_executions) == ("cancelled", 0)


async def test_closing_leaves_unfinished_what_does_not_end_within_the_grace(reopened):
    before, after = Steps(waits_in="b"), Steps()
    async with reopened.open_and_close(*before.all("a", "b"), grace=0.05) as engine:
        started = await engine.start(chain("a", "b"))
        await until(lambda: before.waiting)
    async with reopened.open(*after.all("a", "b")) as engine:
        found = await engine.wait(started.execution_id, timeout=PATIENCE)
    assert (found.status, after.ran) == ("completed", ["b"])


async def test_an_execution_whose_activity_is_not_loaded_stays_as_it_is_until_it_is(reopened):
    before, after = Steps(waits_in="a"), Steps()
    async with reopened.open(*before.all("a")) as engine:
        started = await engine.start(chain("a"))
        await until(lambda: before.waiting)
    async with reopened.open() as engine:
        await recovered(engine)
        assert "'a'" in engine.recovery.stranded[started.execution_id]
        assert (await engine.get(started.execution_id)).status == "running"
        with pytest.raises(ExecutionStateError, match="'a'"):
            await engine.pause(started.execution_id)
    async with reopened.open(*after.all("a")) as engine:
        found = await engine.wait(started.execution_id, timeout=PATIENCE)
    assert (found.status, after.ran) == ("completed", ["a"])


async def test_many_executions_are_recovered_and_each_once(reopened, monkeypatch):
    monkeypatch.setattr("flowmgr.recovery.CHUNK", 100)
    count = 120
    before, after = Steps(waits_in="a"), Steps()
    async with reopened.open(*before.all("a", "b")) as engine:
        await engine.register(chain("a", "b"))
        for _ in range(count):
            await engine.start("chain")
        await until(lambda: before.waiting == count)
    async with reopened.open(*after.all("a", "b")) as engine:
        await recovered(engine)
        assert (engine.recovery.unfinished, engine.recovery.recovered) == (count, count)
        await until(lambda: engine.live_executions == 0)
        found = await engine.list(ExecutionQuery(status="completed"), None, 1_000)
    assert (len(found), after.ran.count("a"), after.ran.count("b")) == (count, count, count)


@pytest.mark.parametrize("is_deleted", [False, True], ids=["ended", "deleted"])
async def test_what_has_ended_before_the_recovery_came_to_it_is_left_alone(
    reopened, monkeypatch, is_deleted
):
    before, after = Steps(waits_in="a"), Steps()
    async with reopened.open(*before.all("a")) as engine:
        for _ in range(3):
            await engine.start(chain("a"))
        await until(lambda: before.waiting == 3)
    take_up, ended = Recovery.take_up, []

    async def after_others(recovery, execution_ids, *arguments, **options):
        if not ended:  # somebody asks for one, which ends, and may delete it
            ended.append(execution_ids[0])
            supervisor = await recovery.load(ended[0])
            await supervisor.over()
            if is_deleted:
                await recovery._store.delete_executions(ended)
        return await take_up(recovery, execution_ids, *arguments, **options)

    monkeypatch.setattr(Recovery, "take_up", after_others)
    async with reopened.open(*after.all("a")) as engine:
        await recovered(engine)
        assert (engine.recovery.unfinished, engine.recovery.recovered) == (3, 3)
        assert engine.recovery.stranded == {}
        await until(lambda: after.ran == ["a", "a", "a"])
        await until(lambda: engine.live_executions == 0)


@pytest.mark.parametrize("where", ["flowmgr.recovery.fold", "actors.execution.recover"])
async def test_a_bug_in_recovering_one_execution_keeps_no_other_from_going_on(
    reopened, monkeypatch, where
):
    before, after = Steps(waits_in="a"), Steps()
    async with reopened.open(*before.all("a")) as engine:
        for number in range(3):
            await engine.start(chain("a"), {"number": number})
        await until(lambda: before.waiting == 3)
    function, calls = pkgutil.resolve_name(where), []

    def broken(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyError("a bug")
        return function(*arguments)

    monkeypatch.setattr(where, broken)
    async with reopened.open(*after.all("a")) as engine:
        await recovered(engine)
        await until(lambda: after.ran == ["a", "a"])
        assert engine.is_accepting
        assert (await engine.run(chain("a"))).status == "completed"


# --- executions that end the engine


async def killed(durable, steps, flow=None):
    """Open an engine that ends while what it runs runs; return the id if *flow* is started."""
    started = None
    waiting = steps.waiting
    async with durable.open(*steps.all("kill", "long")) as engine:
        if flow is not None:
            started = (await engine.start(flow)).execution_id
        await until(lambda: steps.waiting > waiting or engine.recovery.quarantined)
    return started


async def test_what_has_ended_the_engine_five_times_is_quarantined_until_it_is_resumed(durable):
    steps, after = Steps(waits_in="kill"), Steps()
    execution_id = await killed(durable, steps, chain("kill"))
    for _ in range(MAX_KILLS - 1):
        await killed(durable, steps)
    assert steps.waiting == MAX_KILLS
    async with durable.open(*after.all("kill")) as engine:
        await recovered(engine)
        found = await engine.get(execution_id)
        assert (found.status, after.ran) == ("quarantined", [])
        await until(lambda: engine.live_executions == 0)
        assert found.interruptions == MAX_KILLS
        events = await recorded(engine, execution_id)
        assert isinstance(events[-1], ExecutionQuarantined)
        assert events[-1].recoveries == MAX_KILLS - 1
        listed = await engine.list(ExecutionQuery(status="quarantined"), None, 10)
        assert [each.execution_id for each in listed] == [execution_id]
        await engine.resume(execution_id)
        assert (await engine.wait(execution_id, timeout=PATIENCE)).status == "completed"


async def quarantined(durable, steps, flow):
    """Start an execution of *flow* and end the engine until it is quarantined; return its id."""
    execution_id = await killed(durable, steps, flow)
    for _ in range(MAX_KILLS):
        await killed(durable, steps)
    return execution_id


async def test_what_is_resumed_from_quarantine_may_end_the_engine_as_often_again(durable):
    steps = Steps(waits_in="kill")
    execution_id = await quarantined(durable, steps, chain("kill"))
    for number in range(MAX_KILLS + 1):
        waiting = steps.waiting
        async with durable.open(*steps.all("kill")) as engine:
            if number in {0, MAX_KILLS}:
                await recovered(engine)
                assert (await engine.get(execution_id)).status == "quarantined"
            if number == 0:
                await engine.resume(execution_id)
            if number < MAX_KILLS:
                await until(lambda: steps.waiting > waiting)  # noqa: B023 - it is called at once


async def test_what_ends_the_engine_is_quarantined_though_another_branch_comes_further_each_time(
    durable,
):
    steps, ticks = Steps(waits_in="kill"), []

    @activity
    async def tick():
        ticks[-1] += 1
        if ticks[-1] > 1:  # one of them finishes in each engine
            await anyio.sleep_forever()

    many = [task(f"t{number}", activity="tick") for number in range(2 * MAX_KILLS)]
    fork = task("fork", kind="parallel", branches={"a": body(task("kill")), "b": body(*many)})
    while len(ticks) < 2 * MAX_KILLS:
        ticks.append(0)
        async with durable.open(*steps.all("kill"), tick) as engine:
            if len(ticks) == 1:
                await engine.start(chain("fork", tasks=[fork]))
            await until(lambda: engine.recovery.quarantined or steps.waiting == len(ticks))
            if engine.recovery.quarantined:
                break
            await until(lambda: ticks[-1] > 1)
    assert ticks == [2] * MAX_KILLS + [0]


async def test_what_is_suspected_is_recovered_alone_before_any_other_runs(durable, monkeypatch):
    before, taken_up = Steps(waits_in="a"), []
    async with durable.open(*before.all("a")) as engine:
        ids = [(await engine.start(chain("a"))).execution_id for _ in range(3)]
        await until(lambda: before.waiting == len(ids))
        for _ in range(SUSPECT):
            await engine._store.count_recovery([ids[1]])
    read = SqliteJournal.read_histories

    async def note(store, execution_ids):
        taken_up.append(execution_ids)
        return await read(store, execution_ids)

    monkeypatch.setattr(SqliteJournal, "read_histories", note)
    async with durable.open(*Steps().all("a")) as engine:
        await recovered(engine)
    assert taken_up == [[ids[1]], [ids[0], ids[2]]]


async def test_what_ends_the_engine_is_found_among_many_that_are_suspected(durable, monkeypatch):
    monkeypatch.setattr("flowmgr.recovery.PROBATION", 0.02)
    steps = Steps(waits_in="kill")

    @activity
    async def innocent():
        await anyio.sleep_forever()

    killer, others = "", []
    for _ in range(MAX_KILLS):
        waiting = steps.waiting
        async with durable.open(*steps.all("kill"), innocent) as engine:
            if not killer:
                others += [await engine.start(chain("innocent")) for _ in range(15)]
                killer = (await engine.start(chain("kill"))).execution_id
                others += [await engine.start(chain("innocent")) for _ in range(15)]
            await until(lambda: steps.waiting > waiting)  # noqa: B023 - it is called at once
    async with durable.open(*steps.all("kill"), innocent) as engine:
        await recovered(engine)
        assert steps.waiting == MAX_KILLS
        assert (engine.recovery.quarantined, engine.live_executions) == (1, len(others))
        assert (await engine.get(killer)).status == "quarantined"


async def test_who_waits_for_what_ends_the_engine_does_not_keep_it_from_being_quarantined(durable):
    steps = Steps(waits_in="kill")
    execution_id = await killed(durable, steps, chain("kill"))
    for _ in range(MAX_KILLS):
        waiting = steps.waiting
        async with durable.open(*steps.all("kill")) as engine, anyio.create_task_group() as group:
            group.start_soon(engine.wait, execution_id)
            await until(lambda: steps.waiting > waiting or engine.recovery.quarantined)  # noqa: B023
            group.cancel_scope.cancel()
    async with durable.open() as engine:
        assert (await engine.get(execution_id)).status == "quarantined"
    assert steps.waiting == MAX_KILLS


async def test_who_asks_for_what_ends_the_engine_does_not_keep_it_from_being_quarantined(durable):
    steps = Steps(waits_in="kill")
    execution_id = await killed(durable, steps, chain("kill"))
    for _ in range(MAX_KILLS - 1):
        waiting = steps.waiting
        async with durable.open(*steps.all("kill")) as engine:
            with pytest.raises(SignalError):
                await engine.signal(execution_id, "go")
            await until(lambda: steps.waiting > waiting)  # noqa: B023
    async with durable.open(*steps.all("kill")) as engine:
        await recovered(engine)
        assert (await engine.get(execution_id)).status == "quarantined"
    assert steps.waiting == MAX_KILLS


def undoing(*names):
    """A flow with a compensation for each of these tasks, of which the last one is last to run."""
    document = chain(*names, "long")
    for name, each in zip(names, document["tasks"], strict=False):
        each["compensate"] = {"activity": f"undo-{name}"}
    return document | {"finally": {"start_task": "tidy", "tasks": [{"name": "tidy"}]}}


async def cancelled_while(durable, steps, activities, execution_id):
    """Cancel an execution, and end the engine when its compensation runs."""
    others = [name for name in activities if name != "long"]
    async with durable.open(*steps.all(*others), Steps("long").make("long")) as engine:
        await recovered(engine)
        await engine.cancel(execution_id)
        await until(lambda: steps.waiting)


async def test_what_is_cancelled_in_quarantine_is_undone_and_tidied_up_though_the_engine_ends(
    durable,
):
    activities = ["a", "long", "undo-a", "tidy"]
    steps, cancelling, after = Steps("long"), Steps("undo-a"), Steps()
    execution_id = None
    for _ in range(MAX_KILLS + 1):
        waiting = steps.waiting
        async with durable.open(*steps.all(*activities)) as engine:
            if execution_id is None:
                execution_id = (await engine.start(undoing("a"))).execution_id
            await until(lambda: steps.waiting > waiting or engine.recovery.quarantined)  # noqa: B023
    await cancelled_while(durable, cancelling, activities, execution_id)
    async with durable.open(*after.all(*activities)) as engine:
        found = await engine.wait(execution_id, timeout=PATIENCE)
    assert (found.status, after.ran) == ("cancelled", ["undo-a", "tidy"])


async def test_a_compensation_that_ends_the_engine_again_and_again_is_given_up_and_the_rest_runs(
    durable,
):
    activities = ["a", "b", "long", "undo-a", "undo-b", "tidy"]
    before, steps = Steps("long"), Steps("undo-b")
    async with durable.open(*before.all(*activities)) as engine:
        execution_id = (await engine.start(undoing("a", "b"))).execution_id
        await until(lambda: before.waiting)
    await cancelled_while(durable, steps, activities, execution_id)
    for _ in range(MAX_KILLS - 1):
        waiting = steps.waiting
        async with durable.open(*steps.all(*activities)) as engine:
            await until(lambda: steps.waiting > waiting)  # noqa: B023 - it is called at once
    async with durable.open(*steps.all(*activities)) as engine:
        found = await engine.wait(execution_id, timeout=PATIENCE)
        events = await recorded(engine, execution_id)
        assert (engine.recovery.recovered, engine.recovery.quarantined) == (1, 0)
    assert (found.status, steps.ran) == ("cancelled", ["undo-b"] * MAX_KILLS + ["undo-a", "tidy"])
    failed = [e for e in events if isinstance(e, TaskFinished) and e.outcome.error is not None]
    assert [(each.scope, each.outcome.error) for each in failed] == [("~compensate", GIVEN_UP)]


async def test_an_engine_that_is_closed_in_order_blames_no_execution(durable):
    steps = Steps(waits_in="long")
    started = None
    for _ in range(MAX_KILLS + 1):
        waiting = steps.waiting
        async with durable.open_and_close(*steps.all("long"), grace=0) as engine:
            if started is None:
                started = (await engine.start(chain("long"))).execution_id
            await until(lambda: steps.waiting > waiting)  # noqa: B023 - it is called at once
    after = Steps()
    async with durable.open(*after.all("long")) as engine:
        assert (await engine.wait(started, timeout=PATIENCE)).status == "completed"
