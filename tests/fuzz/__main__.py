"""Runs many random flows: `python -m tests.fuzz --flows N [--seed S] [--replay FILE]`."""

import argparse
import collections
import json
import sys
import time
from pathlib import Path

from tests.fuzz.harness import BACKENDS, check, shown
from tests.fuzz.shrinking import shrink
from tests.fuzz.story import random_story

SHOWN = 8
"""Kinds of violations that are shrunk and shown."""

SHRINKING_SECONDS = 60
"""How long one story is made smaller at most."""


def kind_of(problems):
    """What kind of thing is wrong: that of the first sentence."""
    return problems[0].split(":")[0].split("/")[0]


def backend_of(number):
    return list(BACKENDS)[number % len(BACKENDS)]


def smallest(story, backend, kind):
    """The smallest story that the same is wrong with, and what."""

    end = time.monotonic() + SHRINKING_SECONDS

    def is_wrong(smaller):
        if time.monotonic() > end:
            return False
        try:
            problems, _ = check(smaller, backend)
        except Exception:  # it is no valid story any more
            return False
        return bool(problems) and kind_of(problems) == kind

    story = shrink(story, is_wrong)
    return story, check(story, backend)[0]


def fuzz(flows, seed):
    """Run the stories with the numbers from *seed* x 1,000,000 on; return whether one is wrong."""
    first, began = seed * 1_000_000, time.monotonic()
    compared, wrong = 0, collections.Counter()
    for number in range(first, first + flows):
        story, backend = random_story(number), backend_of(number)
        problems, is_compared = check(story, backend)
        compared += is_compared
        if problems:
            kind = kind_of(problems)
            wrong[kind] += 1
            if wrong[kind] == 1 and len(wrong) <= SHOWN:
                report(number, *smallest(story, backend, kind), backend)
        if (number - first) % 1000 == 999:
            print(f"{number - first + 1:,} flows", file=sys.stderr, flush=True)
    print(
        f"{flows:,} flows (seed {seed}) in {time.monotonic() - began:.0f} s: "
        f"{compared:,} compared with the model, {flows - compared:,} checked by their history "
        f"alone; {wrong.total()} violations {dict(wrong) or ''}"
    )
    return bool(wrong)


def report(number, story, problems, backend):
    """Show a story that is wrong, and how to run it again."""
    path = Path(f"fuzz-{number}.json")
    path.write_text(shown(story))
    print(f"flow {number} on {backend}, made smaller:", json.dumps(story), *problems, sep="\n")
    print(f"replay it with: python -m tests.fuzz --replay {path}\n", flush=True)


def replay(path):
    story = json.loads(Path(path).read_text())
    is_wrong = False
    for backend in BACKENDS:
        problems, _ = check(story, backend)
        print("\n".join([f"{backend}:", *(problems or ["as the model says"])]))
        is_wrong = is_wrong or bool(problems)
    return is_wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flows", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--replay", metavar="FILE")
    options = parser.parse_args()
    if options.replay:
        raise SystemExit(replay(options.replay))
    raise SystemExit(fuzz(options.flows, options.seed))


if __name__ == "__main__":
    main()
