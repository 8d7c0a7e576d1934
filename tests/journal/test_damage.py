"""What becomes of damage: one execution is quarantined and named, the others go on."""

import pytest

from actors.ports import Batch, NotRecordedError, StartKey
from flowmgr.errors import (
    ExecutionDamagedError,
    FlowDamagedError,
    JournalRefusedError,
    KeyDamagedError,
)
from flowmgr.journal.sqlite import open_sqlite, opening
from flowmgr.journal.sqlite.tools import check
from flowmgr.journal.store import ExecutionQuery, Unfinished
from tests.journal.helpers import (
    ANY,
    complete,
    fail,
    go_on,
    send,
    start,
    start_batch,
    step,
    tampered,
    tampered_types,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(fast_path):
    return fast_path / "journal.db"


@pytest.fixture(params=["verified when it is opened", "verified when it is read"])
def when(request, monkeypatch):
    """Damage is found at the opening of a small database, and at the reading of a large one."""
    if request.param == "verified when it is read":
        monkeypatch.setattr(opening, "MAX_VERIFIED", 0)
    return request.param


async def fill(store):
    await store.put_flow("flow", "d1", b'{"version":1}', 1.0, only_new=False)
    await store.put_flow("flow", "d2", b'{"version":2}', 1.0, only_new=False)
    for name in ("e1", "e2", "e3"):
        await start(store, name, metadata={"env": "prod"})
        await go_on(store, name, 3)
    await complete(store, "e3", 5)
    await store.count_recovery(["e1", "e2"])


async def damage(path, *statements):
    async with open_sqlite(path) as store:
        await fill(store)
    with tampered(path) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, statement


async def read(store, name):
    with pytest.raises(ExecutionDamagedError) as caught:
        await store.read_events(name, 0, 99)
    assert caught.value.execution_id == name
    return caught.value.reason


TEXT = "CAST(events AS TEXT)"
OF_1 = "WHERE execution = 1 AND first_seq = 3"


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (f"UPDATE event SET events = CAST(replace({TEXT}, 'a', 'b') AS BLOB) {OF_1}", "position 3"),
        (f"UPDATE event SET events = x'5b5d' {OF_1}", "position 3"),
        (f"UPDATE event SET events = x'ff' {OF_1}", "position 3"),
        (f"UPDATE event SET epoch = epoch + 1 {OF_1}", "position 3"),
        (f"UPDATE event SET crc = crc + 1 {OF_1}", "position 3"),
        ("UPDATE event SET crc = crc + 1 WHERE execution = 1 AND first_seq = 1", "position 1"),
        ("DELETE FROM event WHERE execution = 1 AND first_seq = 1", "1 to 2 are missing"),
        ("DELETE FROM event WHERE execution = 1", "missing"),
    ],
)
async def test_an_execution_whose_events_are_damaged_is_quarantined(path, when, statement, reason):
    await damage(path, statement)
    async with open_sqlite(path) as store:
        assert reason in await read(store, "e1")
        assert (await store.get_execution("e1")).status == "quarantined"
        histories = await store.read_histories(["e1", "e2"])
        assert isinstance(histories["e1"], ExecutionDamagedError)
        assert len(histories["e2"]) == 4
        assert await store.list_unfinished() == [Unfinished("e2", "running", 1)]
        [found] = await store.list_executions(ExecutionQuery(status="quarantined"), None, 9)
        assert found.execution_id == "e1"
        assert found.flow_id == "flow"
        await complete(store, "e2", 5)
    async with open_sqlite(path) as store:
        assert reason in await read(store, "e1")
        assert (await store.get_execution("e1")).status == "quarantined"


@pytest.mark.parametrize("first_seq", [1, 3])
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("first_seq", "1.5"),
        ("first_seq", "'x'"),
        ("first_seq", "x'00'"),
        ("events", TEXT),
        ("events", "7"),
        ("events", "7.5"),
        ("epoch", "'x'"),
        ("epoch", "x'00'"),
        ("crc", "'x'"),
        ("crc", "0.5"),
    ],
)
async def test_in_a_large_database_a_value_of_another_type_is_damage(
    path, monkeypatch, first_seq, column, value
):
    """A small one is refused for it."""
    monkeypatch.setattr(opening, "MAX_VERIFIED", 0)
    async with open_sqlite(path) as store:
        await fill(store)
    with tampered_types(path, "event") as connection:
        where = f"WHERE execution = 1 AND first_seq = {first_seq}"
        changed = connection.execute(f"UPDATE event SET {column} = {value} {where}")
        assert changed.rowcount == 1
    async with open_sqlite(path) as store:
        assert "position" in await read(store, "e1")
        with pytest.raises(ExecutionDamagedError):
            await store.read_events("e1", 2, 1)
        assert (await store.get_execution("e1")).status == "quarantined"
        assert len(await store.read_events("e2", 0, 99)) == 4
        assert [each.execution_id for each in await store.list_unfinished()] == ["e2"]


async def test_an_execution_whose_id_is_no_text_any_more_is_quarantined(path, when):
    await damage(path, "UPDATE execution SET execution_id = CAST(x'ff' AS TEXT) WHERE number = 1")
    for _ in range(2):
        async with open_sqlite(path) as store:
            assert [each.execution_id for each in await store.list_unfinished()] == ["e2"]
            statuses = {
                each.execution_id: each.status for each in await store.list_executions(ANY, None, 9)
            }
            assert statuses == {r"\udcff": "quarantined", "e2": "running", "e3": "completed"}
            assert len(await store.read_events("e2", 0, 99)) == 4


async def test_events_whose_execution_is_no_number_any_more_are_named(path, monkeypatch):
    monkeypatch.setattr(opening, "MAX_VERIFIED", 0)
    async with open_sqlite(path) as store:
        await fill(store)
    with tampered_types(path, "event") as connection:
        for value, number in (("x'00'", 1), ("'x'", 2), ("9", 3)):
            connection.execute(f"UPDATE event SET execution = {value} WHERE execution = {number}")
    [found] = [each for each in check(path).problems if "no execution" in each]
    assert "3 such" in found
    async with open_sqlite(path) as store:
        for name in ("e1", "e2", "e3"):
            assert "missing" in await read(store, name)


async def test_nothing_is_appended_to_a_damaged_execution(path, when):
    await damage(path, "UPDATE event SET epoch = 9 WHERE execution = 1 AND first_seq = 3")
    async with open_sqlite(path) as store:
        for batch in (Batch("e1", 5, step()), Batch("e1", 5, step(), is_request=True)):
            with pytest.raises(ExecutionDamagedError, match="e1"):
                await send(store, batch).get()
        assert (await store.get_execution("e1")).status == "quarantined"
        await go_on(store, "e2", 5)


async def test_a_damaged_execution_can_be_deleted_although_it_has_not_ended(path, when):
    await damage(path, "UPDATE event SET epoch = 9 WHERE execution = 1")
    async with open_sqlite(path) as store:
        await read(store, "e1")
        assert await store.delete_executions(["e1", "e2"]) == 1
        assert await store.get_execution("e1") is None
        assert list(await store.read_events("e1", 0, 9)) == []
    assert check(path).is_ok


async def test_a_tail_that_is_missing_of_an_ended_execution_is_missed(path, when):
    await damage(path, "DELETE FROM event WHERE execution = 3 AND first_seq = 5")
    async with open_sqlite(path) as store:
        assert "5 to 6 are missing" in await read(store, "e3")
        assert list(await store.read_events("e2", 0, 9))


COUNT_IS_LOST = {"recoveries = 0", "crc = crc + 1", "last_seq = 77"}


@pytest.mark.parametrize(
    "change",
    [
        "started_at = 7.0",
        "metadata = '{}'",
        "ended_at = 99.0",
        "recoveries = 0",
        "last_seq = 77",
        "crc = crc + 1",
        "damage = 'because'",
        "status = 'failed', flow_id = 'other', had_failures = 1, flow_version = 9",
    ],
)
async def test_a_damaged_summary_is_made_again_from_the_events(path, when, caplog, change):
    async with open_sqlite(path) as store:
        await fill(store)
        true = await store.list_executions(ANY, None, 9)
    with tampered(path) as connection:
        connection.execute(f"UPDATE execution SET {change} WHERE number IN (1, 3)")
    caplog.clear()
    async with open_sqlite(path) as store:
        assert await store.get_execution("e3") == true[0]
        assert await store.list_executions(ANY, None, 9) == true
        assert len(await store.read_events("e1", 0, 9)) == 4
        counts = {each.execution_id: each.recoveries for each in await store.list_unfinished()}
        assert counts["e2"] == 1
        assert counts["e1"] == (0 if change in COUNT_IS_LOST else 1)
        await complete(store, "e1", 5)
    assert "execution e1: its summary was damaged, and is healed" in caplog.text
    assert check(path).is_ok


async def test_an_execution_of_which_everything_is_damaged_is_still_named(path, when):
    await damage(
        path,
        "UPDATE event SET epoch = 9 WHERE execution = 1",
        "UPDATE execution SET started_at = 7.0 WHERE number = 1",
    )
    async with open_sqlite(path) as store:
        summary = await store.get_execution("e1")
        assert (summary.execution_id, summary.status) == ("e1", "quarantined")
        await read(store, "e1")
        assert len(await store.list_executions(ANY, None, 9)) == 3


async def test_an_event_that_this_version_does_not_know_is_no_reason_to_stop(path, monkeypatch):
    async with open_sqlite(path) as store:
        await fill(store)
        monkeypatch.setattr(
            "flowmgr.journal.sqlite.work.encode_events", lambda _: b'[{"type":"Renamed","at":1.0}]'
        )
        await send(store, Batch("e1", 5, step()[:1])).get()
        monkeypatch.undo()
        assert "Renamed" in await read(store, "e1")
        assert len(await store.read_events("e2", 0, 9)) == 4


# --- flows and keys


async def test_a_damaged_version_of_a_flow_is_named_and_others_are_served(path, when):
    await damage(path, "UPDATE flow SET definition = x'7b7d' WHERE version = 1")
    async with open_sqlite(path) as store:
        for ask in (store.get_flow, store.get_pinned_flow):
            with pytest.raises(FlowDamagedError, match="Version 1 of flow 'flow' is damaged"):
                await ask("flow", 1)
        assert (await store.get_flow("flow")).version == 2
        assert [each.version for each in await store.list_flows(None, 9)] == [2]
        with pytest.raises(FlowDamagedError, match="Version 1"):
            await store.list_versions("flow", 0, 9)
        assert len(await store.list_executions(ANY, None, 9)) == 3


async def test_the_way_out_of_a_damaged_flow_is_to_delete_it(path, when):
    await damage(path, "UPDATE flow SET definition = x'7b7d' WHERE version = 2")
    async with open_sqlite(path) as store:
        with pytest.raises(FlowDamagedError, match="Version 2"):
            await store.get_flow("flow")
        with pytest.raises(FlowDamagedError, match="Version 2"):
            await store.put_flow("flow", "d3", b"{}", 2.0, only_new=False)
        assert await store.delete_flow("flow")
        assert await store.get_flow("flow") is None
        assert (await store.get_pinned_flow("flow", 1)).definition == b'{"version":1}'
        with pytest.raises(FlowDamagedError, match="is lost"):
            await store.get_pinned_flow("flow", 2)
        record, _ = await store.put_flow("flow", "d3", b"{}", 2.0, only_new=True)
        assert record.version == 3
    assert check(path).is_ok


async def test_a_damaged_key_starts_nothing(path, when):
    async with open_sqlite(path) as store:
        await start(store, "e1", key=StartKey("flow", "k", "body", 100.0))
    with tampered(path) as connection:
        connection.execute("UPDATE start_key SET expires_at = 0.0")
    async with open_sqlite(path) as store:
        with pytest.raises(KeyDamagedError, match="key 'k' of flow 'flow' is damaged"):
            await store.find_start("flow", "k", 1.0)
        again = start_batch("e2", key=StartKey("flow", "k", "body", 100.0))
        with pytest.raises(NotRecordedError, match="damaged"):
            await send(store, again).get()
        assert await store.get_execution("e2") is None
        await start(store, "e2", key=StartKey("flow", "other", "body", 100.0))


# --- what is only an index


async def test_metadata_that_cannot_be_looked_up_any_more_can_be_after_an_opening(path):
    await damage(path, "DELETE FROM execution_metadata WHERE execution_id = 'e2'")
    async with open_sqlite(path) as store:
        query = ExecutionQuery(metadata={"env": "prod"})
        found = await store.list_executions(query, None, 9)
        assert [each.execution_id for each in found] == ["e3", "e2", "e1"]
    assert check(path).is_ok


async def test_a_damaged_index_is_made_again(path, caplog):
    async with open_sqlite(path) as store:
        await fill(store)
        await fail(store, "e2", 5)
        true = await store.list_executions(ANY, None, 9)
    content = path.read_bytes()
    # An index has the id behind its other columns, the table in front of them.
    assert content.count(b"runninge1") == 2
    path.write_bytes(content.replace(b"runninge1", b"jogginge1"))
    assert not check(path).is_ok
    async with open_sqlite(path) as store:
        assert await store.list_executions(ANY, None, 9) == true
        [found] = await store.list_executions(ExecutionQuery(status="running"), None, 9)
        assert found.execution_id == "e1"
    assert "have been made again" in caplog.text
    assert check(path).is_ok


async def test_a_journal_that_does_not_know_itself_any_more_is_refused(path):
    await damage(path, "UPDATE journal SET position = position + 1")
    with pytest.raises(JournalRefusedError, match="flowmgr journal check"):
        async with open_sqlite(path):
            pass


async def test_a_journal_that_has_lost_an_execution_but_not_its_events_is_refused(path):
    await damage(path, "DELETE FROM execution WHERE number = 1")
    with pytest.raises(JournalRefusedError, match="events of no execution"):
        async with open_sqlite(path):
            pass
    assert not check(path).is_ok  # and nothing has been changed
