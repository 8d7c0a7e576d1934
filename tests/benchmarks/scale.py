"""How long the benchmarks measure: in full, quickly, or only to see that they run."""

from __future__ import annotations

import msgspec


class Scale(msgspec.Struct, frozen=True):
    """Counts and times of one run of the benchmarks.

    Attributes:
        rounds: rounds of each contender; they take turns.
        round_seconds: how long one round is to take, about.
        chains: lengths, in tasks, of the chains whose cost per step is compared; 100 among them.
        sleepers: executions that are asleep at once.
        cancellations: executions that are cancelled in memory, one after the other.
        http_cancellations: likewise over HTTP.
        http_rounds: rounds of each server; they take turns.
        http_requests: requests in each of them.
        durable_rounds: rounds of each contender with a durable journal, one execution at a time.
        durable_steps: steps in each of them, about.
        branches: branches of a parallel task.
        items: items of a map.
        http_backends: which servers there are.
    """

    rounds: int
    round_seconds: float
    chains: tuple[int, ...]
    sleepers: int
    cancellations: int
    http_cancellations: int
    http_rounds: int
    http_requests: int
    durable_rounds: int
    durable_steps: int
    branches: int
    items: int
    http_backends: tuple[str, ...] = ("asyncio", "uvloop", "trio")


SCALES = {
    "full": Scale(
        15, 0.1, (10, 100, 1_000, 10_000), 10_000, 1_000, 300, 5, 4_000, 5, 10_000, 1_000, 10_000
    ),
    "quick": Scale(
        4, 0.03, (10, 100, 1_000, 10_000), 10_000, 200, 50, 2, 1_500, 2, 5_000, 1_000, 10_000
    ),
    "smoke": Scale(1, 0.001, (10, 100), 50, 5, 5, 1, 20, 1, 100, 10, 10, ("asyncio",)),
}
"""Under six minutes, under one minute, a few seconds."""
