"""Runs many random flows: `python -m tests.fuzz --flows N [--seed S] [--replay FILE]`."""

import argparse
import json
import sys
import time
import zlib
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, given, settings

from tests.fuzz.harness import BACKENDS, check, shown
from tests.fuzz.story import stories


class ViolationError(Exception):
    """The engine has done something else than the model."""


class Campaign:
    """Runs stories, and counts."""

    def __init__(self):
        self.flows = self.compared = 0
        self.failing = None

    def run(self, story):
        # By the story, so that a story that is run again is run on the same backend.
        backend = list(BACKENDS)[zlib.crc32(shown(story).encode()) % len(BACKENDS)]
        self.flows += 1
        if self.flows % 1000 == 0:
            print(f"{self.flows:,} flows", file=sys.stderr, flush=True)
        problems, is_compared = check(story, backend)
        self.compared += is_compared
        if problems:
            self.failing = story, problems
            raise ViolationError(problems[0].split(":")[0])


def replay(path):
    story = json.loads(Path(path).read_text())
    is_wrong = False
    for backend in BACKENDS:
        problems, _ = check(story, backend)
        print("\n".join([f"{backend}:", *problems]))
        is_wrong = is_wrong or bool(problems)
    return is_wrong


def fuzz(flows, seed):
    campaign = Campaign()

    @hypothesis.seed(seed)
    @settings(
        max_examples=flows,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(stories())
    def run(story):
        campaign.run(story)

    began = time.monotonic()
    try:
        run()
    except ViolationError:
        story, problems = campaign.failing
        path = Path(f"fuzz-{seed}.json")
        path.write_text(shown(story))
        print(json.dumps(story), *problems, sep="\n")
        print(f"replay it with: python -m tests.fuzz --replay {path}")
    seconds = time.monotonic() - began
    print(
        f"{campaign.flows:,} flows in {seconds:.0f} s (seed {seed}): "
        f"{campaign.compared:,} compared with the model, "
        f"{campaign.flows - campaign.compared:,} checked by their history alone; "
        f"{'a violation' if campaign.failing else 'no violation'}"
    )
    return campaign.failing is not None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flows", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--replay", metavar="FILE")
    given_ = parser.parse_args()
    is_wrong = replay(given_.replay) if given_.replay else fuzz(given_.flows, given_.seed)
    raise SystemExit(int(is_wrong))


if __name__ == "__main__":
    main()
