"""What belongs to the end of an execution knows how it is going to end, also after a crash."""

import pytest

from actors.expressions import FIELDS
from flowmgr import activity
from tests.engine.constructs.conftest import real_time
from tests.engine.constructs.table import again
from tests.engine.constructs.world import Acts, World, body, executions, flow, parallel_of, task
from tests.support.answering import answering, message

pytestmark = pytest.mark.anyio

HOW = {"status": "${execution.status}", "error": "${execution.error}"}
RUNNING = {"status": "running", "error": None}
COMPLETED = {"status": "completed", "error": None}
CANCELLED = {"status": "cancelled", "error": None}
REFUSED = {"type": "Refused", "message": "not today", "data": None, "task": "refuse"}
FAILED = {"status": "failed", "error": REFUSED}


class Told(Acts):
    """With an activity that notes what it is told.

    Attributes:
        told: all that it was, in order.
    """

    def __init__(self, world, **options):
        super().__init__(world, **options)
        self.told = []
        self.all.append(activity("tell")(self.tell))

    async def tell(self, context):
        self.told.append(context["how"])


def tell(name="tell", **fields):
    return task(name, activity="tell", arguments={"how": HOW}, **fields)


def closing(*tasks, **fields):
    return {"finally": body(*tasks, **fields)}


async def start(engine, *tasks, **fields):
    return (await engine.start(flow(*tasks, **fields))).execution_id


async def come_to_its_end(world, engine, way, *tasks, **fields):
    """Run an execution that ends in a way, and return how it has ended."""
    if way == "timeout":
        fields["timeout"] = world.unit
    first = task({"completed": "ok", "failed": "refuse"}.get(way, "sleep"))
    execution_id = await start(engine, *tasks, first, **fields)
    if way == "cancelled":
        await world.pass_units(0.5)
        await engine.cancel(execution_id)
    return await world.ended(engine, execution_id)


DONE = task("ok", compensate={"activity": "tell", "arguments": {"how": HOW}})
WAYS = {"completed": COMPLETED, "failed": FAILED, "cancelled": CANCELLED}


@pytest.mark.parametrize("way", WAYS)
async def test_a_finally_is_told_how_the_execution_is_going_to_end(world, way):
    acts = Told(world)
    async with world.open(acts) as engine:
        found = await come_to_its_end(world, engine, way, tell(), **closing(tell()))
        assert (found.status, acts.told) == (way, [RUNNING, WAYS[way]])
        await world.nothing_is_left(engine)


async def test_a_finally_is_told_that_the_time_of_the_flow_was_over(world):
    acts = Told(world)
    async with world.open(acts) as engine:
        found = await come_to_its_end(world, engine, "timeout", **closing(tell()))
        assert (found.status, found.error.type) == ("failed", "TimedOut")
        (told,) = acts.told
        error = {"type": "TimedOut", "message": found.error.message, "data": None, "task": "sleep"}
        assert told == {"status": "failed", "error": error}


@pytest.mark.parametrize(("way", "ran"), [("completed", "tidy"), ("failed", "undo")])
async def test_a_condition_in_a_finally_asks_how_the_execution_is_going_to_end(world, way, ran):
    acts = Told(world)
    failed = "execution.status == 'failed' && execution.error.type == 'Refused'"
    conditions = [
        {"source_task": "begin", "when": failed, "target_task_success": "undo"},
        {"source_task": "begin", "target_task_success": "tidy"},
    ]
    begin = task("begin", kind="set", values={"how": "${execution.status}"})
    end = closing(begin, task("undo"), task("tidy"), conditions=conditions)
    async with world.open(acts) as engine:
        found = await come_to_its_end(world, engine, way, **end)
        assert (found.status, acts.ran[-1]) == (way, ran)


@pytest.mark.parametrize("way", WAYS)
async def test_branches_and_items_in_a_finally_are_told_so_too(world, way):
    acts = Told(world)
    each = task("each", kind="map", items="${[execution.status]}", do=body(tell()))
    inner = parallel_of(body(each), task("ok"))
    async with world.open(acts) as engine:
        fan = task("around", kind="parallel", branches={"a": body(inner), "b": body(tell())})
        found = await come_to_its_end(world, engine, way, **closing(fan))
        assert (found.status, acts.told) == (way, [WAYS[way]] * 2)


async def test_a_set_and_a_raise_in_a_finally_are_told_so_too(world):
    acts = Told(world)
    note = task("note", kind="set", values={"how": HOW})
    repeat = task("tell", arguments={"how": "${context.how}"})
    stop = task("stop", kind="raise", type="Late", message="it has ${execution.status}")
    async with world.open(acts) as engine:
        found = await come_to_its_end(world, engine, "completed", **closing(note, repeat, stop))
        assert (found.error.type, found.error.message) == ("Late", "it has completed")
        assert acts.told == [COMPLETED]


async def test_the_fields_that_a_registration_knows_are_those_that_there_are(world):
    acts = Told(world)
    known = task("tell", arguments={"how": "${[task, execution, execution.error]}"})
    async with world.open(acts) as engine:
        await come_to_its_end(world, engine, "failed", **closing(known))
        (told,) = acts.told
        owners = ("task", "execution", "execution.error")
        assert [set(each) for each in told] == [set(FIELDS[owner]) for owner in owners]


async def test_a_compensation_is_told_why_it_has_to_undo(world):
    acts = Told(world)
    async with world.open(acts) as engine:
        for way in ("failed", "cancelled"):
            found = await come_to_its_end(world, engine, way, DONE)
            assert (found.status, acts.told[-1]) == (way, WAYS[way])


async def test_a_compensation_is_told_that_only_the_finally_has_failed(world):
    acts = Told(world)
    async with world.open(acts) as engine:
        execution_id = await start(engine, DONE, **closing(tell(), task("refuse")))
        found = await world.ended(engine, execution_id)
        assert (found.status, found.error_task) == ("failed", "finally")
        late = {"status": "failed", "error": REFUSED | {"task": "finally"}}
        assert acts.told == [COMPLETED, late]


async def test_the_output_of_a_flow_knows_that_it_completes(world):
    acts = Told(world)
    output = "[execution.status, execution.error]"
    async with world.open(acts) as engine:
        found = await come_to_its_end(world, engine, "completed", output=output)
        assert (found.status, bytes(found.output)) == ("completed", b'["completed",null]')


async def test_what_is_cancelled_during_its_finally_knows_from_then_on(world):
    acts = Told(world)
    when = "execution.status == 'cancelled'"
    conditions = [
        {"source_task": "before", "target_task_success": "gate"},
        {"source_task": "gate", "when": when, "target_task_success": "after"},
    ]
    end = closing(tell("before"), task("gate"), tell("after"), conditions=conditions)
    async with world.open(acts) as engine:
        execution_id = await start(engine, task("ok"), **end)
        await world.until(lambda: acts.came == 1)
        await engine.cancel(execution_id)
        acts.is_open.set()
        found = await world.ended(engine, execution_id)
        assert (found.status, acts.told) == ("cancelled", [COMPLETED, CANCELLED])


async def test_what_is_cancelled_while_it_fails_still_says_why_it_was_about_to(world):
    acts = Told(world)
    async with world.open(acts) as engine:
        execution_id = await start(engine, task("refuse"), **closing(task("gate"), tell()))
        await world.until(lambda: acts.came == 1)
        await engine.cancel(execution_id)
        acts.is_open.set()
        found = await world.ended(engine, execution_id)
        assert (found.status, found.error_task) == ("cancelled", "refuse")
        assert acts.told == [{"status": "cancelled", "error": REFUSED}]


async def test_a_further_attempt_in_a_finally_is_told_what_the_first_was(world):
    acts = Told(world)

    @activity
    async def hear(context):
        acts.told.append(context["how"])
        if len(acts.told) < 3:
            raise OSError("nobody answers")

    acts.all.append(hear)
    trying = task("hear", arguments={"how": HOW}, retry=again(world.unit / 10, 3))
    async with world.open(acts) as engine:
        found = await come_to_its_end(world, engine, "failed", **closing(trying))
        assert (found.status, acts.told) == ("failed", [FAILED] * 3)


async def test_what_goes_on_after_its_end_is_running_again_and_may_end_otherwise(world):
    acts = Told(world, failing=1)
    fails = task("flaky", output="execution.status")
    async with world.open(acts) as engine:
        execution_id = await start(engine, fails, tell("then"), **closing(tell()))
        found = await world.ended(engine, execution_id)
        assert (found.status, acts.told[0]["error"]["task"]) == ("failed", "flaky")
        await engine.retry(execution_id)
        found = await world.ended(engine, execution_id)
        assert (found.status, acts.told[1:]) == ("completed", [RUNNING, COMPLETED])
        assert found.context["flaky_result"] == "running"


async def test_an_end_that_is_retried_alone_is_told_what_it_was_the_first_time(world):
    acts = Told(world, failing=1)
    async with world.open(acts) as engine:
        execution_id = await start(engine, task("ok"), **closing(tell(), task("flaky")))
        found = await world.ended(engine, execution_id)
        assert (found.status, found.error_task) == ("failed", "finally")
        await engine.retry(execution_id)
        found = await world.ended(engine, execution_id)
        assert (found.status, acts.told) == ("completed", [COMPLETED] * 2)


async def test_what_decides_about_a_skipped_task_is_that_the_execution_runs_again(world):
    acts = Told(world)
    when = "execution.status == 'running' && execution.error == null"
    conditions = [{"source_task": "refuse", "when": when, "target_task_success": "then"}]
    async with world.open(acts) as engine:
        tasks = (task("refuse"), tell("then"))
        execution_id = await start(engine, *tasks, conditions=conditions, **closing(tell()))
        found = await world.ended(engine, execution_id)
        assert (found.status, acts.told) == ("failed", [FAILED])
        await engine.skip(execution_id)
        found = await world.ended(engine, execution_id)
        assert (found.status, acts.told[1:]) == ("completed", [RUNNING, COMPLETED])


async def test_a_rerun_is_told_of_its_own_end(world):
    acts = Told(world, failing=1)
    async with world.open(acts) as engine:
        execution_id = await start(engine, task("flaky"), **closing(tell()))
        found = await world.ended(engine, execution_id)
        again = await engine.rerun(execution_id)
        found = await world.ended(engine, again.execution_id)
        assert (found.status, acts.told[1:]) == ("completed", [COMPLETED])


async def test_a_sub_flow_in_a_finally_has_an_end_of_its_own(world):
    acts = Told(world)
    async with world.open(acts) as engine:
        await engine.register(flow(tell(), flow_id="inner", **closing(tell("close"))))
        sub = task("sub", kind="flow", flow="inner", arguments={"told": "${execution.status}"})
        found = await come_to_its_end(world, engine, "failed", **closing(sub))
        assert (found.status, acts.told) == ("failed", [RUNNING, COMPLETED])
        inner = next(each for each in await executions(engine) if each.flow_id == "inner")
        found = await engine.get(inner.execution_id)
        assert found.context["told"] == "failed"


# --- after a crash


@pytest.mark.parametrize("way", WAYS)
async def test_a_finally_is_told_the_same_after_a_crash_in_the_middle_of_it(world, way):
    await is_told_the_same_after_a_crash(world, way)


@real_time
@pytest.mark.parametrize("way", WAYS)
async def test_a_finally_is_told_the_same_out_of_a_database(anyio_backend, tmp_path, way):
    settings = {"journal": f"sqlite:{tmp_path}/flowmgr.db", "durability": "relaxed"}
    await is_told_the_same_after_a_crash(World(settings, is_virtual=False), way)


async def is_told_the_same_after_a_crash(world, way):
    acts, after = Told(world), Told(world, is_open=True)
    fan = parallel_of(body(task("gate"), tell("in_it")), body(tell("beside_it")))
    first = task({"completed": "ok", "failed": "refuse"}.get(way, "sleep"))
    is_cancelled = way == "cancelled"
    async with world.killed(acts) as engine:
        execution_id = await start(engine, first, **closing(tell(), fan, tell("then")))
        if is_cancelled:
            await world.until(lambda: acts.came == 1)
            await engine.cancel(execution_id)
        await world.until(lambda: acts.came == 1 + is_cancelled and len(acts.told) == 2)
        assert acts.told == [WAYS[way]] * 2
    async with world.open(after) as engine:
        found = await world.ended(engine, execution_id)
        assert (found.status, after.told) == (way, [WAYS[way]] * 2)
        await world.nothing_is_left(engine)


async def test_a_task_that_waits_in_a_finally_is_told_so_when_it_is_woken(world):
    acts = Told(world)
    async with world.open(acts) as engine:
        end = closing(task("go", kind="signal"), tell())
        execution_id = await start(engine, task("refuse"), **end)
        await world.until(lambda: engine._live.get(execution_id) is None)
        assert (await engine._store.get_execution(execution_id)).is_parked
        await engine.signal(execution_id, "go", None)
        found = await world.ended(engine, execution_id)
        assert (found.status, acts.told) == ("failed", [FAILED])


async def test_a_condition_behind_an_attempt_that_may_run_only_once_is_told_so(world):
    acts, after = Told(world), Told(world)
    when = "execution.status == 'failed' && error.type == 'Interrupted'"
    conditions = [{"source_task": "gate", "outcome": "failure", "when": when}]
    conditions[0]["target_task_success"] = "tell"
    end = closing(task("gate", at_most_once=True), tell(), conditions=conditions)
    async with world.killed(acts) as engine:
        execution_id = await start(engine, task("refuse"), **end)
        await world.until(lambda: acts.came == 1)
    async with world.open(after) as engine:
        found = await world.ended(engine, execution_id)
        assert (found.status, after.told) == ("failed", [FAILED])


# --- over HTTP


@real_time
async def test_a_request_in_a_finally_says_how_the_execution_ends(anyio_backend):
    world = World({"http_allow": ("127.0.0.1",)}, is_virtual=False)
    world.shares_loop = True
    acts = Told(world)
    async with answering(message(200, b"", "text/plain")) as server, world.open(acts) as engine:
        request = {
            "url": server.url("/") + "${execution.status}",
            "method": "POST",
            "json": HOW,
            "headers": {"x-error": "${execution.error.type}"},
        }
        notify = task("notify", kind="http", request=request)
        found = await come_to_its_end(world, engine, "failed", **closing(notify))
        assert (found.status, found.error.type) == ("failed", "Refused")
        (asked,) = server.requests
        assert asked.startswith(b"POST /failed HTTP/1.1")
        assert b"x-error: Refused" in asked
        assert b'"task":"refuse"' in asked
