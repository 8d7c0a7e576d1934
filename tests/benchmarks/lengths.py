"""Whether a step costs the same in a chain of 10 tasks and in one of 10,000."""

from __future__ import annotations

from flowmgr import Settings, open_engine
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.flows import chain, noop
from tests.benchmarks.scale import Scale
from tests.benchmarks.timing import Contender, in_turns

REFERENCE = 100
"""Tasks of the chain that the others are compared with."""

LIMIT = Target(1.5, 1.2, better="less")
"""For chains that are longer. A shorter one has fewer steps to share the cost of its execution."""

KEEP_ENDED = 10


async def measure(backend: str, scale: Scale) -> list[Figure]:
    """Measure µs per step of `Engine.run`, by the length of the chain.

    The ratio is the cost of a step divided by that in the 100-task chain: 1 is independent of the
    length. Best of the rounds, which the lengths take in turns.
    """
    async with open_engine(Settings(keep_ended=KEEP_ENDED), activities=[noop]) as engine:

        def runs_of(length: int) -> Contender:
            async def run(count: int) -> None:
                for _ in range(count):
                    execution = await engine.run(f"chain-{length}")
                    assert execution.status == "completed"

            return run

        for length in scale.chains:
            await engine.register(chain(length))
        times = await in_turns({str(length): runs_of(length) for length in scale.chains}, scale)
    return [
        Figure(
            backend,
            f"chain of {length:,} tasks",
            times.best(str(length)) / length * 1e6,
            "µs/step",
            times.ratio(str(length), str(REFERENCE)) * REFERENCE / length,
            f"to the chain of {REFERENCE}",
            LIMIT if length > REFERENCE else None,
        )
        for length in scale.chains
    ]
