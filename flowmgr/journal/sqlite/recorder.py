"""What the writer does to the tables: executions, their events, and the keys of their starts."""

from __future__ import annotations

import logging
import sqlite3
from typing import Any, Final

import msgspec

from actors.ports import Batch, KeyTakenError, NotRecordedError, StartKey
from flowmgr.errors import (
    ExecutionDamagedError,
    ExecutionNotFoundError,
    InternalError,
    KeyDamagedError,
)
from flowmgr.journal.sqlite import repair
from flowmgr.journal.sqlite.blame import NOBODY, Blamed, still_blamed
from flowmgr.journal.sqlite.chain import Chain, link
from flowmgr.journal.sqlite.queries import READ, WRITE, insert_events
from flowmgr.journal.sqlite.rows import (
    DamageFoundError,
    ExecutionRow,
    JournalRow,
    KeyRow,
    metadata_rows,
)
from flowmgr.journal.store import ExecutionSummary, summarise

logger = logging.getLogger(__name__)

PAGE: Final = 4096
"""Bytes of a page of the database."""

MAX_ROWS: Final = 512
"""Rows of events that one statement inserts: a statement of SQLite's has so many variables at most
(32,766), and there is one of them for each number of rows.
"""

COLUMNS: Final = 6
"""Values that a row of events has; the one at `EVENTS` is the events."""

EVENTS: Final = 3


class Head(msgspec.Struct, frozen=True, gc=False):
    """Where the log of an execution that has not ended goes on.

    Attributes:
        number: the execution's number.
        next_seq: the position of its next event.
        crc: the checksum of its last row.
        summary: how it stands.
        recoveries: how often it was recovered since it last came further.
        blamed: what may have ended the engine before that; unknown, and empty, before it is
            recovered by this run of it.
    """

    number: int
    next_seq: int
    crc: int
    summary: ExecutionSummary
    recoveries: int
    blamed: Blamed = NOBODY


class Recorder:
    """Changes the tables, inside of transactions that the writer ends.

    It remembers the heads of the executions that have not ended, so that a step costs one row; of
    one that is parked, which may be so for months beside any number of others, it reads the head
    again when it goes on.
    Events are kept until all of a transaction are inserted with one statement. If there is nothing
    else, that is the transaction by itself: one call of SQLite's, and while it writes and waits for
    the disk, the event loop's thread goes on.

    What it learns in a transaction is kept with `committed`; `rolled_back` forgets it.

    Attributes:
        connection: the connection that writes.
        journal: the row of the table `journal`, with the last position that was committed.
        written: bytes that were written, by a coarse estimate, for whoever sets it back to 0.
    """

    def __init__(self, connection: sqlite3.Connection, journal: JournalRow) -> None:
        self.connection: Final = connection
        self.journal = journal
        self.written = 0
        self._position = journal.position
        self._is_moved = False  # whether the position has to be written, no event having it
        self._heads: dict[str, Head] = {}
        self._before: dict[str, Head | None] = {}  # what those were that the transaction changed
        self._values: list[Any] = []  # of the rows of events that are to be inserted
        [self._last_number] = connection.execute(READ["last_execution_number"]).fetchone()

    def committed(self) -> None:
        """Keep what was learnt: the transaction is durable."""
        self.journal = msgspec.structs.replace(self.journal, position=self._position)
        self._before.clear()
        self._is_moved = False

    def rolled_back(self) -> None:
        """Forget what was learnt: the transaction has not happened."""
        self._position = self.journal.position
        for execution_id, head in self._before.items():
            if head is None:
                self._heads.pop(execution_id, None)
            else:
                self._heads[execution_id] = head
        self._before.clear()
        self._values.clear()
        self._is_moved = False

    def begin(self) -> None:
        """Begin the transaction, if it has not begun: for whoever changes the tables."""
        if not self.connection.in_transaction:
            self.connection.execute("BEGIN IMMEDIATE")

    def flush(self) -> None:
        """Insert the events that were appended: for whoever reads or changes the tables next."""
        self.begin()
        self._insert_rows()

    def finish(self) -> None:
        """Write what is left to be written before the transaction is committed, if it has begun.

        That is the events, and how far the database has come, if no row of an event says so.
        """
        if self._is_moved:
            self.begin()
            row = msgspec.structs.replace(self.journal, position=self._position)
            self.connection.execute(WRITE["update_journal"], row.values())
        self._insert_rows()

    def _insert_rows(self) -> None:
        values = self._values
        if not values:
            return
        most = MAX_ROWS * COLUMNS
        if len(values) > most:
            self.begin()
        for first in range(0, len(values), most):
            some = values[first : first + most]
            self.connection.execute(insert_events(len(some) // COLUMNS), some)
        # Beside the events, half a page for each row: the index has others on the same page.
        rows = values[EVENTS::COLUMNS]
        self.written += 3 * PAGE // 2 + sum(map(len, rows)) + len(rows) * PAGE // 2
        values.clear()

    def move_on(self) -> None:
        """Count a change that is not an event."""
        self.written += 4 * PAGE
        self._position += 1
        self._is_moved = True

    def forget(self, execution_id: str) -> None:
        """Read where an execution's log goes on again before the next batch: it was changed."""
        self._before.setdefault(execution_id, self._heads.pop(execution_id, None))

    # Events.

    def append(self, batch: Batch, events: bytes) -> Exception | None:
        """Append *batch*, encoded as *events*; return why not, none of it being recorded then.

        A damaged execution may have been quarantined all the same.
        """
        execution_id = batch.execution_id
        head = self._heads.get(execution_id)
        if head is None:
            try:
                head = self._read_head(execution_id)
            except ExecutionDamagedError as error:
                return error
            if head is None:
                return self._start(batch, events)
            self._remember(execution_id, head)
        if batch.first_seq != head.next_seq:
            return _does_not_continue(batch, head.next_seq)
        self._continue(head, batch, events)
        return None

    def _start(self, batch: Batch, events: bytes) -> Exception | None:
        if batch.first_seq > 1:  # it was deleted
            return ExecutionNotFoundError(batch.execution_id)
        summary = summarise(None, batch.execution_id, batch.events)
        if batch.first_seq != 1 or summary is None:
            return _does_not_continue(batch, 1)
        self.begin()
        number = self._last_number + 1
        if batch.key is not None:
            refusal = self._take_key(batch.key, batch, number)
            if refusal is not None:
                return refusal
        self._last_number = number
        crc = self._insert_event(number, Chain(batch.execution_id).crc, batch, events)
        last_seq = len(batch.events)
        row = ExecutionRow(number, summary, 0, last_seq, crc)
        self.connection.execute(WRITE["insert_execution"], row.values())
        if summary.metadata:
            self.connection.executemany(WRITE["insert_metadata"], metadata_rows(summary))
        self._go_on(batch, Head(number, last_seq + 1, crc, summary, 0))
        return None

    def _continue(self, head: Head, batch: Batch, events: bytes) -> None:
        execution_id = batch.execution_id
        crc = self._insert_event(head.number, head.crc, batch, events)
        next_seq = head.next_seq + len(batch.events)
        known = head.summary
        summary = summarise(known, execution_id, batch.events)
        if summary is known and not head.recoveries:  # nothing but its events is new
            self._before.setdefault(execution_id, head)
            self._heads[execution_id] = Head(head.number, next_seq, crc, known, 0)
            return
        assert summary is not None
        recoveries, blamed = head.recoveries, head.blamed
        if recoveries:
            is_parked = head.summary.is_parked or summary.is_parked
            still = None if is_parked else still_blamed(blamed, batch.events)
            recoveries, blamed = (0, NOBODY) if still is None else (recoveries, still)
        if summary is not head.summary or recoveries != head.recoveries:
            row = ExecutionRow(head.number, summary, recoveries, next_seq - 1, crc)
            self._update("update_execution", row)
        self._go_on(batch, Head(head.number, next_seq, crc, summary, recoveries, blamed))

    def _insert_event(self, number: int, previous: int, batch: Batch, events: bytes) -> int:
        position, first_seq, epoch = self._position + 1, batch.first_seq, self.journal.epoch
        crc = link(previous, batch.execution_id, first_seq, epoch, events)
        self._values += (position, number, first_seq, events, epoch, crc)
        self._position = position
        return crc

    def _update(self, how: str, row: ExecutionRow) -> None:
        self.begin()
        self.written += 4 * PAGE
        self.connection.execute(WRITE[how], row.values())

    def _go_on(self, batch: Batch, head: Head) -> None:
        """Have an execution's log go on at *head* behind *batch*, if it goes on soon."""
        execution_id, summary = batch.execution_id, head.summary
        if summary.ended_at is not None or summary.is_parked:
            self.forget(execution_id)
        else:
            self._remember(execution_id, head)

    # Heads.

    def _remember(self, execution_id: str, head: Head) -> None:
        heads = self._heads
        self._before.setdefault(execution_id, heads.get(execution_id))
        heads[execution_id] = head

    def _read_head(self, execution_id: str) -> Head | None:
        """Return where an execution's log goes on; None if there is no such execution.

        Raises:
            ExecutionDamagedError: what is stored of it cannot be gone on from.
        """
        values = self.connection.execute(READ["execution"], (execution_id,)).fetchone()
        if values is None:
            return None
        try:
            row = ExecutionRow.read(values)
            if row.damage is not None:
                raise ExecutionDamagedError(execution_id, row.damage)
            chain = self._read_end(row)
        except DamageFoundError as error:
            reason = self.repair(error.number) or error.reason
            raise ExecutionDamagedError(execution_id, reason) from error
        return Head(row.number, chain.next_seq, chain.crc, row.summary, row.recoveries)

    def _read_end(self, row: ExecutionRow) -> Chain:
        """Return where the chain of an execution's events ends.

        Raises:
            DamageFoundError: its last events are not what was recorded.
        """
        self.flush()
        chain = Chain(row.summary.execution_id)
        batches = self.connection.execute(READ["last_batches"], (row.number,)).fetchall()
        if len(batches) > 1:
            chain.begin_behind(batches.pop())
        if batches:
            chain.follow(batches.pop())
        chain.check_end(row)
        return chain

    def repair(self, number: int) -> str | None:
        """Rebuild an execution's row from its events, or quarantine it; return why, if so."""
        self.flush()
        row = self.examine(number)
        if row is None:
            return None
        try:
            self.replace(row)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:
                raise
            # An index does not have what the damaged row says; nothing else is wrong with it.
            self.make_indexes_again(number)
            self.replace(row)
        return row.damage

    def make_indexes_again(self, number: int) -> None:
        """Make the indexes of executions again from the table: they are wrong about one."""
        logger.warning("the indexes of executions are damaged (number %d): made again", number)
        self.begin()
        self.connection.execute("REINDEX execution")
        self.move_on()

    def examine(self, number: int) -> ExecutionRow | None:
        """Return the row that an execution should have; None if it has it."""
        return repair.examine(self.connection, number)

    def replace(self, row: ExecutionRow) -> None:
        """Replace the damaged row of an execution, and say so."""
        execution_id = row.summary.execution_id
        if row.damage is None:
            logger.warning("execution %s: its summary was damaged, and is healed", execution_id)
        else:
            logger.error("execution %s is quarantined: %s", execution_id, row.damage)
        self.move_on()
        self._update("replace_execution", row)
        self.connection.executemany(WRITE["insert_metadata"], metadata_rows(row.summary))
        self.forget(execution_id)

    # Keys.

    def _take_key(self, key: StartKey, batch: Batch, number: int) -> NotRecordedError | None:
        at = batch.events[0].at
        try:
            found = self._find_key(key)
        except KeyDamagedError as error:
            return NotRecordedError(str(error))
        execution_id, expires_at = batch.execution_id, key.expires_at
        row = KeyRow(key.scope, key.key, key.fingerprint, number, execution_id, expires_at)
        done = self.connection.execute(WRITE["take_key"], (*row.values(), at))
        if done.rowcount:
            return None
        assert found is not None
        return KeyTakenError(found.execution_id, found.fingerprint)

    def _find_key(self, key: StartKey) -> KeyRow | None:
        values = self.connection.execute(READ["start_key"], (key.scope, key.key)).fetchone()
        return None if values is None else KeyRow.read(values)


def _does_not_continue(batch: Batch, next_seq: int) -> InternalError:
    msg = (
        f"execution {batch.execution_id}: a batch at position {batch.first_seq} does not continue "
        f"its log, which goes on at {next_seq}"
    )
    return InternalError(msg)
