"""Servers that are killed, over and over, keep the promises that their clients were given."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.crash.campaign import Campaign
from tests.crash.lives import by_chance, to_point, under_load
from tests.crash.points import GROUPS
from tests.crash.report import Report
from tests.crash.server import Order

BACKENDS = ("asyncio", "trio")
SEEDS = range(2)
KILLS = 14


def assert_kept(report: Report, directory: Path) -> None:
    """Check that no promise was broken, and that this says something."""
    told = "\n".join(f"{rule}: {where}: {text}" for rule, where, text in report.violations[:20])
    kills = ", ".join(report.order)
    assert not report.violations, f"{directory}: after kills at {kills}:\n{told}"
    assert report.counts["effects"]
    assert report.counts["interrupted"]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_server_killed_at_any_moment_keeps_its_promises(
    tmp_path: Path, backend: str, seed: int
) -> None:
    chance = random.Random(seed)
    campaign = Campaign(Order(str(tmp_path), backend, seed=seed))
    report = campaign.run([by_chance(chance) for _ in range(KILLS)])
    assert_kept(report, tmp_path)
    assert report.counts["healed"]
    assert campaign.ledger.done > len(report.order)


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_server_killed_at_a_named_point_keeps_its_promises(
    tmp_path: Path, backend: str, group: str
) -> None:
    chance = random.Random(f"{backend} {group}")
    order = Order(str(tmp_path), backend, seed=chance.randrange(10**6))
    campaign = Campaign(order)
    points = list(GROUPS[group])
    lives = [to_point(point, chance) for point in points]
    for place in range(0, len(lives) * 3 // 2, 3):  # before every second one
        lives.insert(place, under_load(chance))
    report = campaign.run(lives)
    assert_kept(report, tmp_path)
    assert report.counts["healed"]
    assert set(points) <= report.kills.keys()


def test_a_killed_server_keeps_its_promises_with_relaxed_durability_too(tmp_path: Path) -> None:
    chance = random.Random(1)
    campaign = Campaign(Order(str(tmp_path), "asyncio", durability="relaxed"))
    report = campaign.run([to_point("before commit", chance), *[by_chance(chance)] * 6])
    assert_kept(report, tmp_path)
