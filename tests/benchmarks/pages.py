"""How long a page of a list takes: ``python -m tests.benchmarks.pages journal.db``.

For a journal that `tests.benchmarks.generate` has made.
"""

import argparse
import statistics
import time
from pathlib import Path

from flowmgr.journal.sqlite.connection import connect_to_read, transaction
from flowmgr.journal.sqlite.listing import list_executions
from flowmgr.journal.store import ExecutionQuery

LIMIT = 100
ROUNDS = 7


def queries(oldest, newest):
    """Return what a client may ask for, by name."""
    middle, hour = (oldest + newest) / 2, 3600.0
    asked = {
        "everything": {},
        "status=completed": {"status": "completed"},
        "status=cancelled (1 %)": {"status": "cancelled"},
        "status=running (0.1 %)": {"status": "running"},
        "status=paused (none)": {"status": "paused"},
        "flow, large": {"flow_id": "flow-0"},
        "flow, small": {"flow_id": "flow-199"},
        "flow, unknown": {"flow_id": "nobody"},
        "version=3": {"flow_version": 3},
        "version=9 (none)": {"flow_version": 9},
        "had_failures": {"had_failures": True},
        "no failures": {"had_failures": False},
        "started from the middle": {"started_from": middle},
        "started before the middle": {"started_before": middle},
        "started in one hour": {"started_from": middle, "started_before": middle + hour},
        "started before all (none)": {"started_before": oldest - hour},
        "ended before the middle": {"ended_before": middle},
        "ended before all (none)": {"ended_before": oldest - hour},
        "metadata, 63 %": {"metadata": {"env": "prod"}},
        "metadata, 20 executions": {"metadata": {"customer": "c17"}},
        "metadata, one": {"metadata": {"order": "4711"}},
        "metadata, none": {"metadata": {"env": "nowhere"}},
        "flow+status": {"flow_id": "flow-0", "status": "failed"},
        "flow+status (none)": {"flow_id": "flow-0", "status": "paused"},
        "flow+version": {"flow_id": "flow-0", "flow_version": 3},
        "flow+version (none)": {"flow_id": "flow-0", "flow_version": 9},
        "flow+status+hour": {
            "flow_id": "flow-0",
            "status": "failed",
            "started_from": middle,
            "started_before": middle + hour,
        },
        "status+before": {"status": "cancelled", "started_before": middle},
        "failures+flow": {"had_failures": True, "flow_id": "flow-3"},
        "failures+status (few)": {"had_failures": True, "status": "cancelled"},
        "status+ended before": {"status": "failed", "ended_before": middle},
        "metadata+status": {"metadata": {"env": "prod"}, "status": "completed"},
        "metadata+status (few)": {"metadata": {"env": "test"}, "status": "cancelled"},
        "metadata+status (none)": {"metadata": {"env": "test"}, "status": "paused"},
        "metadata+metadata": {"metadata": {"env": "test", "customer": "c17"}},
        "metadata+flow": {"metadata": {"env": "prod"}, "flow_id": "flow-150"},
        "metadata+hour": {
            "metadata": {"env": "test"},
            "started_from": middle,
            "started_before": middle + hour,
        },
        "metadata+flow+status": {
            "metadata": {"env": "test"},
            "flow_id": "flow-9",
            "status": "cancelled",
        },
    }
    return {name: ExecutionQuery(**fields) for name, fields in asked.items()}


def measure(path):
    """Print the median and the worst time of each list, in milliseconds."""
    connection = connect_to_read(path)
    [newest] = list_executions(connection, ExecutionQuery(), None, 1)
    bounds = "SELECT min(started_at) FROM execution"
    [oldest] = connection.execute(bounds).fetchone()
    middle_id = connection.execute(
        "SELECT execution_id FROM execution WHERE number = (SELECT max(number) / 2 FROM execution)"
    ).fetchone()[0]
    print(f"{'':28} first page: median  worst   from the middle: median  worst    rows")
    for name, query in queries(oldest, newest.started_at).items():
        figures = [_time(connection, query, before) for before in (None, middle_id)]
        (first, count), (middle, _) = figures
        print(
            f"{name:28}{statistics.median(first):18.1f}{max(first):7.1f}"
            f"{statistics.median(middle):24.1f}{max(middle):7.1f}{count:8}"
        )


def _time(connection, query, before):
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        with transaction(connection):
            found = list_executions(connection, query, before, LIMIT)
        times.append(1000 * (time.perf_counter() - began))
    return times, len(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    measure(parser.parse_args().path)
