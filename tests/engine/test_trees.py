"""The tree of an execution: its scopes, what they do, and what they wait for."""

import itertools

import anyio
import pytest

from actors.events import (
    AttemptFailed,
    ExecutionRetried,
    ExecutionStarted,
    TaskStarted,
    WaitStarted,
)
from flowmgr import Settings, activity, open_engine
from flowmgr.errors import ExecutionNotFoundError
from flowmgr.journal.sqlite.writer import Writer
from flowmgr.journal.store import EVERYTHING
from flowmgr.trees import RetryWait, ScopesWait, SignalWait, TimerWait
from tests.support.flows import PATIENCE, Gate, recorded, until

pytestmark = pytest.mark.anyio

FAR = 4_000_000_000.0
FAR_TEXT = "2096-10-02T07:06:40Z"


@activity
async def succeed(context):
    return 1


@activity
async def fail(context):
    raise ConnectionError("nobody answers")


def body(*tasks, **fields):
    tasks = [{"name": each} if isinstance(each, str) else each for each in tasks]
    steps = itertools.pairwise(each["name"] for each in tasks)
    conditions = [{"source_task": a, "target_task_success": b} for a, b in steps]
    return {
        "start_task": tasks[0]["name"],
        "tasks": list(tasks),
        "conditions": conditions,
        **fields,
    }


def flow(*tasks, **fields):
    return {"id": "f", "name": "f", **body(*tasks, **fields)}


def signal(name="go", **fields):
    return {"name": name, "kind": "signal", **fields}


def parallel(name="fork", **branches):
    return {"name": name, "kind": "parallel", "branches": branches}


def each_of(items, *tasks, **fields):
    return {"name": "each", "kind": "map", "items": items, "do": body(*tasks), **fields}


LONG = {"name": "long", "kind": "wait", "until": FAR_TEXT}


@pytest.fixture
async def engine(any_journal):
    from flowmgr import engine as module

    gate = Gate()
    settings = module.Settings(grace=0.1)
    async with open_engine(settings, activities=[succeed, fail, gate.activity]) as engine:
        engine.gate = gate
        yield engine


async def waiting(engine, document, *, waits=1):
    """Start a flow, and return its execution's id when that many of its scopes wait."""
    execution_id = (await engine.start(document)).execution_id
    await waiting_for(engine, execution_id, waits)
    return execution_id


async def waiting_for(engine, execution_id, waits):
    """Wait until so many tasks have begun to wait."""
    with anyio.fail_after(PATIENCE):
        while True:
            events = await recorded(engine, execution_id)
            if sum(isinstance(each, WaitStarted | AttemptFailed) for each in events) >= waits:
                return
            await anyio.sleep(0.001)


async def test_a_running_task_is_shown_with_when_and_until_when(engine):
    tasks = {"name": "gate", "timeout": 50, "deadline": 20}
    execution_id = (await engine.start(flow(tasks, timeout=1000))).execution_id
    await engine.gate.someone_came.wait()
    tree = await engine.tree(execution_id)
    started = (await recorded(engine, execution_id))[1]
    assert (tree.status, tree.is_parked, tree.flow_id) == ("running", False, "f")
    assert (tree.scope.path, tree.scope.status) == ("", "running")
    task = tree.scope.task
    assert (task.name, task.path, task.visit, task.attempt) == ("gate", "/gate", 1, 1)
    assert (task.since, task.deadline) == (started.at, started.at + 20)
    assert task.waits_for is None
    assert tree.compensation is tree.closing is None


async def test_after_a_retry_the_time_of_the_flow_is_shown_as_it_runs_again(engine):
    execution_id = (await engine.start(flow("gate", timeout=1000))).execution_id
    await engine.gate.someone_came.wait()
    await engine.cancel(execution_id, wait=PATIENCE)
    await engine.retry(execution_id)
    retried = (await recorded(engine, execution_id))[-2]
    assert isinstance(retried, ExecutionRetried)
    tree = await engine.tree(execution_id)
    assert tree.scope.task.deadline == retried.at + 1000


async def test_branches_are_shown_with_what_each_waits_for(engine):
    retry = {"maximum_attempts": 2, "initial_interval": 1000}
    fork = parallel(
        timer=body(LONG),
        signal=body(signal(timeout=500)),
        retry=body({"name": "fail", "retry": retry}),
        code=body("gate"),
        done=body("succeed"),
    )
    execution_id = await waiting(engine, flow(fork | {"timeout": 100}), waits=3)
    await engine.gate.someone_came.wait()
    await until(lambda: engine._live.get(execution_id).state.fork.succeeded == 1)
    task = (await engine.tree(execution_id)).scope.task
    events = await recorded(engine, execution_id)
    assert task.waits_for == ScopesWait(5, open=4, succeeded=1, failed=0, stopped=0, unopened=0)
    ends = events[1].at + 100
    assert (task.deadline, task.unlisted) == (ends, 0)
    scopes = {scope.path: scope for scope in task.scopes}
    assert {path: scope.status for path, scope in scopes.items()} == {
        "/fork/timer": "waiting",
        "/fork/signal": "waiting",
        "/fork/retry": "waiting",
        "/fork/code": "running",
    }
    assert scopes["/fork/timer"].task.waits_for == TimerWait(FAR)
    begun = scopes["/fork/signal"].task
    assert begun.waits_for == SignalWait("go", pytest.approx(begun.since + 500))
    assert begun.path == "/fork/signal/go"
    failed = scopes["/fork/retry"].task
    assert isinstance(failed.waits_for, RetryWait)
    assert failed.waits_for.due == pytest.approx(failed.since + 1000)
    assert (failed.waits_for.error.type, failed.attempt) == ("ConnectionError", 1)
    assert {scope.task.deadline for scope in task.scopes} == {ends}


async def test_what_a_map_has_not_opened_yet_is_counted(engine):
    document = flow(each_of(list(range(10)), signal(), max_concurrency=3))
    execution_id = await waiting(engine, document, waits=3)
    await engine.signal(execution_id, "go")
    await waiting_for(engine, execution_id, 4)
    task = (await engine.tree(execution_id)).scope.task
    assert task.waits_for == ScopesWait(10, open=3, succeeded=1, failed=0, stopped=0, unopened=6)
    assert len(task.scopes) == 3


async def test_of_many_scopes_the_first_are_listed_and_the_others_counted(engine, monkeypatch):
    monkeypatch.setattr("flowmgr.trees.MAX_LISTED", 5)
    monkeypatch.setattr("flowmgr.trees.MAX_SCOPES", 5 + 4 * 3 + 2)
    inner = each_of(list(range(3)), signal())
    execution_id = await waiting(engine, flow(each_of(list(range(7)), inner)), waits=7 * 3)
    task = (await engine.tree(execution_id)).scope.task
    assert (len(task.scopes), task.unlisted) == (5, 2)
    assert [len(each.task.scopes) for each in task.scopes] == [3, 3, 3, 3, 2]
    assert [each.task.unlisted for each in task.scopes] == [0, 0, 0, 0, 1]
    assert all(each.task.waits_for.open == 3 for each in task.scopes)


async def test_a_parked_execution_is_shown_without_being_taken_up(engine):
    execution_id = await waiting(engine, flow(signal(), timeout=1e6))
    await until(lambda: engine._live.get(execution_id) is None)
    before = await recorded(engine, execution_id)
    tree = await engine.tree(execution_id)
    assert (tree.status, tree.is_parked) == ("running", True)
    assert tree.scope.task.waits_for == SignalWait("go", None)
    assert tree.scope.task.deadline == before[0].at + 1e6
    assert engine._live.get(execution_id) is None
    assert await recorded(engine, execution_id) == before


async def test_a_paused_execution_is_idle_at_the_task_that_is_next(engine):
    execution_id = (await engine.start(flow("gate", "succeed"))).execution_id
    await engine.gate.someone_came.wait()
    await engine.pause(execution_id)
    engine.gate.opened.set()
    await until(lambda: not engine._live.get(execution_id).state.running)
    tree = await engine.tree(execution_id)
    assert (tree.status, tree.scope.status) == ("paused", "idle")
    task = tree.scope.task
    assert (task.name, task.since, task.visit, task.attempt) == ("succeed", None, None, None)


async def test_a_completed_execution_is_at_no_task(engine):
    execution_id = (await engine.run(flow("succeed"))).execution_id
    tree = await engine.tree(execution_id)
    assert (tree.status, tree.scope.status, tree.scope.task) == ("completed", "completed", None)


async def test_a_failed_execution_shows_the_path_to_where_it_has_failed(engine):
    fork = parallel(left=body(each_of([1, 2], "fail")), right=body("succeed"))
    execution_id = (await engine.run(flow(fork))).execution_id
    tree = await engine.tree(execution_id)
    assert (tree.status, tree.scope.status) == ("failed", "failed")
    (left,) = tree.scope.task.scopes
    assert (left.path, left.status, left.error.type) == ("/fork/left", "failed", "ItemsFailed")
    item = left.task.scopes[0]
    assert item.status == "failed"
    assert item.path in {"/fork/left/each/0", "/fork/left/each/1"}
    assert item.task.path == f"{item.path}/fail"
    assert item.error.message == "nobody answers"
    assert item.task.waits_for is item.task.since is item.task.deadline is None


async def test_a_cancelled_execution_is_stopped_at_its_task(engine):
    execution_id = (await engine.start(flow("gate"))).execution_id
    await engine.gate.someone_came.wait()
    await engine.cancel(execution_id, wait=10)
    tree = await engine.tree(execution_id)
    assert (tree.status, tree.scope.status, tree.scope.task.name) == (
        "cancelled",
        "stopped",
        "gate",
    )


async def test_compensation_and_finally_are_shown_while_they_run_and_afterwards(engine):
    booked = {"name": "succeed", "compensate": {"activity": "gate", "timeout": 100}}
    document = flow(booked, "fail", **{"finally": body(signal())})
    execution_id = (await engine.start(document)).execution_id
    await engine.gate.someone_came.wait()
    tree = await engine.tree(execution_id)
    assert (tree.status, tree.scope.status, tree.closing) == ("running", "failed", None)
    assert tree.scope.task.name == "fail"
    undoing = tree.compensation
    assert (undoing.path, undoing.status) == ("~compensate", "running")
    assert undoing.task.path == "/succeed"
    assert undoing.task.deadline == undoing.task.since + 100
    engine.gate.opened.set()
    await waiting_for(engine, execution_id, 1)
    tree = await engine.tree(execution_id)
    assert (tree.compensation.status, tree.compensation.task) == ("completed", None)
    assert (tree.closing.path, tree.closing.status) == ("~finally", "waiting")
    assert tree.closing.task.path == "~finally/go"
    await engine.signal(execution_id, "go")
    assert (await engine.wait(execution_id, 10)).status == "failed"
    tree = await engine.tree(execution_id)
    assert (tree.scope.status, tree.closing.status) == ("failed", "completed")


async def test_compensation_that_failed_names_the_first_task_that_did_and_why(engine):
    undone = [
        {"name": f"t{n}", "activity": "succeed", "compensate": {"activity": undo}}
        for n, undo in enumerate(["fail", "succeed", "fail", "succeed"])
    ]
    closing = body("succeed", {"name": "lost", "activity": "fail"})
    execution = await engine.run(flow(*undone, "fail", **{"finally": closing}), timeout=10)
    assert (execution.status, execution.error_task) == ("failed", "fail")
    tree = await engine.tree(execution.execution_id)
    for scope, path in ((tree.compensation, "/t2"), (tree.closing, "~finally/lost")):
        assert (scope.status, scope.task.path, scope.task.since) == ("failed", path, None)
        assert (scope.error.type, scope.error.message) == ("ConnectionError", "nobody answers")


async def test_an_execution_whose_activity_is_not_loaded_is_shown_without_deadlines(durable):
    gate = Gate()
    async with durable.open(gate.activity) as engine:
        document = flow({"name": "gate", "timeout": 50})
        execution_id = (await engine.start(document)).execution_id
        await gate.someone_came.wait()
    async with durable.open() as engine:
        await until(lambda: engine.recovery.is_over)
        task = (await engine.tree(execution_id)).scope.task
        assert (task.name, task.attempt, task.deadline) == ("gate", 1, None)


async def test_there_is_no_tree_of_what_is_not_there():
    async with open_engine(Settings()) as engine:
        with pytest.raises(ExecutionNotFoundError):
            await engine.tree("missing")


async def test_whoever_sees_an_event_in_the_history_sees_in_the_tree_what_it_has_led_to(
    durable, monkeypatch
):
    gate, held, deliver = Gate(), [], Writer._deliver
    async with durable.open(gate.activity, succeed) as engine:
        execution_id = (await engine.start(flow("gate", signal()))).execution_id
        await gate.someone_came.wait()
        monkeypatch.setattr(Writer, "_deliver", lambda *answers: held.append(answers))
        gate.opened.set()
        await until(lambda: held)  # it is recorded, and the engine has not been told
        assert len(await engine._store.read_events(execution_id, 0, EVERYTHING)) > 2
        events = await recorded(engine, execution_id)
        assert [type(each) for each in events] == [ExecutionStarted, TaskStarted]
        assert await engine.events(execution_id, after=2) == []
        assert (await engine.tree(execution_id)).scope.task.name == "gate"
        monkeypatch.setattr(Writer, "_deliver", deliver)
        for answers in held:
            deliver(*answers)
        await waiting_for(engine, execution_id, 1)
        assert (await engine.tree(execution_id)).scope.status == "waiting"
