"""The writer: one thread that owns the only connection that writes.

It takes whatever has been asked for meanwhile, does it in one transaction, and answers all of it
when that is durable. So one wait for the disk serves as many as are waiting.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from actors.ports import Clock
from flowmgr.errors import JournalError, JournalUnavailableError
from flowmgr.journal.sqlite.connection import describe, is_passing
from flowmgr.journal.sqlite.grouping import MAX_GROUP, Grouping
from flowmgr.journal.sqlite.position import PositionKeeper
from flowmgr.journal.sqlite.posting import Post
from flowmgr.journal.sqlite.queries import WRITE
from flowmgr.journal.sqlite.recorder import Recorder
from flowmgr.journal.sqlite.work import Answer, Work

logger = logging.getLogger(__name__)

FIRST_DELAY: Final = 0.05
"""Seconds after which it is tried again to record something; doubled each time."""

MAX_DELAY: Final = 1.0

PROBE_BYTES: Final = 65_536
"""What is written to find out whether there is room again, when nothing waits to be written."""

LOG_BYTES: Final = 8 * 1024 * 1024
"""What may be written, by estimate, before it is moved from SQLite's log into the database.

The log is written from its beginning again then, which costs the disk less than a file that grows:
a lone appender gets a third more commits than with four times as much.
"""


class Writer:
    """Owns the connection that writes, in a thread of its own.

    Work is given with `put`, and answered in the event loop's thread. While nothing can be
    recorded, what has happened waits here, in its order, and requests are refused.

    Attributes:
        tell: called in the event loop's thread with the trouble when further facts have to wait:
            requests may be waiting for those outside.
    """

    def __init__(
        self, recorder: Recorder, position: PositionKeeper, post: Post, clock: Clock
    ) -> None:
        self._recorder = recorder
        self._connection = recorder.connection
        self._position = position
        self._post = post
        self._monotonic = clock.monotonic
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()  # None: close
        self._held: deque[Work] = deque()  # facts that could not be recorded, in their order
        self._grouping = Grouping()
        self._trouble: str | None = None
        self.tell: Callable[[str], None] | None = None
        self._delay = 0.0
        self._retry_at = 0.0
        self._broken: Exception | None = None
        self._is_closing = False  # in the thread: the work before that is done
        self._is_closed = False  # outside: there is no further work
        self._thread = threading.Thread(target=self._run, name="journal writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def trouble(self) -> str | None:
        """Why nothing can be recorded at the moment, in a sentence."""
        return self._trouble

    def put(self, work: Work) -> None:
        """Have *work* done; not a checkpoint.

        A request is refused at once while nothing can be recorded.
        """
        trouble = self._trouble
        if self._is_closed:
            _give([work.failure(JournalError("The journal is closed"))])
        elif trouble is not None and self._broken is None and work.is_request:
            _give([work.refusal(trouble)])
        else:
            self._queue.put(work)

    def close(self) -> None:
        """Do what has been asked for, then end the thread; blocks until it has ended."""
        self._is_closed = True
        self._queue.put(None)
        self._thread.join()

    # The thread.

    def _run(self) -> None:
        while not self._is_closing:
            group = self._take_group()
            if self._broken is not None:
                self._fail(group, self._broken)
                continue
            if self._trouble is None:
                self._record(group)
            else:
                self._hold(group)
                if self._monotonic() >= self._retry_at:
                    self._try_again()
            self._keep()
        self._end()

    def _take_group(self) -> list[Work]:
        """Wait until there is something to do, and return as much of it as is to be done next."""
        waiting = self._queue
        if waiting.empty():
            self._grouping.had_nothing()
        try:
            first = waiting.get(timeout=self._timeout())
        except queue.Empty:
            return []
        further = self._grouping.size(1 + waiting.qsize()) - 1
        taken = [first, *[waiting.get_nowait() for _ in range(further)]]
        group = [work for work in taken if work is not None]
        self._is_closing = len(group) < len(taken)
        return group

    def _timeout(self) -> float | None:
        if self._broken is not None:
            return None
        if self._trouble is not None:
            return max(0.0, self._retry_at - self._monotonic())
        return self._position.due_in()

    def _record(self, group: Sequence[Work]) -> None:
        error = self._transact(group)
        if error is None:
            return
        if is_passing(error):
            self._pause(error)
            self._hold(group)
        else:
            self._break(error)
            self._fail(group, error)

    def _transact(self, group: Sequence[Work]) -> Exception | None:
        """Do *group* in one transaction and answer it; return why not, nothing having happened."""
        if not group:
            return None
        try:
            answers = self._apply(group)
            began = self._monotonic()
            self._commit()
            self._grouping.committed(len(group), self._monotonic() - began)
        except Exception as error:  # noqa: BLE001 - whoever waits is told of it
            self._roll_back()
            return error
        self._deliver(answers)
        return None

    def _apply(self, group: Sequence[Work]) -> list[Answer]:
        return [work.apply(self._recorder) for work in group]

    def _commit(self) -> None:
        self._recorder.finish()
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")
        self._recorder.committed()

    def _roll_back(self) -> None:
        self._recorder.rolled_back()
        try:
            if self._connection.in_transaction:  # SQLite may have taken it back by itself
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            logger.exception("the journal could not take a transaction back")

    def _deliver(self, answers: Sequence[Answer]) -> None:
        """Have everybody answered, in the event loop's thread, with one call for all of them."""
        if answers:
            self._post(_give, answers)

    # Trouble.

    def _pause(self, error: Exception) -> None:
        """Nothing can be recorded: say so, and when to try again."""
        reason = describe(error)
        if self._trouble is None:
            self._delay = FIRST_DELAY
            logger.error("the journal cannot record anything: %s", reason)
        else:
            self._delay = min(2 * self._delay, MAX_DELAY)
        self._retry_at = self._monotonic() + self._delay
        self._trouble = (
            f"The journal cannot record anything at the moment: {reason}. "
            "It tries again by itself, and what has happened is not lost"
        )

    def _hold(self, group: Sequence[Work]) -> None:
        """Refuse the requests of *group*, and keep the facts for later."""
        assert self._trouble is not None
        facts = [work for work in group if not work.is_request]
        self._held.extend(facts)
        if facts and self.tell is not None:
            self._post(self.tell, self._trouble)
        self._deliver([work.refusal(self._trouble) for work in group if work.is_request])

    def _try_again(self) -> None:
        """Record what was held; all is well again if there is room for more."""
        error: Exception | None = None
        while self._held and error is None:
            group = list(islice(self._held, MAX_GROUP))
            error = self._transact(group)
            if error is None:
                for _ in group:
                    self._held.popleft()
        error = error or self._probe()
        if error is None:
            logger.warning("the journal records again")
            self._trouble = None
        elif is_passing(error):
            self._pause(error)
        else:
            self._break(error)

    def _probe(self) -> Exception | None:
        """Find out whether there is room; return why nothing can be written."""
        try:
            self._recorder.begin()
            self._connection.execute(WRITE["pad_journal"], (PROBE_BYTES,))
            self._commit()
            self._recorder.begin()
            self._connection.execute(WRITE["unpad_journal"])
            self._commit()
        except sqlite3.Error as error:
            self._roll_back()
            return error
        return None

    def _break(self, error: Exception) -> None:
        """Nothing will be recorded any more: everybody who waits, or ever asks, is told."""
        logger.critical("the journal has failed", exc_info=error)
        self._broken = error
        self._trouble = f"The journal has failed: {describe(error)}"
        held, self._held = list(self._held), deque()
        self._fail(held, error)

    def _fail(self, group: Sequence[Work], error: Exception) -> None:
        self._deliver([work.failure(error) for work in group])

    # Keeping.

    def _keep(self) -> None:
        """Do what is due from time to time."""
        try:
            self._position.moved_to(self._recorder.journal.position)
            self._position.write_if_due()
            if self._recorder.written > LOG_BYTES:
                self._checkpoint("PASSIVE")
        except Exception as error:  # noqa: BLE001 - a bug of ours: or all would wait for ever
            self._break(error)

    def _checkpoint(self, kind: str) -> None:
        """Move what SQLite's log has into the database, as far as no reader needs it."""
        self._recorder.written = 0
        try:
            self._connection.execute(f"PRAGMA wal_checkpoint({kind})")
        except sqlite3.Error as error:
            if is_passing(error):
                logger.warning("the journal's log was not moved: %s", describe(error))
            else:
                self._break(error)

    def _end(self) -> None:
        if self._held:
            self._try_again()
        if self._held:
            count = len(self._held)
            logger.error("the journal is closed before %d batches could be recorded", count)
            self._fail(self._held, JournalUnavailableError(self._trouble or ""))
        if self._broken is None:
            self._position.moved_to(self._recorder.journal.position)
            self._position.write()
            self._checkpoint("TRUNCATE")
        self._connection.close()


def _give(answers: Sequence[Answer]) -> None:
    for answer, argument in answers:
        try:
            answer(argument)
        except Exception:  # one that cannot be told does not keep the others from it
            logger.exception("a bug in flowmgr: the answer of the journal could not be taken")
