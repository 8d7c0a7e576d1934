"""What every journal promises of its lists of executions, against a naive model."""

import contextlib
import itertools
import random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.actor import Reply
from actors.events import (
    CancelRequested,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionStarted,
    TaskFinished,
    TaskStarted,
)
from actors.outcome import ErrorInfo, Outcome
from actors.ports import Batch
from flowmgr.journal.memory import MemoryJournal
from flowmgr.journal.sqlite import open_sqlite
from flowmgr.journal.store import ExecutionQuery, metadata_text
from tests.benchmarks.generate import uuid7

pytestmark = pytest.mark.anyio

ERROR = ErrorInfo("ValueError", "no good")
BEGIN = 1_700_000_000.0
COUNT = 300


@contextlib.asynccontextmanager
async def open_memory(path):
    yield MemoryJournal(10 * COUNT)


class Filled:
    """A journal, and what it should have."""

    def __init__(self, store, expected):
        self.store = store
        self.expected = expected


@pytest.fixture(
    params=[pytest.param(open_memory, id="memory"), pytest.param(open_sqlite, id="sqlite")]
)
async def filled(request, tmp_path):
    """Return a journal with executions of all sorts, and what it should have."""
    chance = random.Random(4)
    async with request.param(tmp_path / "journal.db") as store:
        replies = []
        expected = [_expected(chance, number) for number in range(COUNT)]
        for row in expected:
            for batch in _batches(row):
                reply = Reply()
                store.append(batch, lambda error, reply=reply: reply.give(error or True))
                replies.append(reply)
        for reply in replies:
            await reply.get()
        yield Filled(store, expected)


def _expected(chance, number):
    at = BEGIN + number + chance.random()
    # Most ids are made at the time of the start; a few at another, and a few are no UUIDs at all.
    kinds = [uuid7(at, chance.getrandbits(74))] * 8 + [
        uuid7(at + chance.choice([-3600, -7, 7, 3600]), chance.getrandbits(74)),
        f"e{number}",
    ]
    status = chance.choice(["running", "completed", "completed", "failed", "cancelled"])
    return {
        "execution_id": chance.choice(kinds),
        "flow_id": chance.choice("ffgh"),
        "flow_version": chance.choice([1, 1, 2]),
        "status": status,
        "started_at": at,
        "ended_at": None if status == "running" else at + chance.choice([-9.0, 0.0, 0.5, 60.0]),
        "had_failures": chance.random() < 0.3,
        "metadata": {
            name: chance.choice(values)
            for name, values in (("env", ["prod", "test"]), ("n", [1, 1.5, True, "1"]))
            if chance.random() < 0.7
        },
    }


def _batches(row):
    at, execution_id = row["started_at"], row["execution_id"]
    started = ExecutionStarted(
        at=at,
        flow_id=row["flow_id"],
        flow_version=row["flow_version"],
        start_task="a",
        context=msgspec.Raw(b"{}"),
        metadata=row["metadata"],
    )
    error = ERROR if row["had_failures"] else None
    outcome = Outcome("failure" if error else "success", 0.1, error=error)
    finished = TaskFinished(at=at, task="a", visit=1, attempt=1, outcome=outcome)
    yield Batch(execution_id, 1, (started, TaskStarted(at=at, task="a")))
    yield Batch(execution_id, 3, (finished, TaskStarted(at=at, task="b")))
    end = row["ended_at"]
    if row["status"] == "completed":
        yield Batch(execution_id, 5, (ExecutionCompleted(at=end),))
    elif row["status"] == "failed":
        yield Batch(execution_id, 5, (ExecutionFailed(at=end, error=ERROR, task="b"),))
    elif row["status"] == "cancelled":
        yield Batch(execution_id, 5, (CancelRequested(at=at),))
        yield Batch(execution_id, 6, (ExecutionCancelled(at=end),))


def matches(query, row):
    """Return whether a row is asked for, as the words of `ExecutionQuery` have it."""
    asked = [
        query.status is None or row["status"] == query.status,
        query.flow_id is None or row["flow_id"] == query.flow_id,
        query.flow_version is None or row["flow_version"] == query.flow_version,
        query.had_failures is None or row["had_failures"] == query.had_failures,
        query.started_from is None or row["started_at"] >= query.started_from,
        query.started_before is None or row["started_at"] < query.started_before,
        query.ended_before is None
        or (row["ended_at"] is not None and row["ended_at"] < query.ended_before),
        *(
            name in row["metadata"] and metadata_text(row["metadata"][name]) == value
            for name, value in query.metadata.items()
        ),
    ]
    return all(asked)


times = st.none() | st.floats(BEGIN - 10, BEGIN + COUNT + 70) | st.just(float("inf"))
queries = st.builds(
    ExecutionQuery,
    status=st.none() | st.sampled_from(["running", "completed", "failed", "cancelled", "paused"]),
    flow_id=st.none() | st.sampled_from("fghx"),
    flow_version=st.none() | st.sampled_from([1, 2, 3]),
    started_from=times,
    started_before=times,
    ended_before=times,
    had_failures=st.none() | st.booleans(),
    metadata=st.dictionaries(
        st.sampled_from(["env", "n", "other"]),
        st.sampled_from(["prod", "test", "1", "1.5", "true"]),
        max_size=2,
    ),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=queries, position=st.none() | st.integers(0, COUNT - 1), limit=st.integers(0, 400))
async def test_a_list_has_what_is_asked_for_newest_first(filled, query, position, limit):
    store, expected = filled.store, filled.expected
    ordered = sorted((row["execution_id"] for row in expected), reverse=True)
    before = None if position is None else ordered[position]
    asked_for = {row["execution_id"] for row in expected if matches(query, row)}
    right = [name for name in ordered if name in asked_for and (before is None or name < before)]
    found = await store.list_executions(query, before, limit)
    assert [summary.execution_id for summary in found] == right[:limit]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(query=queries, limit=st.integers(1, 50))
async def test_paging_shows_every_match_once_whatever_is_asked_for(filled, query, limit):
    store, expected = filled.store, filled.expected
    found, before = [], None
    while page := await store.list_executions(query, before, limit):
        found += [summary.execution_id for summary in page]
        before = found[-1]
    assert sorted(found) == sorted(row["execution_id"] for row in expected if matches(query, row))
    assert all(one > other for one, other in itertools.pairwise(found))


async def test_a_list_shows_what_the_events_say(filled):
    store, expected = filled.store, filled.expected
    for summary in await store.list_executions(ExecutionQuery(), None, COUNT):
        [row] = [row for row in expected if row["execution_id"] == summary.execution_id]
        assert {name: getattr(summary, name) for name in row} == row
