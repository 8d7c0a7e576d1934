"""Whatever an activity does ends its own execution, and nothing else."""

import asyncio
import contextvars
import math
import sys

import anyio
import anyio.lowlevel
import pytest
import sniffio

from flowmgr import ActivityError, activity, open_engine
from tests.support.flows import Gate, chain, until
from tests.support.journals import LateJournal

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("any_journal")]

IN_MEMORY = pytest.mark.parametrize("any_journal", ["memory"], indirect=True)
"""Marks a test that has a journal of its own making."""

ON_ASYNCIO = pytest.mark.parametrize(
    "anyio_backend",
    [
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    ],
    indirect=True,
)


# --- what activities raise and return


class OddError(BaseException):
    """Neither an Exception nor one of those that Python knows."""


class SpeechlessError(Exception):
    def __str__(self):
        raise ValueError("not even this works")


class UnfriendlyError(Exception):
    def __getattribute__(self, name):
        raise ValueError(f"not even {name}")


class LeavingError(Exception):
    def __str__(self):
        return sys.exit("leaving, while the error is described")


class InitlessError(ActivityError):
    def __init__(self, code):
        self.code = code


def recurse():
    return recurse()


def raiser(error):
    def raise_it():
        raise error

    return raise_it


def decline():
    raise ActivityError("Declined", "no money", retryable=None)


def leave():
    sys.exit("leaving")


RAISING = {
    "SystemExit": (leave, "SystemExit", "leaving"),
    "KeyboardInterrupt": (raiser(KeyboardInterrupt("stop")), "KeyboardInterrupt", "stop"),
    "stray cancellation": (
        raiser(asyncio.CancelledError("nobody asked")),
        "CancelledError",
        "nobody asked",
    ),
    "GeneratorExit": (raiser(GeneratorExit("over")), "GeneratorExit", "over"),
    "StopIteration": (
        raiser(StopIteration("over")),
        "RuntimeError",
        "coroutine raised StopIteration",
    ),
    "group": (
        raiser(ExceptionGroup("several", [ValueError("one"), KeyError("two")])),
        "ExceptionGroup",
        "2 errors: ValueError: one; KeyError: 'two'",
    ),
    "group with SystemExit": (
        raiser(BaseExceptionGroup("several", [SystemExit(3), ValueError("one")])),
        "BaseExceptionGroup",
        "2 errors: SystemExit: 3; ValueError: one",
    ),
    "odd error": (raiser(OddError("odd")), "OddError", "odd"),
    "recursion": (recurse, "RecursionError", "maximum recursion depth exceeded"),
    "no text": (
        raiser(SpeechlessError()),
        "SpeechlessError",
        "(the error's own text could not be made)",
    ),
    "text that exits": (
        raiser(LeavingError()),
        "LeavingError",
        "(the error's own text could not be made)",
    ),
    "no attributes": (raiser(UnfriendlyError("go away")), "UnfriendlyError", "go away"),
    "no attributes, in a group": (
        raiser(ExceptionGroup("several", [UnfriendlyError("go away"), ValueError("one")])),
        "ExceptionGroup",
        "2 errors: UnfriendlyError: go away; ValueError: one",
    ),
    "lone surrogate": (raiser(ValueError("\ud800")), "ValueError", "\\ud800"),
    "activity error without its own init": (
        raiser(InitlessError(51)),
        "InitlessError",
        "51",
    ),
    "activity error with no bool": (
        decline,
        "TypeError",
        "ActivityError takes True or False as retryable: None (Declined: no money)",
    ),
}


def circular():
    value = {}
    value["self"] = value
    return value


def deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


NOT_JSON = {
    "NaN": (lambda: math.nan, "result is nan"),
    "infinity inside": (lambda: {"a": [math.inf]}, "result['a'][0] is inf"),
    "set": (lambda: {1, 2}, "result is a set"),
    "bytes": (lambda: b"x", "result is bytes"),
    "int keys": (lambda: {1: "x"}, "result has the key 1"),
    "too deep": (deep, "nested deeper than 64 levels"),
    "circular": (circular, "nested deeper than 64 levels"),
    "object": (object, "cannot be written as JSON"),
    "lone surrogate": (lambda: "\ud800", "cannot be written as JSON"),
}


@pytest.mark.parametrize("when", ["at once", "after a checkpoint"])
@pytest.mark.parametrize("case", RAISING)
async def test_what_an_activity_raises_fails_its_own_execution_and_no_other(case, when):
    function, kind, message = RAISING[case]

    @activity
    async def misbehave(context):
        if when != "at once":
            await anyio.lowlevel.checkpoint()
        function()

    found = await fails_alone(misbehave)
    assert (found.error.type, found.error.message[: len(message)]) == (kind, message)


@pytest.mark.parametrize("case", NOT_JSON)
async def test_a_result_that_is_not_json_fails_its_own_execution_and_no_other(case):
    make, message = NOT_JSON[case]

    @activity
    async def misbehave(context):
        return make()

    found = await fails_alone(misbehave)
    assert found.error.type == "ValueRefusedError"
    assert message in found.error.message


async def fails_alone(misbehaving):
    """Run *misbehaving* among others; return its execution, which is to have failed."""
    gate, name = Gate(), misbehaving.name
    async with open_engine(activities=[misbehaving, gate.activity]) as engine:
        others = [(await engine.start(chain("gate"))).execution_id for _ in range(3)]
        await until(lambda: gate.came == 3)
        found = await engine.run(chain(name, flow_id="bad"))
        assert (found.status, found.error_task, found.had_failures) == ("failed", name, True)
        assert found.context[f"{name}_result"] is None
        gate.opened.set()
        for execution_id in others:
            assert (await engine.wait(execution_id)).status == "completed"
        assert (await engine.run(chain("gate"))).status == "completed"
        assert engine.is_accepting
        assert engine.live_executions == 0
    return found


# --- asyncio's own cancelling


@ON_ASYNCIO
async def test_an_activity_that_cancels_its_own_task_and_waits_fails():
    @activity
    async def cancel_myself(context):
        asyncio.current_task().cancel("by myself")
        await anyio.lowlevel.checkpoint()

    found = await fails_alone(cancel_myself)
    assert (found.error.type, found.error.message) == ("CancelledError", "by myself")


@ON_ASYNCIO
@pytest.mark.parametrize("count", [1, 3])
async def test_an_activity_that_cancels_its_own_task_and_returns_does_no_harm_to_others(count):
    gate, ran = Gate(), []

    @activity
    async def cancel_myself(context):
        for _ in range(count):
            asyncio.current_task().cancel()
        return "returned"

    @activity
    async def further(context):
        ran.append("further")

    async with open_engine(activities=[cancel_myself, further, gate.activity]) as engine:
        other = await engine.start(chain("gate"))
        await gate.someone_came.wait()
        alone = await engine.run(chain("cancel_myself"))
        assert (alone.status, alone.context["cancel_myself_result"]) == ("completed", "returned")
        followed = await engine.run(chain("cancel_myself", "further"))
        assert followed.status == "completed"
        assert ran == ["further"]
        for _ in range(5):
            assert (await engine.run(chain("further"))).status == "completed"
        gate.opened.set()
        assert (await engine.wait(other.execution_id)).status == "completed"


@ON_ASYNCIO
@IN_MEMORY
async def test_a_cancellation_that_nobody_asked_for_does_not_keep_the_next_task_from_running(
    monkeypatch,
):
    @activity
    async def cancel_myself(context):
        asyncio.current_task().cancel()

    @activity
    async def further(context):
        return "ran"

    journals = []
    monkeypatch.setattr(
        "flowmgr.journal.MemoryJournal",
        lambda keep_ended: journals.append(LateJournal(keep_ended)) or journals[0],
    )
    async with anyio.create_task_group() as group:
        async with open_engine(activities=[cancel_myself, further]) as engine:
            group.start_soon(journals[0].write)
            execution = await engine.run(chain("cancel_myself", "further"))
        group.cancel_scope.cancel()
    assert (execution.status, execution.context["further_result"]) == ("completed", "ran")


@ON_ASYNCIO
async def test_an_execution_can_be_cancelled_after_an_activity_has_cancelled_its_own_task():
    gate = Gate()

    @activity
    async def cancel_myself(context):
        asyncio.current_task().cancel()
        await anyio.lowlevel.checkpoint()

    async with open_engine(activities=[cancel_myself, gate.activity]) as engine:
        execution = await engine.start(chain("cancel_myself", "gate"))
        await gate.someone_came.wait()
        found = await engine.cancel(execution.execution_id, wait=20)
        assert (found.status, gate.left) == ("cancelled", 1)
        assert [line.how for line in found.cancellation.tasks] == ["stopped"]
        gate.opened.set()
        assert (await engine.run(chain("gate"))).status == "completed"
        assert engine.is_accepting


# --- context variables


variable = contextvars.ContextVar("variable", default="unset")


@activity
async def read_variable(context):
    return variable.get()


@activity
async def set_variable(context):
    variable.set("set by an activity")
    return variable.get()


@activity
def read_variable_in_thread(context):
    return variable.get()


@pytest.mark.parametrize("name", ["read_variable", "read_variable_in_thread"])
async def test_an_execution_does_not_see_the_context_variables_of_who_started_it(name):
    variable.set("set by the caller")
    async with open_engine(activities=[read_variable, read_variable_in_thread]) as engine:
        execution = await engine.run(chain(name))
    assert execution.context[f"{name}_result"] == "unset"


async def test_an_execution_does_not_see_the_context_variables_of_earlier_ones():
    async with open_engine(activities=[read_variable, set_variable]) as engine:
        for _ in range(5):
            first = await engine.run(chain("set_variable"))
            assert first.context["set_variable_result"] == "set by an activity"
            second = await engine.run(chain("read_variable"))
            assert second.context["read_variable_result"] == "unset"
    assert variable.get() == "unset"


# --- values


async def test_changing_what_came_from_the_context_changes_nothing_for_later_tasks():
    @activity
    async def produce(context):
        return {"rows": [1]}

    @activity
    async def spoil(context):
        context["given"].append("spoiled")
        context["produce_result"]["rows"].clear()
        return context["given"]

    @activity
    async def look(context):
        return [context["given"], context["produce_result"], context["spoil_result"]]

    async with open_engine(activities=[produce, spoil, look]) as engine:
        execution = await engine.run(chain("produce", "spoil", "look"), {"given": [0]})
    assert execution.context["look_result"] == [[0], {"rows": [1]}, [0, "spoiled"]]
    assert execution.context["given"] == [0]


async def test_changing_a_result_after_it_was_returned_changes_nothing():
    kept = []

    @activity
    async def produce(context):
        kept.append(1)
        return kept

    @activity
    async def spoil(context):
        kept.append(2)
        return context["produce_result"]

    async with open_engine(activities=[produce, spoil]) as engine:
        execution = await engine.run(chain("produce", "spoil"))
    assert execution.context["spoil_result"] == [1]


async def test_a_running_task_and_those_who_look_at_its_execution_have_values_of_their_own():
    changed, looked, seen = anyio.Event(), anyio.Event(), []

    @activity
    async def spoil(context):
        context["given"].append("by the task")
        changed.set()
        await looked.wait()
        seen.append(list(context["given"]))

    async with open_engine(activities=[spoil]) as engine:
        started = await engine.start(chain("spoil"), {"given": [0]})
        await changed.wait()
        shown = await engine.get(started.execution_id)
        assert started.context["given"] == shown.context["given"] == [0]
        shown.context["given"].append("by a reader")
        looked.set()
        await engine.wait(started.execution_id)
        assert seen == [[0, "by the task"]]


async def test_the_context_given_to_start_may_be_changed_afterwards():
    gate = Gate()
    given = {"values": [1]}
    async with open_engine(activities=[gate.activity]) as engine:
        execution = await engine.start(chain("gate"), given)
        given["values"].append(2)
        gate.opened.set()
        found = await engine.wait(execution.execution_id)
    assert found.context["values"] == [1]


# --- who waits is not who runs


async def test_whoever_stops_waiting_does_not_stop_the_execution():
    gate = Gate()
    async with open_engine(activities=[gate.activity]) as engine:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(engine.run, chain("gate"))
                await gate.someone_came.wait()
                scope.cancel()
        assert engine.live_executions == 1
        execution = await engine.start(chain("gate"))
        with anyio.move_on_after(0):
            await engine.wait(execution.execution_id)
        shown = await engine.wait(execution.execution_id, timeout=0)
        assert shown.status == "running"
        await until(lambda: gate.came == 2)
        gate.opened.set()
        assert (await engine.wait(execution.execution_id)).status == "completed"
        await until(lambda: engine.live_executions == 0)


async def test_an_execution_that_outlasts_the_timeout_of_run_goes_on():
    gate = Gate()
    async with open_engine(activities=[gate.activity]) as engine:
        execution = await engine.run(chain("gate"), timeout=0.001)
        assert (execution.status, gate.left) == ("running", 0)
        gate.opened.set()
        assert (await engine.wait(execution.execution_id)).status == "completed"


async def test_a_task_group_that_starts_executions_does_not_own_them():
    gate = Gate()
    async with open_engine(activities=[gate.activity]) as engine:
        async with anyio.create_task_group() as group:
            group.start_soon(engine.start, chain("gate"))
        await gate.someone_came.wait()
        assert engine.live_executions == 1
        gate.opened.set()


@pytest.mark.parametrize("ending", ["returns", "raises", "is cancelled"])
async def test_who_tells_sniffio_another_library_tells_nobody_else(ending):
    """anyio asks there on asyncio, and the engine asks anyio in the task that the activity had."""
    gate = Gate()

    @activity
    async def misbehave(context):
        sniffio.current_async_library_cvar.set("curio")
        if ending == "raises":
            raise ValueError("asked to")
        if ending == "is cancelled":
            await gate.activity.function(context)

    @activity
    async def misbehave_typed(after: bool = True):
        sniffio.current_async_library_cvar.set("curio")

    @activity
    async def pause(context):
        await anyio.sleep(0.001)

    flow = chain("misbehave", "misbehave_typed", "pause", flow_id="bad")
    async with open_engine(activities=[misbehave, misbehave_typed, pause]) as engine:
        bad = await engine.start(flow)
        if ending == "is cancelled":
            await until(lambda: gate.came == 1)
            await engine.cancel(bad.execution_id)
        found = await engine.wait(bad.execution_id)
        assert found.status == ("cancelled" if ending == "is cancelled" else "completed")
        assert found.had_failures == (ending == "raises")
        assert (await engine.run(chain("pause"))).status == "completed"
        assert engine.is_accepting
