"""Deletes ended executions that have been kept long enough."""

from __future__ import annotations

import logging
from typing import Final

import anyio

from actors.ports import Clock
from flowmgr.errors import JournalError
from flowmgr.journal.store import ExecutionQuery, Store

logger = logging.getLogger(__name__)

CHUNK: Final = 500
"""Executions that are deleted in one transaction."""

LONGEST_PAUSE: Final = 60.0


async def delete_outdated(store: Store, keep: float, clock: Clock) -> None:
    """Delete executions *keep* seconds after they have ended; never returns.

    Cancelling it leaves what is outdated for the next time. It looks every minute, or ten times in
    *keep* seconds if that is more often; a journal that fails is asked again then.
    """
    while True:
        try:
            await _delete(store, clock.now() - keep)
        except JournalError:
            logger.exception("outdated executions were not deleted")
        await anyio.sleep(min(LONGEST_PAUSE, keep / 10))


async def _delete(store: Store, before: float) -> None:
    query = ExecutionQuery(ended_before=before)
    behind: str | None = None
    deleted = 0
    while found := await store.list_executions(query, behind, CHUNK):
        behind = found[-1].execution_id
        deleted += await store.delete_executions([each.execution_id for each in found])
    if deleted:
        logger.info("%d executions that ended long ago were deleted", deleted)
