"""Make a large journal: ``python -m tests.benchmarks.generate journal.db 1000000``.

Executions as a busy service leaves them: of some large flows and many small ones, in several
versions, most of them completed, some failed, a few cancelled or unfinished, with metadata of few
values and of many. They are written with the writer's own code, in large transactions.
"""

import argparse
import random
import time
from pathlib import Path

import msgspec

from actors.events import (
    CancelRequested,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionStarted,
    TaskFinished,
    TaskStarted,
    Transition,
)
from actors.outcome import ErrorInfo, Outcome
from actors.ports import Batch
from flowmgr.clock import SystemClock
from flowmgr.journal.sqlite.chain import encode_events
from flowmgr.journal.sqlite.connection import transaction
from flowmgr.journal.sqlite.opening import Opened

FLOWS = [f"flow-{number}" for number in range(200)]
WEIGHTS = [1 / (number + 1) for number in range(len(FLOWS))]
ERROR = ErrorInfo("ValueError", "no such customer")
AT_ONCE = 20_000


def uuid7(at, random_bits):
    """Return a UUIDv7 of a time, with 74 random bits."""
    value = int(at * 1000) << 80 | 7 << 76 | (random_bits >> 62) << 64 | 2 << 62
    digits = f"{value | random_bits & (1 << 62) - 1:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def histories(count, *, until, per_second=20.0, unfinished=0.001, seed=0):
    """Yield the id and the batches of *count* executions, the oldest first."""
    chance = random.Random(seed)
    flows = chance.choices(FLOWS, WEIGHTS, k=count)
    for number in range(count):
        at = until - (count - number) / per_second
        execution_id = uuid7(at, chance.getrandbits(74))
        yield execution_id, _batches(chance, at, flows[number], number, unfinished)


def _batches(chance, at, flow_id, number, unfinished):
    metadata = {"customer": f"c{chance.randrange(50_000)}", "order": number}
    if chance.random() < 0.7:
        metadata["env"] = "prod" if chance.random() < 0.9 else "test"
    started = ExecutionStarted(
        at=at,
        flow_id=flow_id,
        flow_version=chance.choice([1, 1, 2, 2, 2, 3]),
        start_task="fetch",
        context=msgspec.Raw(b'{"customer":"c17","amount":12.5}'),
        metadata=metadata,
    )
    first = (started, TaskStarted(at=at, task="fetch"))
    return [first, *_rest(chance, at + chance.expovariate(0.5), unfinished)]


def _rest(chance, at, unfinished):
    draw = chance.random()
    if draw < unfinished:
        return []
    if draw < 0.01:
        return [(CancelRequested(at=at),), (ExecutionCancelled(at=at + 0.01),)]
    error = ERROR if chance.random() < 0.06 else None
    status = "success" if error is None else "failure"
    outcome = Outcome(status, 0.2, msgspec.Raw(b'{"rows":17}'), error)
    transition = Transition("after fetch", matched=error is None, target="end")
    finished = TaskFinished(
        at=at, task="fetch", visit=1, attempt=1, outcome=outcome, transition=transition
    )
    if error is not None and chance.random() < 0.7:
        return [(finished, ExecutionFailed(at=at, error=error, task="fetch"))]
    return [(finished, ExecutionCompleted(at=at))]


def generate(path, count, **variety):
    """Add *count* executions to the journal at *path*."""
    opened = Opened(path, "relaxed", SystemClock())
    recorder = opened.recorder
    pending = histories(count, until=time.time(), **variety)
    try:
        while _write_some(recorder, pending):
            recorder.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        recorder.connection.close()
        opened.close()


def _write_some(recorder, pending):
    written = 0
    with transaction(recorder.connection, "IMMEDIATE"):
        for execution_id, batches in pending:
            seq = 1
            for events in batches:
                refusal = recorder.append(Batch(execution_id, seq, events), encode_events(events))
                assert refusal is None
                seq += len(events)
            written += 1
            if written == AT_ONCE:
                break
    recorder.committed()
    return written


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--unfinished", type=float, default=0.001, help="share, default 0.001")
    arguments = parser.parse_args()
    began = time.perf_counter()
    generate(arguments.path, arguments.count, unfinished=arguments.unfinished)
    print(f"{arguments.count} executions in {time.perf_counter() - began:.0f} s")
