"""How servers are to end: at a random moment, or at a crash point."""

from __future__ import annotations

import random
from typing import NamedTuple

from tests.crash.points import CLOSING, POINTS

LIFE = 0.12
"""Seconds that a server lives on average before it is killed at random."""

POINT_SECONDS = 5.0
"""Seconds after which a server is killed that has not come to its crash point."""


class Life(NamedTuple):
    """How a server is to end.

    Attributes:
        seconds: when it is killed.
        point: where it is to kill itself before; None for nowhere.
        hit: how often it comes there.
        stopped_after: seconds after which it is told to stop; None for never.
        answers: what clients have to be told before the seconds begin; None if they begin with it.
    """

    seconds: float
    point: str | None = None
    hit: int = 1
    stopped_after: float | None = None
    answers: int | None = None


def by_chance(chance: random.Random) -> Life:
    """Return a life of random length.

    Half of them begin with the first answer, so that something runs when they end, however slow the
    machine is; of the others some are so short that the server does not come to listen.
    """
    seconds = chance.uniform(0, 2 * LIFE)
    stopped_after = seconds * chance.random() if chance.random() < 0.1 else None
    return Life(seconds, stopped_after=stopped_after, answers=chance.choice([None, 1]))


def under_load(chance: random.Random) -> Life:
    """Return a life that ends while clients wait for answers, and have had some."""
    return Life(chance.uniform(0, LIFE / 10), answers=chance.randint(5, 50))


def to_point(point: str, chance: random.Random) -> Life:
    """Return a life that ends at a crash point."""
    if point in CLOSING:
        return Life(POINT_SECONDS, point, stopped_after=0.0, answers=chance.randint(1, 20))
    return Life(POINT_SECONDS, point, chance.randint(1, POINTS[point].most))
