"""What the writer is asked to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from actors.actor import Reply
from actors.ports import Acknowledge, Batch, NotRecordedError
from flowmgr.errors import FlowmgrError, InternalError, JournalError, JournalUnavailableError
from flowmgr.journal.sqlite.chain import encode_events
from flowmgr.journal.sqlite.recorder import Recorder

Answer = tuple[Callable[[Any], None], Any]
"""Whom to call in the event loop's thread when the transaction is durable, and with what."""


class Append:
    """A batch to be appended.

    Attributes:
        is_request: whether it is refused while nothing can be recorded; otherwise it waits.

    Raises:
        Exception: the batch cannot be written as JSON.
    """

    __slots__ = ("_acknowledge", "_batch", "_events", "is_request")

    def __init__(self, batch: Batch, acknowledge: Acknowledge) -> None:
        if not batch.events:
            msg = "it has no events"
            raise ValueError(msg)
        if batch.key is not None:
            encode_events(batch.key)  # what is no text is refused here, not by SQLite
        self._batch: Final = batch
        self._acknowledge: Final = acknowledge
        self._events = encode_events(batch.events)
        self.is_request: Final = batch.is_request

    def apply(self, recorder: Recorder) -> Answer:
        """Append the batch, in a transaction that somebody else commits."""
        return self._acknowledge, recorder.append(self._batch, self._events)

    def refusal(self, why: str) -> Answer:
        """Return the answer that it could not be recorded, and that the journal goes on."""
        return self._acknowledge, NotRecordedError(why)

    def failure(self, error: Exception) -> Answer:
        """Return the answer that the journal is broken."""
        return self._acknowledge, error


class Call:
    """Any other change, for a coroutine that waits for it.

    Attributes:
        reply: gets what the change returns, or an error.
    """

    __slots__ = ("_change", "reply")

    is_request: Final = True

    def __init__(self, change: Callable[[Recorder], Any]) -> None:
        self._change: Final = change
        self.reply: Final = Reply[Any]()

    def apply(self, recorder: Recorder) -> Answer:
        """Make the change, in a transaction that somebody else commits.

        One that is refused by a rule, or by a bug of ours, is taken back; the others of the group
        are not.
        """
        recorder.flush()
        recorder.connection.execute("SAVEPOINT call")
        try:
            answer = self._change(recorder)
        except (FlowmgrError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            recorder.connection.execute("ROLLBACK TO call")
            recorder.connection.execute("RELEASE call")
            if isinstance(error, FlowmgrError):
                return self.reply.give, error
            return self.reply.give, InternalError(f"{type(error).__name__}: {error}")
        recorder.connection.execute("RELEASE call")
        return self.reply.give, answer

    def refusal(self, why: str) -> Answer:
        """Return the answer that it could not be done, and that the journal goes on."""
        return self.reply.give, JournalUnavailableError(why)

    def failure(self, error: Exception) -> Answer:
        """Return the answer that the journal is broken."""
        return self.reply.give, JournalError(f"The journal has failed: {error}")


Work = Append | Call
