"""The engine as a program uses it: opening, closing, and what happens when something breaks."""

import contextlib
import logging

import anyio
import anyio.lowlevel
import msgspec
import pytest

from actors.events import CancelRequested, ExecutionFailed, ExecutionStarted, TaskStarted
from actors.execution import ExecutionSupervisor
from actors.mailbox import Mailbox
from actors.ports import Batch
from flowmgr import Settings, activity, open_engine
from flowmgr.errors import (
    ContextError,
    EngineBusyError,
    EngineClosedError,
    ExecutionNotFoundError,
    FlowNotFoundError,
    InputError,
    JournalError,
    JournalUnavailableError,
)
from flowmgr.journal.memory import MemoryJournal
from flowmgr.journal.store import ExecutionQuery
from tests.support.flows import Gate, chain, ending_of, recorded, until
from tests.support.journals import FailingJournal, HeldJournal, LateJournal
from tests.support.virtual_time import LoopClock, in_virtual_time

pytestmark = pytest.mark.anyio

ANY = ExecutionQuery()


@activity
async def double(context):
    return 2 * context["number"]


@activity
async def describe(context):
    return f"twice is {context['double_result']}"


@pytest.fixture
def journal(monkeypatch):
    """Have the next engine use another journal: ``journal(make)`` returns the place it is in."""

    def use(make):
        made = []

        def opened(keep_ended):
            made.append(make(keep_ended))
            return made[0]

        monkeypatch.setattr("flowmgr.journal.MemoryJournal", opened)
        return made

    return use


# --- embedding


async def test_a_program_embeds_the_engine_in_five_lines():
    async with open_engine(activities=[double, describe]) as engine:
        await engine.register(chain("double", "describe", flow_id="sum"))
        execution = await engine.run("sum", {"number": 21})
    assert (execution.status, execution.flow_version) == ("completed", 1)
    assert execution.context["describe_result"] == "twice is 42"


async def test_activities_may_be_named_by_their_module():
    async with open_engine(activities=[__name__]) as engine:
        execution = await engine.run(chain("double"), {"number": 1})
    assert execution.context["double_result"] == 2


async def test_a_flow_that_is_only_run_is_not_registered_but_recorded():
    async with open_engine(activities=[double]) as engine:
        execution = await engine.run(chain("double", flow_id="once"), {"number": 1})
        assert (execution.flow_id, execution.flow_version) == ("once", 0)
        started = (await recorded(engine, execution.execution_id))[0]
        assert msgspec.json.decode(started.definition)["id"] == "once"
        with pytest.raises(FlowNotFoundError, match="'once'"):
            await engine.start("once")


@pytest.mark.parametrize(
    ("kind", "fields", "named"),
    [
        ("activity", {"activity": "task1", "arguments": {"x": "${context.no}"}}, "arguments"),
        ("set", {"values": {"a": 1, "x": "${context.no}"}}, "values"),
        ("raise", {"type": "${context.no}"}, "type"),
        ("raise", {"type": "T", "message": "it is ${context.no}"}, "message"),
        ("raise", {"type": "T", "data": ["${context.no}"]}, "data"),
        ("wait", {"seconds": "${context.no}"}, "seconds"),
        ("wait", {"until": "${context.no}"}, "until"),
        ("http", {"request": {"url": "${context.no}"}}, "request"),
        ("flow", {"flow": "f", "arguments": {"x": "${context.no}"}}, "arguments"),
        ("map", {"items": "${context.no}", "flow": "f"}, "items"),
    ],
)
async def test_an_expression_without_a_value_is_named_with_the_field_that_it_is_in(
    kind, fields, named
):
    task = {"name": "t", "kind": kind, **fields}
    document = {"id": "g", "name": "g", "start_task": "t", "tasks": [task], "conditions": []}
    async with open_engine() as engine:
        await engine.register(chain("task1", flow_id="f"))
        error = (await engine.run({"flow": document}, timeout=10)).error
    assert error.type == "ExpressionError"
    assert error.message.startswith(f"{named} of task 't': The expression 'context.no': ")


async def test_an_execution_keeps_the_version_that_it_was_started_with():
    gate = Gate()
    async with open_engine(activities=[gate.activity, double]) as engine:
        await engine.register(chain("gate", flow_id="f"))
        first = await engine.start("f")
        changed = await engine.register(chain("double", flow_id="f"))
        assert changed.version == 2
        assert (await engine.run("f", {"number": 1})).flow_version == 2
        again = await engine.start("f", version=1)
        gate.opened.set()
        for execution in [first, again]:
            found = await engine.wait(execution.execution_id)
            assert (found.flow_version, found.context["gate_result"]) == (1, "passed")


async def test_a_version_that_there_is_not_is_not_found_however_often_the_flow_was_run():
    async with open_engine(activities=[double]) as engine:
        await engine.register(chain("double", flow_id="f"))
        await engine.run("f", {"number": 1})
        for version in (0, 2):
            with pytest.raises(FlowNotFoundError, match=f"its version {version} was not found"):
                await engine.start("f", {"number": 1}, version=version)


async def test_what_is_started_is_recorded_with_ids_that_sort_by_time():
    gate = Gate()
    async with open_engine(activities=[gate.activity]) as engine:
        ids = [(await engine.start(chain("gate"))).execution_id for _ in range(20)]
        assert ids == sorted(ids)
        assert [found.execution_id for found in await engine.list(ANY, None, 99)] == ids[::-1]
        assert engine.live_executions == 20
        gate.opened.set()


@pytest.mark.parametrize("context", [[1], "text", 7, {"a": {1}}, {1: 2}])
async def test_a_context_that_is_no_json_object_is_refused_and_nothing_is_started(context):
    async with open_engine(activities=[double]) as engine:
        with pytest.raises(ContextError):
            await engine.start(chain("double"), context)
        assert (engine.live_executions, list(await engine.list(ANY, None, 9))) == (0, [])


async def test_nothing_is_known_about_an_unknown_execution():
    async with open_engine() as engine:
        for call in [engine.get, engine.wait, engine.events]:
            with pytest.raises(ExecutionNotFoundError, match="'unknown'"):
                await call("unknown")
        with pytest.raises(ExecutionNotFoundError, match="'unknown'"):
            await anext(engine.follow("unknown"))


async def test_ended_executions_that_are_not_kept_are_forgotten():
    async with open_engine(Settings(keep_ended=1), activities=[double]) as engine:
        first = await engine.run(chain("double"), {"number": 1})
        second = await engine.run(chain("double"), {"number": 1})
        assert first.status == second.status == "completed"
        assert (await engine.get(second.execution_id)).status == "completed"
        with pytest.raises(ExecutionNotFoundError):
            await engine.get(first.execution_id)


# --- settings and limits


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (Settings(grace=-1), "grace"),
        (Settings(grace=4000), "grace"),
        (Settings(threads=0), "threads"),
        (Settings(processes=0), "processes"),
        (Settings(keep_ended=-1), "keep_ended"),
        (Settings(max_live=0), "max_live"),
        (Settings(max_context_bytes=1), "max_context_bytes"),
        (Settings(journal="paper"), "journal"),
        (Settings(grace="long"), "grace"),
    ],
    ids=repr,
)
async def test_a_setting_out_of_its_range_is_refused_by_its_name(settings, name):
    with pytest.raises(InputError, match=name):
        async with open_engine(settings):
            pytest.fail("it was opened")


async def test_no_more_executions_are_live_than_may_be():
    gate = Gate()
    async with open_engine(Settings(max_live=2), activities=[gate.activity]) as engine:
        first = await engine.start(chain("gate"))
        await engine.start(chain("gate"))
        with pytest.raises(EngineBusyError, match="max_live"):
            await engine.start(chain("gate"))
        assert (engine.live_executions, len(await engine.list(ANY, None, 9))) == (2, 2)
        await engine.cancel(first.execution_id, wait=20)
        third = await engine.start(chain("gate"))
        gate.opened.set()
        assert (await engine.wait(third.execution_id)).status == "completed"


# --- closing


async def test_leaving_the_block_lets_live_executions_end():
    gate, left = Gate(), anyio.Event()

    async def wait_and_open(engine, execution_id):
        await until(lambda: not engine.is_accepting)
        with pytest.raises(EngineClosedError, match="starts no more"):
            await engine.start(chain("gate"))
        gate.opened.set()
        assert (await engine.wait(execution_id)).status == "completed"
        left.set()

    async with anyio.create_task_group() as group:
        async with open_engine(activities=[gate.activity]) as engine:
            execution = await engine.start(chain("gate"))
            group.start_soon(wait_and_open, engine, execution.execution_id)
        await left.wait()
    assert (await engine.get(execution.execution_id)).status == "completed"
    assert engine.live_executions == 0


@in_virtual_time
async def test_what_does_not_end_within_the_grace_is_stopped_and_not_recorded_as_cancelled():
    gate, waited = Gate(), []

    @activity
    async def further(context):
        pytest.fail("it was run although the engine had stopped")

    async def wait(engine, execution_id):
        with pytest.raises(EngineClosedError, match=execution_id):
            await engine.wait(execution_id)
        waited.append(execution_id)

    async with anyio.create_task_group() as group:
        async with open_engine(
            Settings(grace=60), activities=[gate.activity, further], clock=LoopClock()
        ) as engine:
            execution = await engine.start(chain("gate", "further"))
            execution_id = execution.execution_id
            group.start_soon(wait, engine, execution_id)
            await gate.someone_came.wait()
            since = anyio.current_time()
        assert anyio.current_time() - since == pytest.approx(60)
    assert (gate.left, waited, engine.live_executions) == (1, [execution_id], 0)
    events = await recorded(engine, execution_id)
    assert [type(event) for event in events] == [ExecutionStarted, TaskStarted]
    for call in [engine.wait, engine.cancel]:
        with pytest.raises(EngineClosedError, match="engine is closing"):
            await call(execution_id)


@in_virtual_time
async def test_the_grace_of_draining_can_only_be_shortened():
    gate = Gate()
    async with open_engine(activities=[gate.activity], clock=LoopClock()) as engine:
        await engine.start(chain("gate"))
        since = anyio.current_time()
        engine.begin_draining(5)
        assert not engine.is_accepting
        engine.begin_draining(100)
        await until(lambda: engine.live_executions == 0)
        assert anyio.current_time() - since == pytest.approx(5, abs=0.1)


async def test_an_execution_that_waits_is_not_resumed_by_an_engine_that_closes():
    gate = Gate()
    async with open_engine(activities=[gate.activity, double]) as engine:
        execution_id = (await engine.start(chain("gate", "double"), {"number": 1})).execution_id
        await gate.someone_came.wait()
        await engine.pause(execution_id)
        gate.opened.set()
        await until(lambda: gate.left)
        engine.begin_draining()
        with pytest.raises(JournalUnavailableError, match="stopped the execution"):
            await engine.resume(execution_id)
    found = await engine.get(execution_id)
    assert (found.status, list(found.task_results)) == ("paused", ["gate"])


async def test_what_was_being_cancelled_when_the_server_ended_has_nothing_left_to_abandon(
    journal, caplog
):
    gate = Gate()
    async with open_engine(activities=[gate.activity]) as engine:
        execution_id = (await engine.start(chain("gate"))).execution_id
        await gate.someone_came.wait()
        begun = await recorded(engine, execution_id)
        gate.opened.set()
    left = (*begun, CancelRequested(at=begun[0].at))

    def made(keep_ended):
        made = MemoryJournal(keep_ended)
        made.append(Batch(execution_id, 1, left), lambda _: None)
        return made

    journal(made)
    async with open_engine(activities=[gate.activity]) as engine:
        execution = await engine.wait(execution_id)
        assert execution.status == "cancelled"
        assert [line.how for line in execution.cancellation.tasks] == ["killed"]
        assert engine.abandoned_executions == 0
    assert not caplog.records


@pytest.mark.parametrize("how", ["drained", "raised"])
async def test_no_further_task_is_run_when_one_swallows_being_stopped(how):
    gate, ran = Gate(), []

    @activity
    async def swallow(context):
        try:
            await gate._pass(context)
        except anyio.get_cancelled_exc_class():
            return "all the same"

    @activity
    async def further(context):
        ran.append("further")

    with contextlib.suppress(ZeroDivisionError):
        async with open_engine(Settings(grace=0), activities=[swallow, further]) as engine:
            execution = await engine.start(chain("swallow", "further"))
            await gate.someone_came.wait()
            if how == "raised":
                raise ZeroDivisionError
    found = await engine.get(execution.execution_id)
    assert (found.status, found.context["swallow_result"], ran) == ("running", "all the same", [])


class OddError(BaseException):
    """Neither an Exception nor one of those that Python knows."""


@pytest.mark.parametrize(
    "error",
    [
        ValueError("mine"),
        OddError("mine"),
        KeyboardInterrupt(),
        ExceptionGroup("mine", [ValueError()]),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_exception_leaves_the_block_as_it_is_and_stops_everything(error):
    gate = Gate()
    with pytest.raises(type(error)) as raised:  # noqa: PT012 - the block is what is tested
        async with open_engine(activities=[gate.activity]) as engine:
            execution = await engine.start(chain("gate"))
            await gate.someone_came.wait()
            raise error
    assert raised.value is error
    assert (gate.left, engine.live_executions, engine.is_accepting) == (1, 0, False)
    with pytest.raises(EngineClosedError):
        await engine.wait(execution.execution_id)


async def test_an_engine_that_was_left_starts_nothing():
    with pytest.raises(ZeroDivisionError):
        async with open_engine(activities=[double]) as broken:
            _ = 1 / 0
    async with open_engine(activities=[double]) as closed:
        pass
    for engine in [broken, closed]:
        with pytest.raises(EngineClosedError):
            await engine.run(chain("double"), {"number": 1})


async def test_cancelling_the_block_stops_everything_and_is_not_an_error():
    gate = Gate()
    with anyio.CancelScope() as scope:
        async with open_engine(activities=[gate.activity]) as engine:
            execution = await engine.start(chain("gate"))
            await gate.someone_came.wait()
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert (gate.left, engine.live_executions, engine.is_accepting) == (1, 0, False)
    assert (await engine.get(execution.execution_id)).status == "running"


# --- a journal that fails


@pytest.mark.parametrize("is_raising", [False, True], ids=["answers", "raises"])
@pytest.mark.parametrize("from_batch", [1, 2, 3])
async def test_a_journal_that_fails_stops_the_engine(journal, from_batch, is_raising):
    made = journal(lambda keep: FailingJournal(keep, from_batch=from_batch, is_raising=is_raising))
    told, ran = [], []

    @activity
    async def step(context):
        ran.append(1)
        await anyio.lowlevel.checkpoint()

    further = activity("further")(step.function)
    with pytest.raises(JournalError, match="the disk is full") as raised:  # noqa: PT012
        async with open_engine(activities=[step, further], on_failure=told.append) as engine:
            await engine.start(chain("step", "further"))
            await anyio.sleep_forever()
    assert raised.value.__cause__ is made[0].error
    assert told == [made[0].error]
    assert len(ran) == from_batch - 1
    assert (engine.live_executions, engine.is_accepting) == (0, False)


async def test_waiters_are_told_when_the_journal_fails(journal):
    made = journal(HeldJournal)
    gate, told, failures = Gate(), [], []

    async def wait(engine, execution_id):
        with pytest.raises(EngineClosedError):
            await engine.wait(execution_id)
        told.append(execution_id)

    async with anyio.create_task_group() as group:
        with pytest.raises(JournalError):  # noqa: PT012
            async with open_engine(
                activities=[gate.activity], on_failure=failures.append
            ) as engine:
                made[0].is_holding = False
                ids = [(await engine.start(chain("gate"))).execution_id for _ in range(3)]
                for execution_id in ids:
                    group.start_soon(wait, engine, execution_id)
                await until(lambda: gate.came == 3)
                made[0].is_holding = True
                gate.opened.set()
                await until(lambda: len(made[0].held) == 3)
                for _ in ids:
                    made[0].acknowledge_next(OSError("the disk is full"))
                await anyio.sleep_forever()
    assert sorted(told) == ids
    assert len(failures) == 1
    for execution_id in ids:
        assert (await engine.get(execution_id)).status == "running"


async def test_no_execution_is_started_on_a_broken_engine(journal):
    journal(lambda keep: FailingJournal(keep, from_batch=1))
    with pytest.raises(JournalError):  # noqa: PT012
        async with open_engine(activities=[double]) as engine:
            with pytest.raises(JournalError, match="nothing has changed: the disk is full"):
                await engine.start(chain("double"))
            assert not engine.is_accepting
            with pytest.raises(EngineClosedError):
                await engine.start(chain("double"))


# --- a journal that takes its time


async def test_start_returns_when_the_start_is_acknowledged(journal):
    made = journal(HeldJournal)
    gate = Gate()
    async with (
        open_engine(activities=[gate.activity]) as engine,
        anyio.create_task_group() as group,
    ):
        starting = group.create_task(engine.start(chain("gate")))
        await anyio.wait_all_tasks_blocked()
        assert gate.came == 0
        assert starting.status == starting.Status.PENDING
        made[0].let_go()
        await gate.someone_came.wait()
        await starting.wait()
        gate.opened.set()
    assert starting.return_value.status == "running"


async def test_the_next_task_starts_when_the_end_of_the_last_is_acknowledged(journal):
    made = journal(HeldJournal)
    first, second = Gate("first"), Gate("second")
    async with open_engine(activities=[first.activity, second.activity]) as engine:
        made[0].is_holding = False
        execution = await engine.start(chain("first", "second"))
        made[0].is_holding = True
        first.opened.set()
        await until(lambda: made[0].held)
        await anyio.wait_all_tasks_blocked()
        shown = await engine.get(execution.execution_id)
        assert (first.left, second.came, shown.current_task) == (1, 0, "first")
        assert "first" not in shown.task_results
        made[0].acknowledge_next()
        await second.someone_came.wait()
        assert (await engine.get(execution.execution_id)).current_task == "second"
        second.opened.set()
        await until(lambda: made[0].held)
        await anyio.wait_all_tasks_blocked()
        assert (await engine.get(execution.execution_id)).status == "running"
        made[0].acknowledge_next()
        assert (await engine.wait(execution.execution_id)).status == "completed"


async def test_a_request_to_cancel_is_answered_when_it_is_acknowledged(journal):
    made = journal(HeldJournal)
    gate = Gate()
    async with (
        open_engine(activities=[gate.activity]) as engine,
        anyio.create_task_group() as group,
    ):
        made[0].is_holding = False
        execution_id = (await engine.start(chain("gate"))).execution_id
        await gate.someone_came.wait()
        made[0].is_holding = True
        cancelling = group.create_task(engine.cancel(execution_id))
        await anyio.wait_all_tasks_blocked()
        assert gate.left == 0
        assert (await engine.get(execution_id)).status == "running"
        made[0].acknowledge_next()
        await until(lambda: made[0].held)
        await cancelling.wait()
        assert cancelling.return_value.status == "cancelling"
        assert (await engine.get(execution_id)).status == "cancelling"
        made[0].let_go()
        assert (await engine.wait(execution_id)).status == "cancelled"


async def test_a_caller_that_gives_up_while_the_start_is_recorded_leaves_a_running_execution(
    journal,
):
    made = journal(HeldJournal)
    gate = Gate()
    async with open_engine(activities=[gate.activity]) as engine:
        with anyio.move_on_after(0):
            await engine.start(chain("gate"))
        assert (gate.came, engine.live_executions) == (0, 1)
        made[0].let_go()
        await gate.someone_came.wait()
        gate.opened.set()
        await until(lambda: engine.live_executions == 0)


@pytest.mark.parametrize("checkpoints", [0, 1, 5])
async def test_many_executions_run_on_a_journal_that_takes_its_time(journal, checkpoints):
    made = journal(lambda keep: LateJournal(keep, checkpoints))
    async with anyio.create_task_group() as group:
        async with open_engine(activities=[double, describe]) as engine:
            group.start_soon(made[0].write)
            async with anyio.create_task_group() as runs:
                running = [
                    runs.create_task(engine.run(chain("double", "describe"), {"number": number}))
                    for number in range(50)
                ]
        group.cancel_scope.cancel()
    assert [run.return_value.context["describe_result"] for run in running] == [
        f"twice is {2 * number}" for number in range(50)
    ]


# --- following


async def test_following_yields_the_history_and_then_what_happens_and_ends():
    first, second = Gate("first"), Gate("second")
    seen = []
    async with open_engine(activities=[first.activity, second.activity]) as engine:
        execution = await engine.start(chain("first", "second"))
        async for recorded_event in engine.follow(execution.execution_id):
            seen.append(recorded_event)
            if len(seen) == 2:
                first.opened.set()
            if len(seen) == 4:
                second.opened.set()
        assert seen == list(await engine.events(execution.execution_id))
        assert [each.seq for each in seen] == [1, 2, 3, 4, 5, 6]
        ended = [each async for each in engine.follow(execution.execution_id)]
        assert ended == seen
        rest = [each async for each in engine.follow(execution.execution_id, after=4)]
        assert rest == seen[4:]
        assert [each async for each in engine.follow(execution.execution_id, after=99)] == []


async def test_following_from_a_position_that_is_not_reached_yet_waits():
    gate = Gate()
    async with (
        open_engine(activities=[gate.activity]) as engine,
        anyio.create_task_group() as group,
    ):
        execution = await engine.start(chain("gate"))
        positions = {}

        async def follow(after):
            async for each in engine.follow(execution.execution_id, after=after):
                positions.setdefault(after, []).append(each.seq)

        for after in [0, 1, 2, 3, 99]:
            group.start_soon(follow, after)
        await gate.someone_came.wait()
        await anyio.wait_all_tasks_blocked()
        assert positions == {0: [1, 2], 1: [2]}
        gate.opened.set()
    assert positions == {0: [1, 2, 3, 4], 1: [2, 3, 4], 2: [3, 4], 3: [4]}


async def test_following_ends_when_the_engine_stops_the_execution():
    gate, seen = Gate(), []

    async def follow(engine, execution_id):
        seen.extend([each.seq async for each in engine.follow(execution_id)])

    async with (
        anyio.create_task_group() as group,
        open_engine(Settings(grace=0), activities=[gate.activity]) as engine,
    ):
        execution = await engine.start(chain("gate"))
        group.start_soon(follow, engine, execution.execution_id)
        await gate.someone_came.wait()
    assert seen == [1, 2]


# --- bugs of ours


@pytest.mark.parametrize("kind", [RuntimeError, KeyError])
async def test_a_bug_in_the_supervisor_fails_its_execution_and_no_other(monkeypatch, caplog, kind):
    from actors import execution as module

    follow = module.follow

    def broken_follow(plan, *arguments):
        if plan.flow_id == "bad":
            raise kind("a bug")
        return follow(plan, *arguments)

    monkeypatch.setattr(module, "follow", broken_follow)
    gate = Gate()
    async with open_engine(activities=[gate.activity, double, describe]) as engine:
        other = await engine.start(chain("gate"))
        await gate.someone_came.wait()
        with caplog.at_level(logging.CRITICAL):
            found = await engine.run(chain("double", "describe", flow_id="bad"), {"number": 1})
        assert (found.status, found.error.type, found.error_task) == (
            "failed",
            "InternalError",
            "double",
        )
        assert kind.__name__ in found.error.message
        assert isinstance((await recorded(engine, found.execution_id))[-1], ExecutionFailed)
        gate.opened.set()
        assert (await engine.wait(other.execution_id)).status == "completed"
        assert (await engine.run(chain("double"), {"number": 1})).status == "completed"
        await until(lambda: engine.live_executions == 0)


@pytest.mark.parametrize("handler", ["_run_task", "_operator_request", "_grace_ended"])
async def test_a_bug_wherever_it_is_ends_its_execution_and_what_runs_of_it(monkeypatch, handler):
    gate, going_on, is_broken = Gate(), anyio.Event(), []

    @activity
    async def clean_up(context):
        try:
            await gate._pass(context)
        finally:
            with anyio.CancelScope(shield=True):
                await going_on.wait()
            return "too late"  # noqa: B012 - it swallows the cancellation, as careless code does

    for table in [ExecutionSupervisor._HANDLERS, ExecutionSupervisor._ACTIONS]:
        for kind, method in table.items():
            if method.__name__ == handler:
                monkeypatch.setitem(table, kind, _broken(method, is_broken))
    async with open_engine(Settings(grace=0), activities=[clean_up, double]) as engine:
        if handler == "_run_task":
            is_broken.append(1)
        execution_id = (await engine.start(chain("clean_up"))).execution_id
        if handler != "_run_task":
            await gate.someone_came.wait()
            is_broken.append(1)
            told = pytest.raises(RuntimeError, match="a bug")
            with told if handler == "_operator_request" else contextlib.nullcontext():
                await engine.cancel(execution_id)
        found = await engine.wait(execution_id)
        assert (found.status, found.error.type) == ("failed", "InternalError")
        is_broken.clear()
        going_on.set()
        assert (await engine.run(chain("double"), {"number": 1})).status == "completed"
        await until(lambda: gate.left == gate.came)
        assert isinstance(await ending_of(engine, execution_id), ExecutionFailed)


def _broken(method, is_broken):
    def call(supervisor, message):
        if is_broken:
            raise RuntimeError("a bug")
        method(supervisor, message)

    return call


async def test_requests_to_cancel_beyond_what_a_mailbox_takes_are_refused_and_harm_nothing(journal):
    made = journal(HeldJournal)
    gate, refused, cancelled = Gate(), [], []

    async def cancel(engine, execution_id):
        try:
            cancelled.append((await engine.cancel(execution_id)).status)
        except EngineBusyError as error:
            refused.append(error)

    async with open_engine(activities=[gate.activity]) as engine:
        made[0].is_holding = False
        execution = await engine.start(chain("gate"))
        await until(lambda: gate.came == 1)
        made[0].is_holding = True
        async with anyio.create_task_group() as group:
            for _ in range(Mailbox.BOUND + 10):
                group.start_soon(cancel, engine, execution.execution_id)
            await until(lambda: refused)
            made[0].let_go()
        assert len(refused) == 9  # one request is being recorded while the others wait
        assert set(cancelled) <= {"cancelling", "cancelled"}
        assert (await engine.wait(execution.execution_id)).status == "cancelled"
        assert (await engine.run(chain("gate"), timeout=0.01)).status == "running"
        gate.opened.set()
