"""How unfinished executions are to be recovered: together, alone, or not any more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from flowmgr.journal.store import Unfinished

MAX_KILLS: Final = 5
"""How often the engine may end while an execution runs and comes no further; then that is
quarantined.
"""

SUSPECT: Final = 2
"""After so many recoveries without coming further an execution is suspected of what ends the
engine, and is recovered apart from others: first in a group, with one more alone. So if the engine
ends again, it is known which one it was.
"""

MAX_APART_FIRST: Final = 10
"""Groups that are recovered before all that is not suspected, which waits that long."""


class Triage(msgspec.Struct):
    """What is to be done about executions.

    Attributes:
        waiting: how many stay as they are: they wait for somebody.
        parked: those that are kept in the journal alone until they are due.
        together: the ids of those that go on together.
        apart: the ids of those that may be what has ended the engine, in groups that go on one
            after the other.
        killers: those that have ended it too often.
    """

    waiting: int = 0
    parked: list[Unfinished] = []
    together: list[str] = []
    apart: list[list[str]] = []
    killers: list[Unfinished] = []


def kills(unfinished: Unfinished) -> int:
    """Return how often the engine has ended while this execution ran and came no further.

    The first time it was not recovered before, but for one that is parked: that has not run since.
    """
    return unfinished.recoveries + (not unfinished.is_parked)


def triage(unfinished: Sequence[Unfinished]) -> Triage:
    """Return what is to be done about executions that have not ended."""
    found = Triage()
    suspects: list[str] = []
    for each in unfinished:
        if each.status in {"paused", "quarantined"}:
            found.waiting += 1
        elif kills(each) >= MAX_KILLS:
            found.killers.append(each)
        elif each.is_parked:
            found.parked.append(each)
        elif each.recoveries > SUSPECT:
            found.apart.append([each.execution_id])
        elif each.recoveries == SUSPECT:
            suspects.append(each.execution_id)
        else:
            found.together.append(each.execution_id)
    found.apart += _groups(suspects)
    return found


def _groups(suspects: Sequence[str]) -> list[list[str]]:
    """Return *suspects* in groups: as many as there are in each, but no fewer than can be first.

    A probation is for a whole group, and if that ends the engine, for each that is in it.
    """
    size = math.ceil(len(suspects) / max(MAX_APART_FIRST, math.sqrt(len(suspects))))
    return [list(suspects[first : first + size]) for first in range(0, len(suspects), size or 1)]
