"""Executions inside of executions: how deep they go, and that none outlives what is around it."""

import contextlib

import anyio
import pytest

from flowmgr import Settings, activity, open_engine
from flowmgr.errors import (
    ExecutionEndedError,
    ExecutionStateError,
    JournalError,
    JournalUnavailableError,
)
from flowmgr.journal.store import ExecutionQuery
from flowmgr.recovery import Recovery
from flowmgr.subflows import MAX_DEPTH
from flowmgr.triage import MAX_KILLS
from tests.support.flows import PATIENCE, Gate, until
from tests.support.virtual_time import LoopClock, in_virtual_time

pytestmark = pytest.mark.anyio

GRACE = 5


def flow(flow_id, task):
    return {
        "id": flow_id,
        "name": flow_id,
        "start_task": task["name"],
        "tasks": [task],
        "conditions": [],
    }


async def statuses(engine):
    listed = await engine.list(ExecutionQuery(), None, 1000)
    return [each.status for each in listed]


async def test_flows_that_run_each_other_come_to_an_end():
    @activity
    async def nothing(context):
        return None

    async with open_engine(activities=[nothing]) as engine:
        await engine.register(flow("a", {"name": "nothing"}))
        await engine.register(flow("b", {"name": "b", "kind": "flow", "flow": "a"}))
        await engine.register(flow("a", {"name": "a", "kind": "flow", "flow": "b"}))
        found = await engine.run("a", timeout=30)
        assert found.error.type == "SubflowFailed"
        assert await statuses(engine) == ["failed"] * (MAX_DEPTH + 1)


async def test_flows_that_run_each_other_are_worth_a_warning_when_the_ring_is_closed():
    @activity
    async def nothing(context):
        return None

    def runs(flow_id, run, version=None):
        task = {"name": f"run {run}", "kind": "map", "items": [1], "flow": run}
        if version is not None:
            task |= {"kind": "flow", "version": version}
            del task["items"]
        return flow(flow_id, task)

    async with open_engine(activities=[nothing]) as engine:
        for document in (flow("a", {"name": "nothing"}), runs("b", "a"), runs("c", "b")):
            assert (await engine.register(document)).warnings == ()
        branch = {"tasks": runs("", "c")["tasks"]}
        ring = flow("a", {"name": "fork", "kind": "parallel", "branches": {"x": branch}})
        (warning,) = (await engine.register(ring)).warnings
        assert (warning.code, warning.pointer) == (
            "flow_cycle",
            "/tasks/0/branches/x/tasks/0/flow",
        )
        assert "a -> c -> b -> a" in warning.message
        (validated,) = (await engine.validate(ring)).warnings
        assert validated == warning
        # Version 1 of a runs nothing, so what runs that one does not come back.
        assert (await engine.register(runs("b", "a", version=1))).warnings == ()
        assert (await engine.register(ring | {"name": "again"})).warnings == ()


@in_virtual_time
async def test_what_a_sub_flow_is_inside_of_is_not_cancelled_before_it_is():
    @activity
    async def clean_up_long(context):
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(2 * GRACE)

    @activity
    async def undo(context):
        await anyio.sleep(3 * GRACE)

    inner = flow("inner", {"name": "clean_up_long"})
    inner["tasks"].insert(
        0, {"name": "first", "activity": "done", "compensate": {"activity": "undo"}}
    )
    inner["start_task"] = "first"
    inner["conditions"] = [{"source_task": "first", "target_task_success": "clean_up_long"}]

    @activity
    async def done(context):
        return 1

    settings = Settings(grace=GRACE)
    activities = [clean_up_long, undo, done]
    async with open_engine(settings, activities=activities, clock=LoopClock()) as engine:
        await engine.register(inner)
        outer = flow("outer", {"name": "outer", "kind": "flow", "flow": "inner"})
        started = await engine.start(outer)
        await anyio.sleep(1)
        found = await engine.cancel(started.execution_id, wait=100 * GRACE)
        assert found.status == "cancelled"
        assert [(line.task, line.how) for line in found.cancellation.tasks] == [
            ("outer", "stopped")
        ]
        assert await statuses(engine) == ["cancelled", "cancelled"]


@in_virtual_time
@pytest.mark.parametrize("error", [JournalUnavailableError, JournalError])
async def test_a_sub_flow_is_told_to_stop_until_that_is_recorded(monkeypatch, error):
    @activity
    async def take(context):
        await anyio.sleep_forever()

    async with open_engine(activities=[take], clock=LoopClock()) as engine:
        await engine.register(flow("inner", {"name": "take"}))
        outer = flow("outer", {"name": "outer", "kind": "flow", "flow": "inner", "timeout": 10})
        refused = refusing(monkeypatch, engine, "cancel", error)
        found = await engine.run(outer, timeout=100)
        assert found.error.type == "TimedOut"
        assert sorted(await statuses(engine)) == ["cancelled", "failed"]
        assert len(refused) == 3


def refusing(monkeypatch, engine, method, error):
    """Have the first three calls of a method of the engine fail; return what notes them."""
    call, refused = getattr(engine, method), []

    async def refuse(*arguments, **options):
        if len(refused) < 3:
            refused.append(method)
            raise error("the disk is full")
        return await call(*arguments, **options)

    monkeypatch.setattr(engine, method, refuse)
    return refused


@in_virtual_time
@pytest.mark.parametrize("error", [JournalUnavailableError, JournalError])
@pytest.mark.parametrize("method", ["start_child", "wait", "has_output"])
async def test_a_journal_that_fails_for_a_moment_does_not_fail_a_task_that_runs_a_flow(
    monkeypatch, method, error
):
    @activity
    async def nothing(context):
        return None

    async with open_engine(activities=[nothing], clock=LoopClock()) as engine:
        await engine.register(flow("inner", {"name": "nothing"}))
        refused = refusing(monkeypatch, engine, method, error)
        found = await engine.run(flow("outer", {"name": "f", "kind": "flow", "flow": "inner"}))
        assert (found.status, len(refused)) == ("completed", 3)
        assert await statuses(engine) == ["completed", "completed"]


class Deaf:
    """An activity whose clean-up takes four times the grace; it notes when its code has run."""

    def __init__(self):
        self.spans = []

    def activity(self):
        @activity
        async def deaf(context):
            since = anyio.current_time()
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(4 * GRACE)
                self.spans.append((since, anyio.current_time()))

        return deaf


@contextlib.asynccontextmanager
async def with_deaf_sub_flow(deaf, *more):
    settings, activities = Settings(grace=GRACE), [deaf.activity(), *more]
    async with open_engine(settings, activities=activities, clock=LoopClock()) as engine:
        await engine.register(flow("inner", {"name": "deaf"}))
        yield engine


@in_virtual_time
@pytest.mark.parametrize("depth", [1, 2])
async def test_code_that_a_sub_flow_has_abandoned_is_named_by_what_it_is_inside_of(depth):
    deaf = Deaf()
    async with with_deaf_sub_flow(deaf) as engine:
        name = "inner"
        for number in range(depth):
            await engine.register(
                flow(f"outer{number}", {"name": "f", "kind": "flow", "flow": name})
            )
            name = f"outer{number}"
        started = await engine.start(name)
        await anyio.sleep(1)
        found = await engine.cancel(started.execution_id, wait=100 * GRACE)
        lines = [(line.task, line.how) for line in found.cancellation.tasks]
        assert (found.status, lines, deaf.spans) == ("cancelled", [("f", "abandoned")], [])
        await anyio.sleep(4 * GRACE)
        assert (len(deaf.spans), engine.abandoned_executions) == (1, 0)


@in_virtual_time
async def test_a_further_attempt_waits_for_code_that_a_sub_flow_has_abandoned():
    deaf = Deaf()
    async with with_deaf_sub_flow(deaf) as engine:
        task = {"name": "f", "kind": "flow", "flow": "inner", "timeout": 1}
        task["retry"] = {"maximum_attempts": 2, "initial_interval": 0.001}
        found = await engine.run(flow("outer", task))
        assert found.error.type == "TimedOut"
        [(_, first_left), (second_entered, second_left)] = deaf.spans
        assert first_left <= second_entered < second_left <= anyio.current_time()


@in_virtual_time
async def test_a_join_waits_for_code_that_a_sub_flow_has_abandoned():
    @activity
    async def quick(context):
        await anyio.sleep(1)

    deaf = Deaf()
    async with with_deaf_sub_flow(deaf, quick) as engine:
        branches = {
            "slow": {"tasks": [{"name": "f", "kind": "flow", "flow": "inner"}]},
            "fast": {"tasks": [{"name": "quick"}]},
        }
        fan = {"name": "fan", "kind": "parallel", "branches": branches, "join": "any"}
        found = await engine.run(flow("outer", fan))
        assert (found.status, len(deaf.spans)) == ("completed", 1)


@in_virtual_time
async def test_a_request_that_is_refused_does_not_make_abandoned_code_count_as_ended():
    deaf = Deaf()
    async with with_deaf_sub_flow(deaf) as engine:
        task = {"name": "f", "kind": "flow", "flow": "inner", "timeout": 1}
        task["retry"] = {"maximum_attempts": 2, "initial_interval": 0.001}
        parent = (await engine.start(flow("outer", task))).execution_id
        await anyio.sleep(1.5 + 2 * GRACE)
        (child,) = await engine.list(ExecutionQuery(flow_id="inner"), None, 10)
        assert (child.status, engine.abandoned_executions) == ("cancelled", 1)
        with pytest.raises(ExecutionEndedError):
            await engine.pause(child.execution_id)
        await anyio.sleep(0.5)
        assert (engine.abandoned_executions, deaf.spans) == (1, [])
        await engine.wait(parent)
        [(_, first_left), (second_entered, _)] = deaf.spans
        assert first_left <= second_entered


@in_virtual_time
async def test_code_that_a_sub_flow_has_abandoned_twice_is_waited_for_both_times():
    deaf = Deaf()
    async with with_deaf_sub_flow(deaf) as engine:
        task = {"name": "f", "kind": "flow", "flow": "inner", "timeout": 1}
        parent = (await engine.start(flow("outer", task))).execution_id
        await anyio.sleep(1.5 + 2 * GRACE)
        (child,) = await engine.list(ExecutionQuery(flow_id="inner"), None, 10)
        await engine.retry(child.execution_id)
        await anyio.sleep(1)
        await engine.cancel(child.execution_id, wait=100 * GRACE)
        assert (engine.abandoned_executions, len(deaf.spans)) == (1, 0)
        found = await engine.wait(parent, timeout=100 * GRACE)
        assert (found.error.type, len(deaf.spans)) == ("TimedOut", 2)
        await anyio.sleep(1)
        assert engine.abandoned_executions == 0


async def test_the_result_of_a_sub_flow_with_an_output_is_that_also_if_it_is_null():
    @activity
    async def last(context):
        return "the last task's"

    async with open_engine(activities=[last]) as engine:
        bare = flow("bare", {"name": "last"})
        await engine.register(bare)
        await engine.register({**bare, "id": "null", "output": "null"})
        for inner, result in [("bare", b'"the last task\'s"'), ("null", b"null")]:
            found = await engine.run(flow("outer", {"name": "f", "kind": "flow", "flow": inner}))
            assert bytes(found.task_results["f"].data) == result


async def test_what_a_finally_runs_as_a_flow_runs_again_when_the_execution_is_retried():
    @activity
    async def fail(context):
        raise ValueError

    @activity
    async def report(context):
        return None

    async with open_engine(activities=[fail, report]) as engine:
        await engine.register(flow("reporting", {"name": "report"}))
        closing = {"tasks": [{"name": "f", "kind": "flow", "flow": "reporting"}]}
        found = await engine.run({**flow("outer", {"name": "fail"}), "finally": closing})
        for times in (2, 3):
            await engine.retry(found.execution_id)
            await engine.wait(found.execution_id)
            assert (await statuses(engine)).count("completed") == times


@pytest.mark.parametrize("how", ["by hand", "by its age"])
async def test_a_sub_flow_that_has_ended_is_kept_for_an_execution_that_cannot_go_on(durable, how):
    """An execution whose task finds its sub-flow gone would run all of it again."""
    before, meanwhile, later = Gate(), Gate(), Gate()
    meanwhile.opened.set()

    @activity
    async def last(context):
        return None

    outer = flow("outer", {"name": "run", "kind": "flow", "flow": "inner"})
    outer["tasks"].append({"name": "last"})
    outer["conditions"] = [{"source_task": "run", "target_task_success": "last"}]
    async with durable.open(before.activity, last) as engine:
        await engine.register(flow("inner", {"name": "gate"}))
        await engine.register(outer)
        parent = (await engine.start("outer")).execution_id
        await until(lambda: before.came == 1)
    keep = {"keep": 1} if how == "by its age" else {}
    async with durable.open(meanwhile.activity, **keep) as engine:
        (child,) = await engine.list(ExecutionQuery(flow_id="inner"), None, 10)
        await engine.wait(child.execution_id, timeout=PATIENCE)
        if how == "by hand":
            with pytest.raises(ExecutionStateError, match="is completed; it is a sub-flow"):
                await engine.delete(child.execution_id)
        else:
            await engine.run(flow("other", {"name": "gate"}))
            with anyio.fail_after(PATIENCE):
                while len(await statuses(engine)) > 2:  # noqa: ASYNC110 - it has no event
                    await anyio.sleep(0.01)
    async with durable.open(later.activity, last) as engine:
        assert (await engine.wait(parent, timeout=PATIENCE)).status == "completed"
        assert later.came == 0
        await engine.delete(parent)
        await engine.delete(child.execution_id)


async def test_a_sub_flow_from_before_a_crash_is_stopped_though_the_journal_fails_when_asked_for_it(
    reopened, monkeypatch
):
    """Only the journal knows then that there is one."""
    before, after = Gate(), Gate()
    async with reopened.open(before.activity) as engine:
        await engine.register(flow("inner", {"name": "gate"}))
        outer = flow("outer", {"name": "f", "kind": "flow", "flow": "inner"})
        parent = (await engine.start(outer)).execution_id
        await until(lambda: before.came == 1)
    async with reopened.open(after.activity) as engine:
        refused = refusing(monkeypatch, engine, "start_child", JournalError)
        await until(lambda: refused and after.came)
        found = await engine.cancel(parent, wait=PATIENCE)
        assert (found.status, len(refused), after.left) == ("cancelled", 3, 1)
        assert await statuses(engine) == ["cancelled", "cancelled"]


@activity
async def charge(context):
    return 1


@activity
async def last(context):
    return None


async def crashed_around_sub_flow(reopened, how, *activities):
    """Start an execution that charges and runs a sub-flow; return both ids when it has crashed."""
    gate = Gate()
    first = {"name": "gate"} if how == "runs" else {"name": "go", "kind": "signal"}
    inner, outer = flow("inner", first), flow("outer", {"name": "charge"})
    inner["tasks"].append({"name": "last"})
    inner["conditions"] = [{"source_task": first["name"], "target_task_success": "last"}]
    outer["tasks"][0]["compensate"] = {"activity": "refund"}
    outer["tasks"].append({"name": "f", "kind": "flow", "flow": "inner"})
    outer["conditions"] = [{"source_task": "charge", "target_task_success": "f"}]
    async with reopened.open(gate.activity, last, *activities) as engine:
        await engine.register(inner)
        parent = (await engine.start(outer)).execution_id
        with anyio.fail_after(PATIENCE):
            while not (  # noqa: ASYNC110 - it has no event
                children := await engine.list(ExecutionQuery(flow_id="inner"), None, 10)
            ):
                await anyio.sleep(0.001)
        await until(lambda: gate.came == 1 if how == "runs" else engine.live_executions == 1)
    return parent, children[0].execution_id


@contextlib.asynccontextmanager
async def lacking_an_activity_of_the_sub_flow(reopened, *activities):
    async with reopened.open_and_close(Gate().activity, *activities, grace=0.1) as engine:
        await until(lambda: engine.recovery.is_over)
        yield engine


@pytest.mark.parametrize("how", ["runs", "is parked"])
async def test_a_sub_flow_that_cannot_go_on_is_waited_for(reopened, how):
    refunds, gate = Gate("refund"), Gate()
    mine = (charge, refunds.activity)
    parent, child = await crashed_around_sub_flow(reopened, how, *mine)
    async with lacking_an_activity_of_the_sub_flow(reopened, *mine) as engine:
        found = await engine.wait(parent, timeout=0.3)
        assert (found.status, refunds.came) == ("running", 0)
    gate.opened.set()
    async with reopened.open(gate.activity, last, *mine) as engine:
        if how == "is parked":
            await engine.signal(child, "go")
        found = await engine.wait(parent, timeout=PATIENCE)
        assert (found.status, (await engine.get(child)).status) == ("completed", "completed")


@pytest.mark.parametrize("how", ["runs", "is parked"])
async def test_what_is_around_a_sub_flow_that_cannot_be_stopped_is_not_cancelled_before_it_is(
    reopened, how
):
    refunds = Gate("refund")
    refunds.opened.set()
    mine = (charge, refunds.activity)
    parent, child = await crashed_around_sub_flow(reopened, how, *mine)
    async with lacking_an_activity_of_the_sub_flow(reopened, *mine) as engine:
        found = await engine.cancel(parent, wait=0.5)
        assert found.status == "cancelling"
    async with lacking_an_activity_of_the_sub_flow(reopened, *mine) as engine:
        found = await engine.wait(parent, timeout=0.5)
        assert (found.status, refunds.came) == ("cancelling", 0)
    async with reopened.open(Gate().activity, last, *mine) as engine:
        found = await engine.wait(parent, timeout=PATIENCE)
        stopped = await engine.get(child)
        assert (found.status, stopped.status, refunds.came) == ("cancelled", "cancelled", 1)
        assert stopped.ended_at <= found.ended_at


@pytest.mark.parametrize("which", ["parent", "both"])
async def test_what_was_cancelled_and_ends_the_engine_again_and_again_waits_for_its_sub_flow(
    durable, monkeypatch, which
):
    undo, tidy, refunds, gate = Gate("undo"), Gate("tidy"), Gate("refund"), Gate()
    refunds.opened.set()
    inner = flow("inner", {"name": "charge", "compensate": {"activity": "undo"}})
    inner["tasks"].append({"name": "gate"})
    inner["conditions"] = [{"source_task": "charge", "target_task_success": "gate"}]
    inner["finally"] = {"tasks": [{"name": "tidy"}]}
    outer = flow("outer", {"name": "charge", "compensate": {"activity": "refund"}})
    outer["tasks"].append({"name": "f", "kind": "flow", "flow": "inner"})
    outer["conditions"] = [{"source_task": "charge", "target_task_success": "f"}]
    activities = [charge] + [each.activity for each in (undo, tidy, refunds, gate)]
    async with durable.open(*activities) as engine:
        await engine.register(inner)
        parent = (await engine.start(outer)).execution_id
        await until(lambda: gate.came == 1)
        await engine.cancel(parent)
        await until(lambda: undo.came == 1)

    def kills(unfinished):
        return MAX_KILLS if which == "both" or unfinished.execution_id == parent else 1

    take_up = Recovery.take_up

    async def late(*arguments, **options):  # what has been taken up has come to run by then
        await anyio.sleep(0.2)
        return await take_up(*arguments, **options)

    monkeypatch.setattr("flowmgr.triage.kills", kills)
    monkeypatch.setattr(Recovery, "take_up", late)
    async with durable.open(*activities) as engine:
        undo.opened.set()
        await until(lambda: tidy.came == 1)
        assert await statuses(engine) == ["cancelling", "cancelling"]
        tidy.opened.set()
        found = await engine.wait(parent, timeout=PATIENCE)
        assert (found.status, refunds.came) == ("cancelled", 1)
        assert await statuses(engine) == ["cancelled", "cancelled"]
        assert undo.came == (1 if which == "both" else 2)


@pytest.mark.parametrize(
    ("how", "status"), [("cancelled", "cancelled"), ("paused", "cancelled"), ("late", "failed")]
)
async def test_what_ends_while_the_engine_closes_does_not_leave_its_sub_flow_behind(
    durable, how, status
):
    """The sub-flow is in the journal alone, from which a closing engine takes nothing up."""
    gate = Gate()
    inner = {"name": "gate"} if how == "paused" else {"name": "w", "kind": "wait", "seconds": 3600}
    late = {"timeout": 0.5} if how == "late" else {}
    async with durable.open_and_close(gate.activity, grace=1) as engine:
        await engine.register(flow("inner", inner))
        await engine.register(flow("outer", {"name": "f", "kind": "flow", "flow": "inner"} | late))
        parent = (await engine.start("outer")).execution_id
        if how == "paused":
            await until(lambda: gate.came == 1)
            (child,) = await engine.list(ExecutionQuery(flow_id="inner"), None, 10)
            await engine.pause(child.execution_id)
        else:
            with anyio.fail_after(PATIENCE):
                while engine.live_executions > 1 or len(await statuses(engine)) < 2:  # noqa: ASYNC110
                    await anyio.sleep(0.01)
        engine.begin_draining()
        await anyio.sleep(0.05)
        if how != "late":
            await engine.cancel(parent)
    async with durable.open(gate.activity) as engine:
        found = await engine.wait(parent, timeout=PATIENCE)
        (child,) = await engine.list(ExecutionQuery(flow_id="inner"), None, 10)
        assert (found.status, child.status) == (status, "cancelled")
        assert child.ended_at <= found.ended_at


async def test_a_finally_that_is_cut_while_the_engine_closes_does_not_leave_its_sub_flow_behind(
    durable,
):
    gate, ran = Gate(), []

    @activity
    async def last(context):
        ran.append("last")
        await anyio.sleep(100 * PATIENCE if len(ran) == 1 else 0)

    inner, outer = flow("inner", {"name": "gate"}), flow("outer", {"name": "gate"})
    inner["finally"] = {"tasks": [{"name": "last"}]}
    outer["finally"] = {"tasks": [{"name": "f", "kind": "flow", "flow": "inner"}]}
    async with durable.open_and_close(gate.activity, last, grace=1) as engine:
        await engine.register(inner)
        await engine.register(outer)
        parent = (await engine.start("outer")).execution_id
        await until(lambda: gate.came == 1)
        await engine.cancel(parent)
        await until(lambda: gate.came == 2)
        await anyio.sleep(0.7)
        engine.begin_draining()  # is over when the finally of the sub-flow has come to run
        await until(lambda: ran == ["last"])
    async with durable.open(gate.activity, last) as engine:
        found = await engine.wait(parent, timeout=PATIENCE)
        (child,) = await engine.list(ExecutionQuery(flow_id="inner"), None, 10)
        assert (found.status, child.status) == ("cancelled", "cancelled")
        assert child.ended_at <= found.ended_at
        assert ran == ["last", "last"]
