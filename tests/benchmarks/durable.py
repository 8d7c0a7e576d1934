"""What a durable step costs: each committed, to a power loss's satisfaction, before the next."""

from __future__ import annotations

import queue
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from flowmgr import Engine, Settings, open_engine
from flowmgr.journal.sqlite.posting import post_to_this_loop
from flowmgr.journal.sqlite.work import Append
from flowmgr.journal.sqlite.writer import Writer
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.flows import chain, noop
from tests.benchmarks.scale import Scale
from tests.benchmarks.timing import Times

CONTEXT = {"user_id": 7}
TASKS = 100
TARGETS = {1: None, 100: Target(0.5, 0.7)}
"""By executions at once: what ours / bare should be."""

MORE_ROUNDS = {1: 1, 100: 5}
"""By executions at once: how many times as many rounds, one being short and having a target."""

Groups = list[list[bytes]]
"""What was committed: for each transaction, what each row of events had."""


async def measure(backend: str, scale: Scale) -> list[Figure]:
    """Measure durable steps per second of a 100-task chain, with two limits and without durability.

    * bare group commit: as many appenders, each of which waits until its row is committed before
      it appends the next one, and one thread that commits whatever has been appended meanwhile and
      answers all of it. The rows are those of our run; the table has nothing but the row. That is
      the least in which every step is durable before the next one starts.
    * replay: the same rows in the same groups as in our run, one after the other, by one thread
      that answers nobody: what SQLite and the disk can do.

    The ratio is ours divided by each: the median of the rounds, in each of which they take turns.
    The rates are those of the best rounds.
    """
    figures = []
    with tempfile.TemporaryDirectory() as directory:
        for at_once, target in TARGETS.items():
            count = max(1, scale.durable_steps // TASKS // at_once)
            rounds: dict[str, list[float]] = {"ours": [], "bare": [], "replay": [], "memory": []}
            for number in range(scale.durable_rounds * MORE_ROUNDS[at_once]):
                path = Path(directory) / f"{at_once}-{number}.db"
                with recorded_groups() as groups:
                    ours = await _rate(f"sqlite:{path}", at_once, count)
                bare = await _appended(path.with_suffix(".bare"), groups, at_once)
                replay = _replayed(path.with_suffix(".replay"), groups)
                memory = await _rate("memory", at_once, count)
                for name, rate in zip(rounds, (ours, bare, replay, memory), strict=True):
                    rounds[name].append(1 / rate)
            figures += _figures(backend, at_once, target, Times(rounds))
    return figures


def _figures(backend: str, at_once: int, target: Target | None, times: Times) -> list[Figure]:
    name = f"durable steps, {'one' if at_once == 1 else at_once} at a time"
    return [
        Figure(
            backend,
            f"{name}{suffix}",
            1 / times.best("ours"),
            "/s",
            times.ratio(baseline, "ours"),
            f"ours / {called}",
            target if baseline == "bare" else None,
            f"{called} {1 / times.best(baseline):,.0f} /s",
        )
        for baseline, suffix, called in (
            ("bare", "", "bare group commit"),
            ("replay", ": replay", "replay"),
            ("memory", ": in memory", "ours in memory"),
        )
    ]


async def _rate(journal: str, at_once: int, count: int) -> float:
    settings = Settings(journal=journal, keep_ended=1_000)
    async with open_engine(settings, activities=[noop]) as engine:
        await engine.register(chain(TASKS))
        await _run(engine, at_once, 1)
        started = time.perf_counter()
        await _run(engine, at_once, count)
        return TASKS * at_once * count / (time.perf_counter() - started)


async def _run(engine: Engine, at_once: int, count: int) -> None:
    async def one_by_one() -> None:
        for _ in range(count):
            execution = await engine.run(f"chain-{TASKS}", CONTEXT)
            assert execution.status == "completed"

    async with anyio.create_task_group() as group:
        for _ in range(at_once):
            group.start_soon(one_by_one)


@contextmanager
def recorded_groups() -> Iterator[Groups]:
    """Note what every writer commits meanwhile."""
    groups: Groups = []
    apply = Writer._apply

    def noting(writer: Writer, group: Sequence[object]) -> object:
        groups.append([work.events for work in group if isinstance(work, Append)])
        return apply(writer, group)

    Writer._apply = noting
    try:
        yield groups
    finally:
        Writer._apply = apply


async def _appended(path: Path, groups: Groups, at_once: int) -> float:
    """Return rows per second of appenders that wait, and of a thread that commits."""
    rows = iter([row for group in groups for row in group])
    count = sum(map(len, groups))
    appended: queue.SimpleQueue[tuple[bytes, anyio.Event] | None] = queue.SimpleQueue()
    post = post_to_this_loop()
    connection = _connect(path)

    def commit_what_comes() -> None:
        while (first := appended.get()) is not None:
            group = [first]
            while not appended.empty():
                group.append(appended.get())
            is_last = group[-1] is None
            group = group[:-1] if is_last else group
            _commit(connection, [row for row, _ in group])
            post(lambda events=[event for _, event in group]: [each.set() for each in events])
            if is_last:
                return

    async def append() -> None:
        for row in rows:
            event = anyio.Event()
            appended.put((row, event))
            await event.wait()

    thread = threading.Thread(target=commit_what_comes)
    thread.start()
    started = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(at_once):
            group.start_soon(append)
    seconds = time.perf_counter() - started
    appended.put(None)
    await anyio.to_thread.run_sync(thread.join)
    connection.close()
    return count / seconds


def _replayed(path: Path, groups: Groups) -> float:
    """Return rows per second of transactions one after the other."""
    connection = _connect(path)
    started = time.perf_counter()
    for group in groups:
        _commit(connection, group)
    seconds = time.perf_counter() - started
    connection.close()
    return sum(map(len, groups)) / seconds


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE event (events BLOB)")
    return connection


def _commit(connection: sqlite3.Connection, rows: Sequence[bytes]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO event VALUES (?)", [(row,) for row in rows])
    connection.execute("COMMIT")
