"""Each deliberate bug is found: what the checker lets pass is not only what it cannot see."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.crash.campaign import Campaign
from tests.crash.lives import to_point, under_load
from tests.crash.mutants import MUTANTS
from tests.crash.server import Order

PATIENCE = 1.5
"""Seconds in which everything has to end; that something does not is what is to be found."""


@pytest.mark.parametrize("name", [name for name in MUTANTS if "poison" not in MUTANTS[name].rules])
def test_the_checker_finds_that(tmp_path: Path, name: str) -> None:
    mutant, chance = MUTANTS[name], random.Random(name)
    order = Order(str(tmp_path), "asyncio", mutant=name, seed=1)
    campaign = Campaign(order, flows=mutant.flows, patience=PATIENCE)
    lives = [under_load(chance)] * 3
    if mutant.point is not None:
        lives = [life for life in lives for life in (life, to_point(mutant.point, chance))]
    report = campaign.run(lives)
    found = {violation.rule for violation in report.violations}
    assert found & mutant.rules, report.violations[:5]
