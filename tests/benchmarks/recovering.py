"""How long a start takes that finds much unfinished.

``python -m tests.benchmarks.recovering 100000``

So many executions are asleep in their first task when the process ends. Another process opens the
engine on their database; each of them runs its task again. Printed are the seconds until the engine
is open (executions are accepted from then on), until all of them run again, and the memory.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anyio

from flowmgr import Settings, activity, open_engine
from tests.benchmarks.asleep import resident
from tests.benchmarks.backends import BACKENDS, ROOT, run
from tests.benchmarks.flows import Asleep, chain

AT_ONCE = 256


async def leave(path: str, count: int) -> None:
    """Start *count* executions, and end in the middle of all of them."""
    asleep = Asleep()
    async with open_engine(_settings(path), activities=[_sleeper(asleep)]) as engine:
        await engine.register(chain(3, "bench.sleep"))

        async def start(share: range) -> None:
            for number in share:
                await engine.start("chain-3", {"user_id": number})

        async with anyio.create_task_group() as group:
            for first in range(AT_ONCE):
                group.start_soon(start, range(first, count, AT_ONCE))
        await asleep.wait_for(count)
        sys.stdout.write("left")
        sys.stdout.flush()
        await anyio.sleep_forever()


async def recover(path: str, count: int) -> None:
    """Open an engine on them, and print how long that takes."""
    asleep, before, started = Asleep(), resident(), time.perf_counter()
    async with open_engine(_settings(path), activities=[_sleeper(asleep)]) as engine:
        opened = time.perf_counter() - started
        await asleep.wait_for(count)
        ready = time.perf_counter() - started
        memory = resident() - before
        assert engine.recovery.unfinished == count
        print(
            f"{count:,} unfinished: open after {opened:.1f} s, all run again after {ready:.1f} s "
            f"({ready / count * 1e6:.0f} µs each), {memory / 2**20:,.0f} MiB "
            f"({memory / count / 1024:.1f} KiB each)",
            flush=True,
        )
        engine.begin_draining(0)


def _settings(path: str) -> Settings:
    return Settings(journal=f"sqlite:{path}", max_live=10**7, grace=0)


def _sleeper(asleep: Asleep) -> object:
    @activity("bench.sleep")
    async def sleep(context: object) -> None:
        await asleep.sleep()

    return sleep


def main(count: int) -> None:
    """Measure on each backend."""
    for backend in BACKENDS:
        with tempfile.TemporaryDirectory() as directory:
            path = str(Path(directory) / "flowmgr.db")
            command = [sys.executable, "-m", __spec__.name, str(count), backend, path]
            with subprocess.Popen([*command, "leave"], cwd=ROOT, stdout=subprocess.PIPE) as left:
                assert left.stdout is not None
                assert left.stdout.read(4) == b"left"
                left.kill()
            print(f"{backend:8}", end="", flush=True)
            subprocess.run([*command, "recover"], cwd=ROOT, check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.rest:
        backend, path, what = asked.rest
        run(backend, {"leave": leave, "recover": recover}[what], path, asked.count)
    else:
        main(asked.count)
