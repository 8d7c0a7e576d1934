"""How things are sent."""

import random
from datetime import datetime

from web.resources import timestamp


def test_a_time_that_was_shown_is_never_later_than_the_time_that_it_shows():
    chance = random.Random(1)
    for _ in range(20_000):
        at = 1.7e9 + 1e9 * chance.random()
        shown = datetime.fromisoformat(timestamp(at)).timestamp()
        assert at - 2e-6 < shown <= at
