"""How long it takes to cancel an execution whose task is asleep."""

from __future__ import annotations

import time

import anyio

from flowmgr import Engine, activity, open_engine
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.flows import Asleep, chain
from tests.benchmarks.scale import Scale
from tests.benchmarks.timing import percentile

PATIENCE = 10.0

TARGETS = {50: Target(600, 300, of="value", better="less"), 99: None}


async def measure(backend: str, scale: Scale) -> list[Figure]:
    """Measure µs from the request to cancel until the receipt is recorded: p50 and p99.

    In memory, one at a time. The baseline is a bare task asleep in a cancel scope, from the call of
    `cancel` until the task has ended; the two take turns. The ratio is ours divided by that.
    """
    asleep = Asleep()

    @activity("bench.sleep")
    async def sleep(context: object) -> None:
        await asleep.sleep()

    ours, bare = [], []
    async with open_engine(activities=[sleep]) as engine:
        await engine.register(chain(3, "bench.sleep"))
        for _ in range(scale.cancellations):
            ours.append(await _cancel_execution(engine, asleep))
            bare.append(await _cancel_bare(asleep))
    figures = []
    for percent, target in TARGETS.items():
        value, baseline = percentile(ours, percent), percentile(bare, percent)
        figures.append(
            Figure(
                backend,
                f"cancel a sleeping task, p{percent}",
                value * 1e6,
                "µs",
                value / baseline,
                "ours / bare task in a scope",
                target,
                f"bare {baseline * 1e6:.0f} µs",
            )
        )
    return figures


async def _cancel_execution(engine: Engine, asleep: Asleep) -> float:
    execution = await engine.start("chain-3")
    await asleep.wait_for(1)
    started = time.perf_counter()
    execution = await engine.cancel(execution.execution_id, wait=PATIENCE)
    seconds = time.perf_counter() - started
    assert execution.status == "cancelled"
    return seconds


async def _cancel_bare(asleep: Asleep) -> float:
    scope = anyio.CancelScope()
    ended = anyio.Event()

    async def sleep_in_scope() -> None:
        with scope:
            await asleep.sleep()
        ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(sleep_in_scope)
        await asleep.wait_for(1)
        started = time.perf_counter()
        scope.cancel()
        await ended.wait()
        return time.perf_counter() - started
