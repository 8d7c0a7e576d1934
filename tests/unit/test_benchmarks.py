"""The benchmarks run and print their ratios. What the figures are is not tested here."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.benchmarks.backends import ROOT
from tests.benchmarks.figures import Figure, Target

RATIO = re.compile(r"\d+\.\d\d  \S.*(ok|below|info)")


LINES = {"in-memory": 8, "lengths": 2, "asleep": 3, "cancelling": 2, "http": 6}


def test_every_benchmark_runs_and_prints_a_ratio_on_each_line():
    command = [sys.executable, "-m", "tests.benchmarks", *LINES, "--smoke", "--backend", "asyncio"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    _machine, _heading, *figures, summary = done.stdout.splitlines()
    assert len(figures) == sum(LINES.values())
    assert all(RATIO.search(line) for line in figures), done.stdout
    assert "figures with a target" in summary


@pytest.mark.parametrize(
    ("ratio", "verdict"), [(0.4, "below"), (0.5, "ok"), (0.9, "ok"), (1.0, "ok, aim met")]
)
def test_a_figure_is_below_its_target_or_reaches_it(ratio, verdict):
    figure = Figure("trio", "speed", 1.0, "s", ratio, "theirs / ours", Target(0.5, 1.0))
    assert figure.verdict == verdict
    assert verdict in figure.line()


def test_less_is_better_where_the_target_says_so():
    target = Target(20, of="value", better="less")
    assert Figure("trio", "memory", 21, "KiB", 1.0, "a / b", target).verdict == "below"
    assert Figure("trio", "memory", 19, "KiB", 99.0, "a / b", target).verdict == "ok"


def test_a_figure_without_a_target_is_for_information():
    assert Figure("trio", "leanest", 1.0, "s", 0.1, "a / b").verdict == "info"
