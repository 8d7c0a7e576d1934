"""A rerun that begins inside of a task runs on as any other: through crashes, pauses, its end."""

import anyio
import pytest

from actors.events import AttemptInterrupted, ExecutionParked, ScopeStarted, TaskStarted
from actors.evolving import fold
from flowmgr.journal.store import ExecutionQuery
from flowmgr.trees import ScopesWait, SignalWait
from tests.engine.constructs.world import body, flow, task
from tests.engine.steps import Steps, each_of, items, parallel, sides
from tests.support.flows import PATIENCE, Gate, ending_of, recorded, until

pytestmark = pytest.mark.anyio

GATE = task("gate")
GATED = flow(
    parallel("fan", left=body(task("a"), GATE, task("c")), right=body(task("r"))), task("z")
)


async def through(engine, gate, document):
    """Run a flow whose gate is open, and close the gate."""
    gate.opened.set()
    ended = await engine.run(document)
    assert ended.status == "completed"
    return ended.execution_id


def with_gate(steps, gate):
    return [*steps.all, gate.activity]


async def test_a_rerun_that_is_killed_at_once_goes_on_where_it_was_to_begin(reopened):
    steps = Steps({("y", 1), ("y", 3)})
    async with reopened.open(*steps.all) as engine:
        first = await engine.run(flow(items(5, "x", "y", max_concurrency=1), task("z")))
        steps.failing.clear()
        steps.ran.clear()
        again = await engine.rerun(first.execution_id, task="/each/3/y", context={"word": "hi"})
    assert steps.ran == []
    async with reopened.open(*steps.all) as engine:
        found = await engine.wait(again.execution_id, timeout=PATIENCE)
        assert found.context["each_result"] == ["y0", "y1", "y2", "y3", "y4"]
        assert (found.status, found.interruptions) == ("completed", 1)
        assert steps.ran == [("y", 3), ("x", 1), ("y", 1), "z"]
        assert steps.context("y", 3)["word"] == "hi"


@pytest.mark.parametrize(("where", "crashes"), [("gate", 4), ("a", 3)])
async def test_a_rerun_goes_on_after_each_of_many_crashes(reopened, where, crashes):
    steps, gate = Steps(), Gate()
    async with reopened.open(*with_gate(steps, gate)) as engine:
        first = await through(engine, gate, GATED)
    gate = Gate()
    async with reopened.open(*with_gate(steps, gate)) as engine:
        again = (await engine.rerun(first, task=f"/fan/left/{where}")).execution_id
    for came in range(3):
        async with reopened.open(*with_gate(steps, gate)) as engine:
            await until(lambda came=came: gate.came == came + 1)
    gate.opened.set()
    async with reopened.open(*with_gate(steps, gate)) as engine:
        found = await engine.wait(again, timeout=PATIENCE)
        assert found.context["fan_result"] == {"left": "c", "right": "r"}
        history = await recorded(engine, again)
        await ending_of(engine, again)
    interrupted = [event.task for event in history if isinstance(event, AttemptInterrupted)]
    assert interrupted.count("gate") == crashes


async def test_what_is_begun_with_is_one_batch_that_says_where_the_rerun_is(reopened):
    steps, gate = Steps(), Gate()
    async with reopened.open(*with_gate(steps, gate)) as engine:
        first = await through(engine, gate, GATED)
        gate.opened = anyio.Event()
        again = await engine.rerun(first, task="/fan/left/gate", context={"word": "hi"})
        assert (again.status, again.current_task) == ("running", "fan")
        tree = await engine.tree(again.execution_id)
        history = await recorded(engine, again.execution_id)
        state = fold(history)
        gate.opened.set()
        await engine.wait(again.execution_id, timeout=PATIENCE)
    fan = tree.scope.task
    assert (fan.name, fan.visit, fan.attempt, fan.since) == ("fan", 1, 1, again.started_at)
    assert fan.waits_for == ScopesWait(2, open=1, succeeded=1, failed=0, stopped=0, unopened=0)
    [left] = fan.scopes
    assert (left.path, left.status, left.task.path) == ("/fan/left", "running", "/fan/left/gate")
    assert (left.task.visit, left.task.attempt, left.task.since) == (1, 1, again.started_at)
    assert dict(state.scopes["/fan/left"].context) == {"a_result": "a", "word": "hi"}
    assert dict(state.context) == {}
    assert {event.at for event in history} == {again.started_at}


async def test_a_rerun_that_is_paused_at_once_runs_what_has_started_and_no_more(reopened):
    steps = Steps({("y", 1), ("y", 3)})
    async with reopened.open(*steps.all) as engine:
        first = await engine.run(flow(items(5, "x", "y", max_concurrency=1), task("z")))
        steps.failing.clear()
        steps.ran.clear()
        again = (await engine.rerun(first.execution_id, task="/each/3/y")).execution_id
        await engine.pause(again)
        await steps.until_ran(("y", 3))
        paused = await engine.wait(again, timeout=0.05)
        assert (paused.status, steps.ran) == ("paused", [("y", 3)])
    async with reopened.open(*steps.all) as engine:
        await engine.resume(again)
        found = await engine.wait(again, timeout=PATIENCE)
        assert (found.status, steps.ran) == ("completed", [("y", 3), ("x", 1), ("y", 1), "z"])


@pytest.mark.parametrize("is_begun", [False, True])
async def test_a_rerun_that_is_cancelled_has_a_receipt_and_can_be_retried(reopened, is_begun):
    steps, gate = Steps(), Gate()
    async with reopened.open(*with_gate(steps, gate)) as engine:
        first = await through(engine, gate, GATED)
        gate.opened, before = anyio.Event(), gate.came
        steps.ran.clear()
        again = (await engine.rerun(first, task="/fan/left/gate")).execution_id
        if is_begun:
            await until(lambda: gate.came == before + 1)
        found = await engine.cancel(again, wait=PATIENCE)
        assert (found.status, gate.came, steps.ran) == ("cancelled", gate.left, [])
        receipt = [(line.scope, line.task, line.how) for line in found.cancellation.tasks]
        assert sorted(receipt) == [("", "fan", "stopped"), ("/fan/left", "gate", "stopped")]
        gate.opened.set()
        await engine.retry(again)
        found = await engine.wait(again, timeout=PATIENCE)
        assert (found.status, steps.ran) == ("completed", ["c", "z"])
        assert found.context["fan_result"] == {"left": "c", "right": "r"}


async def test_what_waits_inside_is_parked_and_taken_up_by_its_signal(reopened):
    steps = Steps()
    waiting = body(task("a"), task("go", kind="signal", timeout=3600), task("b"))
    document = flow(parallel("fan", left=waiting, right=body(task("r"))))
    async with reopened.open(*steps.all) as engine:
        first = await engine.start(document)
        await engine.signal(first.execution_id, "go", 1)
        await engine.wait(first.execution_id, timeout=PATIENCE)
        steps.ran.clear()
        again = (await engine.rerun(first.execution_id, task="/fan/left/go")).execution_id
        await until(lambda: engine.live_executions == 0)
        history = await recorded(engine, again)
        assert isinstance(history[-1], ExecutionParked)
        tree = await engine.tree(again)
        due = history[0].at + 3600
        assert tree.scope.task.scopes[0].task.waits_for == SignalWait("go", due)
        await engine.signal(again, "go", 2)
        found = await engine.wait(again, timeout=PATIENCE)
        assert (found.context["fan_result"], steps.ran) == ({"left": "b", "right": "r"}, ["b"])


async def test_a_sub_flow_inside_is_started_anew(reopened):
    steps = Steps()
    sub = task("sub", kind="flow", flow="inner")
    async with reopened.open(*steps.all) as engine:
        await engine.register(flow(task("i"), flow_id="inner"))
        fan = parallel("fan", left=body(task("a"), sub), right=body(task("r")))
        first = await engine.run(flow(fan))
        steps.ran.clear()
        again = await engine.rerun(first.execution_id, task="/fan/left/sub")
        found = await engine.wait(again.execution_id, timeout=PATIENCE)
        assert (found.status, steps.ran) == ("completed", ["i"])
        listed = await engine.list(ExecutionQuery(), None, 10)
        assert sorted(each.flow_id for each in listed) == ["flow", "flow", "inner", "inner"]


async def test_a_time_that_is_bounded_begins_anew(reopened):
    steps = Steps()
    go = task("go", kind="signal")
    fan = parallel("fan", left=body(go), right=body(task("r"))) | {"timeout": 0.2}
    async with reopened.open(*steps.all) as engine:
        first = await engine.run(flow(fan, timeout=60))
        assert first.error.type == "TimedOut"
        steps.ran.clear()
        again = (await engine.rerun(first.execution_id, task="/fan/left/go")).execution_id
        tree = await engine.tree(again)
        began = (await engine.get(again)).started_at
        assert tree.scope.task.deadline == pytest.approx(began + 0.2)
        found = await engine.wait(again, timeout=PATIENCE)
        assert (found.error.type, steps.ran) == ("TimedOut", [])
        assert found.ended_at - found.started_at >= 0.2


async def test_no_more_items_run_at_once_than_may(reopened):
    gate = Gate()
    gate.opened.set()
    mapped = each_of(range(8), GATE, max_concurrency=3)
    async with reopened.open(gate.activity) as engine:
        first = await engine.run(flow(mapped))
        gate.opened = anyio.Event()
        again = (await engine.rerun(first.execution_id, task="/each/5/gate")).execution_id
        await until(lambda: gate.came == 9)
        tree = await engine.tree(again)
        waits = tree.scope.task.waits_for
        assert (waits.open, waits.succeeded, waits.unopened) == (1, 7, 0)
        gate.opened.set()
        found = await engine.wait(again, timeout=PATIENCE)
        assert found.context["each_result"] == ["passed"] * 8


async def test_items_that_begin_anew_wait_for_their_places(reopened):
    steps, gate = Steps({("x", n) for n in (1, 2, 4, 6, 7)}), Gate()
    mapped = each_of(range(8), task("x"), GATE, max_concurrency=3, on_failure="wait")
    gate.opened.set()
    async with reopened.open(*with_gate(steps, gate)) as engine:
        first = await engine.run(flow(mapped))
        assert first.status == "failed"
        steps.failing.clear()
        gate.opened, before = anyio.Event(), gate.came
        again = (await engine.rerun(first.execution_id, task="/each/6/x")).execution_id
        await until(lambda: gate.came == before + 3)
        waits = (await engine.tree(again)).scope.task.waits_for
        assert (waits.open, waits.succeeded, waits.unopened) == (3, 3, 2)
    gate.opened.set()
    async with reopened.open(*with_gate(steps, gate)) as engine:
        found = await engine.wait(again, timeout=PATIENCE)
        assert found.context["each_result"] == ["passed"] * 8
        history = await recorded(engine, again)
    opened = [event.scope for event in history if isinstance(event, ScopeStarted)]
    assert sorted(opened) == [f"/each/{position}" for position in range(8)]
    assert opened[-2:] == ["/each/4", "/each/7"]


async def test_no_task_of_a_rerun_is_started_twice(reopened):
    steps = Steps({("y", 1)})
    each = items(3, "x", "y", max_concurrency=1)
    nested = parallel("fan", left=body(each), right=body(task("r")))
    async with reopened.open(*steps.all) as engine:
        first = await engine.run(flow(nested))
        steps.failing.clear()
        again = await engine.rerun(first.execution_id, task="/fan/left/each/1/y")
        await engine.wait(again.execution_id, timeout=PATIENCE)
        history = await recorded(engine, again.execution_id)
    started = [(event.scope, event.task) for event in history if isinstance(event, TaskStarted)]
    assert len(started) == len(set(started))
    for count in range(1, len(history) + 1):
        state = fold(history[:count])
        assert state.busy == sum(scope.is_busy for _, scope in state.all_scopes())


async def test_a_rerun_from_a_task_of_the_flows_own_body_begins_with_that_alone(reopened):
    steps = Steps()
    async with reopened.open(*steps.all) as engine:
        first = await engine.run(flow(sides(), task("z")))
        again = await engine.rerun(first.execution_id, task="/z")
        history = await recorded(engine, again.execution_id)
        await engine.wait(again.execution_id, timeout=PATIENCE)
    assert [type(event).__name__ for event in history[:2]] == ["ExecutionStarted", "TaskStarted"]
    assert history[0].start_task == "z"
