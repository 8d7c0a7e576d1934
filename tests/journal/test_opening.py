"""What has to hold before a database is opened, and what is said if it does not."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from actors.events import ExecutionParked
from flowmgr.errors import JournalRefusedError
from flowmgr.journal.sqlite import open_sqlite, queries, schema
from flowmgr.journal.sqlite.connection import connect
from flowmgr.journal.sqlite.tools import backup, check, export
from flowmgr.journal.store import Unfinished
from tests.journal.helpers import ANY, complete, go_on, start, tampered

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


async def refusal(path, **options):
    with pytest.raises(JournalRefusedError) as caught:
        async with open_sqlite(path, **options):
            pass
    return str(caught.value)


def epoch_of(path):
    with tampered(path) as connection:
        return connection.execute("SELECT epoch FROM journal").fetchone()[0]


async def test_every_opening_is_an_epoch_and_events_say_which_one_they_are_of(path):
    for number in (1, 2, 3):
        async with open_sqlite(path) as store:
            await start(store, f"e{number}")
        assert epoch_of(path) == number
    with tampered(path) as connection:
        epochs = connection.execute("SELECT epoch FROM event ORDER BY position").fetchall()
    assert epochs == [(1,), (2,), (3,)]


async def test_the_settings_that_durability_rests_on_are_made(path):
    for durability, level in (("full", 2), ("relaxed", 1)):
        async with open_sqlite(path, durability=durability) as store:
            connection = store._writer._connection
            settings = {
                name: connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "synchronous", "mmap_size", "wal_autocheckpoint")
            }
            assert settings == {
                "journal_mode": "wal",
                "synchronous": level,
                "mmap_size": 0,
                "wal_autocheckpoint": 0,
            }


# --- one owner


async def test_a_journal_that_is_open_is_not_opened_again(path):
    async with open_sqlite(path) as store:
        message = await refusal(path)
        assert str(path) in message
        assert f"process {os.getpid()}" in message
        await start(store, "e")
    async with open_sqlite(path):
        pass


@pytest.mark.parametrize("spelling", ["link", "link to a directory", "relative"])
async def test_a_journal_that_is_open_is_not_opened_again_by_another_name(
    path, tmp_path, monkeypatch, spelling
):
    other = tmp_path / "other"
    if spelling == "link":
        other.symlink_to(path)
    elif spelling == "link to a directory":
        other.symlink_to(path.parent)
        other = other / path.name
    else:
        monkeypatch.chdir(path.parent)
        other = Path(f"../{path.parent.name}/{path.name}")
    for first, second in [(path, other), (other, path)]:
        async with open_sqlite(first) as store:
            assert f"process {os.getpid()}" in await refusal(second)
            await store.list_unfinished()
    assert not list(tmp_path.glob("other.*"))


async def test_a_link_is_followed_once_and_what_is_lost_is_missed_through_it_too(path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    async with open_sqlite(link) as store:
        await start(store, "e")
        link.unlink()
        link.symlink_to(tmp_path / "elsewhere")
        assert [each.execution_id for each in await store.list_unfinished()] == ["e"]
    link.unlink()
    link.symlink_to(path)
    path.unlink()
    assert "is not the database that was here before" in await refusal(link)


async def test_a_journal_with_two_names_is_refused_under_each_of_them(path):
    async with open_sqlite(path):
        pass
    other = path.with_name("other.db")
    other.hardlink_to(path)
    for name in [path, other]:
        assert "has 2 names (hard links)" in await refusal(name)
    other.unlink()
    async with open_sqlite(path):
        pass


async def test_a_directory_is_refused_and_nothing_is_left_beside_it(path):
    path.mkdir()
    said = await refusal(path)
    assert f"is a directory: name a file, such as {path / 'flowmgr.db'}" in said
    assert list(path.parent.iterdir()) == [path]


async def test_links_that_lead_round_in_a_circle_are_refused(path):
    path.symlink_to(path)
    await refusal(path)


HOLDER = """
import sys, anyio
from pathlib import Path
from flowmgr.journal.sqlite import open_sqlite

async def hold():
    async with open_sqlite(Path(sys.argv[1])):
        print("open", flush=True)
        await anyio.sleep_forever()

anyio.run(hold)
"""


def holder(path):
    """Start a process that has the journal open."""
    command = [sys.executable, "-c", HOLDER, path]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path.cwd())


async def test_another_process_is_named_and_when_it_is_killed_the_journal_is_free(path):
    process = holder(path)
    try:
        assert process.stdout.readline() == b"open\n"
        assert f"process {process.pid}" in await refusal(path)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    async with open_sqlite(path) as store:
        await start(store, "e")


# --- which database


async def test_a_newer_database_is_refused_and_not_touched(path):
    async with open_sqlite(path):
        pass
    with tampered(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    before = path.read_bytes()
    message = await refusal(path)
    assert "newer flowmgr" in message
    assert "upgrade" in message
    assert path.read_bytes() == before


async def test_a_database_of_something_else_is_refused_and_not_touched(path):
    with tampered(path) as connection:
        connection.execute("CREATE TABLE customer (name TEXT)")
    before = path.read_bytes()
    assert "no journal of flowmgr" in await refusal(path)
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused_and_not_touched(path):
    path.write_text("These are the minutes of the meeting of the committee.\n" * 100)
    before = path.read_bytes()
    assert str(path) in await refusal(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        "DROP INDEX event_in_order",
        "ALTER TABLE flow ADD COLUMN colour TEXT",
        "CREATE TABLE mine (name TEXT)",
        "CREATE TRIGGER t AFTER INSERT ON event BEGIN DELETE FROM flow; END",
    ],
)
async def test_tables_that_somebody_has_changed_are_refused(path, change):
    async with open_sqlite(path):
        pass
    with tampered(path) as connection:
        connection.execute(change)
    assert "other tables or indexes" in await refusal(path)


async def test_statistics_that_somebody_has_made_are_no_change(path):
    async with open_sqlite(path) as store:
        await start(store, "e")
    with tampered(path) as connection:
        connection.execute("ANALYZE")
    async with open_sqlite(path) as store:
        assert len(await store.list_executions(ANY, None, 9)) == 1


async def test_a_directory_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "missing" / "journal.db"
    assert str(path) in await refusal(path)


async def test_a_refused_journal_is_free_for_others(path):
    path.write_text("no database, and long enough to be looked at" * 50)
    await refusal(path)
    path.unlink()
    async with open_sqlite(path):
        pass


# --- migrations


def tables(path):
    connection = sqlite3.connect(path)
    try:
        names = connection.execute("SELECT name FROM sqlite_schema ORDER BY name").fetchall()
        return names, connection.execute("PRAGMA user_version").fetchone()[0]
    finally:
        connection.close()


async def test_a_migration_happens_as_a_whole_or_not_at_all(path, monkeypatch):
    async with open_sqlite(path) as store:
        await start(store, "e")
    before = tables(path)
    statements = [
        "CREATE TABLE one (a INTEGER) STRICT;",
        "ALTER TABLE flow ADD COLUMN colour TEXT;",
        "CREATE INDEX two ON one (a);",
    ]
    first = queries.load_migrations()
    for number in range(len(statements)):
        broken = [*statements[:number], "INSERT INTO nowhere VALUES (1);", *statements[number:]]
        monkeypatch.setattr(schema, "load_migrations", lambda b=broken: [*first, "\n".join(b)])
        with contextlib.closing(connect(path)) as connection, pytest.raises(sqlite3.Error):
            schema.migrate(connection)
        assert tables(path) == before
    monkeypatch.setattr(schema, "load_migrations", lambda: [*first, "\n".join(statements)])
    async with open_sqlite(path) as store:
        assert len(await store.list_executions(ANY, None, 9)) == 1
    assert tables(path)[1] == len(first) + 1


OLD = Path(__file__).parent / "version_1.sql"


async def test_a_database_of_an_older_program_goes_on(path):
    with tampered(path) as connection:
        connection.executescript(OLD.read_text())
    async with open_sqlite(path) as store:
        found = {
            each.execution_id: each.status for each in await store.list_executions(ANY, None, 9)
        }
        assert found == {
            "running": "running",
            "paused": "paused",
            "completed": "completed",
            "failed": "failed",
        }
        assert list(await store.list_unfinished()) == [
            Unfinished("paused", "paused", 0),
            Unfinished("running", "running", 1),
        ]
        assert await store.find_start("flow", "k", 2.0) == ("completed", "body")
        await go_on(store, "running", 5, ExecutionParked(at=6.0, due=7.0))
        await complete(store, "paused", 4)
    report = check(path)
    assert (report.problems, report.quarantined, report.executions) == ((), (), 4)
    async with open_sqlite(path) as store:
        [found] = await store.list_unfinished()
        assert found == Unfinished("running", "running", 0, is_parked=True, due=7.0)


async def test_a_database_of_an_older_program_is_copied_but_not_looked_into(path, tmp_path):
    with tampered(path) as connection:
        connection.executescript(OLD.read_text())
    for look in (check, lambda path: export(path, "running")):
        with pytest.raises(JournalRefusedError, match="older flowmgr"):
            look(path)
    backup(path, tmp_path / "copy.db")
    assert tables(tmp_path / "copy.db") == tables(path)


async def test_a_new_database_that_was_interrupted_before_its_first_table_is_gone_on_with(path):
    connection = connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    async with open_sqlite(path) as store:
        await start(store, "e")
