"""The command line: ``python -m tests.benchmarks [names...] [--quick]``.

Prints a line for each figure: what was measured, its value, its ratio to the baseline of the same
run, the target and whether it is reached. The exit code is 0 also if one is not: a busy machine is
no bug.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator

from tests.benchmarks.backends import BACKENDS, in_fresh_process
from tests.benchmarks.child import BENCHMARKS
from tests.benchmarks.figures import Figure, heading, machine_line

HTTP = "http"


def main(arguments: list[str]) -> None:
    """Run the benchmarks that are asked for."""
    asked = _parse(arguments)
    started = time.monotonic()
    print(machine_line())
    print(heading(), flush=True)
    figures = []
    for figure in _measure(asked.names or [*BENCHMARKS, HTTP], asked.scale, asked.backend):
        print(figure.line(), flush=True)
        figures.append(figure)
    judged = [figure for figure in figures if figure.target is not None]
    below = [figure for figure in judged if figure.verdict == "below"]
    print(f"{len(judged) - len(below)} of {len(judged)} figures with a target reach it.", end=" ")
    print(f"It took {time.monotonic() - started:.0f} s.")


def _measure(names: list[str], scale: str, backends: list[str] | None) -> Iterator[Figure]:
    for name in names:
        if name == HTTP:
            yield from in_fresh_process("tests.benchmarks.over_http", scale, result=list[Figure])
            continue
        for backend in backends or BACKENDS:
            yield from in_fresh_process(
                "tests.benchmarks.child", name, backend, scale, result=list[Figure]
            )


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, HTTP, []], help="all if none")
    parser.add_argument(
        "--backend", action="append", choices=[*BACKENDS], help="all if none; http has all of them"
    )
    how = parser.add_mutually_exclusive_group()
    for scale, text in (
        ("quick", "under a minute; the figures vary more"),
        ("smoke", "only to see that they run"),
    ):
        how.add_argument(
            f"--{scale}", dest="scale", action="store_const", const=scale, default="full", help=text
        )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
