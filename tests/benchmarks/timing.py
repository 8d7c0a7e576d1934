"""Taking time: contenders in turns, round by round."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from tests.benchmarks.scale import Scale

Contender = Callable[[int], Awaitable[None]]
"""Does its work as often as it is told."""


class Times:
    """How long contenders took to do their work once, in each of the rounds: seconds."""

    def __init__(self, rounds: Mapping[str, Sequence[float]]) -> None:
        self._rounds = rounds

    def best(self, name: str) -> float:
        """Return the time of a contender's best round: a disturbance only ever adds to a time."""
        return min(self._rounds[name])

    def ratio(self, one: str, other: str) -> float:
        """Return how many times as long as *other* a contender took: the median of the rounds.

        The two are compared within each round, because the machine may be faster in the next.
        """
        pairs = zip(self._rounds[one], self._rounds[other], strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)


async def in_turns(contenders: Mapping[str, Contender], scale: Scale) -> Times:
    """Measure the CPU seconds of this process that each contender takes to do its work once.

    They take turns, so that whatever else the machine does hits all of them. In memory nothing
    waits, so CPU time is what wall time would be on an idle machine. The garbage collector is on,
    as in real life, and each round begins with nothing left for it to collect from the one before.
    """
    counts = {name: await _calibrate(work, scale) for name, work in contenders.items()}
    rounds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(scale.rounds):
        for name, work in contenders.items():
            rounds[name].append(await _timed(work, counts[name]) / counts[name])
    return Times(rounds)


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
