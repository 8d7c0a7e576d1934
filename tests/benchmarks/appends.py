"""How many appends a second are durable: ``python -m tests.benchmarks.appends directory``.

Each appender waits for its batch (a task finished, the next one started) before it appends another,
as an execution does. Next to it, what SQLite does at best: rows of the same size, in groups as
large as there are appenders, in one thread, with nothing else to do.
"""

import argparse
import sqlite3
import tempfile
import time
from pathlib import Path

import anyio
import msgspec

from actors.actor import Reply
from actors.events import ExecutionStarted, TaskFinished, TaskStarted, Transition
from actors.outcome import Outcome
from actors.ports import Batch
from flowmgr.journal.sqlite import open_sqlite
from flowmgr.journal.sqlite.chain import encode_events

SECONDS = 2.0
STEP = (
    TaskFinished(
        at=1.7e9,
        task="fetch",
        visit=1,
        attempt=1,
        outcome=Outcome("success", 0.25, msgspec.Raw(b'{"rows":17}')),
        transition=Transition("after fetch", matched=True, target="store"),
    ),
    TaskStarted(at=1.7e9, task="store"),
)


async def measure(directory, appenders, durability):
    """Return appends a second."""
    path = Path(tempfile.mkdtemp(dir=directory)) / "journal.db"
    counts = [0] * appenders
    async with open_sqlite(path, durability=durability) as journal:

        async def run(number, until):
            started = ExecutionStarted(
                at=1.7e9, flow_id="f", flow_version=1, start_task="a", context=msgspec.Raw(b"{}")
            )
            seq, events = 1, (started, TaskStarted(at=1.7e9, task="fetch"))
            while time.perf_counter() < until:
                reply = Reply()
                journal.append(
                    Batch(f"execution-{number:026}", seq, events),
                    lambda error, reply=reply: reply.give(error or True),
                )
                await reply.get()
                counts[number] += 1
                seq += 2
                events = STEP

        began = time.perf_counter()
        async with anyio.create_task_group() as group:
            for number in range(appenders):
                group.start_soon(run, number, began + SECONDS)
        return sum(counts) / (time.perf_counter() - began)


def bare(directory, group, durability):
    """Return rows a second that SQLite takes in groups of a size."""
    path = Path(tempfile.mkdtemp(dir=directory)) / "bare.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {'FULL' if durability == 'full' else 'NORMAL'}")
    connection.execute("CREATE TABLE row (content BLOB)")
    rows = [(encode_events(STEP),)] * group
    count, began = 0, time.perf_counter()
    while time.perf_counter() < began + SECONDS:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO row VALUES (?)", rows)
        connection.execute("COMMIT")
        count += group
    return count / (time.perf_counter() - began)


BACKENDS = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


def main(directory):
    """Print a table."""
    for durability in ("full", "relaxed"):
        for appenders in (1, 16, 100, 500):
            figures = [f"bare {bare(directory, appenders, durability):9,.0f}"]
            for name, (backend, options) in BACKENDS.items():
                figure = anyio.run(
                    measure, directory, appenders, durability,
                    backend=backend, backend_options=options,
                )  # fmt: skip
                figures.append(f"{name} {figure:9,.0f}")
            print(f"{durability:8} {appenders:4} appenders: {'   '.join(figures)}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    main(parser.parse_args().directory)
