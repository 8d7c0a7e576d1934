"""Where flows and executions are kept: one protocol, one module for each implementation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from actors.ports import Clock
from flowmgr.journal.memory import MemoryJournal
from flowmgr.journal.sqlite import open_sqlite
from flowmgr.journal.store import Store
from flowmgr.settings import Settings


@asynccontextmanager
async def open_store(settings: Settings, clock: Clock) -> AsyncIterator[Store]:
    """Open the journal that the settings name.

    Leaving the block waits until everything that was appended is recorded and acknowledged, or
    cannot be.

    Raises:
        JournalRefusedError: it cannot be opened as it is.
    """
    path = settings.database
    if path is None:
        yield MemoryJournal(settings.keep_ended)
        return
    async with open_sqlite(path, durability=settings.durability, clock=clock) as journal:
        yield journal
