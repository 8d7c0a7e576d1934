"""What is being stopped starts nothing more; the end of a flow is shielded, and bounded."""

import anyio
import pytest

from flowmgr import activity
from flowmgr.subflows import SubflowRunner
from tests.engine.constructs.conftest import real_time
from tests.engine.constructs.table import again, children, sub, undone, wait
from tests.engine.constructs.world import Acts, World, body, executions, flow, parallel_of, task

pytestmark = pytest.mark.anyio


class Slow(Acts):
    """With activities that take some units of time."""

    def __init__(self, world, **options):
        super().__init__(world, **options)
        self.all += [self._slow("slow", 3), self._slow("slower", 8), self._deaf()]

    def _slow(self, name, units):
        @activity(name)
        async def slow(context):
            await self._world.pass_units(units)
            self.ran.append(name)

        return slow

    def _deaf(self):
        @activity
        async def deaf(context):
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                return "all the same"

        return deaf


def backing_off(unit, units):
    return task("refuse", retry=again(unit, 5, units))


async def start(engine, *tasks, **fields):
    return (await engine.start(flow(*tasks, **fields))).execution_id


async def test_a_back_off_that_is_over_during_the_compensation_starts_nothing(world):
    acts = Slow(world)
    done = task("ok", compensate={"activity": "slow"})
    async with world.open(acts) as engine:
        fan = parallel_of(backing_off(world.unit, 2), wait(world.unit, 2))
        execution_id = await start(engine, done, fan)
        await world.until(lambda: acts.attempts == 1)
        found = await engine.cancel(execution_id, wait=20 * world.unit)
        assert (found.status, acts.ran, acts.attempts) == ("cancelled", ["ok", "slow"], 1)
        await world.nothing_is_left(engine)


async def test_a_back_off_of_a_loser_starts_nothing_after_the_join(world):
    acts = Slow(world)
    async with world.open(acts) as engine:
        fan = parallel_of(backing_off(world.unit, 2), body(wait(world.unit, 1)), join="any")
        execution_id = await start(engine, fan, task("slow"), wait(world.unit, 3))
        found = await world.ended(engine, execution_id)
        assert (found.status, acts.ran, acts.attempts) == ("completed", ["slow"], 1)
        await world.nothing_is_left(engine)


async def test_a_back_off_in_a_fan_that_failed_starts_nothing_while_the_flow_goes_on(world):
    acts = Slow(world)
    async with world.open(acts) as engine:
        fan = parallel_of(
            backing_off(world.unit, 2),
            body(wait(world.unit, 1), task("stop", kind="raise", type="Enough")),
        )
        way = {"source_task": "fan", "target_task_success": "slow", "target_task_failure": "slow"}
        execution_id = await start(engine, fan, task("slow"), conditions=[{"name": "on", **way}])
        found = await world.ended(engine, execution_id)
        assert (found.status, acts.ran, acts.attempts) == ("completed", ["slow"], 1)
        await world.nothing_is_left(engine)


async def test_the_timeout_of_a_flow_spares_its_compensation_and_its_finally(world):
    acts = Slow(world)
    async with world.open(acts) as engine:
        closing = {"finally": body(task("slow"))}
        execution_id = await start(engine, task("ok"), timeout=2 * world.unit, **closing)
        found = await world.ended(engine, execution_id)
        assert (found.status, acts.ran) == ("completed", ["ok", "slow"])
        undo = task("ok", compensate={"activity": "slow"})
        execution_id = await start(engine, undo, task("refuse"), timeout=2 * world.unit)
        found = await world.ended(engine, execution_id)
        assert (found.error.type, acts.ran[2:]) == ("Refused", ["ok", "slow"])


async def test_no_task_follows_one_that_finishes_although_the_flows_time_is_over(world):
    acts = Slow(world)
    async with world.open(acts) as engine:
        execution_id = await start(engine, task("deaf"), task("ok"), timeout=2 * world.unit)
        found = await world.ended(engine, execution_id)
        assert (found.error.type, acts.ran) == ("TimedOut", [])
        assert found.context["deaf_result"] == "all the same"


async def test_the_finally_of_a_cancelled_execution_is_bounded_by_the_grace(world):
    acts = Slow(world)
    async with world.open(acts, grace=2 * world.unit) as engine:
        execution_id = await start(engine, wait(world.unit), **{"finally": body(task("sleep"))})
        await world.pass_units(0.5)
        found = await engine.cancel(execution_id, wait=50 * world.unit)
        assert (found.status, acts.inside) == ("cancelled", 0)
        await world.nothing_is_left(engine)


async def test_a_finally_has_its_own_grace_after_a_long_compensation(world):
    acts = Slow(world)
    async with world.open(acts, grace=2 * world.unit) as engine:
        done = task("ok", compensate={"activity": "slower"})
        closing = {"finally": body(task("sleep"))}
        execution_id = await start(engine, done, wait(world.unit), **closing)
        await world.pass_units(0.5)
        found = await engine.cancel(execution_id, wait=50 * world.unit)
        assert (found.status, acts.inside, acts.ran) == ("cancelled", 0, ["ok", "slower"])
        await world.nothing_is_left(engine)


async def test_a_finally_is_bounded_by_a_grace_although_a_task_before_it_did_not_stop(world):
    gone, acts = anyio.Event(), Slow(world)

    @activity
    async def stubborn(context):
        with anyio.CancelScope(shield=True):
            await gone.wait()

    acts.all.append(stubborn)
    async with world.open(acts, grace=2 * world.unit) as engine:
        execution_id = await start(
            engine, task("stubborn"), **{"finally": body(task("sleep"), task("ok"))}
        )
        await world.pass_units(0.5)
        found = await engine.cancel(execution_id, wait=50 * world.unit)
        assert (found.status, acts.came, acts.inside, acts.ran) == ("cancelled", 1, 0, [])
        lines = [(line.task, line.how) for line in found.cancellation.tasks]
        assert lines == [("stubborn", "abandoned"), ("sleep", "stopped")]
        gone.set()
        await world.nothing_is_left(engine)


async def test_the_finally_of_a_cancelled_execution_is_bounded_after_a_crash_as_well(world):
    acts, after = Slow(world), Slow(world)
    async with world.killed(acts) as engine:
        execution_id = await start(engine, wait(world.unit), **{"finally": body(task("sleep"))})
        await world.pass_units(0.5)
        await engine.cancel(execution_id)
        await world.until(lambda: acts.came == 1)
    async with world.open(after, grace=2 * world.unit) as engine:
        found = await world.ended(engine, execution_id)
        assert (found.status, after.came, after.inside) == ("cancelled", 1, 0)
        await world.nothing_is_left(engine)


@pytest.mark.parametrize(
    ("fields", "error_task"),
    [({"finally": body(task("refuse"))}, "finally"), ({"output": "context.nope"}, "output")],
    ids=["finally", "output"],
)
async def test_what_fails_only_at_its_end_is_compensated_as_well(world, fields, error_task):
    acts = Slow(world)
    async with world.open(acts) as engine:
        execution_id = await start(engine, task("ok", compensate={"activity": "slow"}), **fields)
        found = await world.ended(engine, execution_id)
        assert (found.status, found.error_task) == ("failed", error_task)
        assert acts.ran == ["ok", "slow"]
        await world.nothing_is_left(engine)


async def test_what_fails_only_at_its_end_is_compensated_although_it_is_killed_meanwhile(world):
    acts, after = Slow(world), Slow(world)
    async with world.killed(acts) as engine:
        done = task("ok", compensate={"activity": "slow"})
        execution_id = await start(engine, done, **{"finally": body(task("refuse"))})
        await world.until(lambda: acts.attempts == 1)
        await world.pass_units(1)
    async with world.open(after) as engine:
        found = await world.ended(engine, execution_id)
        assert (found.status, found.error_task) == ("failed", "finally")
        assert (after.ran, after.attempts) == (["slow"], 0)
        await world.nothing_is_left(engine)


@pytest.mark.parametrize(
    ("closing", "grace", "finished", "named"),
    [("slow", 3, ["slow"], []), ("sleep", 1, [], ["sleep"])],
    ids=["within its grace", "beyond its grace"],
)
async def test_what_is_cancelled_during_its_finally_is_compensated_as_well(
    world, closing, grace, finished, named
):
    acts = Slow(world)
    async with world.open(acts, grace=grace * world.unit) as engine:
        done = task("ok", compensate={"activity": "slower"})
        execution_id = await start(engine, done, **{"finally": body(task(closing))})
        await world.pass_units(1)
        found = await engine.cancel(execution_id, wait=50 * world.unit)
        assert (found.status, acts.ran) == ("cancelled", ["ok", *finished, "slower"])
        assert [line.task for line in found.cancellation.tasks] == named
        await world.nothing_is_left(engine)


async def test_why_an_execution_was_about_to_fail_is_told_although_its_end_is_cancelled(world):
    acts = Slow(world)
    async with world.open(acts) as engine:
        done = task("ok", compensate={"activity": "slower"})
        execution_id = await start(engine, done, task("refuse"))
        await world.until(lambda: acts.attempts == 1)
        found = await engine.cancel(execution_id, wait=50 * world.unit)
        assert (found.status, found.error.type, found.error_task) == (
            "cancelled",
            "Refused",
            "refuse",
        )
        assert acts.ran == ["ok", "slower"]


async def test_compensation_runs_in_reverse_order_of_completion_also_in_branches(world):
    acts = Slow(world)
    noted = [task(n, activity="ok", compensate={"activity": a}) for n, a in NAMED]
    async with world.open(acts) as engine:
        fan = parallel_of(body(wait(world.unit, 1), noted[1]), noted[0])
        execution_id = await start(engine, fan, noted[2], task("refuse"))
        found = await world.ended(engine, execution_id)
        assert (found.status, acts.ran[3:]) == ("failed", ["slow", "tidy", "undo"])


NAMED = [("first", "undo"), ("second", "tidy"), ("third", "slow")]


async def test_a_compensation_has_its_own_retry(world):
    acts = Slow(world, failing=2)
    done = task("ok", compensate={"activity": "flaky", "retry": again(world.unit, 3)})
    async with world.open(acts) as engine:
        execution_id = await start(engine, undone("first"), done, wait(world.unit))
        await world.pass_units(0.5)
        found = await engine.cancel(execution_id, wait=50 * world.unit)
        assert (found.status, acts.ran) == ("cancelled", ["ok", "ok", "flaky", "undo"])


# --- sub-flows whose parent was stopping them when the server ended


@pytest.mark.parametrize("how", ["cancel", "join"])
@pytest.mark.parametrize("name", ["gate", "wait"])
async def test_a_sub_flow_is_cancelled_although_the_server_ended_before_it_was_told(
    world, monkeypatch, how, name
):
    await stopped_untold(world, monkeypatch, how, name)


@real_time
@pytest.mark.parametrize("how", ["cancel", "join"])
async def test_a_sub_flow_in_a_database_is_cancelled_although_it_was_not_told(
    anyio_backend, monkeypatch, tmp_path, how
):
    settings = {"journal": f"sqlite:{tmp_path}/flowmgr.db", "durability": "relaxed"}
    await stopped_untold(World(settings, is_virtual=False), monkeypatch, how, "gate")


async def stopped_untold(world, monkeypatch, how, name):
    acts, after = Slow(world), Slow(world)

    async def say_nothing(runner, *_):
        while not runner._children.is_closing:  # noqa: ASYNC110 - until the server ends
            await anyio.sleep(world.unit / 20)

    async with world.killed(acts) as engine:
        for child in children(world.unit):
            await engine.register(child)
        fan = parallel_of(sub(name), wait(world.unit, 3), join="any")
        execution_id = await start(engine, fan, task("ok"))
        await world.pass_units(1)
        while len(await executions(engine)) < 2:
            await world.pass_units(0.1)
        monkeypatch.setattr("flowmgr.subflows.SubflowRunner._stop", say_nothing)
        if how == "cancel":
            await engine.cancel(execution_id)
            await world.pass_units(0.5)
        else:
            await world.pass_units(3)
    monkeypatch.setattr("flowmgr.subflows.SubflowRunner._stop", ORIGINAL_STOP)
    async with world.open(after) as engine:
        found = await world.ended(engine, execution_id)
        assert found.status == ("cancelled" if how == "cancel" else "completed")
        statuses = {each.flow_id: each.status for each in await executions(engine)}
        assert statuses[f"child-{name}"] in {"cancelling", "cancelled"}
        await world.nothing_is_left(engine)
        statuses = {each.flow_id: each.status for each in await executions(engine)}
        assert statuses[f"child-{name}"] == "cancelled"


@pytest.mark.parametrize(
    "around",
    [
        lambda u: flow(parallel_of(sub("wait")), timeout=4 * u),
        lambda u: flow(parallel_of(parallel_of(sub("wait")), timeout=4 * u)),
        lambda u: flow(sub("wait"), timeout=4 * u),
        lambda u: flow(sub("wait", timeout=4 * u)),
    ],
    ids=["flow and branch", "branches", "flow", "task"],
)
async def test_a_sub_flow_is_cancelled_whose_time_was_over_while_the_server_was_down(world, around):
    acts, after = Slow(world), Slow(world)
    async with world.killed(acts) as engine:
        for child in children(world.unit):
            await engine.register(child)
        execution_id = (await engine.start(around(world.unit))).execution_id
        await world.pass_units(1)
        assert len(await executions(engine)) == 2
    await world.pass_units(6)
    async with world.open(after) as engine:
        found = await world.ended(engine, execution_id)
        assert found.status == "failed"
        await world.nothing_is_left(engine)
        statuses = {each.flow_id: each.status for each in await executions(engine)}
        assert statuses["child-wait"] == "cancelled"


ORIGINAL_STOP = SubflowRunner._stop
