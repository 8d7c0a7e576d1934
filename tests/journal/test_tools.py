"""What an operator does from outside: check, back up, export; also while a server is writing."""

import anyio
import anyio.to_thread
import msgspec
import pytest

from actors.evolving import fold
from flowmgr.errors import (
    ExecutionDamagedError,
    ExecutionNotFoundError,
    JournalError,
    JournalRefusedError,
)
from flowmgr.journal.sqlite import open_sqlite
from flowmgr.journal.sqlite.tools import Export, backup, check, export
from flowmgr.journal.store import EVERYTHING
from tests.journal.helpers import ANY, complete, go_on, start, tampered

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(fast_path):
    return fast_path / "journal.db"


async def fill(store):
    await store.put_flow("flow", "d", b'{"id":"flow"}', 1.0, only_new=False)
    await start(store, "e1", metadata={"env": "prod"})
    await start(store, "e2")
    await complete(store, "e2")


async def test_a_sound_journal_has_no_problems(path):
    async with open_sqlite(path) as store:
        await fill(store)
        report = await anyio.to_thread.run_sync(check, path)
        assert report.is_ok
        assert (report.executions, report.batches, report.quarantined) == (2, 3, ())
    assert check(path).problems == ()


async def test_a_check_changes_no_file(path):
    async with open_sqlite(path) as store:
        await fill(store)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    check(path)
    after = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("UPDATE event SET events = x'5b5d' WHERE execution = 1", "position 1"),
        ("UPDATE event SET events = x'5b5d' WHERE execution = 2", "execution e2"),
        ("DELETE FROM event WHERE execution = 2 AND first_seq = 3", "are missing"),
        ("UPDATE execution SET flow_id = 'other' WHERE number = 1", "execution e1"),
        ("UPDATE flow SET definition = x'7b7d'", "Version 1 of flow 'flow'"),
        ("DELETE FROM execution_metadata", "looked up"),
        ("UPDATE journal SET position = 1000", "how far"),
        ("DELETE FROM execution WHERE number = 1", "events of no execution"),
        ("DROP INDEX event_in_order", "event_in_order"),
    ],
)
async def test_a_check_names_what_is_wrong(path, change, what):
    async with open_sqlite(path) as store:
        await fill(store)
    with tampered(path) as connection:
        connection.execute(change)
    report = check(path)
    assert any(what in problem for problem in report.problems), report.problems


async def test_a_check_names_what_was_known_to_be_damaged_before(path):
    async with open_sqlite(path) as store:
        await fill(store)
    with tampered(path) as connection:
        connection.execute("UPDATE event SET events = x'5b5d' WHERE execution = 2")
    async with open_sqlite(path) as store:
        with pytest.raises(ExecutionDamagedError):
            await store.read_events("e2", 0, EVERYTHING)
    report = check(path)
    assert report.problems == ()
    [known] = report.quarantined
    assert known.startswith("execution e2: ")
    assert not report.is_ok


async def test_a_check_misses_what_the_position_file_knows_of(path):
    async with open_sqlite(path) as store:
        await fill(store)
    old = path.read_bytes()
    async with open_sqlite(path) as store:
        await go_on(store, "e1", 3)
    path.write_bytes(old)
    assert any("missing" in problem for problem in check(path).problems)


@pytest.mark.parametrize("tool", [check, lambda path: backup(path, path.with_name("copy.db"))])
async def test_tools_refuse_what_is_no_journal(path, tool):
    with pytest.raises(JournalError, match="There is no journal"):
        tool(path)
    path.write_text("minutes of the meeting\n" * 1000)
    with pytest.raises(JournalError):
        tool(path)
    path.unlink()
    with tampered(path) as connection:
        connection.execute("CREATE TABLE customer (name TEXT)")
    with pytest.raises(JournalRefusedError):
        tool(path)


# --- backups


async def test_a_backup_that_is_made_during_writes_opens_and_is_one_moment(path):
    copy = path.with_name("copy.db")
    written = []

    async def write(store, name):
        await start(store, name)
        for number in range(40):
            await go_on(store, name, 3 + 2 * number)
            written.append(name)

    async with open_sqlite(path) as store:
        await fill(store)
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(write, store, f"w{number}")
            while len(written) < 40:
                await anyio.lowlevel.checkpoint()
            before = len(written)
            await anyio.to_thread.run_sync(backup, path, copy)
    assert check(copy).is_ok
    async with open_sqlite(copy) as store:
        names = [each.execution_id for each in await store.list_executions(ANY, None, 99)]
        histories = await store.read_histories(names)
        steps = sum(len(histories[name]) // 2 - 1 for name in names if name.startswith("w"))
        assert before <= steps <= len(written) == 200
        assert (await store.get_flow("flow")).version == 1
        await complete(store, "e1")


async def test_a_backup_overwrites_nothing(path):
    async with open_sqlite(path) as store:
        await fill(store)
    for name in ("copy.db", "copy.db-wal", "copy.db.position"):
        there = path.with_name(name)
        there.write_text("precious")
        with pytest.raises(JournalError, match="overwrites nothing"):
            backup(path, path.with_name("copy.db"))
        assert there.read_text() == "precious"
        there.unlink()
    assert not path.with_name("copy.db").exists()


async def test_a_backup_that_cannot_be_made_leaves_nothing(path):
    async with open_sqlite(path) as store:
        await fill(store)
    with pytest.raises(JournalError, match="could not be made"):
        backup(path, path.parent / "missing" / "copy.db")
    assert not (path.parent / "missing").exists()


# --- exports


async def test_an_export_can_be_folded_again(path):
    async with open_sqlite(path) as store:
        await fill(store)
        exported = await anyio.to_thread.run_sync(export, path, "e2")
        events = await store.read_events("e2", 0, EVERYTHING)
    document = msgspec.json.decode(exported)
    assert document["format"] == 1
    assert document["flow"] == {"id": "flow"}
    assert document["execution"]["status"] == "completed"
    assert [entry["seq"] for entry in document["events"]] == [1, 2, 3, 4]
    exported = [entry.event for entry in msgspec.json.decode(exported, type=Export).events]
    assert fold(exported).status == fold(events).status == "completed"


async def test_an_export_has_the_definition_of_an_inline_flow(path):
    async with open_sqlite(path) as store:
        definition = msgspec.Raw(b'{"id":"inline"}')
        await start(store, "e", flow_version=0, definition=definition)
    assert msgspec.json.decode(export(path, "e"))["flow"] == {"id": "inline"}


async def test_an_export_of_nothing_or_of_something_damaged_is_refused(path):
    async with open_sqlite(path) as store:
        await fill(store)
    with pytest.raises(ExecutionNotFoundError):
        export(path, "unknown")
    with tampered(path) as connection:
        connection.execute("UPDATE event SET epoch = 9 WHERE execution = 1")
    with pytest.raises(ExecutionDamagedError, match="position 1"):
        export(path, "e1")
    assert export(path, "e2")
