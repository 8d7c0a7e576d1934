"""The protocol that every journal implements, and the records that it returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
from msgspec.structs import replace

from actors.events import (
    CancelRequested,
    Event,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionStarted,
    TaskFinished,
)
from actors.ports import Journal
from actors.state import ExecutionStatus


class FlowRecord(msgspec.Struct, frozen=True):
    """One version of a registered flow.

    Attributes:
        flow_id: the flow's id.
        version: counts from 1; a deleted flow's numbers are not used again.
        digest: the digest of the definition; equal definitions have equal digests.
        definition: the `FlowDefinition`, as JSON.
        registered_at: seconds since 1970-01-01 UTC.
    """

    flow_id: str
    version: int
    digest: str
    definition: bytes
    registered_at: float


class ExecutionSummary(msgspec.Struct, frozen=True):
    """What a list of executions shows of each."""

    execution_id: str
    flow_id: str
    flow_version: int
    status: ExecutionStatus
    started_at: float
    ended_at: float | None = None
    had_failures: bool = False


class ExecutionQuery(msgspec.Struct, frozen=True):
    """Which executions to list; None is no restriction."""

    status: ExecutionStatus | None = None
    flow_id: str | None = None


class Store(Journal, Protocol):
    """A journal that can be read back, and that keeps the flows.

    Every coroutine is a checkpoint where it waits for storage. Cancelling one that reads has no
    effect; a write that has begun is finished all the same. All raise `JournalError` if the
    storage fails.
    """

    async def put_flow(
        self, flow_id: str, digest: str, definition: bytes, at: float, *, only_new: bool
    ) -> tuple[FlowRecord, bool]:
        """Keep a definition as the flow's next version, and return it and whether it is new.

        A definition whose digest is that of the latest version makes no new one. Durable on return.

        Raises:
            FlowExistsError: *only_new*, and the flow exists.
        """

    async def get_flow(self, flow_id: str, version: int | None = None) -> FlowRecord | None:
        """Return a version of a flow, the latest if *version* is None."""

    async def list_flows(self, after: str | None, limit: int) -> Sequence[FlowRecord]:
        """Return the latest version of each flow, by id, beginning behind the id *after*."""

    async def list_versions(self, flow_id: str, after: int, limit: int) -> Sequence[FlowRecord]:
        """Return a flow's versions, oldest first, beginning behind version *after*."""

    async def delete_flow(self, flow_id: str) -> bool:
        """Delete a flow with all its versions; False if there is none. Executions stay."""

    async def read_events(self, execution_id: str, after: int, limit: int) -> Sequence[Event]:
        """Return an execution's events, beginning behind position *after*; none if unknown."""

    async def get_execution(self, execution_id: str) -> ExecutionSummary | None:
        """Return the summary of an execution."""

    async def list_executions(
        self, query: ExecutionQuery, before: str | None, limit: int
    ) -> Sequence[ExecutionSummary]:
        """Return executions, newest first, beginning behind the id *before*."""


def summarise(
    summary: ExecutionSummary | None, execution_id: str, events: Sequence[Event]
) -> ExecutionSummary | None:
    """Return the summary after *events*; the one object that was given if they change nothing.

    Every journal keeps its list of executions with this, in the transaction of the events.
    """
    for event in events:
        if type(event) is TaskFinished:
            if event.outcome.error is not None and summary is not None:
                summary = replace(summary, had_failures=True)
        elif (change := _SUMMARISERS.get(type(event))) is not None:
            summary = change(summary, execution_id, event)
    return summary


def _started(_: ExecutionSummary | None, execution_id: str, event: Event) -> ExecutionSummary:
    assert isinstance(event, ExecutionStarted)
    return ExecutionSummary(
        execution_id, event.flow_id, event.flow_version, "running", started_at=event.at
    )


def _cancelling(summary: ExecutionSummary | None, _: str, __: Event) -> ExecutionSummary | None:
    return None if summary is None else replace(summary, status="cancelling")


def _ended(status: ExecutionStatus) -> _Summariser:
    def ended(summary: ExecutionSummary | None, _: str, event: Event) -> ExecutionSummary | None:
        return None if summary is None else replace(summary, status=status, ended_at=event.at)

    return ended


_Summariser = Callable[[ExecutionSummary | None, str, Event], ExecutionSummary | None]

_SUMMARISERS: dict[type[Event], _Summariser] = {
    ExecutionStarted: _started,
    CancelRequested: _cancelling,
    ExecutionCompleted: _ended("completed"),
    ExecutionFailed: _ended("failed"),
    ExecutionCancelled: _ended("cancelled"),
}
