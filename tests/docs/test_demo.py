"""The tour that `make demo` takes comes to its end, on both backends."""

from __future__ import annotations

import subprocess
import sys

from tests.support.server_process import ROOT

SECONDS = 100


def test_the_tour_goes_through_a_crash_and_on() -> None:
    tour = subprocess.run(
        [sys.executable, "examples/demo.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (tour.returncode, tour.stderr) == (0, "")
    for backend in ("asyncio", "trio"):
        assert tour.stdout.count(f"({backend}, ") == 2
    went_on = tour.stdout.split("kill -9")[1:]
    assert len(went_on) == 2
    for told in went_on:
        finished = [line.split() for line in told.splitlines() if "TaskFinished" in line]
        assert finished == [["TaskFinished", name] for name in ("charge", "crunch", "ship")]
        assert "AttemptInterrupted crunch" in told
        assert "ExecutionCompleted" in told
    assert tour.stdout.count("exit code 0") == 2
