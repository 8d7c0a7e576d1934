"""An activity that leaves the task that it runs in in disorder harms no other execution."""

import asyncio
import contextlib
import gc
import sys
import threading

import anyio
import anyio.lowlevel
import pytest
import trio

from actors.events import ScopeStopped
from actors.execution import ExecutionSupervisor
from flowmgr import Settings, activity, hosts, open_engine
from tests.conftest import BACKENDS
from tests.support.flows import PATIENCE, chain, recorded, until


@activity
async def leave_a_scope_open(context):
    anyio.CancelScope().__enter__()


@activity
async def leave_a_task_group_open(context):
    group = anyio.create_task_group()
    await group.__aenter__()
    group.start_soon(anyio.sleep_forever)


@activity
async def leave_a_deadline_open(context):
    anyio.move_on_after(0.01).__enter__()


@activity
async def hold_on(context):
    await anyio.sleep(0.05)
    return "held on"


@activity
async def abandon_a_generator(context):
    async def generate():
        with anyio.move_on_after(0.01):  # yields inside of a scope, and is not run to its end
            yield 1
            yield 2

    async for _ in generate():
        break


DISORDERLY = [
    leave_a_scope_open,
    leave_a_task_group_open,
    leave_a_deadline_open,
    abandon_a_generator,
]


async def run_disorderly_and_orderly(disorderly, fields):
    async with open_engine(activities=[disorderly, hold_on]) as engine:
        await engine.register(chain(disorderly.name, flow_id="disorderly", **fields))
        await engine.register(chain("hold_on", flow_id="orderly"))
        for _ in range(3):
            assert (await engine.run("disorderly", timeout=PATIENCE)).has_ended
            orderly = await engine.run("orderly", timeout=PATIENCE)
            assert orderly.status == "completed"
            assert orderly.context["hold_on_result"] == "held on"
        assert engine.is_accepting
        await until(lambda: engine.live_executions == 0)


@pytest.mark.filterwarnings("ignore")  # trio warns of what the activity does
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("fields", [{}, {"timeout": 100}], ids=["", "within a time"])
@pytest.mark.parametrize("disorderly", DISORDERLY, ids=lambda declared: declared.name)
def test_a_scope_that_an_activity_leaves_open_harms_no_other_execution(
    disorderly, fields, backend, monkeypatch
):
    # In an event loop of its own: that of the other tests fails for what a generator raises when
    # it is collected, which is nobody's any more.
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    name, options = backend
    run = (run_disorderly_and_orderly, disorderly, fields)
    anyio.run(*run, backend=name, backend_options=options)


BODY = {"tasks": [{"name": "disorderly"}]}
AROUND = {
    "a branch": {
        "kind": "parallel",
        "branches": {"a": BODY, "b": {"tasks": [{"name": "hold_on"}]}},
    },
    "an item": {"kind": "map", "items": [1, 2], "do": BODY},
}


async def run_disorderly_inside(disorderly, around):
    declared = activity("disorderly")(disorderly.function)
    async with open_engine(activities=[declared, hold_on]) as engine:
        document = chain("around", "hold_on")
        document["tasks"][0] |= around
        failed = await engine.run(document, timeout=PATIENCE)
        assert (failed.status, failed.error_task) == ("failed", "around")
        assert failed.error.type == "StrayCancellation"
        assert "an activity has left a cancel scope" in failed.error.message
        orderly = await engine.run(chain("hold_on"), timeout=PATIENCE)
        assert orderly.status == "completed"


@pytest.mark.filterwarnings("ignore")  # trio warns of what the activity does
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize("disorderly", DISORDERLY, ids=lambda declared: declared.name)
def test_a_scope_that_is_left_open_inside_of_a_task_is_said_to_be_that(
    disorderly, around, backend, monkeypatch
):
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # as above
    name, options = backend
    anyio.run(run_disorderly_inside, disorderly, around, backend=name, backend_options=options)


LATER = [leave_a_deadline_open, abandon_a_generator]
"""What cancels a task that runs later on the same host."""

UNDOING = {"name": "charge", "activity": "hold_on", "compensate": {"activity": "undo"}}
TIDYING = {"tasks": [{"name": "tidy"}]}


def charged_then(*tasks, closing=TIDYING, charge=UNDOING):
    document = chain("charge", *tasks)
    document["tasks"][0] |= charge
    return document | {"finally": closing}


ENDS = {
    "behind it": (LATER, charged_then("disorderly", "hold_on"), ["undo", "tidy"], "hold_on"),
    "in its finally": (LATER, charged_then("disorderly"), ["undo"], "finally"),
    "in a branch": (DISORDERLY, charged_then("around"), ["undo", "tidy"], "around"),
    "in a branch of its finally": (
        DISORDERLY,
        charged_then("hold_on", closing={"tasks": [{"name": "around"} | AROUND["a branch"]]}),
        ["undo"],
        "finally",
    ),
}
ENDS["in a branch"][1]["tasks"][1] |= AROUND["a branch"]


async def run_to_its_end(case, journal):
    disorderly, document, ran, error_task = case
    seen = []

    @activity
    async def undo(context):
        await anyio.sleep(0.02)
        seen.append("undo")

    @activity
    async def tidy(context):
        await anyio.sleep(0.02)
        seen.append("tidy")

    declared = activity("disorderly")(disorderly.function)
    settings = Settings(journal=journal)
    async with open_engine(settings, activities=[declared, hold_on, undo, tidy]) as engine:
        failed = await engine.run(document, timeout=PATIENCE)
        assert (failed.status, failed.error_task, seen) == ("failed", error_task, ran)
        assert failed.error.type == "StrayCancellation"
        await until(lambda: engine.live_executions == 0)
        assert engine.is_accepting


@pytest.mark.filterwarnings("ignore")  # trio warns of what the activity does
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("journal", ["memory", "sqlite"])
@pytest.mark.parametrize(
    "case",
    [
        pytest.param((disorderly, *rest), id=f"{disorderly.name} {name}")
        for name, (all_disorderly, *rest) in ENDS.items()
        for disorderly in all_disorderly
    ],
)
def test_what_fails_because_a_scope_was_left_open_has_its_compensation_and_finally(
    case, journal, backend, monkeypatch, tmp_path
):
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # as above
    name, options = backend
    journal = journal if journal == "memory" else f"sqlite:{tmp_path}/flowmgr.db"
    anyio.run(run_to_its_end, case, journal, backend=name, backend_options=options)


async def run_with_disorderly_compensations(disorderly, how):
    seen, begun = [], anyio.Event()

    @activity
    async def undo(context):
        await anyio.sleep(0.02)
        seen.append("undo")

    @activity
    async def fail(context):
        begun.set()
        if how == "cancelled":
            await anyio.sleep_forever()
        raise ValueError

    document = charged_then("second", "third", "fail", closing={"tasks": [{"name": "undo"}]})
    for task, undoing in zip(document["tasks"][1:3], ["undo", "disorderly"], strict=True):
        task |= {"activity": "hold_on", "compensate": {"activity": undoing}}
    declared = activity("disorderly")(disorderly.function)
    async with open_engine(activities=[declared, hold_on, undo, fail]) as engine:
        execution_id = (await engine.start(document)).execution_id
        await begun.wait()
        if how == "cancelled":
            await engine.cancel(execution_id)
        assert (await engine.wait(execution_id, timeout=PATIENCE)).status == how
        assert len(seen) == 2  # that of the first task, and what is run at the end
        await until(lambda: engine.live_executions == 0)


@pytest.mark.filterwarnings("ignore")  # trio warns of what the activity does
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("how", ["failed", "cancelled"])
@pytest.mark.parametrize("disorderly", LATER, ids=lambda declared: declared.name)
def test_a_compensation_that_leaves_a_scope_open_keeps_no_other_from_running(
    disorderly, how, backend, monkeypatch
):
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # as above
    name, options = backend
    run = (run_with_disorderly_compensations, disorderly, how)
    anyio.run(*run, backend=name, backend_options=options)


AGAIN = {"maximum_attempts": 2, "initial_interval": 0.2}
CUT_OFF = charged_then(
    "hold_on",
    closing={
        "tasks": [
            {
                "name": "around",
                "kind": "parallel",
                "branches": {
                    "a": {"tasks": [{"name": "disorderly"}]},
                    "b": {"tasks": [{"name": "fail", "retry": AGAIN}]},
                },
            }
        ]
    },
)


async def run_with_a_wait_in_what_is_cut_off(disorderly):
    asked, failures, is_undone = anyio.Event(), [], []

    @activity("disorderly")
    async def disorderly_then(context):
        await asked.wait()
        await disorderly.function(context)

    @activity
    async def fail(context):
        failures.append(anyio.current_time())
        raise ValueError

    @activity
    async def undo(context):
        await anyio.sleep_until(failures[0] + 0.3)  # the wait is over meanwhile
        is_undone.append(True)

    async with open_engine(activities=[disorderly_then, fail, undo, hold_on]) as engine:
        execution_id = (await engine.start(CUT_OFF)).execution_id
        await until(lambda: failures)
        await engine.cancel(execution_id)
        asked.set()
        ended = await engine.wait(execution_id, timeout=PATIENCE)
        assert (ended.status, is_undone, len(failures)) == ("cancelled", [True], 1)
        events = await recorded(engine, execution_id)
        stopped = [each.scope for each in events if isinstance(each, ScopeStopped)]
        assert "~finally/around/b" in stopped


@pytest.mark.filterwarnings("ignore")  # trio warns of what the activity does
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("disorderly", DISORDERLY, ids=lambda declared: declared.name)
def test_what_waits_in_a_finally_that_is_cut_off_never_begins_again(
    disorderly, backend, monkeypatch
):
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # as above
    name, options = backend
    run = (run_with_a_wait_in_what_is_cut_off, disorderly)
    anyio.run(*run, backend=name, backend_options=options)


async def run_with_a_finally_beside_a_late_host(disorderly):
    begun, is_tidied = anyio.Event(), []

    @activity("disorderly")
    async def disorderly_at_last(context):
        with anyio.CancelScope(shield=True):
            await begun.wait()
        await disorderly.function(context)

    @activity
    async def tidy(context):
        begun.set()
        await anyio.sleep(0.1)  # the other host ends meanwhile
        is_tidied.append(True)

    document = chain("disorderly", timeout=100) | {"finally": TIDYING}
    settings = Settings(grace=0.5)
    async with open_engine(settings, activities=[disorderly_at_last, tidy]) as engine:
        execution_id = (await engine.start(document)).execution_id
        await anyio.wait_all_tasks_blocked()
        cancelled = await engine.cancel(execution_id, wait=PATIENCE)
        assert (cancelled.status, is_tidied) == ("cancelled", [True])
        assert "abandoned" in [task.how for task in cancelled.cancellation.tasks]
        await until(lambda: engine.live_executions == 0)


@pytest.mark.filterwarnings("ignore")  # trio warns of what the activity does
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("disorderly", DISORDERLY, ids=lambda declared: declared.name)
def test_a_scope_left_open_on_a_host_that_was_given_up_does_not_stop_the_finally(
    disorderly, backend, monkeypatch
):
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # as above
    name, options = backend
    run = (run_with_a_finally_beside_a_late_host, disorderly)
    anyio.run(*run, backend=name, backend_options=options)


@pytest.mark.anyio
async def test_hosts_are_used_again():
    @activity
    async def name_the_task(context):
        return anyio.get_current_task().id

    async with open_engine(activities=[name_the_task]) as engine:
        await engine.register(chain("name_the_task", flow_id="name"))
        hosts = [(await engine.run("name")).context["name_the_task_result"] for _ in range(5)]
    assert len(set(hosts)) == 1


@pytest.mark.anyio
async def test_hosts_are_not_used_again_where_open_scopes_cannot_be_seen(monkeypatch):
    blind = {
        name: library._replace(look=lambda scope: object())
        for name, library in hosts._LIBRARIES.items()
    }
    monkeypatch.setattr(hosts, "_LIBRARIES", blind)
    async with open_engine() as engine:
        for _ in range(5):
            assert (await engine.run(chain("task1"))).status == "completed"
            await anyio.wait_all_tasks_blocked()
            assert not engine._live._hosts._idle


@pytest.mark.anyio
@pytest.mark.parametrize("checkpoints", range(3))
async def test_what_is_cancelled_on_a_host_that_was_used_before_harms_nothing_that_follows(
    checkpoints,
):
    @activity
    async def rest(context):
        await anyio.lowlevel.checkpoint()

    async with open_engine(activities=[rest, sleep_for_ever]) as engine:
        for name in ("rest", "sleep_for_ever"):
            await engine.register(chain(name, flow_id=name))
        for _ in range(30):
            assert (await engine.run("rest", timeout=PATIENCE)).status == "completed"
            asleep = await engine.start("sleep_for_ever")
            for _ in range(checkpoints):
                await anyio.lowlevel.checkpoint()
            cancelled = await engine.cancel(asleep.execution_id, wait=PATIENCE)
            assert cancelled.status == "cancelled"
        assert engine.live_executions == 0


def test_open_scopes_are_looked_for_in_vain_where_the_libraries_keep_them_elsewhere(monkeypatch):
    class Elsewhere:
        """A scope, or a task, that does not have the attribute."""

    monkeypatch.setattr(trio.lowlevel, "current_task", Elsewhere)
    for look in (hosts._look_on_asyncio, hosts._look_on_trio):
        scope = Elsewhere()
        assert look(scope) is not look(scope)


@activity
async def leave_a_shielded_scope_open(context):
    anyio.CancelScope(shield=True).__enter__()


@activity
async def sleep_for_ever(context):
    await anyio.sleep_forever()


async def run_and_cancel():
    async with open_engine(activities=[leave_a_shielded_scope_open, sleep_for_ever]) as engine:
        await engine.register(chain("leave_a_shielded_scope_open", flow_id="disorderly"))
        await engine.register(chain("sleep_for_ever", flow_id="asleep"))
        await engine.run("disorderly", timeout=PATIENCE)
        asleep = await engine.start("asleep")
        return await engine.cancel(asleep.execution_id, wait=PATIENCE)


@pytest.mark.filterwarnings("ignore")  # trio warns of what the activity does
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_shield_that_an_activity_leaves_open_keeps_no_other_execution_from_being_cancelled(
    backend,
):
    name, options = backend
    cancelled = anyio.run(run_and_cancel, backend=name, backend_options=options)
    assert [task.how for task in cancelled.cancellation.tasks] == ["stopped"]


@pytest.mark.anyio
async def test_an_idle_host_keeps_nothing_of_the_execution_that_it_ran():
    @activity
    async def return_something(context):
        return 1

    async with open_engine(Settings(keep_ended=0), activities=[return_something]) as engine:
        await engine.register(chain("return_something", flow_id="something"))
        ran = await engine.run("something")
        await anyio.lowlevel.checkpoint()
        supervisors = [each for each in gc.get_objects() if type(each) is ExecutionSupervisor]
        assert ran.execution_id not in [each.execution_id for each in supervisors]


@pytest.mark.anyio
async def test_closing_does_not_wait_out_the_grace_for_what_was_abandoned():
    @activity
    async def shield_itself(context):
        started.set()
        with anyio.CancelScope(shield=True):
            await release.wait()

    started, release = anyio.Event(), anyio.Event()
    async with open_engine(Settings(grace=0), activities=[shield_itself]) as engine:
        await engine.register(chain("shield_itself", flow_id="deaf"))
        deaf = await engine.start("deaf")
        await started.wait()
        await engine.cancel(deaf.execution_id, wait=PATIENCE)
        assert engine.abandoned_executions == 1
        engine.begin_draining(grace=PATIENCE)
        with anyio.fail_after(PATIENCE / 2):
            await engine._live.drained()
        release.set()


@pytest.mark.anyio
async def test_abandoned_threads_leave_room_for_others():
    @activity
    def block(context):
        begun.release()
        release.wait(PATIENCE)

    @activity
    def add(a: int, b: int) -> int:
        return a + b

    begun, release = threading.Semaphore(0), threading.Event()
    async with open_engine(Settings(grace=0, threads=2), activities=[block, add]) as engine:
        await engine.register(chain("block", flow_id="deaf"))
        await engine.register(chain("add", flow_id="add"))
        started = [await engine.start("deaf") for _ in range(2)]
        await until(lambda: begun._value == 2)
        for deaf in started:
            await engine.cancel(deaf.execution_id, wait=PATIENCE)
        assert engine.abandoned_executions == 2
        added = await engine.run("add", {"a": 1, "b": 2}, timeout=PATIENCE)
        assert added.context["add_result"] == 3
        release.set()
        await until(lambda: engine.abandoned_executions == 0)


@pytest.mark.anyio
async def test_each_abandoned_thread_leaves_room_for_another_one_until_it_ends():
    @activity
    def block(context):
        begun.release()
        release.wait(PATIENCE)

    @activity
    def meet(context):
        with contextlib.suppress(threading.BrokenBarrierError):
            met.append(pair.wait(context["patience"]))

    begun, release, met = threading.Semaphore(0), threading.Event(), []
    pair = threading.Barrier(2)
    async with open_engine(Settings(grace=0, threads=2), activities=[block, meet]) as engine:
        for name in ("block", "meet"):
            each = {"kind": "map", "items": [1, 2], "do": {"tasks": [{"name": name}]}}
            await engine.register(chain("each", flow_id=name, tasks=[{"name": "each"} | each]))
        deaf = await engine.start("block")
        await until(lambda: begun._value == 2)
        await engine.cancel(deaf.execution_id, wait=PATIENCE)
        assert engine.abandoned_executions == 1
        await engine.run("meet", {"patience": PATIENCE}, timeout=PATIENCE)
        assert sorted(met) == [0, 1]
        assert engine._live._threads.limiter.total_tokens == 4
        release.set()
        await until(lambda: engine.abandoned_executions == 0)
        assert engine._live._threads.limiter.total_tokens == 2


@activity
async def leave_a_timeout_open(context):
    await asyncio.timeout(0.01).__aenter__()


@activity
async def be_cancelled_later(context):
    task = asyncio.current_task()
    asyncio.get_running_loop().call_later(0.01, task.cancel)


@pytest.mark.anyio
@pytest.mark.parametrize("disorderly", [leave_a_timeout_open, be_cancelled_later])
@pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
    indirect=True,
)
async def test_who_keeps_the_task_of_an_execution_cancels_no_other_one(disorderly):
    async with open_engine(activities=[disorderly, hold_on]) as engine:
        for _ in range(3):
            await engine.run(chain(disorderly.name))
            found = await engine.run(chain("hold_on"))
            assert (found.status, found.had_failures) == ("completed", False)
