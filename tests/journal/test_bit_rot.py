"""A flipped bit, anywhere in the database: no wrong value is ever given out.

The backend makes no difference to what is on the disk, so these run on one.
"""

import logging
import random
import shutil

import pytest

from actors.events import ExecutionPaused, ExecutionRetried, TaskStarted
from actors.ports import StartKey
from flowmgr.errors import ConflictError, ExecutionDamagedError, JournalError, JournalRefusedError
from flowmgr.journal.sqlite import open_sqlite, opening
from flowmgr.journal.store import EVERYTHING, ExecutionQuery, Unfinished
from tests.benchmarks.generate import uuid7
from tests.journal.helpers import ANY, complete, fail, go_on, start

pytestmark = pytest.mark.anyio

FLIPS = 500
BEGIN = 1_700_000_000.0
NAMES = [uuid7(BEGIN + number, number) for number in range(12)]
KEYS = [("flow", f"key-{number}") for number in range(0, 12, 3)]
FLOWS = ["flow", "deleted", "other"]
QUERIES = [
    ANY,
    ExecutionQuery(status="completed"),
    ExecutionQuery(flow_id="flow"),
    ExecutionQuery(had_failures=True),
    ExecutionQuery(started_from=BEGIN + 5, started_before=BEGIN + 15),
    ExecutionQuery(metadata={"env": "prod"}),
    ExecutionQuery(metadata={"number": "3"}),
]


@pytest.fixture
def anyio_backend():
    return "asyncio", {"use_uvloop": False}


async def fill(store):
    for flow_id in FLOWS:
        for digest in ["d1", "d2"]:
            definition = b'{"digest":"%s","tasks":[]}' % digest.encode()
            await store.put_flow(flow_id, digest, definition, BEGIN, only_new=False)
    await store.delete_flow("deleted")
    for number, name in enumerate(NAMES):
        scope_and_key = ("flow", f"key-{number}")
        key = StartKey(*scope_and_key, "body", BEGIN + 1e6) if scope_and_key in KEYS else None
        metadata = {"env": "prod" if number % 2 else "test", "number": number}
        await start(store, name, at=BEGIN + number, key=key, metadata=metadata)
        if number % 4 == 0:
            await go_on(store, name, 3)
            await complete(store, name, 5, BEGIN + number + 2)
        elif number % 4 == 1:
            await fail(store, name, 3, BEGIN + number + 2)
        elif number % 4 == 2:
            await go_on(store, name, 3, ExecutionPaused(at=BEGIN + number + 1, by="me"))
    await go_on(
        store,
        NAMES[1],
        5,
        ExecutionRetried(at=BEGIN + 9, flow_version=2),
        TaskStarted(at=BEGIN + 9, task="a"),
    )
    await store.count_recovery([NAMES[2], NAMES[3]])


async def serve(store):
    """Return every value that the journal serves, or the error, by the question."""
    asked = {}

    async def ask(coroutine, *question):
        try:
            asked[question] = await coroutine
        except (ConflictError, JournalError) as error:
            asked[question] = error

    for number, query in enumerate(QUERIES):
        await ask(store.list_executions(query, None, EVERYTHING), "list", number)
    await ask(store.list_unfinished(), "unfinished")
    await ask(store.read_histories(NAMES), "histories")
    for name in NAMES:
        await ask(store.get_execution(name), "execution", name)
        await ask(store.read_events(name, 0, EVERYTHING), "events", name)
        await ask(store.read_events(name, 2, 2), "some events", name)
    await ask(store.list_flows(None, EVERYTHING), "flows")
    for flow_id in FLOWS:
        await ask(store.get_flow(flow_id), "flow", flow_id)
        await ask(store.list_versions(flow_id, 0, 9), "versions", flow_id)
        for version in (1, 2, 3):
            await ask(store.get_flow(flow_id, version), "version", flow_id, version)
            await ask(store.get_pinned_flow(flow_id, version), "pinned", flow_id, version)
    for scope, key in KEYS:
        await ask(store.find_start(scope, key, BEGIN), "start", scope, key)
    return asked


def wrong_values(truth, served, *, is_healed):
    """Return the questions that were answered wrongly; an error that names the damage is right."""
    quarantined = {
        summary.execution_id for summary in served["list", 0] if summary.status == "quarantined"
    }
    return [
        question
        for question, answer in served.items()
        if not is_right(question, truth[question], answer, quarantined, is_healed)
    ]


def is_right(question, true, answer, quarantined, is_healed):
    if answer == true or isinstance(answer, (ConflictError, JournalError)):
        return True
    kind = question[0]
    if kind == "execution":
        return answer is not None and answer.execution_id in quarantined
    if kind == "list":

        def sound(found):
            return [each for each in found if each.execution_id not in quarantined]

        return sound(answer) == sound(true)
    if kind == "unfinished":
        expected = [each for each in true if each.execution_id not in quarantined]
        forgiven = [Unfinished(each.execution_id, each.status, 0) for each in expected]
        pairs = zip(expected, forgiven, strict=True)
        return len(answer) == len(expected) and all(
            found == one or (is_healed and found == other)
            for found, (one, other) in zip(answer, pairs, strict=True)
        )
    if kind == "histories":
        return set(answer) == set(true) and all(
            events == true[name] or isinstance(events, ExecutionDamagedError)
            for name, events in answer.items()
        )
    return False


def flip(path, position, bit):
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


@pytest.fixture
async def sound(fast_path):
    """Return the path of a journal, and all that it serves."""
    path = fast_path / "journal.db"
    async with open_sqlite(path) as store:
        await fill(store)
    async with open_sqlite(path) as store:
        truth = await serve(store)
    assert not any(isinstance(answer, Exception) for answer in truth.values())
    return path, truth


async def serve_with_a_flipped_bit(path, chance):
    """Return which bit was flipped, and what a copy serves then; None if it is refused."""
    copy = path.with_name("copy.db")
    shutil.copyfile(path, copy)
    copy.with_name("copy.db.position").unlink(missing_ok=True)
    position, bit = chance.randrange(path.stat().st_size), chance.randrange(8)
    flip(copy, position, bit)
    try:
        async with open_sqlite(copy) as store:
            return (position, bit), await serve(store)
    except JournalRefusedError:
        return (position, bit), None


async def test_no_flipped_bit_makes_a_wrong_value(sound, caplog):
    caplog.set_level(logging.WARNING)
    path, truth = sound
    chance = random.Random(11)
    outcomes = {"refused": 0, "named": 0, "no effect": 0}
    for _ in range(FLIPS):
        caplog.clear()
        place, served = await serve_with_a_flipped_bit(path, chance)
        if served is None:
            outcomes["refused"] += 1
            continue
        wrong = wrong_values(truth, served, is_healed="healed" in caplog.text)
        assert not wrong, (place, {question: served[question] for question in wrong[:3]})
        outcomes["no effect" if served == truth and not caplog.text else "named"] += 1
    assert all(count > 10 for count in outcomes.values()), outcomes


async def test_in_a_large_database_none_does_either_except_that_an_index_may_hide_a_row(
    sound, caplog, monkeypatch
):
    """Lists may lack something there, until the whole is checked; what they have is right."""
    monkeypatch.setattr(opening, "MAX_VERIFIED", 0)
    path, truth = sound
    chance = random.Random(12)
    for _ in range(FLIPS // 5):
        caplog.clear()
        place, served = await serve_with_a_flipped_bit(path, chance)
        if served is None:
            continue
        quarantined = {
            question[1]
            for question, answer in served.items()
            if question[0] == "execution" and getattr(answer, "status", None) == "quarantined"
        }
        right = {summary.execution_id: summary for summary in truth["list", 0]}
        for question, answer in served.items():
            if question[0] == "list" and isinstance(answer, list):
                assert all(
                    summary == right[summary.execution_id] or summary.status == "quarantined"
                    for summary in answer
                ), (place, question)
            elif question[0] in {"events", "some events", "version", "pinned", "execution"}:
                is_fine = is_right(question, truth[question], answer, quarantined, False)
                assert is_fine or not answer, (place, question, answer)
