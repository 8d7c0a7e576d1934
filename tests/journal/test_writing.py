"""How the journal in SQLite writes: in groups, and rightly also after a group was taken back."""

import sqlite3
import threading

import anyio
import anyio.to_thread
import pytest

from actors.events import ExecutionParked
from actors.ports import Batch, NotRecordedError, StartKey
from flowmgr.clock import SystemClock
from flowmgr.errors import InternalError, JournalError
from flowmgr.journal.sqlite import open_sqlite, upkeep
from flowmgr.journal.sqlite.chain import encode_events
from flowmgr.journal.sqlite.grouping import MAX_GROUP
from flowmgr.journal.sqlite.opening import Opened
from flowmgr.journal.sqlite.recorder import MAX_ROWS, Recorder
from flowmgr.journal.sqlite.tools import check
from flowmgr.journal.sqlite.writer import Writer
from flowmgr.journal.store import EVERYTHING
from tests.journal.helpers import (
    ANY,
    complete,
    go_on,
    record,
    send,
    start,
    start_batch,
    step,
    tampered,
    until,
)

pytestmark = pytest.mark.anyio


class Gate:
    """Stands before a method of the writer's; its thread waits there while the gate is shut."""

    def __init__(self, monkeypatch, method, owner=Writer):
        self.calls = 0
        self.arrived = threading.Event()
        self._open = threading.Event()
        self._open.set()
        original = getattr(owner, method)

        def gated(writer, *args):
            self.calls += 1
            self.arrived.set()
            assert self._open.wait(20)
            return original(writer, *args)

        monkeypatch.setattr(owner, method, gated)

    def shut(self):
        self.arrived.clear()
        self._open.clear()

    def open(self):
        self._open.set()

    async def reached(self):
        await until(self.arrived.is_set)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


class StandingClock(SystemClock):
    """A clock that is moved by hand."""

    seconds = 0.0

    def monotonic(self):
        return self.seconds


async def commits_of(monkeypatch, path, *, seconds, count):
    """Return in how many commits *count* starts are done that arrive during one of so long."""
    gate, clock = Gate(monkeypatch, "finish", Recorder), StandingClock()
    async with open_sqlite(path, clock=clock) as store:
        gate.shut()
        replies = [send(store, start_batch("first"))]
        await gate.reached()
        replies += [send(store, start_batch(f"e{number}")) for number in range(count)]
        clock.seconds += seconds
        gate.open()
        for reply in replies:
            await reply.get()
        return gate.calls - 1


async def test_what_arrives_while_a_slow_commit_runs_is_committed_together(monkeypatch, path):
    assert await commits_of(monkeypatch, path, seconds=0.03, count=300) == 1


async def test_what_arrives_while_a_fast_commit_runs_is_committed_in_halves(monkeypatch, path):
    # The one that was answered is counted among those who wait: it might be back soon.
    assert await commits_of(monkeypatch, path, seconds=0.0, count=99) == 2


async def test_a_group_has_a_bound(monkeypatch, path):
    assert await commits_of(monkeypatch, path, seconds=1.0, count=MAX_GROUP + 1) == 2


async def test_nothing_is_acknowledged_before_it_is_committed(monkeypatch, path):
    gate = Gate(monkeypatch, "_commit")
    async with open_sqlite(path) as store:
        gate.shut()
        reply = send(store, start_batch("e"))
        await gate.reached()
        assert not reply.is_given
        assert await store.get_execution("e") is None
        gate.open()
        await reply.get()
        assert await store.get_execution("e") is not None


async def test_cancelling_who_waits_does_not_take_a_change_back(monkeypatch, path):
    gate = Gate(monkeypatch, "_commit")
    async with open_sqlite(path) as store:
        gate.shut()
        async with anyio.create_task_group() as group:

            async def put():
                await store.put_flow("f", "d", b"{}", 1.0, only_new=True)

            group.start_soon(put)
            await gate.reached()
            group.cancel_scope.cancel()
        gate.open()
        await start(store, "e")
        assert (await store.get_flow("f")).version == 1


async def test_a_cancelled_read_leaves_the_connections_usable(path):
    async with open_sqlite(path) as store:
        await start(store, "e")
        for _ in range(30):
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    for _ in range(6):
                        group.start_soon(store.get_execution, "e")
                    await anyio.lowlevel.checkpoint()
                    scope.cancel()
        assert (await store.get_execution("e")).status == "running"


async def test_a_read_that_failed_keeps_no_connection_at_an_old_state(path):
    async with open_sqlite(path) as store:
        for number in range(50):
            await start(store, f"e{number:02}")
        with tampered(path) as connection:
            connection.execute("UPDATE execution SET flow_id = 'other' WHERE number < 5")
        kept = []
        original = store._reader.read

        async def read(function, *args):
            try:
                return await original(function, *args)
            except Exception as error:
                kept.append(error)  # with its frames, and what they refer to
                raise

        store._reader.read = read
        assert len(await store.list_executions(ANY, None, 99)) == 50
        assert len(await store.list_unfinished()) == 50
        assert kept
        for _ in range(5):
            await start(store, f"later{_}")
            assert await store.get_execution(f"later{_}") is not None


async def test_closing_finishes_what_was_given_before(path):
    async with open_sqlite(path) as store:
        replies = [send(store, start_batch(f"e{number:03}")) for number in range(600)]
    assert all(reply.answer() is True for reply in replies)
    async with open_sqlite(path) as store:
        assert len(await store.list_executions(ANY, None, 1000)) == 600


async def test_more_events_than_one_statement_inserts_are_one_transaction(path):
    opened = Opened(path, "full", SystemClock())
    recorder = opened.recorder
    try:
        assert recorder.append(start_batch("e"), encode_events(start_batch("e").events)) is None
        recorder.finish()
        recorder.connection.execute("COMMIT")
        recorder.committed()
        for number in range(2 * MAX_ROWS + 1):
            batch = Batch("e", 3 + 2 * number, step())
            assert recorder.append(batch, encode_events(batch.events)) is None
        recorder.finish()
        assert recorder.connection.in_transaction
        recorder.connection.execute("COMMIT")
        recorder.committed()
    finally:
        recorder.connection.close()
        opened.close()
    async with open_sqlite(path) as store:
        assert len(await store.read_events("e", 0, EVERYTHING)) == 2 + 2 * (2 * MAX_ROWS + 1)


# --- executions that are parked


def parked(name, seq):
    return Batch(name, seq, (ExecutionParked(at=3.0, due=9.0),))


def remembered(store):
    return set(store._writer._recorder._heads)


async def test_what_is_parked_is_not_kept_in_memory_and_goes_on_where_it_was(path):
    async with open_sqlite(path) as store:
        await start(store, "live")
        await start(store, "e", metadata={"env": "prod"})
        await record(store, parked("e", 3))
        assert remembered(store) == {"live"}
        await go_on(store, "e", 4)
        assert remembered(store) == {"live", "e"}
        await record(store, parked("e", 6))
        with pytest.raises(InternalError, match="does not continue"):
            await send(store, Batch("e", 6, step())).get()
        await complete(store, "e", 7)
        assert remembered(store) == {"live"}
        assert len(await store.read_events("e", 0, 99)) == 8
        assert (await store.get_execution("e")).status == "completed"
    assert check(path).is_ok


@pytest.mark.parametrize("is_taken_back", [False, True])
async def test_what_is_parked_and_goes_on_in_one_transaction_goes_on_where_it_was(
    monkeypatch, path, is_taken_back
):
    gate = Gate(monkeypatch, "_commit")
    async with open_sqlite(path) as store:
        await start(store, "e")
        gate.shut()
        replies = [send(store, start_batch("other"))]
        await gate.reached()
        batches = [parked("e", 3), Batch("e", 4, step()), parked("e", 6), Batch("e", 7, step())]
        replies += [send(store, batch) for batch in batches]
        if is_taken_back:
            fail_once(monkeypatch, passing_error())
        gate.open()
        for reply in replies:
            assert await reply.get() is True
        assert remembered(store) == {"e", "other"}
        await complete(store, "e", 9)
        assert len(await store.read_events("e", 0, 99)) == 10
    assert check(path).is_ok


# --- groups that are taken back


def fail_once(monkeypatch, error):
    """Let the next commit fail, SQLite having taken the transaction back."""
    original, errors = Writer._commit, [error]

    def commit(writer):
        if errors:
            raise errors.pop()
        original(writer)

    monkeypatch.setattr(Writer, "_commit", commit)


def passing_error():
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_FULL, "SQLITE_FULL"
    return error


async def test_heads_are_right_after_a_group_was_taken_back(monkeypatch, path):
    async with open_sqlite(path) as store:
        await start(store, "e")
        fail_once(monkeypatch, passing_error())
        request = Batch("e", 3, step(), is_request=True)
        with pytest.raises(NotRecordedError):
            await send(store, request).get()
        await until(lambda: store.trouble is None)
        await record(store, request)
        await go_on(store, "e", 5)
        await complete(store, "e", 7)
        assert len(await store.read_events("e", 0, 99)) == 8


async def test_facts_of_a_group_that_was_taken_back_are_recorded_in_their_order(monkeypatch, path):
    order = []
    gate = Gate(monkeypatch, "_apply")
    async with open_sqlite(path) as store:
        await start(store, "e")
        fail_once(monkeypatch, passing_error())
        gate.shut()
        replies = []
        for number in range(20):
            batch = Batch("e", 3 + 2 * number, step())
            store.append(batch, lambda error, number=number: order.append((number, error)))
        refused = send(store, start_batch("other"))
        gate.open()
        await until(lambda: len(order) == 20)
        assert order == [(number, None) for number in range(20)]
        with pytest.raises(NotRecordedError):
            await refused.get()
        assert len(await store.read_events("e", 0, 99)) == 42
        assert await store.get_execution("other") is None
        assert not replies


async def test_a_started_execution_whose_group_was_taken_back_never_was(monkeypatch, path):
    key = StartKey("f", "k", "body", 100.0)
    async with open_sqlite(path) as store:
        fail_once(monkeypatch, passing_error())
        with pytest.raises(NotRecordedError):
            await send(store, start_batch("e1", key=key)).get()
        await until(lambda: store.trouble is None)
        assert await store.find_start("f", "k", 1.0) is None
        await start(store, "e1", key=key)
        assert await store.find_start("f", "k", 1.0) == ("e1", "body")


async def test_requests_are_refused_at_once_while_nothing_can_be_recorded(monkeypatch, path):
    fails = [True]
    original = Writer._apply

    def apply(writer, group):
        if fails[0]:
            raise passing_error()
        return original(writer, group)

    async with open_sqlite(path) as store:
        await start(store, "e")
        monkeypatch.setattr(Writer, "_apply", apply)
        fact = send(store, Batch("e", 3, step()))
        await until(lambda: store.trouble is not None)
        assert "full" in store.trouble
        refusal = send(store, start_batch("e2"))
        assert refusal.is_given
        with pytest.raises(NotRecordedError, match="full"):
            refusal.answer()
        with pytest.raises(JournalError, match="full"):
            await store.put_flow("f", "d", b"{}", 1.0, only_new=False)
        assert (await store.get_execution("e")).status == "running"
        assert not fact.is_given
        fails[0] = False
        await fact.get()
        await until(lambda: store.trouble is None, seconds=5)
        await start(store, "e2")


async def test_an_error_that_does_not_pass_is_told_to_everybody(monkeypatch, path):
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    async with open_sqlite(path) as store:
        await start(store, "e")
        fail_once(monkeypatch, error)
        with pytest.raises(sqlite3.DatabaseError):
            await send(store, Batch("e", 3, step())).get()
        with pytest.raises(sqlite3.DatabaseError):
            await send(store, Batch("e", 3, step())).get()
        with pytest.raises((JournalError, NotRecordedError), match="malformed"):
            await store.forgive(None)
        assert "malformed" in store.trouble


async def test_a_bug_in_one_call_takes_back_only_that_call(monkeypatch, path):
    original = upkeep.forgive

    def forgive(recorder, execution_ids):
        upkeep.delete_executions(recorder, ["e2"])
        if execution_ids == ["bug"]:
            msg = "bug"
            raise LookupError(msg)
        original(recorder, execution_ids)

    monkeypatch.setattr(upkeep, "forgive", forgive)
    async with open_sqlite(path) as store:
        await start(store, "e2")
        await complete(store, "e2")
        with pytest.raises(InternalError, match="bug"):
            await store.forgive(["bug"])
        assert await store.get_execution("e2") is not None
        await start(store, "e3")


async def test_the_index_is_what_keeps_a_key_from_being_taken_twice(path):
    key = StartKey("f", "k", "body", 100.0)
    async with open_sqlite(path) as store:
        await start(store, "e1", key=key)
        with tampered(path) as connection:
            connection.execute("DROP INDEX start_key_once")
        with pytest.raises(sqlite3.OperationalError):
            await send(store, start_batch("e2", key=key)).get()
        assert await store.get_execution("e2") is None


# --- the log and the position


async def test_the_log_does_not_grow_without_bound(monkeypatch, path):
    monkeypatch.setattr("flowmgr.journal.sqlite.writer.LOG_BYTES", 1_000_000)
    wal = path.with_name("journal.db-wal")
    async with open_sqlite(path) as store:
        await start(store, "e")
        for number in range(100):
            await go_on(store, "e", 3 + 2 * number, *step(data=b'"' + b"x" * 100_000 + b'"'))
        assert wal.stat().st_size < 4_000_000
        assert path.stat().st_size > 9_000_000


async def test_nothing_is_left_in_the_log_after_closing(path):
    async with open_sqlite(path) as store:
        await start(store, "e")
    wal = path.with_name("journal.db-wal")
    assert not wal.exists() or wal.stat().st_size == 0


async def test_the_loop_may_be_gone_before_the_writer(path):
    """An answer that nobody waits for any more is not an error."""
    posts = []

    async def leave():
        async with open_sqlite(path) as store:
            posts.append(store._writer._post)

    def run():
        anyio.run(leave)
        posts[0](print, "never")

    await anyio.to_thread.run_sync(run)
