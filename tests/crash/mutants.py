"""Deliberate bugs, to find out whether the checker would notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Mutant(NamedTuple):
    """A bug.

    Attributes:
        install: puts it into this process.
    """

    install: Callable[[], None]


MUTANTS: dict[str, Mutant] = {}
