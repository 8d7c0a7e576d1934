"""Many executions asleep at once: their memory, and how soon they start and are all cancelled.

Run as a module, it measures the baseline, in a process of its own: as many bare tasks asleep, each
in a cancel scope, which is the least that one needs to be able to cancel them one by one.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from pathlib import Path

import anyio
import msgspec

from flowmgr import Engine, activity, open_engine
from tests.benchmarks.backends import in_fresh_process, run
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.flows import Asleep, chain
from tests.benchmarks.scale import Scale

MEMORY = Target(20, of="value", better="less")
CANCELLED = Target(2, of="value", better="less")
WARM_UP = 20
"""Executions before the measurement: what is allocated once is not counted to those measured."""


class Measured(msgspec.Struct, frozen=True):
    """Bytes that each takes, and CPU seconds until all had started and until all had stopped."""

    each: float
    starting: float
    cancelling: float
    cancelling_wall: float


async def measure(backend: str, scale: Scale) -> list[Figure]:
    """Measure KiB of resident memory for each sleeping execution, and CPU seconds for all of them.

    Memory is the growth of the process's resident set, after a garbage collection: what the
    operating system sees, to a page. Starting and cancelling so many keeps the processor busy from
    beginning to end, so CPU time is what wall time would be on an idle machine. One measurement of
    each: at this size they repeat well.
    """
    count = scale.sleepers
    bare = in_fresh_process(__name__, backend, str(count), result=Measured)
    asleep = Asleep()

    @activity("bench.sleep")
    async def sleep(context: object) -> None:
        await asleep.sleep()

    async with open_engine(activities=[sleep]) as engine:
        await engine.register(chain(3, "bench.sleep"))
        await _measure(engine, asleep, WARM_UP)
        ours = await _measure(engine, asleep, count)
    return _figures(backend, count, ours, bare)


def _figures(backend: str, count: int, ours: Measured, bare: Measured) -> list[Figure]:
    kib, bare_kib = ours.each / 1024, bare.each / 1024
    return [
        Figure(
            backend,
            f"{count:,} asleep: memory of each",
            kib,
            "KiB",
            kib / max(bare_kib, 0.001),
            "ours / bare task in a scope",
            MEMORY,
            f"bare {bare_kib:.2f} KiB",
        ),
        Figure(
            backend,
            f"{count:,} asleep: all started in",
            ours.starting,
            "CPU s",
            ours.starting / bare.starting,
            "ours / bare task in a scope",
            None,
            f"bare {bare.starting:.3f} s",
        ),
        Figure(
            backend,
            f"{count:,} asleep: all cancelled in",
            ours.cancelling,
            "CPU s",
            ours.cancelling / bare.cancelling,
            "ours / bare task in a scope",
            CANCELLED,
            f"bare {bare.cancelling:.3f} s; by the clock {ours.cancelling_wall:.2f} s",
        ),
    ]


async def _measure(engine: Engine, asleep: Asleep, count: int) -> Measured:
    before = resident()
    started = time.process_time()
    ids = [(await engine.start("chain-3", {"user_id": n})).execution_id for n in range(count)]
    await asleep.wait_for(count)
    starting = time.process_time() - started
    each = (resident() - before) / count
    started, wall = time.process_time(), time.perf_counter()
    for execution_id in ids:
        await engine.cancel(execution_id)
    for execution_id in ids:
        execution = await engine.wait(execution_id)
        assert execution.status == "cancelled"
    cancelling, wall = time.process_time() - started, time.perf_counter() - wall
    return Measured(each, starting, cancelling, wall)


def resident() -> int:
    """Return the bytes of this process that are in memory, after a garbage collection."""
    gc.collect()
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


async def _measure_bare(count: int) -> Measured:
    asleep = Asleep()
    await _run_bare(asleep, WARM_UP)
    return await _run_bare(asleep, count)


async def _run_bare(asleep: Asleep, count: int) -> Measured:
    scopes: list[anyio.CancelScope] = []

    async def sleep_in_scope() -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await asleep.sleep()

    before = resident()
    started = time.process_time()
    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(sleep_in_scope)
        await asleep.wait_for(count)
        starting = time.process_time() - started
        each = (resident() - before) / count
        started, wall = time.process_time(), time.perf_counter()
        for scope in scopes:
            scope.cancel()
    cancelling, wall = time.process_time() - started, time.perf_counter() - wall
    return Measured(each, starting, cancelling, wall)


if __name__ == "__main__":
    measured = run(sys.argv[1], _measure_bare, int(sys.argv[2]))
    sys.stdout.buffer.write(msgspec.json.encode(measured))
