"""How many executions can wait at once, what they cost, and how soon they go on.

``python -m tests.benchmarks.waiting 100000``

So many parked executions are written to a database. Another process opens the engine on it: printed
are the seconds until it is ready, and the memory. Most are due far away; the others come due in the
seconds after the start, evenly spread, and the time from when one is due until the task behind its
wait runs is its latency.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import anyio

from actors.ports import Batch
from flowmgr import Settings, activity, open_engine
from flowmgr.clock import SystemClock
from flowmgr.journal.sqlite.chain import encode_events
from flowmgr.journal.sqlite.connection import transaction
from flowmgr.journal.sqlite.opening import Opened
from tests.benchmarks.asleep import resident
from tests.benchmarks.backends import BACKENDS, ROOT, run
from tests.benchmarks.generate import uuid7
from tests.support.waiting import Waiting, parked_history

FAR = 30 * 86_400.0
LEAD = 10.0
"""Seconds from the writing until the first is due: the engine has to be open by then."""


def write(path: Path, count: int, *, woken: int, spread: float) -> None:
    """Write *count* parked executions, of which *woken* come due over *spread* seconds."""
    opened = Opened(path, "relaxed", SystemClock())
    recorder = opened.recorder
    now = time.time()
    first = now + LEAD + count / 20_000
    instants = [first + spread * number / woken for number in range(woken)]
    Path(f"{path}.dues").write_text("\n".join(map(repr, instants)), encoding="ascii")
    try:
        with transaction(recorder.connection, "IMMEDIATE"):
            for number in range(count):
                due = instants[number] if number < woken else now + FAR + number
                events = parked_history(due, at=now)
                batch = Batch(uuid7(now, number), 1, events)
                assert recorder.append(batch, encode_events(events)) is None
            recorder.finish()
        recorder.committed()
        recorder.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        recorder.connection.close()
        opened.close()


async def measure(path: str, count: int, woken: int, spread: float) -> None:
    """Open an engine on them and print how that goes."""
    ran: list[float] = []

    @activity("a")
    async def note(context: dict[str, Any]) -> None:
        ran.append(time.time())

    settings = Settings(journal=f"sqlite:{path}", grace=0)
    before, began = resident(), time.perf_counter()
    with mock.patch("flowmgr.flows.compile_flow", Waiting(0).compile):
        async with open_engine(settings, activities=[note]) as engine:
            opened = time.perf_counter() - began
            while not engine.recovery.is_over:  # noqa: ASYNC110 - it has no event
                await anyio.sleep(0.005)
            ready = time.perf_counter() - began
            memory = resident() - before
            print(
                f"{count:,} waiting: open after {opened:.2f} s, ready after {ready:.2f} s, "
                f"{memory / 2**20:,.0f} MiB more than before ({memory / count:,.0f} bytes each), "
                f"{engine.live_executions} live",
                flush=True,
            )
            give_up = time.time() + LEAD + count / 20_000 + spread + 60
            while len(ran) < woken and time.time() < give_up:  # noqa: ASYNC110 - likewise
                await anyio.sleep(0.05)
            _report(path, woken, spread, ran)
            print(f"{resident() / 2**20:,.0f} MiB in the end", flush=True)
            engine.begin_draining(0)


def _report(path: str, woken: int, spread: float, ran: list[float]) -> None:
    """Print the latencies: the n-th to run is compared with the n-th that was due."""
    if not ran:
        print("none of them was woken", flush=True)
        return
    latencies = sorted(at - due for at, due in zip(sorted(ran), sorted(dues(path)), strict=False))
    p50, p99 = (latencies[int(len(latencies) * share)] for share in (0.5, 0.99))
    print(
        f"{len(ran):,} of {woken:,} woken, due over {spread:.0f} s ({woken / spread:,.0f}/s): "
        f"p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms, longest {latencies[-1] * 1e3:.1f} ms",
        flush=True,
    )


def dues(path: str) -> list[float]:
    """Return the instants that `write` has noted next to the database."""
    lines = Path(f"{path}.dues").read_text(encoding="ascii").split()
    return [float(line) for line in lines]


def main() -> None:
    """Measure on each backend, each with a database and a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=100_000)
    parser.add_argument("--woken", type=int, default=20_000, help="how many come due (20000)")
    parser.add_argument("--spread", type=float, default=20.0, help="over so many seconds (20)")
    parser.add_argument("--backend", action="append", choices=[*BACKENDS], help="all if none")
    asked = parser.parse_args()
    woken = min(asked.woken, asked.count)
    for backend in asked.backend or BACKENDS:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "waiting.db")
            write(path, asked.count, woken=woken, spread=asked.spread)
            arguments = [backend, str(path), str(asked.count), str(woken), str(asked.spread)]
            print(backend, flush=True)
            subprocess.run(
                [sys.executable, "-m", __spec__.name, "--measure", *arguments], check=True, cwd=ROOT
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        name, database, total, due, seconds = sys.argv[2:]
        run(name, measure, database, int(total), int(due), float(seconds))
    else:
        main()
