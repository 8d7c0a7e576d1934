"""How much work the writer does in one transaction."""

from __future__ import annotations

from typing import Final

MAX_GROUP: Final = 512
"""Pieces of work that are done in one transaction, at most."""

SLOW: Final = 80e-6
"""Seconds of a commit, for each piece of work in half of all, above which the disk is slow.

That is about what the event loop's thread needs for what two of them are answered to: it has done
all that waits by the time that the commit of one half is over.
"""


class Grouping:
    """Divides the work into groups: one is committed while what the other led to is worked out.

    All who wait in one transaction share what it costs, but then they also go on together: while
    the disk works the event loop's thread has nothing to do, and the other way round. So a group
    has half of those who wait, among them those who were just answered and may be back soon. If the
    disk is so slow that this is the smaller evil, a group has all who wait.
    """

    def __init__(self) -> None:
        self._answered = 0  # pieces of work in the last group, who may be back
        self._seconds = 0.0  # that its commit took

    def had_nothing(self) -> None:
        """Note that nothing was waiting: those who were answered are back, or never will be."""
        self._answered = 0

    def size(self, waiting: int) -> int:
        """Return how many pieces of work go into the next group, *waiting* of them being there."""
        half = (waiting + self._answered + 1) // 2
        is_slow = self._seconds > half * SLOW
        return min(waiting if is_slow else half, waiting, MAX_GROUP)

    def committed(self, count: int, seconds: float) -> None:
        """Note that a group of *count* pieces of work was committed, which took so long."""
        self._answered, self._seconds = count, seconds
