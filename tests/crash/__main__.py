"""The long campaign: many databases one after the other, and as many kills as are asked for.

Usage: python -m tests.crash [--kills N] [--seconds S] [--seed X] [--jobs J] [--mutant M]

Ends at the first promise that is broken, with exit code 1, and keeps that database with its files.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import itertools
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.crash.campaign import Campaign
from tests.crash.lives import Life, by_chance, to_point
from tests.crash.mutants import MUTANTS
from tests.crash.points import FIRST, POINTS
from tests.crash.report import Report
from tests.crash.server import Order

BACKENDS = ("asyncio", "trio")
POINTS_PER_DATABASE = 10
SHOWN = 20
"""Violations that are shown, at most."""


class Chunk(NamedTuple):
    """What happens to one database.

    Attributes:
        number: which one it is.
        seed: of what is chosen by chance.
        backend: what its servers run on.
        points: where they kill themselves, between others that are killed at any moment.
        mutant: the deliberate bug that they have; None for none.
    """

    number: int
    seed: int
    backend: str
    points: tuple[str, ...]
    mutant: str | None

    def lives(self) -> list[Life]:
        chance = random.Random(self.seed)
        return [
            life for point in self.points for life in (by_chance(chance), to_point(point, chance))
        ]


def chunks(seed: int, mutant: str | None) -> Iterator[Chunk]:
    """Yield chunks for ever: every point comes up as often as any other, on each backend."""
    chance = random.Random(seed)
    waiting: dict[str, list[str]] = {backend: [] for backend in BACKENDS}
    for number in itertools.count():
        backend = BACKENDS[number % len(BACKENDS)]
        points = waiting[backend]
        if len(points) < POINTS_PER_DATABASE:
            points += chance.sample([*POINTS], len(POINTS))
        taken = points[:POINTS_PER_DATABASE]
        del points[:POINTS_PER_DATABASE]
        yield Chunk(number, chance.randrange(10**9), backend, (*FIRST, *taken), mutant)


def run(chunk: Chunk) -> tuple[Chunk, Report, Path]:
    """Run a chunk in a directory of its own."""
    directory = Path(tempfile.mkdtemp(prefix=f"crash-{chunk.number}-"))
    order = Order(str(directory), chunk.backend, mutant=chunk.mutant, seed=chunk.seed)
    return chunk, Campaign(order).run(chunk.lives()), directory


class Totals:
    """What all chunks together have come to."""

    def __init__(self, kills: int) -> None:
        self.kills: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self._wanted = kills
        self._began = time.monotonic()

    def add(self, report: Report) -> None:
        self.kills += report.kills
        self.counts += report.counts

    def show(self) -> None:
        """Write one line, over the one before it where that can be done."""
        kills, minutes = self.kills.total(), (time.monotonic() - self._began) / 60
        counts = self.counts
        line = (
            f"{kills:,} of {self._wanted:,} kills ({kills / minutes:,.0f} a minute), "
            f"{counts['executions']:,} executions, {counts['interrupted']:,} attempts interrupted, "
            f"{counts['checks']:,} checks"
        )
        sys.stdout.write(f"\r{line}" if sys.stdout.isatty() else f"{line}\n")
        sys.stdout.flush()

    def summarise(self) -> None:
        print("\n\nKills:")
        for name in ("by chance", *POINTS):
            print(f"  {self.kills[name]:7,}  {name}")
        print("Counts:")
        for name, count in sorted(self.counts.items()):
            print(f"  {count:9,}  {name}")
        print(f"{time.monotonic() - self._began:,.0f} seconds")


def tell(chunk: Chunk, report: Report, directory: Path) -> None:
    """Say what was found, and where it can be looked at."""
    print(f"\n\nBroken on {chunk.backend}, with seed {chunk.seed}; see {directory}")
    print("Kills:", ", ".join(report.order))
    for rule, where, text in report.violations[:SHOWN]:
        print(f"  {rule}: {where}: {text}")


def campaign(kills: int, seconds: float, source: Iterator[Chunk], jobs: int) -> bool:
    """Run chunks until there were so many kills, or time is up; return whether all is well."""
    totals, until = Totals(kills), time.monotonic() + seconds
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        running = {pool.submit(run, next(source)) for _ in range(jobs)}
        while running:
            done, running = concurrent.futures.wait(
                running, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in done:
                chunk, report, directory = future.result()
                totals.add(report)
                totals.show()
                if report.violations:
                    tell(chunk, report, directory)
                    totals.summarise()
                    return False
                shutil.rmtree(directory)
                if totals.kills.total() < kills and time.monotonic() < until:
                    running.add(pool.submit(run, next(source)))
    totals.summarise()
    return True


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="how many (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=7200.0, help="at most so long")
    parser.add_argument("--seed", type=int, default=None, help="by chance if not given")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="databases at once")
    parser.add_argument("--mutant", choices=MUTANTS, default=None, help="a bug, to be found")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(10**9) if given.seed is None else given.seed
    print(f"Seed {seed}")
    source = chunks(seed, given.mutant)
    return 0 if campaign(given.kills, given.seconds, source, given.jobs) else 1


if __name__ == "__main__":
    sys.exit(main())
