"""What the REST surface sends: one struct for each resource, and how it is made.

The names of an execution's first eight fields are those of the original service, whose clients rely
on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from math import floor
from typing import Any, Generic, TypeVar

import msgspec

from actors.events import Scalar
from actors.outcome import NULL, ErrorInfo, OutcomeStatus, StopKind
from actors.state import Cancellation, ExecutionStatus
from flowmgr.bulk import BulkAction, BulkFailure, BulkReport, BulkRequest
from flowmgr.executions import Execution
from flowmgr.journal.store import ExecutionSummary
from web.limits import MAX_ITEMS

T = TypeVar("T")


encode = msgspec.json.Encoder().encode
"""Writes a resource as JSON."""


@lru_cache(maxsize=16)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()[:-6]


def timestamp(at: float) -> str:
    """Return *at* (seconds since 1970-01-01 UTC) as ISO 8601 with its offset.

    Rounded down: what has started then has started at the time that is shown, or later.
    """
    second = floor(at)
    # The difference is exact; `at` times a million would be rounded, and sometimes up.
    return f"{_second(second)}.{floor((at - second) * 1e6):06}+00:00"


def due_timestamp(at: float) -> str:
    """Return `timestamp`, for a time that a flow may have asked for: as far as there are years."""
    return timestamp(min(max(at, _FIRST), _LAST))


_FIRST = datetime(1, 1, 1, tzinfo=UTC).timestamp()
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()


def _timestamp_or_none(at: float | None) -> str | None:
    return None if at is None else timestamp(at)


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A part of a list.

    Attributes:
        items: what is in this part.
        next_cursor: what to ask for the next part with; null at the end of the list.
    """

    items: list[T]
    next_cursor: str | None


class TaskResultResource(msgspec.Struct, frozen=True):
    """How a task ended; `execution_time` in seconds."""

    status: OutcomeStatus
    data: msgspec.Raw
    error: str | None
    execution_time: float


class ErrorResource(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong; `data` and `retryable` only if the activity has said more about it."""

    type: str
    message: str
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    retryable: bool = True


class ExecutionErrorResource(msgspec.Struct, frozen=True):
    """Why an execution failed; `data` only if the activity has said more about it."""

    type: str
    message: str
    task: str
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class StoppedTaskResource(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of a receipt; `seconds` from the request to cancel until the task had ended.

    `scope` is the path of the scope that the task is in, if that is not the execution's own.
    """

    task: str
    attempt: int
    how: StopKind
    seconds: float
    error: ErrorResource | None = None
    scope: str = ""


class CancellationResource(msgspec.Struct, frozen=True):
    """The receipt of a cancellation."""

    reason: str | None
    requested_at: str
    tasks: list[StoppedTaskResource]
    by: str | None


class ExecutionResource(msgspec.Struct, frozen=True):
    """An execution."""

    execution_id: str
    flow_id: str
    status: ExecutionStatus
    current_task: str
    task_results: dict[str, TaskResultResource]
    start_time: str
    end_time: str | None
    context: dict[str, msgspec.Raw]
    flow_version: int
    had_failures: bool
    error: ExecutionErrorResource | None
    cancellation: CancellationResource | None
    metadata: dict[str, Scalar]
    interruptions: int
    rerun_of: str | None
    parent: str | None
    output: msgspec.Raw


class ExecutionSummaryResource(msgspec.Struct, frozen=True):
    """An execution in a list."""

    execution_id: str
    flow_id: str
    flow_version: int
    status: ExecutionStatus
    start_time: str
    end_time: str | None
    had_failures: bool
    metadata: dict[str, Scalar]


class BulkResource(msgspec.Struct, frozen=True):
    """What was done to many executions; `items` are the first of those that matched."""

    action: BulkAction
    dry_run: bool
    matched: int
    has_more: bool
    done: int
    failed: list[BulkFailure]
    items: list[str]


def execution_resource(execution: Execution) -> ExecutionResource:
    """Return how *execution* is sent."""
    error = None
    if execution.error is not None:
        error = ExecutionErrorResource(
            execution.error.type,
            execution.error.message,
            execution.error_task or "",
            _said(execution.error.data),
        )
    return ExecutionResource(
        execution_id=execution.execution_id,
        flow_id=execution.flow_id,
        status=execution.status,
        current_task=execution.current_task,
        task_results={
            task: TaskResultResource(
                outcome.status,
                outcome.data,
                None if outcome.error is None else outcome.error.message,
                outcome.seconds,
            )
            for task, outcome in execution.task_results.items()
        },
        start_time=timestamp(execution.started_at),
        end_time=_timestamp_or_none(execution.ended_at),
        context=execution.context.raw(),
        flow_version=execution.flow_version,
        had_failures=execution.had_failures,
        error=error,
        cancellation=_cancellation_resource(execution.cancellation),
        metadata=execution.metadata,
        interruptions=execution.interruptions,
        rerun_of=execution.rerun_of,
        parent=execution.parent,
        output=execution.output,
    )


def _said(data: msgspec.Raw) -> msgspec.Raw | msgspec.UnsetType:
    return msgspec.UNSET if data == NULL else data


def error_resource(error: ErrorInfo | None) -> ErrorResource | None:
    """Return how *error* is sent, if there is one."""
    if error is None:
        return None
    return ErrorResource(error.type, error.message, _said(error.data), error.retryable)


def _cancellation_resource(cancellation: Cancellation | None) -> CancellationResource | None:
    if cancellation is None:
        return None
    tasks = [
        StoppedTaskResource(
            line.task, line.attempt, line.how, line.seconds, error_resource(line.error), line.scope
        )
        for line in cancellation.tasks
    ]
    return CancellationResource(
        cancellation.reason, timestamp(cancellation.requested_at), tasks, cancellation.by
    )


def summary_resource(summary: ExecutionSummary) -> ExecutionSummaryResource:
    """Return how *summary* is sent."""
    return ExecutionSummaryResource(
        execution_id=summary.execution_id,
        flow_id=summary.flow_id,
        flow_version=summary.flow_version,
        status=summary.status,
        start_time=timestamp(summary.started_at),
        end_time=_timestamp_or_none(summary.ended_at),
        had_failures=summary.had_failures,
        metadata=summary.metadata,
    )


def bulk_resource(asked: BulkRequest, report: BulkReport) -> BulkResource:
    """Return how the report of a bulk request is sent."""
    return BulkResource(
        action=asked.action,
        dry_run=asked.is_dry_run,
        matched=len(report.matched),
        has_more=report.has_more,
        done=report.done,
        failed=list(report.failed),
        items=list(report.matched[:MAX_ITEMS]),
    )


def page(
    items: Sequence[Any], limit: int, make: Callable[[Any], T], cursor: Callable[[Any], str]
) -> Page[T]:
    """Return the first *limit* of *items*, of which one more was asked for to see if there is one.

    Args:
        items: what was found, at most *limit* + 1.
        limit: how many may be sent.
        make: returns how an item is sent.
        cursor: returns the cursor behind an item.
    """
    shown = items[:limit]
    next_cursor = cursor(shown[-1]) if len(items) > limit else None
    return Page([make(item) for item in shown], next_cursor)
