"""Where a rerun cannot begin: the error names the thing, the rule and the way out."""

import pytest

from flowmgr.errors import ContextError, InputError
from flowmgr.journal.store import ExecutionQuery
from tests.engine.constructs.world import body, flow, task
from tests.engine.steps import Steps, begun_again, items, parallel, sides
from tests.support.flows import PATIENCE

pytestmark = pytest.mark.anyio

SUB = task("sub", kind="flow", flow="inner")

REFUSED = {
    "the first that succeeds decides": (
        flow(sides(("b",), join="any", on_failure="wait")),
        {"b"},
        "/fan/left/b",
        "decided",
        "'/fan/left' would be stopped at once",
        "Rerun it from '/fan'",
    ),
    "enough have succeeded": (
        flow(parallel("fan", **{name: body(task(name)) for name in "abc"}, join={"at_least": 2})),
        {"c"},
        "/fan/c/c",
        "decided",
        "needs 2, which it has ('a', 'b')",
        "Rerun it from '/fan'",
    ),
    "a branch of a task that never ran": (
        flow(task("b"), sides()),
        {"b"},
        "/fan/left/a",
        "never_opened",
        "has never been in '/fan/left'",
        "Rerun it from '/fan'",
    ),
    "a task without a name": (
        flow(task("b")),
        set(),
        "",
        "unknown_task",
        "There is no task ''",
        None,
    ),
    "an item that there never was": (
        flow(items(2, "x")),
        set(),
        "/each/2/x",
        "never_opened",
        "has never been in '/each/2'",
        "Rerun it from '/each'",
    ),
    "an item by no position": (
        flow(items(2, "x")),
        set(),
        "/each/01/x",
        "never_opened",
        "'/each/01'",
        "from '/each'",
    ),
    "a task of a compensation": (
        flow(task("a", compensate={"activity": "undo"}), task("b")),
        {"b"},
        "~compensate//a",
        "of_the_end",
        "'~compensate//a' belongs to the end",
        "one of the flow's own tasks",
    ),
    "a task of finally": (
        flow(task("a"), **{"finally": body(task("z"))}),
        set(),
        "~finally/z",
        "of_the_end",
        "'~finally/z' belongs to the end",
        "one of the flow's own tasks",
    ),
    "a task of another flow": (
        flow(parallel("fan", left=body(SUB))),
        set(),
        "/fan/left/sub/0/z",
        "in_a_sub_flow",
        "Task '/fan/left/sub' runs another flow, as an execution of its own",
        "Rerun that execution, or this one from '/fan/left/sub'",
    ),
    "a branch": (
        flow(sides()),
        set(),
        "/fan/left",
        "unknown_task",
        "'/fan/left' is the path of a branch or an item",
        "such as '/fan/left/a'",
    ),
    "a task that its branch has not": (
        flow(sides()),
        set(),
        "/fan/left/z",
        "unknown_task",
        "There is no task '/fan/left/z'",
        None,
    ),
    "a branch that there is none of": (
        flow(sides()),
        set(),
        "/fan/up/a",
        "unknown_task",
        "There is no task '/fan/up/a'",
        None,
    ),
    "inside of a task that has nothing inside": (
        flow(task("a")),
        set(),
        "/a/b/c",
        "unknown_task",
        "There is no task '/a/b/c'",
        None,
    ),
    "a path without an end": (
        flow(sides()),
        set(),
        "/fan/left" * 10_000,
        "unknown_task",
        "There is no task",
        None,
    ),
}


async def test_a_branch_that_was_kept_is_begun_with_its_first_task_or_in_the_other_execution(
    reopened,
):
    steps = Steps({"b"})
    async with reopened.open(*steps.all) as engine:
        first = await engine.run(flow(sides(right=("r", "s", "t"), on_failure="wait")))
        second = await begun_again(engine, steps, first.execution_id, task="/fan/left/b")
        with pytest.raises(InputError, match="Nothing of '/fan/right' has run") as caught:
            await engine.rerun(second.execution_id, task="/fan/right/s")
        assert f"in execution '{first.execution_id}'" in str(caught.value)
        hint = "Rerun that execution, or this one from '/fan/right/r'"
        assert caught.value.problems[0].hint == hint
        for execution_id, name, ran in (
            (second.execution_id, "r", ["r", "s", "t"]),
            (first.execution_id, "s", ["b", "c", "s", "t"]),
        ):
            path = f"/fan/right/{name}"
            found = await begun_again(engine, steps, execution_id, task=path)
            assert sorted(set(steps.ran) - {"a"}) == ran
            assert found.context["fan_result"] == {"left": "c", "right": "t"}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
async def test_a_rerun_is_refused_where_nothing_can_begin(reopened, refused):
    document, failing, where, code, message, hint = refused
    steps = Steps(failing)
    async with reopened.open(*steps.all) as engine:
        await engine.register(flow(task("z"), flow_id="inner"))
        first = await engine.run(document)
        with pytest.raises(InputError) as caught:
            await engine.rerun(first.execution_id, task=where)
    [problem] = caught.value.problems
    assert (problem.pointer, problem.code) == ("/task", code)
    assert message in problem.message
    assert (hint is None) == (problem.hint is None)
    assert hint is None or hint in problem.hint
    assert problem.message in str(caught.value)


async def test_a_rerun_behind_too_many_results_is_refused(reopened, monkeypatch):
    steps = Steps({"c"})
    async with reopened.open(*steps.all) as engine:
        first = await engine.run(flow(task("b"), task("c")), {"k": "x" * 500})
        with monkeypatch.context() as patched:
            patched.setattr("flowmgr.repeating.MAX_BYTES", 400)
            with pytest.raises(InputError, match="400 are allowed") as caught:
                await engine.rerun(first.execution_id, task="c")
        assert caught.value.problems[0].code == "too_large"
        found = await begun_again(engine, steps, first.execution_id, task="c")
        assert found.status == "completed"


async def test_a_context_that_is_not_as_the_flows_input_is_refused_where_the_flow_begins(reopened):
    wanted = {"type": "object", "properties": {"k": {"type": "integer"}}, "required": ["k"]}
    async with reopened.open(*Steps().all) as engine:
        document = flow(task("b"), task("c"), input=wanted)
        ran = await engine.run(document, {"k": 1})
        with pytest.raises(ContextError, match="not as flow 'flow' wants it"):
            await engine.rerun(ran.execution_id, context={"k": "x"})
        for options in ({"context": {"k": 2}}, {"task": "c", "context": {"k": "x"}}):
            again = await engine.rerun(ran.execution_id, **options)
            assert (await engine.wait(again.execution_id, PATIENCE)).status == "completed"
        assert len(await engine.list(ExecutionQuery(), None, 10)) == 3
