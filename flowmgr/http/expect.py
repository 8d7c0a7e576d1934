"""Which statuses of an answer are a success of the task: what ``expect`` may name, and means."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

FIRST_STATUS: Final = 100
LAST_STATUS: Final = 599
STATUS_CLASS: Final = re.compile("[1-5]xx")

SUCCESS: Final = ("2xx",)
"""What is expected unless the task says otherwise."""


def is_status(entry: object) -> bool:
    """Whether *entry* is a status, such as 204, or a class of them, such as "2xx"."""
    if isinstance(entry, str):
        return STATUS_CLASS.fullmatch(entry) is not None
    return (
        isinstance(entry, int)
        and not isinstance(entry, bool)
        and FIRST_STATUS <= entry <= LAST_STATUS
    )


def expected_statuses(entries: Iterable[int | str] | None) -> frozenset[int]:
    """Return the statuses that *entries*, for each of which `is_status` holds, stand for.

    None stands for `SUCCESS`.
    """
    statuses: set[int] = set()
    for entry in SUCCESS if entries is None else entries:
        if isinstance(entry, int):
            statuses.add(entry)
        else:
            first = int(entry[0]) * 100
            statuses.update(range(first, first + 100))
    return frozenset(statuses)
