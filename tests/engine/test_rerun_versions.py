"""A rerun that begins inside of a task, on another version of the flow."""

import pytest

from flowmgr.errors import InputError
from tests.engine.constructs.world import body, flow, task
from tests.engine.steps import Steps, begun_again, each_of, items, parallel, sides

pytestmark = pytest.mark.anyio


async def test_another_version_runs_what_it_has_and_keeps_what_both_have(reopened):
    steps = Steps({"b"})
    bodies = {name: body(task(name)) for name in "rstp"}
    left = body(*map(task, "abc"))
    first_fan = parallel("fan", left=left, r=bodies["r"], s=bodies["s"], on_failure="wait")
    newer = body(task("a"), task("b"), task("x"))
    second_fan = parallel("fan", t=bodies["t"], left=newer, r=bodies["r"], on_failure="wait")
    async with reopened.open(*steps.all) as engine:
        await engine.register(flow(first_fan))
        first = await engine.run("flow")
        await engine.register(flow(second_fan))
        found = await begun_again(engine, steps, first.execution_id, task="/fan/left/b", version=2)
        assert (found.flow_version, sorted(steps.ran)) == (2, ["b", "t", "x"])
        assert list(found.context["fan_result"].items()) == [
            ("t", "t"),
            ("left", "x"),
            ("r", "r"),
        ]


async def test_branches_that_another_version_does_not_have_decide_nothing_in_it(reopened):
    steps = Steps({"b"})
    async with reopened.open(*steps.all) as engine:
        await engine.register(flow(sides(on_failure="wait")))
        first = await engine.run("flow")
        left, other = body(task("a"), task("b")), body(task("s"))
        await engine.register(flow(parallel("fan", left=left, s=other, join="any")))
        again = {"task": "/fan/left/b", "version": 2}
        found = await begun_again(engine, steps, first.execution_id, **again)
        assert found.status == "completed"
        assert "r" not in steps.ran


async def test_an_item_has_the_name_that_another_version_gives_it(reopened):
    steps = Steps({("x", 0), ("x", 1)})
    async with reopened.open(*steps.all) as engine:
        await engine.register(flow(items(2, "x")))
        first = await engine.run("flow")
        await engine.register(flow(items(2, "x", **{"as": "each"})))
        again = {"task": "/each/0/x", "version": 2}
        found = await begun_again(engine, steps, first.execution_id, **again)
        assert found.status == "completed"
    assert sorted(context["each"] for context in steps.contexts["x"]) == [0, 1]


OTHER_VERSIONS = {
    "without the branch": (
        flow(parallel("fan", right=body(task("b")))),
        "no task '/fan/left/b' in version 2",
    ),
    "without the task in it": (flow(sides(("a", "c"))), "no task '/fan/left/b' in version 2"),
    "that needs no more than have succeeded": (
        flow(sides(join="any")),
        "task '/fan' needs 1, which it has \\('right'\\). Rerun it from '/fan'",
    ),
    "with a map in its place": (
        flow(each_of([1], task("b")) | {"name": "fan"}),
        "parallel in one, and a map in the other. Rerun it from '/fan'",
    ),
}


@pytest.mark.parametrize(("other", "says"), OTHER_VERSIONS.values(), ids=OTHER_VERSIONS)
async def test_a_version_that_has_not_the_task_there_is_refused(reopened, other, says):
    steps = Steps({"b"})
    async with reopened.open(*steps.all) as engine:
        await engine.register(flow(sides(on_failure="wait")))
        first = await engine.run("flow")
        await engine.register(other)
        with pytest.raises(InputError, match=says):
            await engine.rerun(first.execution_id, task="/fan/left/b", version=2)


async def test_what_has_succeeded_further_outside_decides_as_well(reopened):
    steps = Steps({"a"})
    bodies = {"left": body(sides(("a",))), "right": body(task("z"))}
    async with reopened.open(*steps.all) as engine:
        await engine.register(flow(parallel("race", **bodies, on_failure="wait")))
        first = await engine.run("flow")
        await engine.register(flow(parallel("race", **bodies, join="any")))
        with pytest.raises(InputError, match="task '/race' needs 1, which it has"):
            await engine.rerun(first.execution_id, task="/race/left/fan/left/a", version=2)
