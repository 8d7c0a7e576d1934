"""What every journal promises. A further one is a further parameter of `open_store`."""

import contextlib
import math

import msgspec
import pytest

from actors.actor import Reply
from actors.events import (
    CancelRequested,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionStarted,
    TaskFinished,
    TaskStarted,
    TaskStopped,
    Transition,
)
from actors.outcome import ErrorInfo, Outcome
from actors.ports import Batch
from flowmgr.errors import FlowExistsError, FlowmgrError
from flowmgr.journal.memory import MemoryJournal
from flowmgr.journal.sqlite import open_sqlite
from flowmgr.journal.store import ExecutionQuery, ExecutionSummary

pytestmark = pytest.mark.anyio

EVERYTHING = 10**9
BROKEN = ErrorInfo("ValueError", "no good")
ANY = ExecutionQuery()


@contextlib.asynccontextmanager
async def open_memory(path):
    yield MemoryJournal(100)


@pytest.fixture(
    params=[pytest.param(open_memory, id="memory"), pytest.param(open_sqlite, id="sqlite")]
)
def open_store(request, tmp_path):
    """Open a journal, an empty one at first: ``async with open_store() as store``."""

    def opened():
        return request.param(tmp_path / "journal.db")

    return opened


# --- helpers


async def append(store, execution_id, first_seq, *events):
    """Append a batch and wait until it is durable."""
    reply, answers = Reply(), []

    def acknowledge(error):
        answers.append(error)
        reply.give(error or True)

    store.append(Batch(execution_id, first_seq, events), acknowledge)
    await reply.get()
    assert answers == [None]


def started(at=1.0, flow_id="flow", flow_version=1):
    return ExecutionStarted(
        at=at,
        flow_id=flow_id,
        flow_version=flow_version,
        start_task="a",
        context=msgspec.Raw(b'{"name":"\xc3\xa4"}'),
    )


def running(at=2.0):
    return TaskStarted(at=at, task="a")


def finished(at=3.0, error=None):
    outcome = Outcome("success", 0.25, msgspec.Raw(b"[1,null]"))
    if error is not None:
        outcome = Outcome("failure", 0.25, error=error)
    return TaskFinished(
        at=at,
        task="a",
        visit=1,
        attempt=1,
        outcome=outcome,
        transition=Transition(None, matched=False, target="end"),
    )


async def start(store, execution_id, **fields):
    await append(store, execution_id, 1, started(**fields), running())


async def complete(store, execution_id, at=3.0):
    await append(store, execution_id, 3, finished(at), ExecutionCompleted(at=at))


async def ids(store, query=ANY, before=None, limit=EVERYTHING):
    return [found.execution_id for found in await store.list_executions(query, before, limit)]


async def put(store, flow_id, digest="d1", *, at=1.0, only_new=False):
    definition = f'{{"digest":"{digest}"}}'.encode()
    return await store.put_flow(flow_id, digest, definition, at, only_new=only_new)


# --- events


async def test_events_are_read_back_as_they_were_appended(open_store):
    events = [
        started(),
        running(),
        finished(error=BROKEN),
        TaskStarted(at=3.0, task="b", visit=2, attempt=3),
        CancelRequested(at=4.0, reason="enough"),
        TaskStopped(at=5.0, task="b", attempt=3, how="killed", seconds=1.5, error=BROKEN),
        ExecutionCancelled(at=5.0),
    ]
    async with open_store() as store:
        await append(store, "e", 1, *events[:2])
        await append(store, "e", 3, events[2])
        await append(store, "e", 4, *events[3:])
        assert list(await store.read_events("e", 0, EVERYTHING)) == events


async def test_batches_keep_their_order_although_nobody_waits_for_the_first(open_store):
    acknowledged, last = [], Reply()
    async with open_store() as store:
        for number in range(50):
            at = float(number)
            event = running(at) if number else started(at)

            def acknowledge(error, number=number):
                acknowledged.append((number, error))
                if number == 49:
                    last.give(True)

            store.append(Batch("e", number + 1, (event,)), acknowledge)
        await last.get()
        found = await store.read_events("e", 0, EVERYTHING)
    assert [event.at for event in found] == list(range(50))
    assert acknowledged == [(number, None) for number in range(50)]


async def test_what_is_acknowledged_can_be_read(open_store):
    async with open_store() as store:
        await start(store, "e")
        assert len(await store.read_events("e", 0, EVERYTHING)) == 2
        assert (await store.get_execution("e")).status == "running"


@pytest.mark.parametrize("first_seq", [0, 1, 2, 4, 100])
async def test_a_batch_that_does_not_continue_the_log_is_refused_as_a_whole(open_store, first_seq):
    async with open_store() as store:
        await start(store, "e")
        with pytest.raises(FlowmgrError):
            await append(store, "e", first_seq, finished(), ExecutionCompleted(at=3.0))
        assert list(await store.read_events("e", 0, EVERYTHING)) == [started(), running()]
        assert (await store.get_execution("e")).status == "running"


async def test_the_first_batch_of_an_execution_begins_at_one(open_store):
    async with open_store() as store:
        with pytest.raises(FlowmgrError):
            await append(store, "e", 2, started())
        assert list(await store.read_events("e", 0, EVERYTHING)) == []
        assert await store.get_execution("e") is None
        assert await ids(store) == []
        await start(store, "e")
        assert await ids(store) == ["e"]


async def test_executions_have_logs_of_their_own(open_store):
    async with open_store() as store:
        await start(store, "one")
        await start(store, "two", at=7.0)
        await complete(store, "one")
        assert len(await store.read_events("one", 0, EVERYTHING)) == 4
        assert list(await store.read_events("two", 0, EVERYTHING)) == [started(7.0), running()]


@pytest.mark.parametrize(
    ("after", "limit", "expected"),
    [(0, 2, [0, 1]), (1, 2, [1, 2]), (3, 2, [3]), (4, 2, []), (9, 2, []), (0, 0, []), (0, 9, None)],
)
async def test_events_are_read_behind_a_position_and_up_to_a_limit(
    open_store, after, limit, expected
):
    events = [started(), running(), finished(), ExecutionCompleted(at=3.0)]
    async with open_store() as store:
        await append(store, "e", 1, *events)
        found = list(await store.read_events("e", after, limit))
    assert found == (events if expected is None else [events[index] for index in expected])


async def test_nothing_is_known_about_an_unknown_execution(open_store):
    async with open_store() as store:
        assert list(await store.read_events("unknown", 0, EVERYTHING)) == []
        assert await store.get_execution("unknown") is None


async def test_what_is_read_is_not_changed_by_later_events(open_store):
    async with open_store() as store:
        await start(store, "e")
        events, summary = await store.read_events("e", 0, 9), await store.get_execution("e")
        await complete(store, "e")
        assert (len(events), summary.status) == (2, "running")


# --- summaries


async def test_the_summary_of_a_running_execution_says_what_runs_since_when(open_store):
    async with open_store() as store:
        await start(store, "e", at=1.5, flow_id="f", flow_version=7)
        assert await store.get_execution("e") == ExecutionSummary("e", "f", 7, "running", 1.5)


@pytest.mark.parametrize(
    ("batches", "status", "ended_at", "had_failures"),
    [
        ([[finished(), ExecutionCompleted(at=3.0)]], "completed", 3.0, False),
        ([[finished(), running()]], "running", None, False),
        ([[finished(error=BROKEN), running()]], "running", None, True),
        (
            [[finished(error=BROKEN), running()], [finished(), ExecutionCompleted(at=4.0)]],
            "completed",
            4.0,
            True,
        ),
        (
            [[finished(error=BROKEN), ExecutionFailed(at=3.0, error=BROKEN, task="a")]],
            "failed",
            3.0,
            True,
        ),
        ([[ExecutionFailed(at=3.0, error=BROKEN, task="a")]], "failed", 3.0, False),
        ([[CancelRequested(at=3.0)]], "cancelling", None, False),
        ([[CancelRequested(at=3.0)], [ExecutionCancelled(at=5.0)]], "cancelled", 5.0, False),
    ],
)
async def test_the_summary_follows_the_events(open_store, batches, status, ended_at, had_failures):
    async with open_store() as store:
        await start(store, "e")
        seq = 3
        for batch in batches:
            await append(store, "e", seq, *batch)
            seq += len(batch)
        summary = await store.get_execution("e")
        [listed] = await store.list_executions(ANY, None, 1)
    assert summary == listed
    assert (summary.status, summary.ended_at, summary.had_failures) == (
        status,
        ended_at,
        had_failures,
    )


# --- lists of executions


async def test_executions_are_listed_newest_first(open_store):
    async with open_store() as store:
        for execution_id in ["e2", "e3", "e1"]:
            await start(store, execution_id)
        assert await ids(store) == ["e3", "e2", "e1"]


async def test_a_page_begins_behind_an_id_that_need_not_be_there_any_more(open_store):
    async with open_store() as store:
        for execution_id in ["e1", "e2", "e4", "e5"]:
            await start(store, execution_id)
        assert await ids(store, limit=2) == ["e5", "e4"]
        assert await ids(store, before="e4", limit=2) == ["e2", "e1"]
        assert await ids(store, before="e3", limit=1) == ["e2"]
        assert await ids(store, before="e1") == []
        assert await ids(store, before="e9", limit=1) == ["e5"]


async def test_paging_to_the_end_shows_every_match_once(open_store):
    names = [f"e{number:02}" for number in range(20)]
    async with open_store() as store:
        for number, name in enumerate(names):
            await start(store, name, flow_id=f"f{number % 3}")
        query, found, before = ExecutionQuery(flow_id="f1"), [], None
        while page := await ids(store, query, before, 3):
            found += page
            before = page[-1]
    assert found == names[1::3][::-1]


async def test_a_list_may_be_restricted_to_a_status_and_to_a_flow(open_store):
    async with open_store() as store:
        await start(store, "e1", flow_id="f")
        await start(store, "e2", flow_id="g")
        await start(store, "e3", flow_id="f")
        await complete(store, "e3")
        assert await ids(store, ExecutionQuery(status="running")) == ["e2", "e1"]
        assert await ids(store, ExecutionQuery(status="completed")) == ["e3"]
        assert await ids(store, ExecutionQuery(status="failed")) == []
        assert await ids(store, ExecutionQuery(flow_id="f")) == ["e3", "e1"]
        assert await ids(store, ExecutionQuery("running", "f")) == ["e1"]


# --- flows


async def test_a_flow_version_is_returned_as_it_was_put(open_store):
    async with open_store() as store:
        record, is_new = await put(store, "f", "d1", at=1.5)
        assert is_new
        assert (record.flow_id, record.version, record.digest) == ("f", 1, "d1")
        assert (bytes(record.definition), record.registered_at) == (b'{"digest":"d1"}', 1.5)
        assert await store.get_flow("f") == await store.get_flow("f", 1) == record


async def test_a_changed_definition_is_the_next_version(open_store):
    async with open_store() as store:
        first, _ = await put(store, "f", "d1")
        second, is_new = await put(store, "f", "d2", at=2.0)
        assert (second.version, is_new) == (2, True)
        assert await store.get_flow("f") == second
        assert await store.get_flow("f", 1) == first


async def test_the_definition_of_the_latest_version_makes_no_new_one(open_store):
    async with open_store() as store:
        first, _ = await put(store, "f", "d1", at=1.0)
        again, is_new = await put(store, "f", "d1", at=9.0)
        assert (again, is_new) == (first, False)
        assert list(await store.list_versions("f", 0, 9)) == [first]


async def test_going_back_to_an_earlier_definition_makes_a_version(open_store):
    async with open_store() as store:
        for digest in ["d1", "d2", "d1"]:
            record, is_new = await put(store, "f", digest)
        assert (record.version, is_new) == (3, True)


async def test_flows_with_one_definition_have_versions_of_their_own(open_store):
    async with open_store() as store:
        assert (await put(store, "f"))[0].version == 1
        assert (await put(store, "g"))[0].version == 1


@pytest.mark.parametrize("digest", ["d1", "d2"])
async def test_a_flow_that_must_be_new_is_refused_if_it_is_there(open_store, digest):
    async with open_store() as store:
        _, is_new = await put(store, "f", "d1", only_new=True)
        assert is_new
        with pytest.raises(FlowExistsError, match="'f'"):
            await put(store, "f", digest, only_new=True)
        assert len(await store.list_versions("f", 0, 9)) == 1


async def test_what_was_not_put_is_not_found(open_store):
    async with open_store() as store:
        await put(store, "f")
        assert await store.get_flow("g") is None
        assert await store.get_flow("f", 2) is None
        assert await store.get_flow("f", 0) is None
        assert list(await store.list_versions("g", 0, 9)) == []


async def test_flows_are_listed_by_id_in_their_latest_version(open_store):
    async with open_store() as store:
        for flow_id in ["b", "c", "a"]:
            await put(store, flow_id)
        latest, _ = await put(store, "b", "d2")
        found = list(await store.list_flows(None, 9))
        assert [record.flow_id for record in found] == ["a", "b", "c"]
        assert found[1] == latest
        assert [record.flow_id for record in await store.list_flows("a", 1)] == ["b"]
        assert [record.flow_id for record in await store.list_flows("aa", 9)] == ["b", "c"]
        assert list(await store.list_flows("c", 9)) == []


async def test_ids_that_differ_in_case_are_different_and_sort_by_code_point(open_store):
    async with open_store() as store:
        for flow_id in ["b", "B", "a", "_"]:
            await put(store, flow_id)
        assert [record.flow_id for record in await store.list_flows(None, 9)] == [
            "B",
            "_",
            "a",
            "b",
        ]


async def test_versions_are_listed_oldest_first(open_store):
    async with open_store() as store:
        for number in range(5):
            await put(store, "f", f"d{number}")
        assert [record.version for record in await store.list_versions("f", 0, 2)] == [1, 2]
        assert [record.version for record in await store.list_versions("f", 2, 9)] == [3, 4, 5]
        assert list(await store.list_versions("f", 5, 9)) == []


async def test_a_deleted_flow_is_gone_with_all_its_versions(open_store):
    async with open_store() as store:
        await put(store, "f", "d1")
        await put(store, "f", "d2")
        await put(store, "g")
        assert await store.delete_flow("f") is True
        assert await store.delete_flow("f") is False
        assert await store.get_flow("f") is None
        assert await store.get_flow("f", 1) is None
        assert list(await store.list_versions("f", 0, 9)) == []
        assert [record.flow_id for record in await store.list_flows(None, 9)] == ["g"]


async def test_the_numbers_of_a_deleted_flow_are_not_used_again(open_store):
    async with open_store() as store:
        await put(store, "f", "d1")
        await put(store, "f", "d2")
        await store.delete_flow("f")
        record, is_new = await put(store, "f", "d2", only_new=True)
        assert (record.version, is_new) == (3, True)
        assert await store.get_flow("f", 2) is None


async def test_executions_stay_when_their_flow_is_deleted(open_store):
    async with open_store() as store:
        await put(store, "flow")
        await start(store, "e")
        await store.delete_flow("flow")
        assert (await store.get_execution("e")).flow_id == "flow"
        await complete(store, "e")
        assert (await store.get_execution("e")).status == "completed"


async def test_times_are_kept_exactly(open_store):
    at = math.nextafter(1.7e9, math.inf)
    async with open_store() as store:
        await start(store, "e", at=at)
        assert (await store.get_execution("e")).started_at == at
        assert (await put(store, "f", at=at))[0].registered_at == at
        assert (await store.get_flow("f")).registered_at == at


# --- journals that last


async def test_everything_is_there_when_the_journal_is_opened_again(tmp_path):
    async with open_sqlite(tmp_path / "journal.db") as store:
        flow, _ = await put(store, "f")
        await start(store, "e1")
        await start(store, "e2")
        await complete(store, "e2")
        listed = await store.list_executions(ANY, None, 9)
        events = await store.read_events("e1", 0, 9)
    async with open_sqlite(tmp_path / "journal.db") as store:
        assert await store.get_flow("f") == flow
        assert await store.list_executions(ANY, None, 9) == listed
        assert await store.read_events("e1", 0, 9) == events
        await complete(store, "e1")
        assert (await store.get_execution("e1")).status == "completed"


# --- the journal in memory forgets


async def test_only_the_newest_ended_executions_are_kept():
    store = MemoryJournal(2)
    for execution_id in ["e1", "e2", "e3"]:
        await start(store, execution_id)
    for execution_id in ["e3", "e1", "e2"]:
        await complete(store, execution_id)
    assert await ids(store) == ["e2", "e1"]
    assert await store.get_execution("e3") is None
    assert list(await store.read_events("e3", 0, EVERYTHING)) == []


async def test_live_executions_are_kept_however_many_have_ended():
    store = MemoryJournal(1)
    await start(store, "live")
    await start(store, "cancelling")
    await append(store, "cancelling", 3, CancelRequested(at=3.0))
    for number in range(5):
        await start(store, f"e{number}")
        await complete(store, f"e{number}")
    assert await ids(store) == ["live", "e4", "cancelling"]


@pytest.mark.parametrize(
    "ending",
    [
        ExecutionCompleted(at=3.0),
        ExecutionFailed(at=3.0, error=BROKEN, task="a"),
        ExecutionCancelled(at=3.0),
    ],
    ids=lambda event: type(event).__name__,
)
async def test_an_execution_that_is_not_kept_is_gone_when_it_has_ended(ending):
    store = MemoryJournal(0)
    await start(store, "e")
    await append(store, "e", 3, ending)
    assert await store.get_execution("e") is None
    assert await ids(store) == []
