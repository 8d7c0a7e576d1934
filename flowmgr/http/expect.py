"""Which statuses of an answer are a success of the task."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_FIRST, _LAST = 100, 599
_CLASS = re.compile(r"([1-5])xx", re.IGNORECASE)
_RANGE = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")

SUCCESS: Final = frozenset(range(200, 300))


def read_expect(entries: Iterable[int | str] | None) -> frozenset[int]:
    """Return the statuses that *entries* name.

    Args:
        entries: statuses (204), classes of them ("2xx") and ranges ("200-204"); None for 200 to
            299.

    Raises:
        ValueError: an entry is none of these, or there is none; the message goes on after the
            name of the field.
    """
    if entries is None:
        return SUCCESS
    statuses: set[int] = set()
    for entry in entries:
        statuses.update(_statuses(entry))
    if not statuses:
        raise ValueError("must name at least one status")
    return frozenset(statuses)


def _statuses(entry: object) -> range:
    if isinstance(entry, int) and not isinstance(entry, bool) and _FIRST <= entry <= _LAST:
        return range(entry, entry + 1)
    if isinstance(entry, str):
        if one := _CLASS.fullmatch(entry):
            first = int(one[1]) * 100
            return range(first, first + 100)
        if several := _RANGE.fullmatch(entry):
            first, last = int(several[1]), int(several[2] or several[1])
            if first <= last:
                return range(first, last + 1)
    raise ValueError(f"has {entry!r}: a status is a number such as 204, or '2xx', or '200-204'")
