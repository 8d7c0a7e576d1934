"""One request for many executions: those that match a query and whose status allows it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, Literal

import anyio
import msgspec
from anyio.lowlevel import checkpoint
from msgspec.structs import replace

from actors.state import ExecutionStatus
from flowmgr.errors import FlowmgrError
from flowmgr.journal.store import ExecutionQuery
from flowmgr.operations import Operations

BulkAction = Literal["cancel", "retry", "delete"]

ALLOWED: Final[dict[BulkAction, tuple[ExecutionStatus, ...]]] = {
    "cancel": ("running", "paused", "quarantined"),
    "retry": ("failed", "cancelled"),
    "delete": ("completed", "failed", "cancelled"),
}
"""The statuses in which there is something to do. "cancelling" is none: once more would do nothing.
"""

MAX_MATCHED: Final = 10_000
"""Executions that one request changes."""

AT_ONCE: Final = 32
"""Executions that are changed at the same time: the journal commits what they write together."""

_CHUNK: Final = 1_000


class BulkRequest(msgspec.Struct, frozen=True):
    """What is to be done, and to which executions.

    Attributes:
        action: what is to be done to each.
        query: which executions; of them those whose status allows the action.
        by: who asks.
        reason: why.
        is_dry_run: only find out which ones.
    """

    action: BulkAction
    query: ExecutionQuery
    by: str | None = None
    reason: str | None = None
    is_dry_run: bool = False


class BulkFailure(msgspec.Struct, frozen=True):
    """That an execution was not changed, and why."""

    execution_id: str
    detail: str


class BulkReport(msgspec.Struct, frozen=True):
    """What was done.

    Attributes:
        matched: the executions, newest first; at most `MAX_MATCHED`.
        has_more: whether others match that were left out.
        done: how many were changed.
        failed: the others, which changed in the meantime or cannot be changed.
    """

    matched: Sequence[str]
    has_more: bool
    done: int = 0
    failed: Sequence[BulkFailure] = ()


async def change_many(operations: Operations, request: BulkRequest) -> BulkReport:
    """Do what *request* asks to every execution that it means, several at a time.

    An execution that cannot be changed does not keep the others from it. What is done is as
    durable as the journal. Cancelling this leaves the rest as it is, and takes nothing back.

    Raises:
        JournalError: the executions could not be listed.
    """
    found = await _matching(operations, request)
    report = BulkReport(found[:MAX_MATCHED], has_more=len(found) > MAX_MATCHED)
    if request.is_dry_run:
        return report
    change = partial(_change_of(operations, request.action), by=request.by, reason=request.reason)
    failed: list[BulkFailure] = []
    waiting = iter(report.matched)
    async with anyio.create_task_group() as group:
        for _ in range(AT_ONCE):
            group.start_soon(_change_each, waiting, change, failed)
    return replace(report, done=len(report.matched) - len(failed), failed=failed)


def _change_of(operations: Operations, action: BulkAction) -> Callable[..., Awaitable[Any]]:
    changes: dict[BulkAction, Callable[..., Awaitable[Any]]] = {
        "cancel": operations.cancel,
        "retry": operations.retry,
        "delete": operations.delete,
    }
    return changes[action]


async def _change_each(
    waiting: Iterator[str], change: Callable[[str], Awaitable[Any]], failed: list[BulkFailure]
) -> None:
    for execution_id in waiting:
        await checkpoint()  # a change need not be one
        try:
            await change(execution_id)
        except FlowmgrError as error:
            failed.append(BulkFailure(execution_id, str(error)))


async def _matching(operations: Operations, request: BulkRequest) -> list[str]:
    """Return the executions that are meant, newest first, with one more than may be if there are.

    Each once, though it may have had two of the statuses while it was looked for.
    """
    found: set[str] = set()
    for status in ALLOWED[request.action]:
        if request.query.status in {None, status}:
            found |= await _with_status(operations, replace(request.query, status=status))
    return sorted(found, reverse=True)[: MAX_MATCHED + 1]


async def _with_status(operations: Operations, query: ExecutionQuery) -> set[str]:
    found: set[str] = set()
    before: str | None = None
    while len(found) <= MAX_MATCHED:
        page = await operations.list(query, before, _CHUNK)
        found.update(each.execution_id for each in page)
        if len(page) < _CHUNK:
            break
        before = page[-1].execution_id
    return found
