"""The protocol that every journal implements, and the records that it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec
from msgspec.structs import replace

from actors.events import (
    CancelRequested,
    Event,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionParked,
    ExecutionPaused,
    ExecutionQuarantined,
    ExecutionResumed,
    ExecutionRetried,
    ExecutionStarted,
    Scalar,
    TaskFinished,
    TaskSkipped,
    TaskStarted,
)
from actors.ports import Journal
from actors.state import ExecutionStatus

EVERYTHING: Final = 10**9
"""A limit that no list of events reaches."""


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
    """What a list of executions shows of each.

    Attributes:
        is_parked: whether its last event is that it was parked: it is in the journal alone.
        due: when it has to be taken up again then, at the latest: seconds since 1970-01-01 UTC;
            None for never.
    """

    execution_id: str
    flow_id: str
    flow_version: int
    status: ExecutionStatus
    started_at: float
    ended_at: float | None = None
    had_failures: bool = False
    metadata: dict[str, Scalar] = {}
    is_parked: bool = False
    due: float | None = None


class ExecutionQuery(msgspec.Struct, frozen=True):
    """Which executions to list; None is no restriction.

    Attributes:
        status: how they stand.
        flow_id: the flow that they run, and `flow_version` which version of it.
        started_from: started at this time or later: seconds since 1970-01-01 UTC.
        started_before: started before this time.
        ended_before: ended, and before this time.
        had_failures: whether any task failed on the way.
        metadata: what their metadata must have, each value as `metadata_text` writes it.
    """

    status: ExecutionStatus | None = None
    flow_id: str | None = None
    flow_version: int | None = None
    started_from: float | None = None
    started_before: float | None = None
    ended_before: float | None = None
    had_failures: bool | None = None
    metadata: Mapping[str, str] = {}


class Unfinished(msgspec.Struct, frozen=True):
    """An execution that has not ended, as a recovery finds it.

    Attributes:
        execution_id: its id.
        status: how it stands.
        recoveries: how often it has been recovered since it last came further.
        is_parked: whether it is parked, and `due` until when; see `ExecutionSummary`.
    """

    execution_id: str
    status: ExecutionStatus
    recoveries: int
    is_parked: bool = False
    due: float | None = None


class Store(Journal, Protocol):
    """A journal that can be read back, and that keeps the flows.

    Every coroutine is a checkpoint where it waits for storage. Cancelling one that reads has no
    effect; a write that has begun is finished all the same. All raise `JournalError` if the
    storage fails, and those that write `JournalUnavailableError` if it cannot take anything now.
    What is stored but is not what was recorded is no failure of the storage: whoever asks for a
    version of a flow is told with `FlowDamagedError` then.
    """

    @property
    def trouble(self) -> str | None:
        """Why nothing can be recorded at the moment (the disk is full), in a sentence; or None."""

    def watch_trouble(self, tell: Callable[[str], None]) -> None:
        """Have *tell* called, in the event loop's thread, with `trouble` when a fact has to wait.

        Not a checkpoint. Whoever was watching before is told no more.
        """

    # Flows.

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
        """Delete a flow with all its versions; False if there is none.

        Executions stay, and go on: what one that has not ended is pinned to can still be got with
        `get_pinned_flow`.
        """

    async def get_pinned_flow(self, flow_id: str, version: int) -> FlowRecord | None:
        """Return a version of a flow, also if the flow has been deleted since."""

    # Executions.

    async def read_events(self, execution_id: str, after: int, limit: int) -> Sequence[Event]:
        """Return an execution's events, beginning behind position *after*; none if unknown.

        Raises:
            ExecutionDamagedError: what is stored is not what was recorded.
        """

    async def get_execution(self, execution_id: str) -> ExecutionSummary | None:
        """Return the summary of an execution."""

    async def list_executions(
        self, query: ExecutionQuery, before: str | None, limit: int
    ) -> Sequence[ExecutionSummary]:
        """Return executions, newest first, beginning behind the id *before*."""

    async def delete_executions(self, execution_ids: Sequence[str]) -> int:
        """Delete executions with all that belongs to them, and return how many there were.

        All of them are deleted in one transaction, and are gone for good. Those that have not
        ended are left out, and so are the sub-flows of those (a task that finds its sub-flow gone
        after a crash would run it again), unless they are damaged.
        """

    async def find_start(self, scope: str, key: str, at: float) -> tuple[str, str] | None:
        """Return the execution that was started with a key, and the fingerprint of that request.

        None if there is none, or the key had expired at the time *at*.

        Raises:
            KeyDamagedError: what is stored is not what was recorded.
        """

    # Recovering.

    async def list_unfinished(self) -> Sequence[Unfinished]:
        """Return the executions that have not ended and are not damaged, oldest first."""

    async def read_histories(
        self, execution_ids: Sequence[str]
    ) -> Mapping[str, Sequence[Event] | Exception]:
        """Return all events of several executions; for a damaged one its ExecutionDamagedError."""

    async def count_recovery(self, execution_ids: Sequence[str]) -> None:
        """Count one more recovery of each execution. Durable on return.

        The count goes back to 0 when a task of the execution has finished, when it is parked, with
        whatever is recorded first after it was parked, and by `forgive`.
        """

    async def forgive(self, execution_ids: Sequence[str] | None) -> None:
        """Set the count of recoveries back to 0: of these executions, or of all."""


def summarise(
    summary: ExecutionSummary | None, execution_id: str, events: Sequence[Event]
) -> ExecutionSummary | None:
    """Return the summary after *events*; the one object that was given if they change nothing.

    Every journal keeps its list of executions with this; one that is durable, in the transaction
    of the events.
    """
    kind: type[Event] | None = None
    for event in events:
        kind = type(event)
        if kind is TaskStarted:  # a step has no other event than these two
            continue
        if isinstance(event, TaskFinished):
            if event.outcome.error is not None and summary is not None:
                summary = replace(summary, had_failures=True)
        elif (change := _SUMMARISERS.get(kind)) is not None:
            summary = change(summary, execution_id, event)
    if summary is not None and (summary.is_parked or kind is ExecutionParked):
        return _parked_or_not(summary, events[-1])
    return summary


def metadata_text(value: Scalar) -> str:
    """Return the text under which a value of metadata is looked up: text as it is, else JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _started(_: ExecutionSummary | None, execution_id: str, event: Event) -> ExecutionSummary:
    assert isinstance(event, ExecutionStarted)
    return ExecutionSummary(
        execution_id,
        event.flow_id,
        event.flow_version,
        "running",
        started_at=event.at,
        metadata=event.metadata,
    )


def _parked_or_not(summary: ExecutionSummary, last: Event) -> ExecutionSummary:
    """Return *summary* as it is when *last* is an execution's last event."""
    if isinstance(last, ExecutionParked):
        return replace(summary, is_parked=True, due=last.due)
    return replace(summary, is_parked=False, due=None)


def _retried(summary: ExecutionSummary | None, _: str, event: Event) -> ExecutionSummary | None:
    assert isinstance(event, ExecutionRetried)
    if summary is None:
        return None
    return replace(summary, status="running", flow_version=event.flow_version, ended_at=None)


def _skipped(summary: ExecutionSummary | None, _: str, __: Event) -> ExecutionSummary | None:
    if summary is None or summary.ended_at is None:
        return summary
    return replace(summary, status="running", ended_at=None)


def _becomes(status: ExecutionStatus) -> _Summariser:
    def become(summary: ExecutionSummary | None, _: str, __: Event) -> ExecutionSummary | None:
        return None if summary is None else replace(summary, status=status)

    return become


def _ended(status: ExecutionStatus) -> _Summariser:
    def ended(summary: ExecutionSummary | None, _: str, event: Event) -> ExecutionSummary | None:
        return None if summary is None else replace(summary, status=status, ended_at=event.at)

    return ended


_Summariser = Callable[[ExecutionSummary | None, str, Event], ExecutionSummary | None]

_SUMMARISERS: dict[type[Event], _Summariser] = {
    ExecutionStarted: _started,
    TaskSkipped: _skipped,
    ExecutionPaused: _becomes("paused"),
    ExecutionResumed: _becomes("running"),
    ExecutionRetried: _retried,
    ExecutionQuarantined: _becomes("quarantined"),
    CancelRequested: _becomes("cancelling"),
    ExecutionCompleted: _ended("completed"),
    ExecutionFailed: _ended("failed"),
    ExecutionCancelled: _ended("cancelled"),
}
