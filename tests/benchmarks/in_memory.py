"""What a step costs in memory, against bare ``await`` loops that do the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from flowmgr import Engine, Settings, open_engine
from tests.benchmarks.figures import Figure, Target, amount
from tests.benchmarks.flows import chain, noop
from tests.benchmarks.loops import LeanestLoop, OriginalLoop
from tests.benchmarks.scale import Scale
from tests.benchmarks.timing import Contender, in_turns

CONTEXT = {"user_id": 7}

AT_ONCE = 100

KEEP_ENDED = 1_000
"""Ended executions that are kept: so few that forgetting the oldest is measured as well."""

FLOWS = {100: Target(0.5, 1.0), 3: Target(0.25, 0.5)}
"""Tasks of the flows, and what baseline / ours should be."""


async def measure(backend: str, scale: Scale) -> list[Figure]:
    """Measure µs per step of `Engine.run`, one execution at a time and 100 at once.

    The ratio is the time of the original's loop divided by ours: 1 is as fast, 0.5 takes twice as
    long. It is the median of the rounds, which the contenders take in turns; times are the best.
    """
    figures = []
    async with open_engine(Settings(keep_ended=KEEP_ENDED), activities=[noop]) as engine:
        for tasks, target in FLOWS.items():
            await engine.register(chain(tasks))
            for at_once in (1, AT_ONCE):
                figures += await _measure_flow(backend, scale, engine, (tasks, at_once), target)
    return figures


async def _measure_flow(
    backend: str, scale: Scale, engine: Engine, shape: tuple[int, int], target: Target
) -> list[Figure]:
    tasks, at_once = shape
    original = OriginalLoop(tasks, noop)
    leanest = LeanestLoop(tasks, noop)

    async def run_ours() -> None:
        execution = await engine.run(f"chain-{tasks}", CONTEXT)
        assert execution.status == "completed"

    async def run_original(count: int) -> None:
        original.forget()
        await repeat(count)

    repeat = _repeating(lambda: original.run(CONTEXT), at_once)
    contenders: dict[str, Contender] = {
        "ours": _repeating(run_ours, at_once),
        "original": run_original,
        "leanest": _repeating(lambda: leanest.run(CONTEXT), at_once),
    }
    times = await in_turns(contenders, scale)
    step = {name: times.best(name) / at_once / tasks * 1e6 for name in contenders}
    name = f"{tasks}-task flow, {'one' if at_once == 1 else at_once} at a time"
    per_second = amount(at_once / times.best("ours"))
    return [
        Figure(
            backend,
            name,
            step["ours"],
            "µs/step",
            times.ratio("original", "ours"),
            "original's loop / ours",
            target,
            f"original {step['original']:.2f} µs/step; ours {per_second} executions/s",
        ),
        Figure(
            backend,
            f"{name}: leanest loop",
            step["leanest"],
            "µs/step",
            times.ratio("leanest", "ours"),
            "leanest loop / ours",
        ),
    ]


def _repeating(once: Callable[[], Awaitable[Any]], at_once: int) -> Contender:
    """Return what runs *once* as often as told, in each of *at_once* tasks."""

    async def one_by_one(count: int) -> None:
        for _ in range(count):
            await once()

    async def together(count: int) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(at_once):
                group.start_soon(one_by_one, count)

    return one_by_one if at_once == 1 else together
