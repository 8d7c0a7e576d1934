"""A rerun that begins inside of a parallel branch or a map item: what runs, and with what."""

import contextlib
import dataclasses
from typing import Any

import pytest

from actors.events import ScopeFinished, TaskStarted, WaitStarted
from tests.engine.constructs.world import body, flow, task
from tests.engine.steps import Steps, begun_again, each_of, items, parallel, sides
from tests.support.flows import PATIENCE, recorded

pytestmark = pytest.mark.anyio


@dataclasses.dataclass
class Case:
    """A flow that is run with some tasks failing, and run again from a task with none.

    Attributes:
        document: the flow.
        failing: tasks that fail in the first execution, or (task, item) for one item only.
        task: where the second one begins.
        ran: what runs in the second one.
        result: that of its first task.
    """

    document: Any
    failing: set
    task: str
    ran: list
    result: Any


NESTED = parallel("fan", left=body(task("a"), items(3, "x", "y"), task("c")), right=body(task("r")))

CASES = {
    "a task in a branch runs, and what follows it": Case(
        flow(sides(on_failure="wait"), task("z")),
        {"b"},
        "/fan/left/b",
        ["b", "c", "z"],
        {"left": "c", "right": "r"},
    ),
    "a branch that had failed as well begins anew": Case(
        flow(sides(right=("r", "s"), on_failure="wait")),
        {"b", "s"},
        "/fan/left/b",
        ["b", "c", "r", "s"],
        {"left": "c", "right": "s"},
    ),
    "a task of an execution that has completed": Case(
        flow(sides(), task("z")),
        set(),
        "/fan/left/c",
        ["c", "z"],
        {"left": "c", "right": "r"},
    ),
    "the first task of a branch that has succeeded": Case(
        flow(sides()), set(), "/fan/right/r", ["r"], {"left": "c", "right": "r"}
    ),
    "a branch more than were needed then": Case(
        flow(
            parallel(
                "fan",
                **{name: body(task(name)) for name in "abc"},
                join={"at_least": 2},
                on_failure="wait",
            )
        ),
        {"b", "c"},
        "/fan/b/b",
        None,  # "c" is stopped where it is when "b" has succeeded
        None,
    ),
    "items that have succeeded keep their results": Case(
        flow(items(4, "x", "y")),
        {("y", 2)},
        "/each/2/y",
        [("y", 2)],
        ["y0", "y1", "y2", "y3"],
    ),
    "items that had failed as well begin anew": Case(
        flow(items(5, "x", "y")),
        {("y", 1), ("y", 3), ("x", 4)},
        "/each/3/y",
        [("x", 1), ("x", 4), ("y", 1), ("y", 3), ("y", 4)],
        ["y0", "y1", "y2", "y3", "y4"],
    ),
    "one item at a time": Case(
        flow(items(5, "x", "y", max_concurrency=1)),
        {("y", 1), ("y", 3), ("x", 4)},
        "/each/3/y",
        [("x", 1), ("x", 4), ("y", 1), ("y", 3), ("y", 4)],
        ["y0", "y1", "y2", "y3", "y4"],
    ),
    "items that there was no place for are opened": Case(
        flow(each_of(range(6), task("x"), max_concurrency=1, on_failure="cancel")),
        {("x", 1)},
        "/each/1/x",
        [("x", n) for n in range(1, 6)],
        ["x0", "x1", "x2", "x3", "x4", "x5"],
    ),
    "an item of a map inside of a branch": Case(
        flow(NESTED, task("z")),
        {("y", 0), ("y", 2)},
        "/fan/left/each/2/y",
        ["c", "z", ("x", 0), ("y", 0), ("y", 2)],
        {"left": "c", "right": "r"},
    ),
    "a task around others inside of a branch": Case(
        flow(NESTED, task("z")),
        {("y", 2)},
        "/fan/left/each",
        ["c", "z", *[(name, n) for name in "xy" for n in range(3)]],
        {"left": "c", "right": "r"},
    ),
    "a branch inside of an item": Case(
        flow(
            each_of(
                range(2),
                parallel("fan", l=body(task("a"), task("b")), r=body(task("c"))),
                task("d"),
                on_failure="wait",
            )
        ),
        {("b", 1), ("c", 1)},
        "/each/1/fan/l/b",
        [("b", 1), ("c", 1), ("d", 1)],
        ["d0", "d1"],
    ),
    "the outermost task by its path": Case(
        flow(sides(on_failure="wait")),
        {"b"},
        "/fan",
        ["a", "b", "c", "r"],
        {"left": "c", "right": "r"},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_rerun_begins_inside_of_a_task(reopened, case):
    steps = Steps(case.failing)
    async with reopened.open(*steps.all) as engine:
        first = await engine.run(case.document, {"word": "hello"})
        assert first.status == ("failed" if case.failing else "completed")
        history = await recorded(engine, first.execution_id)
        found = await begun_again(engine, steps, first.execution_id, task=case.task)
        assert (found.status, found.rerun_of) == ("completed", first.execution_id)
        assert found.had_failures is False
        own = case.document["start_task"]
        assert found.task_results[own].status == "success"
        if case.ran is not None:
            assert sorted(map(str, steps.ran)) == sorted(map(str, case.ran))
        if case.result is not None:
            assert found.context[f"{own}_result"] == case.result
        assert await recorded(engine, first.execution_id) == history
        assert await engine.get(first.execution_id) == first


async def test_the_tasks_around_are_open_at_once_in_their_first_visit(reopened):
    steps = Steps({("y", 2)})
    async with reopened.open(*steps.all) as engine:
        first = await engine.run(flow(NESTED))
        found = await begun_again(engine, steps, first.execution_id, task="/fan/left/each/2/y")
        events = await recorded(engine, found.execution_id)
    started = [
        (event.scope, event.task, event.visit, event.attempt)
        for event in events
        if isinstance(event, TaskStarted)
    ]
    assert started[:3] == [
        ("", "fan", 1, 1),
        ("/fan/left", "each", 1, 1),
        ("/fan/left/each/2", "y", 1, 1),
    ]
    assert len({event.at for event in events[:10]}) == 1
    kept = [event.scope for event in events if isinstance(event, ScopeFinished)]
    assert kept[:3] == ["/fan/left/each/0", "/fan/left/each/1", "/fan/right"]


async def test_each_scope_has_the_context_that_it_had_and_the_changes_are_the_innermost_ones(
    reopened,
):
    steps = Steps({("y", 2)})
    changes = {"word": "bye", "new": 1}
    async with reopened.open(*steps.all) as engine:
        first = await engine.run(flow(task("p"), NESTED, task("z")), {"word": "hello"})
        again = {"task": "/fan/left/each/2/y", "context": changes}
        found = await begun_again(engine, steps, first.execution_id, **again)
        started = (await recorded(engine, found.execution_id))[0]
    assert steps.context("y", 2) == {
        "word": "bye",
        "new": 1,
        "p_result": "p",
        "a_result": "a",
        "item": 2,
        "x_result": "x2",
    }
    assert steps.context("c") == {
        "word": "hello",
        "p_result": "p",
        "a_result": "a",
        "each_result": ["y0", "y1", "y2"],
    }
    assert found.context["word"] == "hello"
    assert started.start_task == "fan"


async def test_the_changes_reach_no_scope_that_begins_anew(reopened):
    steps = Steps({"b", "r"})
    async with reopened.open(*steps.all) as engine:
        first = await engine.run(flow(sides(on_failure="wait")), {"word": "hello"})
        again = {"task": "/fan/left/b", "context": {"word": "bye"}}
        await begun_again(engine, steps, first.execution_id, **again)
    assert (steps.context("b")["word"], steps.context("r")["word"]) == ("bye", "hello")


async def test_a_task_that_never_ran_has_the_last_context_of_its_scope(reopened):
    steps = Steps({"b"})
    async with reopened.open(*steps.all) as engine:
        first = await engine.run(flow(sides(on_failure="wait")), {"word": "hello"})
        await begun_again(engine, steps, first.execution_id, task="/fan/left/c")
        assert steps.ran == ["c"]
        assert steps.context("c") == {"word": "hello", "a_result": "a", "b_result": None}


async def test_a_task_of_a_scope_that_has_succeeded_without_it_has_the_last_context(reopened):
    steps = Steps({"b"})
    choice = [
        {"source_task": "a", "target_task_success": "b"},
        {"source_task": "b", "target_task_success": "c", "target_task_failure": "d"},
    ]
    left = body(*map(task, "abcd"), conditions=choice)
    async with reopened.open(*steps.all) as engine:
        first = await engine.run(flow(parallel("fan", left=left, right=body(task("r")))))
        assert first.status == "completed"
        await begun_again(engine, steps, first.execution_id, task="/fan/left/c")
        assert steps.ran == ["c"]
        assert steps.context("c") == {"a_result": "a", "b_result": None, "d_result": "d"}


async def test_the_first_visit_of_a_task_is_what_is_repeated(reopened):
    steps = Steps({"s"})
    again = [
        {"source_task": "fan", "outcome": "failure", "target_task_success": "p"},
        {"source_task": "p", "target_task_success": "fan"},
    ]
    fan = sides(("a", "b"), ("r", "s"), on_failure="wait")
    document = flow(fan, task("p"), conditions=again, max_visits=2)
    async with reopened.open(*steps.all) as engine:
        first = await engine.run(document)
        assert first.task_results["fan"].status == "failure"
        await begun_again(engine, steps, first.execution_id, task="/fan/left/b")
        # In both visits "left" has succeeded, and "right" has not.
        assert sorted(steps.ran)[:3] == ["b", "r", "s"]
        assert steps.context("b") == {"a_result": "a"}


async def test_what_succeeded_in_a_later_attempt_of_the_same_visit_is_kept(reopened):
    steps = Steps({"b", "s"})
    async with reopened.open(*steps.all) as engine:
        document = flow(sides(right=("r", "s"), on_failure="wait"))
        first = await engine.run(document)
        steps.failing.remove("s")
        await engine.retry(first.execution_id)
        assert (await engine.wait(first.execution_id, timeout=PATIENCE)).status == "failed"
        await begun_again(engine, steps, first.execution_id, task="/fan/left/b")
        assert steps.ran == ["b", "c"]


async def test_a_rerun_from_any_task_comes_to_the_end_that_there_would_have_been(reopened):
    steps = Steps({("b", 1), ("y", 1), "s"})
    inner = parallel("inner", l=body(task("a"), task("b")), r=body(task("c")), on_failure="wait")
    each = each_of(range(3), task("x"), inner, task("y"), max_concurrency=2, on_failure="wait")
    right = body(task("r"), task("s"))
    fan = parallel("fan", left=body(task("p"), each, task("q")), right=right, on_failure="wait")
    async with reopened.open(*steps.all) as engine:
        await engine.register(flow(fan, task("z")))
        first = await engine.run("flow")
        history = await recorded(engine, first.execution_id)
        steps.failing.clear()
        wanted = (await engine.run("flow")).context
        places = [
            f"{event.scope}/{event.task}" for event in history if isinstance(event, TaskStarted)
        ]
        assert len(places) == 22
        for place in places:
            found = await begun_again(engine, steps, first.execution_id, task=place)
            assert (found.status, found.context) == ("completed", wanted), place
            assert len(steps.ran) == len(set(map(str, steps.ran))), place
            is_kept = place.startswith("/fan/left/each/1/")
            assert (("y", 0) not in steps.ran) == (is_kept or place.startswith("/fan/left/each/2/"))


async def test_a_rerun_of_a_rerun_keeps_what_that_has_kept(reopened):
    steps = Steps({("y", 1), ("y", 3)})
    async with reopened.open(*steps.all) as engine:
        first = await engine.run(flow(items(4, "x", "y")))
        steps.failing = {("y", 3)}
        second = await engine.rerun(first.execution_id, task="/each/3/y", context={"word": "hi"})
        second = await engine.wait(second.execution_id, timeout=PATIENCE)
        assert second.status == "failed"
        found = await begun_again(engine, steps, second.execution_id, task="/each/3/y")
        assert steps.ran == [("y", 3)]
        assert steps.context("y", 3) == {"item": 3, "x_result": "x3", "word": "hi"}
        assert found.context["each_result"] == ["y0", "y1", "y2", "y3"]


async def test_a_failed_rerun_goes_on_when_it_is_retried(reopened):
    steps = Steps({("y", 1), ("y", 3)})
    async with reopened.open(*steps.all) as engine:
        first = await engine.run(flow(items(5, "x", "y", max_concurrency=1)))
        second = await engine.rerun(first.execution_id, task="/each/3/y")
        assert (await engine.wait(second.execution_id, timeout=PATIENCE)).status == "failed"
        steps.failing.clear()
        steps.ran.clear()
        await engine.retry(second.execution_id)
        found = await engine.wait(second.execution_id, timeout=PATIENCE)
        assert (found.status, sorted(steps.ran)) == ("completed", [("y", 1), ("y", 3)])
        assert found.context["each_result"] == ["y0", "y1", "y2", "y3", "y4"]


async def test_nothing_of_what_is_kept_is_compensated(reopened):
    steps = Steps({"b"})
    undone = {"compensate": {"activity": "undo"}}
    left, right = (
        body(task("a", **undone), task("b"), task("c", **undone)),
        body(task("r", **undone)),
    )
    fan = parallel("fan", left=left, right=right, on_failure="wait")
    async with reopened.open(*steps.all) as engine:
        first = await engine.run(flow(fan, task("z")))
        assert steps.ran.count("undo") == 2
        steps.failing = {"z"}
        steps.ran.clear()
        again = await engine.rerun(first.execution_id, task="/fan/left/b")
        assert (await engine.wait(again.execution_id, timeout=PATIENCE)).status == "failed"
        assert steps.ran == ["b", "c", "z", "undo"]


async def test_an_execution_that_still_runs_is_repeated_as_far_as_it_is(reopened):
    steps = Steps(set())
    fan = parallel(
        "fan", left=body(task("a"), task("go", kind="signal"), task("b")), right=body(task("r"))
    )
    async with reopened.open(*steps.all) as engine:
        first = await engine.start(flow(fan))
        await engine.signal(first.execution_id, "go")
        assert (await engine.wait(first.execution_id, timeout=PATIENCE)).status == "completed"
        second = await engine.start(flow(fan))
        left = {ScopeFinished, WaitStarted}
        async with contextlib.aclosing(engine.follow(second.execution_id)) as history:
            async for each in history:
                left.discard(type(each.event))
                if not left:
                    break
        steps.ran.clear()
        third = await engine.rerun(second.execution_id, task="/fan/left/b")
        found = await engine.wait(third.execution_id, timeout=PATIENCE)
        assert (found.status, steps.ran) == ("completed", ["b"])
        assert (await engine.get(second.execution_id)).status == "running"


async def test_a_branch_that_was_stopped_begins_anew(reopened):
    steps = Steps({"b"})
    fan = parallel("fan", left=body(task("b")), right=body(task("r"), task("go", kind="signal")))
    async with reopened.open(*steps.all) as engine:
        first = await engine.run(flow(fan))
        assert first.error.type == "BranchesFailed"
        steps.failing.clear()
        steps.ran.clear()
        again = await engine.rerun(first.execution_id, task="/fan/left/b")
        await steps.until_ran("r")
        await engine.signal(again.execution_id, "go", 1)
        found = await engine.wait(again.execution_id, timeout=PATIENCE)
        assert (sorted(steps.ran), found.context["fan_result"]) == (
            ["b", "r"],
            {"left": "b", "right": 1},
        )
