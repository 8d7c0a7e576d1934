"""A log that is cut off anywhere: what is left is what had been committed, never garbage."""

import random

import pytest

from flowmgr.errors import JournalRefusedError
from flowmgr.journal.sqlite import open_sqlite
from flowmgr.journal.store import EVERYTHING
from tests.journal.helpers import ANY, complete, copy_database, go_on, start, until

pytestmark = pytest.mark.anyio

CUTS = 500


@pytest.fixture
def anyio_backend():
    return "asyncio", {"use_uvloop": False}


async def content(store):
    """Return all executions with their events."""
    listed = await store.list_executions(ANY, None, EVERYTHING)
    names = [summary.execution_id for summary in listed]
    return listed, await store.read_histories(names)


async def test_a_log_cut_off_anywhere_holds_the_longest_committed_prefix(fast_path):
    path, copy = fast_path / "journal.db", fast_path / "copy.db"
    wal, copied_wal = path.with_name("journal.db-wal"), path.with_name("copy.db-wal")
    sizes, contents = [], []  # of the log, and of the journal, after each commit

    async with open_sqlite(path) as store:

        async def note():
            sizes.append(wal.stat().st_size)
            contents.append(await content(store))

        await note()
        for number in range(8):
            await start(store, f"e{number}")
            await note()
            await go_on(store, f"e{number}", 3)
            await note()
            if number % 2:
                await complete(store, f"e{number}", 5)
                await note()
        copy_database(path, fast_path / "whole.db")
    log = (fast_path / "whole.db-wal").read_bytes()
    # The first opening's own commits are in the log too; what is cut off there is no journal yet.
    chance = random.Random(5)
    for _ in range(CUTS):
        end = chance.randrange(sizes[0], len(log) + 1)
        copy_database(fast_path / "whole.db", copy)
        copy.with_name("copy.db.position").unlink(missing_ok=True)
        copy.with_name("copy.db-shm").unlink(missing_ok=True)
        copied_wal.write_bytes(log[:end])
        expected = max(n for n, size in enumerate(sizes) if size <= end)
        async with open_sqlite(copy) as store:
            assert await content(store) == contents[expected], end


@pytest.mark.parametrize("what", ["cut off", "flipped"])
async def test_what_the_log_has_lost_is_missed(fast_path, what):
    """SQLite itself takes such a database for a sound one, and says nothing."""
    path, copy = fast_path / "journal.db", fast_path / "copy.db"
    async with open_sqlite(path) as store:
        for number in range(5):
            await start(store, f"e{number}")
        copy_database(path, copy)
    # The position is written once a second, or when the journal is closed.
    copy.with_name("copy.db.position").write_bytes(
        path.with_name("journal.db.position").read_bytes()
    )
    wal = copy.with_name("copy.db-wal")
    log = bytearray(wal.read_bytes())
    if what == "cut off":
        del log[-100:]
    else:
        log[-5000] ^= 1
    wal.write_bytes(log)
    copy.with_name("copy.db-shm").unlink(missing_ok=True)
    with pytest.raises(JournalRefusedError, match="has lost") as caught:
        async with open_sqlite(copy):
            pass
    assert "copy.db.position" in str(caught.value)
    async with open_sqlite(copy, durability="relaxed"):
        pass


async def test_the_way_out_of_a_loss_is_to_delete_the_position_file(fast_path):
    path, old = fast_path / "journal.db", fast_path / "old.db"
    async with open_sqlite(path) as store:
        await start(store, "e1")
    copy_database(path, old)
    async with open_sqlite(path) as store:
        await start(store, "e2")
    path.write_bytes(old.read_bytes())
    with pytest.raises(JournalRefusedError):
        async with open_sqlite(path):
            pass
    path.with_name("journal.db.position").unlink()
    async with open_sqlite(path) as store:
        assert [each.execution_id for each in await store.list_executions(ANY, None, 9)] == ["e1"]
        await start(store, "e3")
    async with open_sqlite(path) as store:
        assert len(await store.list_executions(ANY, None, 9)) == 2


async def test_another_database_in_the_place_of_the_journal_is_refused(fast_path):
    for name in ("one", "other"):
        async with open_sqlite(fast_path / f"{name}.db") as store:
            await start(store, name)
    (fast_path / "one.db").write_bytes((fast_path / "other.db").read_bytes())
    with pytest.raises(JournalRefusedError, match="not the database that was here before"):
        async with open_sqlite(fast_path / "one.db"):
            pass


async def test_the_position_does_not_go_back_when_executions_are_deleted(fast_path):
    path = fast_path / "journal.db"
    async with open_sqlite(path) as store:
        for name in ("e1", "e2"):
            await start(store, name)
            await complete(store, name)
    async with open_sqlite(path) as store:
        assert await store.delete_executions(["e1", "e2"]) == 2
    async with open_sqlite(path) as store:
        assert await store.delete_executions(["e1", "e2"]) == 0
        await start(store, "e3")
    async with open_sqlite(path) as store:
        assert len(await store.list_executions(ANY, None, 9)) == 1


async def test_the_position_is_written_without_further_traffic(fast_path):
    path = fast_path / "journal.db"
    file = path.with_name("journal.db.position")
    async with open_sqlite(path) as store:
        await until(file.exists)
        before = file.read_bytes()
        await start(store, "e")
        await until(lambda: file.read_bytes() != before, seconds=5)


async def test_a_damaged_position_file_is_refused(fast_path):
    path = fast_path / "journal.db"
    async with open_sqlite(path):
        pass
    file = path.with_name("journal.db.position")
    content = file.read_bytes()
    for damaged in (b"", content[:-9], content.replace(b'"position":0', b'"position":1')):
        file.write_bytes(damaged)
        with pytest.raises(JournalRefusedError, match=r"position file .* is damaged"):
            async with open_sqlite(path):
                pass
