"""How unfinished executions are to be recovered: together, alone, or not any more."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
        paused: of those, the ids of the paused ones, in which time passes all the same.
        parked: those that are kept in the journal alone until they are due.
        together: the ids of those that go on together.
        apart: the ids of those that may be what has ended the engine, in groups that go on one
            after the other.
        killers: those that have ended it too often.
    """

    waiting: int = 0
    paused: list[str] = []
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
    suspects: dict[str, int] = {}
    for each in unfinished:
        if each.status in {"paused", "quarantined"}:
            found.waiting += 1
            found.paused += [each.execution_id] if each.status == "paused" else []
        elif kills(each) >= MAX_KILLS:
            found.killers.append(each)
        elif each.is_parked:
            found.parked.append(each)
        elif each.recoveries >= SUSPECT:
            suspects[each.execution_id] = each.recoveries
        else:
            found.together.append(each.execution_id)
    found.apart = in_groups(suspects)
    return found


def in_groups(suspects: Mapping[str, int]) -> list[list[str]]:
    """Return the ids of suspects in the groups in which they go on, one group after the other.

    A probation is for a whole group, and if that ends the engine, for each that is in it: so there
    are about as many groups as there are suspects in each, but no fewer than can be first.

    Args:
        suspects: by their ids, how often they have been recovered without coming further.
    """
    alone = [each for each, recoveries in suspects.items() if recoveries > SUSPECT]
    rest = [each for each, recoveries in suspects.items() if recoveries <= SUSPECT]
    size = max(1, math.ceil(len(rest) / max(MAX_APART_FIRST, math.sqrt(len(rest)))))
    return [
        *([each] for each in alone),
        *(rest[first : first + size] for first in range(0, len(rest), size)),
    ]
