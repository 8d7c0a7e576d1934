"""No room on the disk: requests are refused, facts wait, and it goes on by itself."""

import contextlib
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import anyio
import pytest

from actors.ports import Batch, NotRecordedError
from flowmgr.errors import JournalUnavailableError
from flowmgr.journal.sqlite import open_sqlite
from flowmgr.journal.sqlite.position import PositionFile
from flowmgr.journal.sqlite.tools import check
from tests.journal.helpers import ANY, go_on, send, start, start_batch, step, tampered, until

pytestmark = pytest.mark.anyio

LARGE = b'"' + b"x" * 20_000 + b'"'


class Pages:
    """A database that may not have more pages: what a full disk is for SQLite."""

    def __init__(self, store):
        self._connection = store._writer._connection

    def take(self):
        [pages] = self._connection.execute("PRAGMA page_count").fetchone()
        self._connection.execute(f"PRAGMA max_page_count = {pages + 8}")

    def give(self):
        self._connection.execute("PRAGMA max_page_count = 1000000")


@pytest.fixture
def path(fast_path):
    return fast_path / "journal.db"


async def fill_up(store):
    """Give facts until they cannot be recorded; return the replies that are still to come."""
    await start(store, "long")
    Pages(store).take()
    replies = []
    for number in range(20):
        batch = Batch("long", 3 + 2 * number, step(data=LARGE))
        replies.append(send(store, batch))
    await until(lambda: store.trouble is not None)
    return replies


async def test_facts_wait_for_room_and_are_recorded_in_their_order(path):
    async with open_sqlite(path) as store:
        replies = await fill_up(store)
        assert not replies[-1].is_given
        assert "full" in store.trouble
        Pages(store).give()
        for reply in replies:
            assert await reply.get() is True
        assert len(await store.read_events("long", 0, 99)) == 42
        await until(lambda: store.trouble is None, seconds=5)
        await start(store, "next")
    assert check(path).is_ok


async def test_requests_are_refused_while_there_is_no_room_and_reading_goes_on(path):
    async with open_sqlite(path) as store:
        await fill_up(store)
        with pytest.raises(NotRecordedError, match="full"):
            await send(store, start_batch("refused")).get()
        with pytest.raises(JournalUnavailableError, match="full"):
            await store.put_flow("f", "d", b"{}", 1.0, only_new=False)
        with pytest.raises(JournalUnavailableError):
            await store.delete_flow("f")
        assert (await store.get_execution("long")).status == "running"
        assert await store.get_execution("refused") is None
        Pages(store).give()


async def test_it_goes_on_within_seconds_without_any_traffic(path):
    async with open_sqlite(path) as store:
        Pages(store).take()
        with pytest.raises(NotRecordedError):
            await send(store, start_batch("e", context=b"{" + b" " * 100_000 + b"}")).get()
        assert store.trouble is not None
        Pages(store).give()
        await until(lambda: store.trouble is None, seconds=5)
        await start(store, "e")
        assert [each.execution_id for each in await store.list_executions(ANY, None, 9)] == ["e"]


async def test_what_was_acknowledged_is_what_is_stored(path):
    answers = {}
    async with open_sqlite(path) as store:
        Pages(store).take()
        for number in range(300):
            batch = start_batch(f"e{number:03}", context=b"{" + b" " * 2000 + b"}")
            reply = send(store, batch)
            try:
                answers[batch.execution_id] = await reply.get()
            except NotRecordedError:
                if number % 60 == 59:
                    Pages(store).give()
                    await until(lambda: store.trouble is None, seconds=5)
                    Pages(store).take()
        Pages(store).give()
    assert 20 < len(answers) < 290
    async with open_sqlite(path) as store:
        listed = await store.list_executions(ANY, None, 999)
    assert sorted(answers) == [each.execution_id for each in listed[::-1]]


async def test_facts_that_never_found_room_are_answered_when_the_journal_is_closed(path):
    async with open_sqlite(path) as store:
        replies = await fill_up(store)
    with pytest.raises(JournalUnavailableError):
        replies[-1].answer()
    async with open_sqlite(path) as store:
        await store.read_events("long", 0, 99)


async def test_the_position_file_knows_of_facts_that_found_room_only_at_the_close(
    path, monkeypatch
):
    monkeypatch.setattr("flowmgr.journal.sqlite.writer.FIRST_DELAY", 1000.0)
    async with open_sqlite(path) as store:
        replies = await fill_up(store)
        assert not replies[-1].is_given
        Pages(store).give()
    assert replies[-1].answer() is True
    with tampered(path) as other:
        [position] = other.execute("SELECT max(position) FROM event").fetchone()
    assert PositionFile(path).read().position == position


async def test_a_database_that_somebody_else_has_locked_is_waited_for(path, monkeypatch):
    monkeypatch.setattr("flowmgr.journal.sqlite.connection.BUSY_MILLISECONDS", 20)
    async with open_sqlite(path) as store:
        await start(store, "e")
        with tampered(path) as other:
            other.execute("BEGIN IMMEDIATE")
            fact = send(store, Batch("e", 3, step()))
            await until(lambda: store.trouble is not None)
            assert "locked" in store.trouble
            with pytest.raises(NotRecordedError, match="locked"):
                await send(store, start_batch("e2")).get()
            other.execute("ROLLBACK")
        assert await fact.get() is True
        await until(lambda: store.trouble is None, seconds=5)
        await go_on(store, "e", 5)


LIMITED = """
import resource, sys, anyio
from pathlib import Path
from actors.ports import NotRecordedError
from flowmgr.journal.sqlite import open_sqlite
from tests.journal.helpers import send, start, start_batch, until

async def main():
    answers = []
    async with open_sqlite(Path(sys.argv[1])) as store:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        for number in range(200):
            try:
                await send(store, start_batch(f"e{number:03}")).get()
                answers.append(f"e{number:03}")
            except NotRecordedError as error:
                assert "I/O" in str(error) or "full" in str(error), error
                break
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await until(lambda: store.trouble is None, seconds=5)
        await start(store, "last")
    print(*answers, "last")

anyio.run(main)
"""


async def test_files_that_may_not_grow_are_no_different(path):
    command = [sys.executable, "-c", LIMITED, str(path)]
    process = await anyio.run_process(command, cwd=Path.cwd(), check=False)
    assert process.returncode == 0, process.stderr.decode()
    acknowledged = process.stdout.decode().split()
    assert len(acknowledged) > 2
    async with open_sqlite(path) as store:
        listed = await store.list_executions(ANY, None, 999)
    assert sorted(acknowledged) == [each.execution_id for each in listed[::-1]]


@pytest.fixture
def small_disk():
    """Mount a file system of 2 MB, if this may be done."""
    with tempfile.TemporaryDirectory() as directory:
        command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", directory]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("mounting a small file system needs root")
        try:
            yield Path(directory)
        finally:
            subprocess.run(["umount", directory], check=True)


async def test_a_disk_that_is_really_full_is_no_different(small_disk):
    path, ballast = small_disk / "journal.db", small_disk / "ballast"
    async with open_sqlite(path) as store:
        await start(store, "e")
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"x" * 4096):
                pass
        fact = send(store, Batch("e", 3, step(data=LARGE)))
        await until(lambda: store.trouble is not None)
        with pytest.raises(NotRecordedError):
            await send(store, start_batch("refused")).get()
        ballast.unlink()
        assert await fact.get() is True
        await until(lambda: store.trouble is None, seconds=5)
        await start(store, "next")
    assert check(path).is_ok


def test_limits_are_not_left_behind():
    """The tests above change the limits of other processes only."""
    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert soft == resource.RLIM_INFINITY
