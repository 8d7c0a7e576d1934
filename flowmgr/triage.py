"""How unfinished executions are to be recovered: together, alone, or not any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from flowmgr.journal.store import Unfinished

MAX_KILLS: Final = 5
"""How often the engine may end while an execution runs and comes no further; then that is
quarantined.
"""

SUSPECT: Final = 2
"""After so many recoveries without coming further an execution is recovered alone: if the engine
ends again, it is known which one it was.
"""


class Triage(msgspec.Struct):
    """What is to be done about executions.

    Attributes:
        waiting: how many stay as they are: they wait for somebody.
        parked: those that are kept in the journal alone until they are due.
        together: the ids of those that go on together.
        alone: the ids of those that go on one at a time: they may be what has ended the engine.
        killers: those that have ended it too often.
    """

    waiting: int = 0
    parked: list[Unfinished] = []
    together: list[str] = []
    alone: list[str] = []
    killers: list[Unfinished] = []


def kills(unfinished: Unfinished) -> int:
    """Return how often the engine has ended while this execution ran and came no further.

    The first time it was not recovered before, but for one that is parked: that has not run since.
    """
    return unfinished.recoveries + (not unfinished.is_parked)


def triage(unfinished: Sequence[Unfinished]) -> Triage:
    """Return what is to be done about executions that have not ended."""
    found = Triage()
    for each in unfinished:
        if each.status in {"paused", "quarantined"}:
            found.waiting += 1
        elif kills(each) >= MAX_KILLS:
            found.killers.append(each)
        elif each.is_parked:
            found.parked.append(each)
        elif each.recoveries >= SUSPECT:
            found.alone.append(each.execution_id)
        else:
            found.together.append(each.execution_id)
    return found
