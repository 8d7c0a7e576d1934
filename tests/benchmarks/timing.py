"""Taking time: contenders in turns, each by the best of its rounds."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from tests.benchmarks.scale import Scale

Contender = Callable[[int], Awaitable[None]]
"""Does its work as often as it is told."""


async def best_of(contenders: Mapping[str, Contender], scale: Scale) -> dict[str, float]:
    """Return the CPU seconds of this process that each contender takes to do its work once.

    They take turns, so that whatever else the machine does hits all of them, and the best round
    counts: a disturbance only ever adds to a time. In memory nothing waits, so CPU time is what
    wall time would be on an idle machine. The garbage collector is on, as in real life, and each
    round begins with nothing left for it to collect from the round before.
    """
    counts = {name: await _calibrate(work, scale) for name, work in contenders.items()}
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(scale.rounds):
        for name, work in contenders.items():
            seconds = await _timed(work, counts[name])
            best[name] = min(best[name], seconds / counts[name])
    return best


async def _calibrate(work: Contender, scale: Scale) -> int:
    """Warm up, and return how often *work* is to be done in a round."""
    count = 1
    while (seconds := await _timed(work, count)) < scale.round_seconds / 4:
        count *= 2
    return max(1, round(count * scale.round_seconds / seconds))


async def _timed(work: Contender, count: int) -> float:
    gc.collect()
    started = time.process_time()
    await work(count)
    return time.process_time() - started


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value that *percent* of *values* do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


median = statistics.median
