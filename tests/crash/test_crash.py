"""Servers that are killed, over and over, keep the promises that their clients were given."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.crash.campaign import Campaign, Report, by_chance
from tests.crash.processes import Servers

BACKENDS = ("asyncio", "trio")
SEEDS = range(4)
KILLS = 10


def assert_kept(report: Report, directory: Path) -> None:
    """Check that no promise was broken, and that this says something."""
    told = "\n".join(f"{rule}: {where}: {text}" for rule, where, text in report.violations[:20])
    assert not report.violations, f"{len(report.violations)} in {directory}:\n{told}"
    assert report.counts["effects"]
    assert report.counts["interrupted"]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_server_killed_at_any_moment_keeps_its_promises(
    servers: Servers, tmp_path: Path, backend: str, seed: int
) -> None:
    chance = random.Random(seed)
    campaign = Campaign(servers, tmp_path, backend, seed)
    report = campaign.run([by_chance(chance) for _ in range(KILLS)])
    assert_kept(report, tmp_path)
    assert campaign.ledger.share_answered() > 0.8
