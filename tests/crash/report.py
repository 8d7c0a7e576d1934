"""What a campaign has come to."""

from __future__ import annotations

from collections import Counter

import msgspec

from tests.crash.checker import Violation


class Report(msgspec.Struct):
    """What a campaign has come to.

    Attributes:
        order: what killed each server: a point, or "by chance".
        violations: promises that were broken.
        counts: what there was, to see that the campaign has not passed for want of anything.
    """

    order: list[str] = []
    violations: list[Violation] = []
    counts: Counter[str] = msgspec.field(default_factory=Counter)

    @property
    def kills(self) -> Counter[str]:
        """How many servers were killed, by what killed them."""
        return Counter(self.order)
