"""What one request could make an execution keep or open without an end."""

import contextlib
import itertools

import anyio
import pytest

from actors import forks, requests, values
from actors.events import WaitStarted
from actors.mailbox import Mailbox
from actors.values import decode_value
from flowmgr import ActivityError, activity, open_engine
from flowmgr.errors import ExecutionStateError
from tests.support.flows import recorded, until
from tests.support.journals import HeldJournal

pytestmark = pytest.mark.anyio


@activity
async def nothing(context):
    return 1


def flow(*tasks):
    links = [
        {
            "source_task": a["name"],
            "target_task_success": b["name"],
            "target_task_failure": b["name"],
        }
        for a, b in itertools.pairwise(tasks)
    ]
    return {"name": "f", "start_task": tasks[0]["name"], "tasks": list(tasks), "conditions": links}


async def test_a_map_over_too_many_items_fails_and_the_flow_goes_on(any_journal, monkeypatch):
    assert forks.MAX_SCOPES >= 10_000
    monkeypatch.setattr(forks, "MAX_SCOPES", 10)
    each = {
        "name": "each",
        "kind": "map",
        "items": "${context.items}",
        "do": {"tasks": [{"name": "nothing"}]},
        "retry": {"maximum_attempts": 5},
    }
    async with open_engine(activities=[nothing]) as engine:
        document = flow(each, {"name": "nothing"})
        found = await engine.run(document, {"items": list(range(11))}, timeout=10)
        assert found.task_results["each"].error.type == "TooManyScopes"
        assert found.status == "completed"
        found = await engine.run(document, {"items": list(range(10))}, timeout=10)
        assert found.task_results["each"].value == [1] * 10


@activity
async def large(context):
    return "x" * context.get("size", 600)


@activity
async def refuse(context):
    raise ActivityError("Refused", "no", data="x" * 600)


@pytest.fixture
def largest(monkeypatch):
    """The bytes that a value may have."""
    assert values.MAX_BYTES <= 100_000_000  # SQLite has ten times as much in a row
    for module in (values, forks):
        monkeypatch.setattr(module, "MAX_BYTES", 1000)
    return 1000


async def test_a_result_that_is_too_large_fails_its_task_and_the_flow_goes_on(any_journal, largest):
    async with open_engine(activities=[large, nothing]) as engine:
        found = await engine.run(flow({"name": "large"}, {"name": "nothing"}), {"size": largest})
        error = found.task_results["large"].error
        assert error.type == "ValueRefusedError"
        assert "has 1,002 bytes as JSON, and 1,000 are allowed" in error.message
        assert (found.status, found.had_failures) == ("completed", True)


def fan(kind, activity):
    body = {"tasks": [{"name": activity}]}
    if kind == "parallel":
        return {"name": "fan", "kind": kind, "branches": {"a": body, "b": body}}
    return {"name": "fan", "kind": kind, "items": [1, 2], "do": body}


@pytest.mark.parametrize("kind", ["parallel", "map"])
async def test_results_that_are_too_large_together_fail_the_task_around(any_journal, largest, kind):
    async with open_engine(activities=[large, nothing]) as engine:
        found = await engine.run(flow(fan(kind, "large"), {"name": "nothing"}))
        error = found.task_results["fan"].error
        assert error.type == "ValueRefusedError"
        assert "1,000 are allowed" in error.message
        assert found.status == "completed"


async def test_errors_that_are_too_large_together_are_kept_without_their_data(any_journal, largest):
    several = {**fan("map", "refuse"), "tolerated_failures": 1}
    async with open_engine(activities=[refuse, nothing]) as engine:
        found = await engine.run(flow(several, {"name": "nothing"}))
        error = found.task_results["fan"].error
        assert error.type == "ItemsFailed"
        assert [each["data"] for each in decode_value(error.data)["errors"]] == [None, None]


async def test_scopes_of_all_depths_count(any_journal, monkeypatch):
    monkeypatch.setattr(forks, "MAX_SCOPES", 10)
    inner = {
        "name": "inner",
        "kind": "map",
        "items": [1, 2, 3],
        "do": {"tasks": [{"name": "nothing"}]},
    }
    outer = {"name": "outer", "kind": "map", "items": [1, 2, 3], "do": {"tasks": [inner]}}
    async with open_engine(activities=[nothing]) as engine:
        found = await engine.run(flow(outer), timeout=10)
        assert found.error.type == "ItemsFailed"
        outer["max_concurrency"] = 1
        found = await engine.run(flow(outer), timeout=10)
        assert found.status == "completed"


async def test_signals_that_no_task_takes_are_kept_up_to_a_bound(any_journal, monkeypatch):
    monkeypatch.setattr(requests, "MAX_KEPT", 3)

    @activity
    async def hold(context):
        await event.wait()

    event = anyio.Event()
    signals = [{"name": f"s{n}", "kind": "signal", "signal": "go"} for n in range(4)]
    async with open_engine(activities=[hold]) as engine:
        started = await engine.start(flow({"name": "hold"}, *signals))
        for number in range(3):
            await engine.signal(started.execution_id, "go", number)
        with pytest.raises(ExecutionStateError, match="keeps 3 signals 'go'"):
            await engine.signal(started.execution_id, "go", 3)
        event.set()
        with anyio.fail_after(10):
            async with contextlib.aclosing(engine.follow(started.execution_id)) as history:
                async for recorded in history:
                    if getattr(recorded.event, "task", None) == "s3":
                        break  # the others have taken all that there were
        await engine.signal(started.execution_id, "go", "last")
        found = await engine.wait(started.execution_id, timeout=10)
        assert [found.task_results[f"s{n}"].value for n in range(4)] == [0, 1, 2, "last"]


async def test_a_large_map_is_cancelled_while_it_opens(monkeypatch):
    made = []

    def held(keep_ended):
        made.append(HeldJournal(keep_ended))
        return made[0]

    monkeypatch.setattr("flowmgr.journal.MemoryJournal", held)
    count = 3 * Mailbox.BOUND
    each = {
        "name": "each",
        "kind": "map",
        "items": "${context.items}",
        "do": {"tasks": [{"name": "rest", "kind": "wait", "seconds": 1000}]},
    }
    async with open_engine() as engine, anyio.create_task_group() as group:
        [journal] = made
        starting = group.create_task(engine.start(flow(each), {"items": list(range(count))}))
        await until(lambda: journal.held)
        journal.acknowledge_next()
        await starting
        execution_id = starting.return_value.execution_id
        await until(lambda: journal.held)  # that the map has begun
        journal.acknowledge_next()
        supervisor = engine._live.get(execution_id)
        await until(lambda: len(supervisor._mail or ()) > Mailbox.BOUND)
        cancelling = group.create_task(engine.cancel(execution_id))
        await anyio.wait_all_tasks_blocked()
        journal.let_go()
        await cancelling
        assert cancelling.return_value.status in {"cancelling", "cancelled"}
        ended = await engine.wait(execution_id, timeout=10)
        assert ended.status == "cancelled"
        events = await recorded(engine, execution_id)
    assert sum(isinstance(event, WaitStarted) for event in events) < 3
