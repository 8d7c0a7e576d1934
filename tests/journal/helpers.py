"""What tests of the journal do again and again."""

import contextlib
import shutil
import sqlite3

import anyio
import anyio.lowlevel
import msgspec

from actors.actor import Reply
from actors.events import (
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionStarted,
    TaskFinished,
    TaskStarted,
    Transition,
)
from actors.outcome import ErrorInfo, Outcome
from actors.ports import Batch
from flowmgr.errors import FlowmgrError
from flowmgr.journal.store import EVERYTHING, ExecutionQuery

ANY = ExecutionQuery()
BROKEN = ErrorInfo("ValueError", "no good")
COMPANIONS = ("", "-wal", "-shm", ".position")


def started(at=1.0, **fields):
    fields = {"flow_id": "flow", "flow_version": 1, "context": msgspec.Raw(b"{}"), **fields}
    return ExecutionStarted(at=at, start_task="a", **fields)


def finished(at=3.0, *, data=b"[1,null]", error=None):
    outcome = Outcome("failure" if error else "success", 0.25, msgspec.Raw(data), error)
    transition = Transition(None, matched=False, target="b")
    return TaskFinished(at=at, task="a", visit=1, attempt=1, outcome=outcome, transition=transition)


def step(at=3.0, **fields):
    return (finished(at, **fields), TaskStarted(at=at, task="b"))


def start_batch(name, *, key=None, is_request=True, at=1.0, **fields):
    events = (started(at, **fields), TaskStarted(at=at, task="a"))
    return Batch(name, 1, events, is_request=is_request, key=key)


def send(store, batch):
    """Append without waiting; return what gets True, or the error."""
    reply = Reply()
    store.append(batch, lambda error: reply.give(error or True))
    return reply


async def record(store, batch):
    assert await send(store, batch).get() is True


async def start(store, name, **fields):
    await record(store, start_batch(name, **fields))


async def go_on(store, name, seq, *events):
    await record(store, Batch(name, seq, events or step()))


async def complete(store, name, seq=3, at=4.0):
    await record(store, Batch(name, seq, (finished(at), ExecutionCompleted(at=at))))


async def fail(store, name, seq=3, at=4.0):
    failed = ExecutionFailed(at=at, error=BROKEN, task="a")
    await record(store, Batch(name, seq, (finished(at, error=BROKEN), failed)))


async def until(condition, seconds=20):
    """Wait until a condition holds that another thread brings about."""
    with anyio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - a thread has no event to wait for
            await anyio.sleep(0.001)


async def everything(store):
    """Return every value that the journal serves, by where it was asked for; or what it says."""
    served = {}

    async def ask(place, coroutine):
        try:
            served[place] = await coroutine
        except FlowmgrError as error:
            served[place] = error

    await ask("list", store.list_executions(ANY, None, EVERYTHING))
    await ask("unfinished", store.list_unfinished())
    await ask("flows", store.list_flows(None, EVERYTHING))
    return served, ask


@contextlib.contextmanager
def tampered(path):
    """Change a database behind the journal's back."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


@contextlib.contextmanager
def tampered_types(path, table):
    """Change a table behind the journal's back, as a flipped bit can: to values of any type."""
    strict, lax = ") STRICT", ")       "
    with tampered(path) as connection:
        for old, new in ((strict, lax), (lax, strict)):
            change = "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = ?"
            connection.execute("PRAGMA writable_schema = ON")
            assert connection.execute(change, (old, new, table)).rowcount == 1
            connection.execute("PRAGMA writable_schema = RESET")
            if new == lax:
                yield connection


def copy_database(path, target):
    """Copy a database with its companions, as they are at this moment."""
    for suffix in COMPANIONS:
        file = path.with_name(path.name + suffix)
        if file.exists():
            shutil.copyfile(file, target.with_name(target.name + suffix))
