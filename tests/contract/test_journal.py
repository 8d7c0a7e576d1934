"""What every journal promises. A further one is a further parameter of `open_store`."""

import contextlib
import math

import anyio
import msgspec
import pytest

from actors.actor import Reply
from actors.events import (
    AttemptInterrupted,
    CancelRequested,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionParked,
    ExecutionPaused,
    ExecutionQuarantined,
    ExecutionRetried,
    ExecutionStarted,
    TaskFinished,
    TaskStarted,
    TaskStopped,
    Transition,
)
from actors.outcome import ErrorInfo, Outcome
from actors.ports import Batch, KeyTakenError, LostError, NotRecordedError, StartKey
from flowmgr.errors import FlowExistsError, FlowmgrError, InternalError
from flowmgr.journal.memory import MemoryJournal
from flowmgr.journal.sqlite import open_sqlite
from flowmgr.journal.store import ExecutionQuery, ExecutionSummary, Unfinished

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
    await append_batch(store, Batch(execution_id, first_seq, events))


async def append_batch(store, batch):
    reply, answers = Reply(), []

    def acknowledge(error):
        answers.append(error)
        reply.give(error or True)

    store.append(batch, acknowledge)
    await reply.get()
    assert answers == [None]


def start_batch(execution_id, key=None, *, at=1.0):
    return Batch(execution_id, 1, (started(at), running(at)), is_request=True, key=key)


def started(at=1.0, flow_id="flow", flow_version=1, metadata=None):
    return ExecutionStarted(
        at=at,
        flow_id=flow_id,
        flow_version=flow_version,
        start_task="a",
        context=msgspec.Raw(b'{"name":"\xc3\xa4"}'),
        metadata=metadata or {},
    )


def running(at=2.0):
    return TaskStarted(at=at, task="a")


def finished(at=3.0, error=None, *, scope="", task="a"):
    outcome = Outcome("success", 0.25, msgspec.Raw(b"[1,null]"))
    if error is not None:
        outcome = Outcome("failure", 0.25, error=error)
    return TaskFinished(
        at=at,
        scope=scope,
        task=task,
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


async def test_an_execution_that_was_deleted_is_lost(open_store):
    async with open_store() as store:
        await start(store, "e")
        await complete(store, "e")
        await store.delete_executions(["e"])
        for is_request in (True, False):
            with pytest.raises(LostError, match="'e' was not found"):
                await append_batch(store, Batch("e", 5, (running(),), is_request))
        assert await ids(store) == []
        await start(store, "e")


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


async def test_what_a_running_execution_is_pinned_to_outlives_its_flow(open_store):
    async with open_store() as store:
        first, _ = await put(store, "f", "d1")
        await store.delete_flow("f")
        second, _ = await put(store, "f", "d2")
        assert await store.get_pinned_flow("f", 1) == first
        assert await store.get_pinned_flow("f", 2) == second
        assert await store.get_pinned_flow("f", 3) is None
        assert await store.get_pinned_flow("g", 1) is None
        assert list(await store.list_versions("f", 0, 9)) == [second]


# --- keys


def key(name="k", *, scope="flow", fingerprint="body", expires_at=100.0):
    return StartKey(scope, name, fingerprint, expires_at)


async def refused(store, batch):
    """Append a batch that is refused, and return the refusal."""
    with pytest.raises(NotRecordedError) as caught:
        await append_batch(store, batch)
    return caught.value


async def test_of_two_starts_with_one_key_the_second_is_refused_and_told_of_the_first(open_store):
    async with open_store() as store:
        await append_batch(store, start_batch("e1", key(fingerprint="one")))
        error = await refused(store, start_batch("e2", key(fingerprint="two")))
        assert isinstance(error, KeyTakenError)
        assert (error.execution_id, error.fingerprint) == ("e1", "one")
        assert await ids(store) == ["e1"]
        assert list(await store.read_events("e2", 0, 9)) == []
        await start(store, "e2")
        assert await ids(store) == ["e2", "e1"]


async def test_starts_with_one_key_at_the_same_time_make_one_execution(open_store):
    answers = []
    async with open_store() as store:
        async with anyio.create_task_group() as group:
            for number in range(20):

                async def start_one(execution_id=f"e{number:02}"):
                    try:
                        await append_batch(store, start_batch(execution_id, key()))
                        answers.append(execution_id)
                    except KeyTakenError as error:
                        answers.append(error.execution_id)

                group.start_soon(start_one)
        [only] = await ids(store)
    assert answers == [only] * 20


async def test_keys_of_different_flows_are_different(open_store):
    async with open_store() as store:
        await append_batch(store, start_batch("e1", key(scope="f")))
        await append_batch(store, start_batch("e2", key(scope="g")))
        await append_batch(store, start_batch("e3", key("K", scope="g")))
        assert await ids(store) == ["e3", "e2", "e1"]
        assert await store.find_start("f", "k", 1.0) == ("e1", "body")
        assert await store.find_start("g", "k", 1.0) == ("e2", "body")


@pytest.mark.parametrize(("at", "is_free"), [(99.9, False), (100.0, True), (100.1, True)])
async def test_a_key_may_be_used_again_when_it_has_expired(open_store, at, is_free):
    async with open_store() as store:
        await append_batch(store, start_batch("e1", key(expires_at=100.0)))
        again = start_batch("e2", key(fingerprint="new", expires_at=200.0), at=at)
        if is_free:
            await append_batch(store, again)
            assert await store.find_start("flow", "k", at) == ("e2", "new")
        else:
            assert (await refused(store, again)).execution_id == "e1"
            assert await store.find_start("flow", "k", at) == ("e1", "body")


async def test_a_key_is_found_until_it_expires(open_store):
    async with open_store() as store:
        await append_batch(store, start_batch("e1", key(expires_at=100.0)))
        assert await store.find_start("flow", "k", 99.0) == ("e1", "body")
        assert await store.find_start("flow", "k", 100.0) is None
        assert await store.find_start("flow", "other", 1.0) is None
        assert await store.find_start("other", "k", 1.0) is None


async def test_a_key_that_is_refused_with_its_batch_is_not_taken(open_store):
    async with open_store() as store:
        with pytest.raises(FlowmgrError):
            await append_batch(store, Batch("e1", 5, (started(),), key=key()))
        assert await store.find_start("flow", "k", 1.0) is None


async def test_a_key_goes_with_its_execution(open_store):
    async with open_store() as store:
        await append_batch(store, start_batch("e1", key()))
        await complete(store, "e1")
        assert await store.delete_executions(["e1"]) == 1
        assert await store.find_start("flow", "k", 1.0) is None
        await append_batch(store, start_batch("e2", key()))


async def test_a_key_that_another_execution_has_by_now_does_not_go_with_the_first(open_store):
    async with open_store() as store:
        await append_batch(store, start_batch("e1", key(expires_at=10.0)))
        await append_batch(store, start_batch("e2", key(expires_at=90.0), at=20.0))
        await complete(store, "e1")
        await store.delete_executions(["e1"])
        assert await store.find_start("flow", "k", 21.0) == ("e2", "body")


async def test_two_executions_that_have_had_one_key_can_be_deleted_the_later_one_first(open_store):
    async with open_store() as store:
        await append_batch(store, start_batch("e1", key(expires_at=10.0)))
        await append_batch(store, start_batch("e2", key(expires_at=90.0), at=20.0))
        for execution_id in ["e2", "e1"]:
            await complete(store, execution_id)
            assert await store.delete_executions([execution_id]) == 1
        assert await store.find_start("flow", "k", 21.0) is None


# --- deleting executions


async def test_deleted_executions_leave_nothing_and_others_stay(open_store):
    async with open_store() as store:
        for execution_id in ["e1", "e2", "e3"]:
            await start(store, execution_id, metadata={"env": "prod"})
            await complete(store, execution_id)
        assert await store.delete_executions(["e1", "e3", "unknown", "e1"]) == 2
        assert await ids(store) == ["e2"]
        assert await ids(store, ExecutionQuery(metadata={"env": "prod"})) == ["e2"]
        assert await store.get_execution("e1") is None
        assert list(await store.read_events("e1", 0, 9)) == []
        assert await store.delete_executions(["e1"]) == 0
        assert await store.delete_executions([]) == 0


async def test_what_has_not_ended_is_not_deleted(open_store):
    async with open_store() as store:
        await start(store, "e")
        await append(store, "e", 3, CancelRequested(at=3.0))
        assert await store.delete_executions(["e"]) == 0
        await append(store, "e", 4, ExecutionCancelled(at=4.0))
        assert await store.delete_executions(["e"]) == 1


async def test_a_sub_flow_is_not_deleted_before_the_execution_around_it_has_ended(open_store):
    async with open_store() as store:
        await start(store, "parent")
        key = StartKey("parent", "a/1/1", "flow", 1e9)
        await append_batch(store, start_batch("child", key))
        await complete(store, "child")
        assert await store.delete_executions(["child"]) == 0
        assert await store.find_start("parent", "a/1/1", 9.0) == ("child", "flow")
        await complete(store, "parent")
        assert await store.delete_executions(["child"]) == 1
        assert await store.find_start("parent", "a/1/1", 9.0) is None


async def test_the_id_of_a_deleted_execution_may_be_used_again_and_nothing_is_left(open_store):
    async with open_store() as store:
        await start(store, "e", metadata={"env": "prod"})
        await complete(store, "e")
        await store.delete_executions(["e"])
        await start(store, "e", at=9.0)
        assert list(await store.read_events("e", 0, 9)) == [started(9.0), running()]
        assert await ids(store, ExecutionQuery(metadata={"env": "prod"})) == []


async def test_an_execution_that_goes_on_again_has_not_ended(open_store):
    async with open_store() as store:
        await start(store, "e")
        await append(store, "e", 3, ExecutionFailed(at=3.0, error=BROKEN, task="a"))
        retried = ExecutionRetried(at=4.0, flow_version=2, by="me")
        await append(store, "e", 4, retried, running(4.0))
        summary = await store.get_execution("e")
        assert (summary.status, summary.flow_version, summary.ended_at) == ("running", 2, None)
        assert await ids(store, ExecutionQuery(flow_version=2)) == ["e"]
        assert await ids(store, ExecutionQuery(flow_version=1)) == []
        assert await store.delete_executions(["e"]) == 0
        await append(store, "e", 6, finished(5.0), ExecutionCompleted(at=5.0))
        assert (await store.get_execution("e")).ended_at == 5.0
        assert len(await store.read_events("e", 0, 99)) == 7
        assert await store.delete_executions(["e"]) == 1


# --- recovering


async def test_the_unfinished_are_listed_oldest_first(open_store):
    async with open_store() as store:
        for execution_id in ["e3", "e1", "e2", "e4", "e5"]:
            await start(store, execution_id)
        await complete(store, "e2")
        await append(store, "e3", 3, CancelRequested(at=3.0))
        await append(store, "e4", 3, ExecutionPaused(at=3.0))
        await append(store, "e5", 3, ExecutionQuarantined(at=3.0, recoveries=5))
        assert list(await store.list_unfinished()) == [
            Unfinished("e1", "running", 0),
            Unfinished("e3", "cancelling", 0),
            Unfinished("e4", "paused", 0),
            Unfinished("e5", "quarantined", 0),
        ]


async def test_histories_of_several_executions_are_read_at_once(open_store):
    async with open_store() as store:
        await start(store, "e1")
        await start(store, "e2")
        await complete(store, "e2")
        histories = await store.read_histories(["e2", "unknown", "e1"])
        assert set(histories) == {"e1", "e2", "unknown"}
        for execution_id, events in histories.items():
            assert list(events) == list(await store.read_events(execution_id, 0, 99))
        assert await store.read_histories([]) == {}


async def parking(store, execution_id):
    """Return whether an execution is parked and until when, by all that the journal says of it."""
    summary = await store.get_execution(execution_id)
    [listed] = await store.list_executions(ANY, None, 1)
    unfinished = {each.execution_id: each for each in await store.list_unfinished()}
    found = unfinished.get(execution_id, Unfinished(execution_id, "completed", 0))
    assert summary == listed
    assert (found.is_parked, found.due) == (summary.is_parked, summary.due)
    return summary.is_parked, summary.due


@pytest.mark.parametrize("due", [7.5, 1.7e9 + 1 / 3, 0.0, None])
async def test_an_execution_is_parked_until_anything_else_is_recorded_of_it(open_store, due):
    async with open_store() as store:
        await start(store, "e")
        assert await parking(store, "e") == (False, None)
        await append(store, "e", 3, ExecutionParked(at=3.0, due=due))
        assert await parking(store, "e") == (True, due)
        assert (await store.get_execution("e")).status == "running"
    async with open_store() as store:
        if not await store.get_execution("e"):  # it was in memory
            return
        assert await parking(store, "e") == (True, due)
        await append(store, "e", 4, running())
        assert await parking(store, "e") == (False, None)


@pytest.mark.parametrize(
    ("batches", "expected"),
    [
        ([[ExecutionParked(at=3.0, due=9.0), ExecutionParked(at=3.0, due=8.0)]], (True, 8.0)),
        ([[ExecutionParked(at=3.0, due=9.0)], [ExecutionParked(at=4.0, due=None)]], (True, None)),
        ([[ExecutionParked(at=3.0, due=9.0), running()]], (False, None)),
        ([[running(), ExecutionParked(at=3.0, due=9.0)]], (True, 9.0)),
        ([[ExecutionParked(at=3.0, due=9.0)], [ExecutionPaused(at=4.0)]], (False, None)),
        ([[ExecutionParked(at=3.0, due=9.0)], [CancelRequested(at=4.0)]], (False, None)),
        (
            [[ExecutionParked(at=3.0, due=9.0)], [finished(), ExecutionCompleted(at=4.0)]],
            (False, None),
        ),
    ],
)
async def test_whether_an_execution_is_parked_is_what_its_last_event_says(
    open_store, batches, expected
):
    async with open_store() as store:
        await start(store, "e")
        seq = 3
        for events in batches:
            await append(store, "e", seq, *events)
            seq += len(events)
        assert await parking(store, "e") == expected


# --- many at once


async def test_a_hundred_executions_append_at_the_same_time(open_store):
    async def run(store, execution_id):
        await start(store, execution_id)
        for number in range(10):
            await append(store, execution_id, 3 + 2 * number, finished(), running())
        await append(store, execution_id, 23, finished(), ExecutionCompleted(at=3.0))

    names = [f"e{number:03}" for number in range(100)]
    async with open_store() as store:
        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(run, store, name)
        assert await ids(store, ExecutionQuery(status="completed")) == names[::-1]
        histories = await store.read_histories(names)
    assert all(len(events) == 24 for events in histories.values())


async def test_batches_are_acknowledged_in_the_order_of_their_appending(open_store):
    acknowledged, last = [], Reply()
    names = [f"e{number:04}" for number in range(1500)]
    async with open_store() as store:
        for name in names:

            def acknowledge(error, name=name):
                acknowledged.append((name, error))
                if name == names[-1]:
                    last.give(True)

            store.append(start_batch(name), acknowledge)
        await last.get()
    assert acknowledged == [(name, None) for name in names]


async def test_a_batch_that_is_refused_does_not_keep_others_from_being_recorded(open_store):
    answers, last = {}, Reply()

    def appended(store, name, first_seq):
        def acknowledge(error):
            answers[name] = error
            if name == "e9":
                last.give(True)

        with contextlib.suppress(InternalError):  # the journal in memory raises
            store.append(Batch(name, first_seq, (started(), running())), acknowledge)

    async with open_store() as store:
        for number in range(10):
            appended(store, f"e{number}", 7 if number == 5 else 1)
        await last.get()
        assert sorted(await ids(store)) == [f"e{number}" for number in range(10) if number != 5]
    assert [name for name, error in answers.items() if error is not None] in ([], ["e5"])


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


async def test_keys_and_deletions_last(tmp_path):
    async with open_sqlite(tmp_path / "journal.db") as store:
        await put(store, "f", "d1")
        await store.delete_flow("f")
        await append_batch(store, start_batch("e1", key()))
        await start(store, "e2")
        await complete(store, "e2")
        await store.delete_executions(["e2"])
    async with open_sqlite(tmp_path / "journal.db") as store:
        assert await store.get_flow("f") is None
        assert (await put(store, "f", "d1"))[0].version == 2
        assert (await refused(store, start_batch("e3", key()))).execution_id == "e1"
        assert await ids(store) == ["e1"]


async def recoveries(store):
    return {found.execution_id: found.recoveries for found in await store.list_unfinished()}


async def test_recoveries_are_counted_until_a_task_finishes_or_somebody_forgives(tmp_path):
    async with open_sqlite(tmp_path / "journal.db") as store:
        for execution_id in ["e1", "e2", "e3", "e4"]:
            await start(store, execution_id)
        await store.count_recovery(["e1", "e2", "e3", "unknown"])
        await store.count_recovery(["e1", "e2", "e3"])
        assert await recoveries(store) == {"e1": 2, "e2": 2, "e3": 2, "e4": 0}
    async with open_sqlite(tmp_path / "journal.db") as store:
        interrupted = AttemptInterrupted(at=3.0, task="a", visit=1, attempt=1)
        await append(store, "e1", 3, interrupted, running())
        await append(store, "e2", 3, finished(), running())
        assert await recoveries(store) == {"e1": 2, "e2": 0, "e3": 2, "e4": 0}
        await store.forgive(["e3", "unknown"])
        assert await recoveries(store) == {"e1": 2, "e2": 0, "e3": 0, "e4": 0}
        await store.count_recovery(["e1", "e4"])
        await store.forgive(None)
        assert await recoveries(store) == {"e1": 0, "e2": 0, "e3": 0, "e4": 0}
        await append(store, "e4", 3, finished(), running())


async def test_the_count_of_recoveries_goes_on_until_nothing_is_left_that_was_interrupted(tmp_path):
    def interrupted(scope, task):
        return AttemptInterrupted(at=3.0, scope=scope, task=task, visit=1, attempt=1)

    async with open_sqlite(tmp_path / "journal.db") as store:
        await start(store, "e")
        await store.count_recovery(["e"])
        attempts = (
            interrupted("/fork/a", "b"),
            interrupted("/fork/a/deep/1", "a"),
            interrupted("", "c"),
        )
        await append(store, "e", 3, *attempts)
        await append(store, "e", 6, finished(scope="/fork/b", task="b"))
        await append(store, "e", 7, finished(scope="/fork/a", task="b"))
        await append(store, "e", 8, finished(scope="/fork/a", task="deep"))  # with what is in it
        assert await recoveries(store) == {"e": 1}
        stopped = TaskStopped(at=3.0, task="c", attempt=1, how="killed", seconds=0.0)
        await append(store, "e", 9, stopped)
        assert await recoveries(store) == {"e": 1}
        await append(store, "e", 10, finished())
        assert await recoveries(store) == {"e": 0}


async def test_being_parked_ends_the_count_of_recoveries_and_so_does_what_follows(tmp_path):
    async with open_sqlite(tmp_path / "journal.db") as store:
        await start(store, "e")
        await store.count_recovery(["e"])
        await append(store, "e", 3, ExecutionParked(at=3.0, due=4.0))
        assert await recoveries(store) == {"e": 0}
        await store.count_recovery(["e"])
        await store.count_recovery(["e"])
        [found] = await store.list_unfinished()
        assert found == Unfinished("e", "running", 2, is_parked=True, due=4.0)
        await append(store, "e", 4, running())
        [found] = await store.list_unfinished()
        assert found == Unfinished("e", "running", 0)


async def test_the_count_of_recoveries_survives_other_changes(tmp_path):
    async with open_sqlite(tmp_path / "journal.db") as store:
        await start(store, "e")
        await store.count_recovery(["e"])
        await append(store, "e", 3, ExecutionPaused(at=3.0))
        await store.count_recovery(["e"])
        [found] = await store.list_unfinished()
        assert found == Unfinished("e", "paused", 2)


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
