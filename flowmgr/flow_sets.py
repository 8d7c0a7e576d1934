"""Flows that are registered together, such as those of a directory: they may run each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowmgr.errors import DefinitionError, FlowSetError
from flowmgr.flows import Flows, RegisteredFlow
from flowmgr.language.validation import known_together


async def register_together(flows: Flows, documents: Sequence[Any]) -> list[RegisteredFlow]:
    """Validate flow documents and keep them, in whatever order they can be.

    A task may run the latest version of any of them, in a ring as well. A version that it names
    must be there, or come to be there: what is refused is tried again after the others, as long
    as that helps.

    Raises:
        FlowSetError: there are some that have problems; the others are kept.
    """
    beside = known_together(documents)
    registered: dict[int, RegisteredFlow] = {}
    pending = list(range(len(documents)))
    while pending:
        refused: dict[int, DefinitionError] = {}
        for position in pending:
            try:
                registered[position] = await flows.register(documents[position], beside=beside)
            except DefinitionError as error:
                refused[position] = error
        if len(refused) == len(pending):
            raise FlowSetError(refused, len(documents))
        pending = list(refused)
    return [registered[position] for position in range(len(documents))]
