"""One benchmark on one backend, in this process; writes the figures as JSON.

``python -m tests.benchmarks.child name backend scale``
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable

import msgspec

from tests.benchmarks import asleep, cancelling, durable, in_memory, lengths, scopes
from tests.benchmarks.backends import run
from tests.benchmarks.figures import Figure
from tests.benchmarks.scale import SCALES, Scale

Benchmark = Callable[[str, Scale], Awaitable[list[Figure]]]

BENCHMARKS: dict[str, Benchmark] = {
    "in-memory": in_memory.measure,
    "durable": durable.measure,
    "lengths": lengths.measure,
    "asleep": asleep.measure,
    "cancelling": cancelling.measure,
    "scopes": scopes.measure,
}

if __name__ == "__main__":
    name, backend, scale = sys.argv[1:]
    figures = run(backend, BENCHMARKS[name], backend, SCALES[scale])
    sys.stdout.buffer.write(msgspec.json.encode(figures))
