"""Every flow that the documentation shows is run, in each of the ways that it is there to show."""

from __future__ import annotations

import json
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest

from flowmgr import ActivityError, Settings, activity, open_engine
from flowmgr.journal.store import ExecutionQuery
from tests.docs.test_language import EXAMPLES, README, REFERENCE, activities_in, examples_in
from tests.support.answering import answering, message
from tests.support.virtual_time import LoopClock, in_virtual_time

pytestmark = pytest.mark.anyio

BUILT_IN = {"task1", "task2", "task3"}
DAY = 86_400
APPROVAL = {"approved": True}
REFUSAL = {"approved": False}


class After(msgspec.Struct):
    """What an activity returns after a while."""

    seconds: float
    result: Any


class Run(msgspec.Struct):
    """A run of an example, and what has to come of it.

    Attributes:
        example: the flow's id; the README's flow of this id begins with "README ".
        context: what it starts with.
        does: what activities return or raise, or make of their context; the others return None.
        signals: the values that are sent, by the signal's name.
        ran: the activities that run, in their order; a set if they run side by side.
        status: how it ends.
        error: the type of its error.
        results: results of tasks.
        output: the execution's output.
        seconds: how long it takes.
    """

    example: str
    context: dict[str, Any] = {}
    does: dict[str, Any] = {}
    signals: dict[str, Any] = {}
    ran: list[str] | set[str] = []
    status: str = "completed"
    error: str | None = None
    results: dict[str, Any] = {}
    output: Any = None
    seconds: float = 0.0


def told_of(status, kind, task):
    """What only an activity returns from that is told of an end."""

    def act(context):
        error = context["error"]
        assert (context["status"], error["type"], error["task"]) == (status, kind, task)

    return act


DECLINED = ActivityError("PaymentDeclined", "no money")
PARCELS = {"parcels": [{"weight": 1}, {"weight": 2}]}

RUNS = [
    Run("README order", PARCELS, signals={"approval": APPROVAL}, ran=["charge", "send", "send"]),
    Run(
        "README order",
        PARCELS,
        signals={"approval": REFUSAL},
        ran=["charge", "refund"],
        status="failed",
        error="Declined",
    ),
    Run(
        "README order",
        PARCELS,
        ran=["charge", "refund"],
        status="failed",
        error="Declined",
        seconds=DAY,
    ),
    Run("order", ran=["charge", "ship"]),
    Run("order", does={"charge": ValueError("no")}, ran=["charge", "apologise"]),
    Run("when", does={"charge": {"amount": 5}}, ran=["charge", "ship"]),
    Run("when", does={"charge": {"amount": 5000}}, ran=["charge", "review"]),
    Run("when", does={"charge": DECLINED}, ran=["charge", "ask_for_card"]),
    Run("when", does={"charge": OSError("no")}, ran=["charge"], status="failed", error="OSError"),
    Run(
        "attempts",
        {"customer": "ada"},
        does={"book": {"booking": {"id": 7}}},
        ran=["book", "confirm", "report"],
        results={"book": {"id": 7}},
        output=7,
    ),
    Run(
        "attempts",
        {"customer": "ada"},
        does={"book": {"booking": {"id": 7}}, "confirm": OSError("no")},
        ran=["book", "confirm", "cancel_booking", "report"],
        status="failed",
        error="OSError",
    ),
    Run(
        "attempts",
        {"customer": "ada"},
        does={"book": ActivityError("SoldOut", "sold out")},
        ran=["book", "report"],
        status="failed",
        error="SoldOut",
    ),
    Run("import", ran=["load", "tidy", "announce"]),
    Run(
        "import",
        does={"load": OSError("no"), "alert": told_of("failed", "OSError", "load")},
        ran=["load", "tidy", "alert"],
        status="failed",
        error="OSError",
    ),
    Run(
        "activity",
        {"order": {"id": 3, "total": 12.5}},
        does={"charge_card": lambda context: [context["amount"], context["text"]]},
        ran=["charge_card"],
        results={"charge": [12.5, "Order 3"]},
    ),
    Run("wait", ran=["remind"], seconds=DAY),
    Run("signal", signals={"approval": APPROVAL}, ran=["publish"]),
    Run("signal", signals={"approval": REFUSAL}),
    Run("signal", status="failed", error="TimedOut", seconds=7 * DAY),
    Run(
        "subflow",
        {"document": "d"},
        does={"publish": lambda context: context["document"]},
        signals={"approval": APPROVAL},
        ran=["publish"],
        results={"approve": "d"},
    ),
    Run(
        "parallel",
        does={"ask_north": After(3, 1), "ask_south": After(9, 2), "look_up": "cached"},
        ran={"ask_north", "ask_south", "look_up"},
        output={"cache": "cached"},
        seconds=2,
    ),
    Run(
        "parallel",
        does={"ask_north": After(9, 1), "ask_south": After(1, 2)},
        ran={"ask_north", "ask_south"},
        output={"south": 2},
        seconds=1,
    ),
    Run(
        "map",
        {"pictures": [{"path": "a"}, {"path": "b"}, {"path": "c"}]},
        does={"resize": lambda context: [context["path"], context["width"]]},
        ran=["resize"] * 3,
        results={"resize_all": [["a", 800], ["b", 800], ["c", 800]]},
    ),
    Run(
        "map",
        {"pictures": [{}, {"path": "b"}]},
        does={"resize": lambda context: context["path"]},
        ran=["resize"],
        results={"resize_all": [None, "b"]},
    ),
    Run(
        "set-and-raise",
        {"price": 5, "pieces": 3},
        ran=["charge"],
        results={"total": {"total": 15, "currency": "EUR"}},
    ),
    Run(
        "set-and-raise",
        {"price": 500, "pieces": 3},
        status="failed",
        error="TooLarge",
    ),
]
"""Not the flow of http, which has a test of its own, and those that the README's tests run."""


@in_virtual_time
@pytest.mark.parametrize(
    "run", RUNS, ids=lambda run: f"{run.example}: {run.error or sorted(run.ran)}"
)
async def test_an_example_does_what_it_shows(run):
    flow, ran = documented(run.example), []
    activities = [acting(name, run, ran) for name in sorted(activities_in(EXAMPLES) - BUILT_IN)]
    async with open_engine(activities=activities, clock=LoopClock()) as engine:
        for each in [documented("signal"), flow]:
            await engine.register(each)
        started = await engine.start(flow["flow"]["id"], run.context)
        await anyio.lowlevel.checkpoint()
        for name, value in run.signals.items():
            await send(engine, name, value)
        found = await engine.wait(started.execution_id)
    assert (found.status, found.error and found.error.type) == (run.status, run.error)
    assert type(run.ran)(ran) == run.ran
    assert {name: found.task_results[name].value for name in run.results} == run.results
    assert json.loads(bytes(found.output)) == run.output
    assert found.ended_at - found.started_at == pytest.approx(run.seconds, abs=1)


def documented(name):
    """The example of this name, as an author would copy it."""
    flow_id = name.removeprefix("README ")
    document = README if name != flow_id else REFERENCE
    return next(each for each in examples_in(document) if each["flow"]["id"] == flow_id)


def acting(name, run, ran):
    """An activity that does what the run says."""
    does = run.does.get(name)

    @activity(name)
    async def act(context):
        ran.append(name)
        if isinstance(does, Exception):
            raise does
        if isinstance(does, After):
            await anyio.sleep(does.seconds)
            return does.result
        return does(context) if callable(does) else does

    return act


async def send(engine, name, value):
    """Send a signal to the execution that waits for it, be it a sub-flow of the example."""
    with anyio.fail_after(60):
        while True:
            for each in await engine.list(ExecutionQuery(), None, 10):
                tree = await engine.tree(each.execution_id)
                if f"'{name}'" in repr(tree):
                    await engine.signal(each.execution_id, name, value)
                    return
            await anyio.sleep(0.01)


async def test_the_example_of_a_request_makes_it():
    flow, job = documented("http"), "job/7"
    async with answering(message(200, b'{"done": true}', "application/json")) as server:
        request = flow["flow"]["tasks"][0]["request"]
        assert request["url"].startswith("https://api.example.com/")
        request["url"] = request["url"].replace("https://api.example.com", server.url(""))
        settings = Settings(http_allow=("127.0.0.1/32",))
        async with open_engine(settings) as engine:
            found = await engine.run(flow, {"job": job})
        assert found.status == "completed", found.error
        assert found.task_results["ask"].value == {"done": True}
        assert b"GET /jobs/job/7 HTTP/1.1" in server.requests[0]
        assert b"accept: application/json" in server.requests[0].lower()


def test_every_example_is_run():
    shown = {each["flow"]["id"] for each in EXAMPLES}
    run = {each.example.removeprefix("README ") for each in RUNS}
    assert shown == run | {"http", "flow123", "my-flow"}
