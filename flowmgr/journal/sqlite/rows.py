"""What the rows of the tables hold, and the checksums that tell whether they still do.

SQLite checks none of what it stores: a flipped bit is read back as if it had been written. So each
row has a checksum over everything else in it, and no value is given out whose row does not fulfil
its own.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from actors.events import Scalar
from actors.state import ExecutionStatus
from flowmgr.errors import FlowDamagedError, KeyDamagedError
from flowmgr.journal.store import ExecutionSummary, FlowRecord, metadata_text

Values = tuple[Any, ...]
"""A row as SQLite takes and gives it."""

TIME_MARGIN: Final = 5.0
"""Seconds by which the time in an execution's id may differ from when it started."""

NEVER: Final = math.inf
"""What the column `due` has for an execution that is parked until somebody asks something of it."""

_UUID7 = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

_encode = msgspec.json.Encoder().encode
_decode_metadata = msgspec.json.Decoder(dict[str, Scalar]).decode


class DamageFoundError(Exception):
    """What is stored of an execution is not what was written.

    Attributes:
        number: the execution's number, by which the writer can look at it more closely.
    """

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(reason)
        self.number = number
        self.reason = reason


class ExecutionRow(msgspec.Struct, frozen=True):
    """A row of the table `execution`.

    Attributes:
        number: the execution's number.
        summary: how it stands.
        recoveries: how often it was recovered since it last came further.
        last_seq: position of its last event when this row was written; later ones need not have
            changed it, except that an ended execution has none.
        last_crc: the checksum of that event's row.
        damage: why what is stored of the execution cannot be relied on; None if it can.
    """

    number: int
    summary: ExecutionSummary
    recoveries: int
    last_seq: int
    last_crc: int
    damage: str | None = None

    def values(self) -> Values:
        """Return the row as the database has it, with its checksum."""
        summary = self.summary
        values = (
            self.number,
            summary.execution_id,
            summary.flow_id,
            summary.flow_version,
            summary.status,
            float(summary.started_at),
            None if summary.ended_at is None else float(summary.ended_at),
            int(summary.had_failures),
            _encode(summary.metadata).decode(),
            self.recoveries,
            self.damage,
            int(is_timed(summary)),
            self.last_seq,
            self.last_crc,
            _due(summary),
        )
        return (*values, _checksum_of_execution(values))

    @staticmethod
    def read(values: Values) -> ExecutionRow:
        """Return the row that the database has as *values*.

        Raises:
            DamageFoundError: its checksum says that it was another.
        """
        *content, crc = values
        if _checksum_of_execution(content) != crc:
            raise DamageFoundError(values[0], "its summary is not what was recorded")
        return ExecutionRow.trusted(values)

    @staticmethod
    def trusted(values: Values) -> ExecutionRow:
        """Return the row that the database has as *values*, whose checksum holds."""
        number, execution_id, flow_id, flow_version, status, started_at, ended_at = values[:7]
        had_failures, metadata, recoveries, damage, _, last_seq, last_crc, due, _ = values[7:]
        summary = ExecutionSummary(
            execution_id,
            flow_id,
            flow_version,
            status,
            started_at,
            ended_at,
            bool(had_failures),
            _decode_metadata(metadata),
            due is not None,
            None if due == NEVER else due,
        )
        return ExecutionRow(number, summary, recoveries, last_seq, last_crc, damage)


def _due(summary: ExecutionSummary) -> float | None:
    """Return what the column `due` has: None unless the execution is parked."""
    if not summary.is_parked:
        return None
    return NEVER if summary.due is None else float(summary.due)


def _checksum_of_execution(content: Sequence[Any]) -> int:
    """Return the checksum of an execution's row, which leaves `due` out if there is none.

    So the rows that were written before there was this column are what they would be now.
    """
    return checksum(content if content[-1] is not None else content[:-1])


def is_timed(summary: ExecutionSummary) -> bool:
    """Return whether the execution's id, a UUIDv7, sorts by when it started, and ended no earlier.

    A list of executions of some time looks at a range of ids; those that this is false for are
    looked at one by one.
    """
    started_at, ended_at = summary.started_at, summary.ended_at
    found = _UUID7.fullmatch(summary.execution_id)
    return (
        found is not None
        and abs(int(found[1] + found[2], 16) / 1000 - started_at) <= TIME_MARGIN
        and (ended_at is None or ended_at >= started_at)
    )


QUARANTINED: Final[ExecutionStatus] = "quarantined"


class FlowRow(msgspec.Struct, frozen=True):
    """A row of the table `flow`.

    Attributes:
        record: the version; its definition is empty if `is_lost`.
        is_deleted: whether the flow has been deleted since.
        is_lost: whether the definition was damaged when the flow was deleted.
    """

    record: FlowRecord
    is_deleted: bool = False
    is_lost: bool = False

    def values(self) -> Values:
        """Return the row as the database has it, with its checksum."""
        record = self.record
        values = (
            record.flow_id,
            record.version,
            record.digest,
            None if self.is_lost else record.definition,
            float(record.registered_at),
            int(self.is_deleted),
        )
        return (*values, checksum(values))

    @staticmethod
    def read(values: Values) -> FlowRow:
        """Return the row that the database has as *values*.

        Raises:
            FlowDamagedError: its checksum says that it was another.
        """
        flow_id, version, digest, definition, registered_at, is_deleted, crc = values
        if checksum(values[:-1]) != crc:
            msg = (
                f"Version {version} of flow '{flow_id}' is damaged in the journal: what is stored "
                "is not what was registered. Restore the database from a backup, or delete the "
                "flow: what is unfinished of this version never goes on then"
            )
            raise FlowDamagedError(msg)
        record = FlowRecord(flow_id, version, digest, definition or b"", registered_at)
        return FlowRow(record, bool(is_deleted), definition is None)


class KeyRow(msgspec.Struct, frozen=True):
    """A row of the table `start_key`: a key, and the execution that was started with it."""

    scope: str
    key: str
    fingerprint: str
    execution: int
    execution_id: str
    expires_at: float

    def values(self) -> Values:
        """Return the row as the database has it, with its checksum."""
        values = (
            self.scope,
            self.key,
            self.fingerprint,
            self.execution,
            self.execution_id,
            float(self.expires_at),
        )
        return (*values, checksum(values))

    @staticmethod
    def read(values: Values) -> KeyRow:
        """Return the row that the database has as *values*.

        Raises:
            KeyDamagedError: its checksum says that it was another.
        """
        *content, crc = values
        if checksum(content) != crc:
            msg = (
                f"The key '{values[1]}' of flow '{values[0]}' is damaged in the journal, so it is "
                "not known what was started with it. Restore the database from a backup, or use "
                "another key"
            )
            raise KeyDamagedError(msg)
        return KeyRow(*content)


class JournalRow(msgspec.Struct, frozen=True):
    """The one row of the table `journal`.

    Attributes:
        database_id: tells this database from any other.
        epoch: how often the database has been opened.
        position: of the last change that is not an event.
    """

    database_id: str
    epoch: int
    position: int

    def values(self) -> Values:
        """Return the row as the database has it, with its checksum."""
        values = (self.database_id, self.epoch, self.position)
        return (*values, checksum(values))

    @staticmethod
    def read(values: Values) -> JournalRow | None:
        """Return the row that the database has as *values*; None if its checksum does not hold."""
        *content, crc = values
        return JournalRow(*content) if checksum(content) == crc else None


def metadata_rows(summary: ExecutionSummary) -> list[tuple[str, str, str]]:
    """Return what the table `execution_metadata` has of an execution."""
    return [
        (name, metadata_text(value), summary.execution_id)
        for name, value in summary.metadata.items()
    ]


def checksum(values: Sequence[Any]) -> int:
    """Return the checksum of what a row holds; that of no row if it is not text that was stored."""
    try:
        return zlib.crc32(_encode(values))
    except UnicodeEncodeError:
        return -1
