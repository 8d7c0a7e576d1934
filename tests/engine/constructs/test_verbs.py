"""Operators retry, skip, pause, resume and signal inside of branches and items."""

import anyio
import pytest

from flowmgr import ActivityError, activity
from flowmgr.errors import ExecutionStateError, SignalError
from tests.engine.constructs.conftest import real_time
from tests.engine.constructs.table import LONG, again, each, undone, wait
from tests.engine.constructs.world import Acts, World, body, flow, parallel_of, task
from tests.support.flows import recorded

pytestmark = pytest.mark.anyio


class Mendable(Acts):
    """With an activity "call" that fails until it is mended."""

    def __init__(self, world, **options):
        super().__init__(world, **options)
        self.is_mended = False
        self.all.append(activity("call")(self.call))

    async def call(self, context):
        self.attempts += 1
        if not self.is_mended:
            raise ActivityError("Refused", "not yet")
        self.ran.append("call")
        return "called"


TWO = parallel_of(body(task("ok"), task("call")), task("other"), on_failure="wait")


async def start(engine, *tasks, **fields):
    return (await engine.start(flow(*tasks, **fields))).execution_id


async def test_a_failed_execution_goes_on_at_the_failed_tasks_of_its_branches(world):
    acts = Mendable(world)
    async with world.killed(acts) as engine:
        execution_id = await start(engine, TWO, task("tidy"))
        assert (await world.ended(engine, execution_id)).error.type == "BranchesFailed"
    acts.is_mended = True
    async with world.open(acts) as engine:
        await engine.retry(execution_id)
        found = await world.ended(engine, execution_id)
        assert (found.status, sorted(acts.ran)) == ("completed", ["call", "ok", "other", "tidy"])
        assert acts.ran[-2:] == ["call", "tidy"]
        assert found.context["fan_result"] == {"a": "called", "b": "other"}
        await world.nothing_is_left(engine)


@pytest.mark.parametrize("around", ["flow", "map"])
async def test_a_version_with_another_branch_is_refused_for_what_has_opened_its_branches(
    world, around
):
    def document(*branches):
        fan = parallel_of(*branches, on_failure="wait")
        return flow(task("tidy"), fan if around == "flow" else each(fan, items=[1]), task("other"))

    path = "/fan" if around == "flow" else "/each/0/fan"
    acts = Acts(world, is_open=True, failing=1)
    async with world.open(acts) as engine:
        await engine.register(document(task("ok"), task("flaky")))
        failed = await engine.run("flow")
        await engine.register(document(task("ok"), task("flaky"), task("undo")))
        await engine.register(document(task("ok"), body(task("flaky"), task("undo"))))
        refused = f"inside of task '{path}', which has other branches in version 2"
        with pytest.raises(ExecutionStateError, match=refused):
            await engine.retry(failed.execution_id, version=2)
        assert await engine.get(failed.execution_id) == failed
        await engine.retry(failed.execution_id, version=3)
        assert (await world.ended(engine, failed.execution_id)).status == "completed"
        assert acts.ran == ["tidy", "ok", "flaky", "undo", "other"]


async def test_a_version_may_have_other_branches_in_a_task_that_is_over(world):
    acts = Acts(world, is_open=True, failing=1)
    async with world.open(acts) as engine:
        await engine.register(flow(parallel_of(task("ok"), task("tidy")), task("flaky")))
        failed = await engine.run("flow")
        branches = (task("ok"), task("tidy"), task("undo"))
        await engine.register(flow(parallel_of(*branches), task("flaky")))
        await engine.retry(failed.execution_id, version=2)
        assert (await world.ended(engine, failed.execution_id)).status == "completed"
        assert "undo" not in acts.ran


async def test_only_the_failed_items_of_a_map_are_run_again(world):
    acts = Acts(world, is_open=True, failing=1)
    async with world.open(acts) as engine:
        mapped = each(task("ok"), task("flaky"), tolerated_failures=0, on_failure="wait")
        execution_id = await start(engine, mapped)
        assert (await world.ended(engine, execution_id)).error.type == "ItemsFailed"
        assert (acts.ran.count("ok"), acts.ran.count("flaky")) == (3, 2)
        await engine.retry(execution_id)
        found = await world.ended(engine, execution_id)
        assert found.context["each_result"] == ["at last"] * 3
        assert (acts.ran.count("ok"), acts.ran.count("flaky"), acts.attempts) == (3, 3, 4)


async def test_a_cancelled_execution_goes_on_in_the_branches_that_were_stopped(world):
    acts = Acts(world)
    async with world.open(acts) as engine:
        fan = parallel_of(body(task("ok"), task("gate")), task("other"), wait(world.unit, 3))
        execution_id = await start(engine, fan)
        await world.until(lambda: acts.came and "other" in acts.ran)
        assert (await engine.cancel(execution_id, wait=LONG)).status == "cancelled"
        acts.is_open.set()
        await engine.retry(execution_id)
        found = await world.ended(engine, execution_id)
        assert (found.status, acts.came) == ("completed", 2)
        assert sorted(acts.ran) == ["gate", "ok", "other"]
        await world.nothing_is_left(engine)


async def test_a_failed_task_in_a_branch_is_skipped_by_its_path(world):
    acts = Mendable(world)
    async with world.open(acts) as engine:
        nested = each(TWO, items=[1, 2], on_failure="wait")
        execution_id = await start(engine, nested, task("tidy"))
        assert (await world.ended(engine, execution_id)).status == "failed"
        with pytest.raises(ExecutionStateError, match="/each/0/fan/a/call"):
            await engine.skip(execution_id)
        for item in (0, 1):
            path = f"/each/{item}/fan/a/call"
            await engine.skip(execution_id, task=path, result=f"by hand {item}")
            await world.ended(engine, execution_id)
        found = await world.ended(engine, execution_id)
        assert (found.status, acts.attempts) == ("completed", 3)
        assert found.context["each_result"][0]["a"] == "by hand 0"


async def test_a_wait_in_a_branch_is_skipped_by_its_path(world):
    acts = Acts(world)
    async with world.open(acts) as engine:
        fan = parallel_of(wait(world.unit), task("gate"))
        execution_id = await start(engine, fan)
        await world.until(lambda: acts.came == 1)
        await engine.skip(execution_id, task="/fan/a/wait", result="no longer")
        acts.is_open.set()
        found = await world.ended(engine, execution_id)
        assert found.context["fan_result"] == {"a": "no longer", "b": "through"}


async def test_a_paused_execution_takes_signals_in_its_branches_and_starts_nothing(world):
    acts = Acts(world)
    async with world.open(acts) as engine:
        fan = parallel_of(body(task("go", kind="signal"), task("ok")), wait(world.unit))
        late = task("late", kind="signal")
        execution_id = await start(engine, parallel_of(fan["branches"]["a"]), late)
        await engine.pause(execution_id)
        await engine.signal(execution_id, "go", 1)
        await engine.signal(execution_id, "late", 2)
        await world.pass_units(3)
        assert acts.ran == []
        await engine.resume(execution_id)
        found = await world.ended(engine, execution_id)
        assert (found.context["fan_result"], found.context["late_result"]) == ({"a": "fine"}, 2)


async def test_signals_of_one_name_go_to_one_task_each_in_their_order(world):
    acts = Acts(world)
    async with world.open(acts) as engine:
        branches = [task("go", kind="signal") for _ in range(3)]
        execution_id = await start(engine, parallel_of(*branches))
        await world.pass_units(1)
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(engine.signal, execution_id, "go", number)
        found = await world.ended(engine, execution_id)
        assert sorted(found.context["fan_result"].values()) == [0, 1, 2]


async def test_a_value_that_one_task_wants_is_taken_by_the_one_that_has_waited_longest(world):
    acts = Acts(world, is_open=True)
    async with world.open(acts) as engine:
        first = task("go", kind="signal", schema={"type": "string"})
        second = task("go", kind="signal", schema={"type": "integer"})
        execution_id = await start(engine, parallel_of(first, body(task("gate"), second)))
        await world.pass_units(1)
        with pytest.raises(SignalError, match="not as signal 'go' has to be"):
            await engine.signal(execution_id, "go", [])
        await engine.signal(execution_id, "go", 7)
        await engine.signal(execution_id, "go", "seven")
        found = await world.ended(engine, execution_id)
        assert found.context["fan_result"] == {"a": 7, "b": "seven"}


@real_time
async def test_signals_that_come_while_others_are_recorded_go_to_one_task_each(
    anyio_backend, tmp_path
):
    world = World({"journal": f"sqlite:{tmp_path}/flowmgr.db"}, is_virtual=False)
    acts = Acts(world)
    async with world.open(acts) as engine:
        branches = [task("go", kind="signal") for _ in range(3)]
        execution_id = await start(engine, parallel_of(*branches, task("gate")))
        await world.until(lambda: acts.came == 1)
        await world.pass_units(1)
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(engine.signal, execution_id, "go", number)
        acts.is_open.set()
        found = await world.ended(engine, execution_id)
        values = [found.context["fan_result"][name] for name in "abc"]
        assert sorted(values) == [0, 1, 2]


# --- what was over when it failed has its time again


@pytest.mark.parametrize("around", ["flow", "branch"])
async def test_a_signal_that_came_too_late_is_waited_for_again_after_a_retry(world, around):
    acts = Acts(world)
    async with world.open(acts) as engine:
        waiting = task("go", kind="signal", timeout=2 * world.unit)
        execution_id = await start(engine, waiting if around == "flow" else parallel_of(waiting))
        assert (await world.ended(engine, execution_id)).status == "failed"
        await world.pass_units(3)
        await engine.retry(execution_id)
        await world.pass_units(0.5)
        await engine.signal(execution_id, "go", "here")
        found = await world.ended(engine, execution_id)
        assert found.status == "completed"


async def test_a_deadline_begins_again_after_a_retry_and_so_do_the_attempts(world):
    acts = Mendable(world)
    async with world.open(acts) as engine:
        call = task("call", deadline=3 * world.unit, retry=again(world.unit, 2, 0.2))
        execution_id = await start(engine, call)
        assert (await world.ended(engine, execution_id)).status == "failed"
        await world.pass_units(4)
        await engine.retry(execution_id)
        assert (await world.ended(engine, execution_id)).status == "failed"
        assert acts.attempts == 4
        acts.is_mended = True
        await engine.retry(execution_id)
        assert (await world.ended(engine, execution_id)).status == "completed"


async def test_the_timeout_of_a_flow_begins_again_after_a_retry(world):
    acts = Acts(world)
    async with world.open(acts) as engine:
        execution_id = await start(engine, task("gate"), timeout=2 * world.unit)
        assert (await world.ended(engine, execution_id)).error.type == "TimedOut"
        await world.pass_units(1)
        await engine.retry(execution_id)
        assert (await world.ended(engine, execution_id)).error.type == "TimedOut"
        assert acts.came == 2
        acts.is_open.set()
        await engine.retry(execution_id)
        assert (await world.ended(engine, execution_id)).status == "completed"


async def test_a_failed_finally_is_run_again_after_a_retry(world):
    acts = Mendable(world)
    async with world.open(acts) as engine:
        document = flow(task("ok"), **{"finally": body(task("call"))})
        execution_id = (await engine.start(document)).execution_id
        assert (await world.ended(engine, execution_id)).error_task == "finally"
        acts.is_mended = True
        await engine.retry(execution_id)
        found = await world.ended(engine, execution_id)
        assert (found.status, acts.ran) == ("completed", ["ok", "call"])


async def test_what_was_compensated_is_not_retried(world):
    acts = Acts(world)
    async with world.open(acts) as engine:
        execution_id = await start(engine, undone(), task("refuse"))
        await world.ended(engine, execution_id)
        with pytest.raises(ExecutionStateError, match="rerun"):
            await engine.retry(execution_id)
        assert len(await recorded(engine, execution_id)) > 0
