"""What the writer is asked to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from actors.actor import Reply
from actors.ports import Acknowledge, Batch, NotRecordedError
from flowmgr.errors import FlowmgrError, InternalError, JournalError, JournalUnavailableError
from flowmgr.journal.sqlite.chain import encode_events
from flowmgr.journal.sqlite.recorder import Recorder

Answer = tuple[Callable[[Any], None], Any]
"""Whom to call in the event loop's thread when the transaction is durable, and with what."""


def encode_batch(batch: Batch) -> bytes:
    """Return the events of *batch* as they are stored.

    Raises:
        Exception: the batch cannot be written as JSON.
    """
    if not batch.events:
        msg = "it has no events"
        raise ValueError(msg)
    if batch.key is not None:
        encode_events(batch.key)  # what is no text is refused here, not by SQLite
    return encode_events(batch.events)


class Append(msgspec.Struct, frozen=True, gc=False):
    """A batch to be appended.

    Attributes:
        batch: the batch.
        events: its events, encoded with `encode_batch`.
        acknowledge: called with the answer.
    """

    batch: Batch
    events: bytes
    acknowledge: Acknowledge

    @property
    def is_request(self) -> bool:
        """Whether it is refused while nothing can be recorded; otherwise it waits."""
        return self.batch.is_request

    def apply(self, recorder: Recorder) -> Answer:
        """Append the batch, in a transaction that somebody else commits."""
        return self.acknowledge, recorder.append(self.batch, self.events)

    def refusal(self, why: str) -> Answer:
        """Return the answer that it could not be recorded, and that the journal goes on."""
        return self.acknowledge, NotRecordedError(why)

    def failure(self, error: Exception) -> Answer:
        """Return the answer that the journal is broken."""
        return self.acknowledge, error


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
