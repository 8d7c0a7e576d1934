"""The chain of an execution's events: each row's checksum covers that of the row before it.

So the rows of an execution can neither be changed nor exchanged, and none can be left out, without
the ones behind it being found wrong.
"""

from __future__ import annotations

import zlib
from typing import Final

import msgspec

from actors.events import Event, ExecutionEvent
from flowmgr.journal.sqlite.rows import DamageFoundError, ExecutionRow, Values

encode_events: Final = msgspec.json.Encoder().encode
"""Encodes a batch's events as they are stored."""

_TYPES: Final = (int, int, bytes, int, int)
"""Of what a row has. SQLite does not look at that when it reads: a flipped bit makes text of it."""

_decode_events = msgspec.json.Decoder(list[ExecutionEvent]).decode
_split_events = msgspec.json.Decoder(list[msgspec.Raw]).decode


def link(previous: int, execution_id: str, first_seq: int, epoch: int, events: bytes) -> int:
    """Return the checksum of a row that follows one with the checksum *previous*."""
    head = f"{execution_id} {first_seq} {epoch} ".encode("utf-8", "surrogateescape")
    return zlib.crc32(events, zlib.crc32(head, previous))


class Chain:
    """Follows the rows of one execution and says where they are not what was recorded.

    Attributes:
        next_seq: the position that the next row has to begin with.
        crc: the checksum that it has to follow.
    """

    __slots__ = ("_execution_id", "crc", "next_seq")

    def __init__(self, execution_id: str) -> None:
        self._execution_id = execution_id
        self.next_seq = 1
        self.crc = zlib.crc32(_text(execution_id))

    def begin_behind(self, row: Values) -> None:
        """Begin behind *row*, of which only what the next one says about it is known.

        Raises:
            DamageFoundError: it cannot be what was recorded.
        """
        _check_types(row)
        number, first_seq, events, _, crc = row
        self.next_seq = first_seq + _count(number, first_seq, events)
        self.crc = crc

    def follow(self, row: Values) -> None:
        """Go on to *row*.

        Raises:
            DamageFoundError: it is not what follows.
        """
        self._check(row)
        number, first_seq, events, _, self.crc = row
        self.next_seq += _count(number, first_seq, events)

    def read(self, row: Values) -> list[Event]:
        """Go on to *row* and return its events.

        Raises:
            DamageFoundError: it is not what follows, or has an event that is not known.
        """
        self._check(row)
        number, first_seq, events, _, self.crc = row
        try:
            found: list[Event] = [*_decode_events(events)]
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            reason = f"the events at position {first_seq} cannot be read ({error})"
            raise DamageFoundError(number, reason) from error
        self.next_seq += len(found)
        return found

    def _check(self, row: Values) -> None:
        _check_types(row)
        number, first_seq, events, epoch, crc = row
        if first_seq != self.next_seq:
            reason = f"position {self.next_seq} of its events is followed by {first_seq}"
            if first_seq > self.next_seq:
                reason = f"the events from position {self.next_seq} to {first_seq - 1} are missing"
            raise DamageFoundError(number, reason)
        if link(self.crc, self._execution_id, first_seq, epoch, events) != crc:
            reason = f"the events at position {first_seq} are not what was recorded"
            raise DamageFoundError(number, reason)

    def check_end(self, row: ExecutionRow) -> None:
        """Refuse an execution that, by its own row, has other events than have been followed.

        Raises:
            DamageFoundError: it has more or others, or had ended before the last of them.
        """
        seq = self.next_seq - 1
        if seq < row.last_seq:
            reason = f"the events from position {self.next_seq} to {row.last_seq} are missing"
            raise DamageFoundError(row.number, reason)
        is_same = self.crc == row.last_crc if seq == row.last_seq else True
        if not is_same or (row.summary.ended_at is not None and seq != row.last_seq):
            reason = f"its events end at position {seq} in another way than they did"
            raise DamageFoundError(row.number, reason)


def _check_types(row: Values) -> None:
    if tuple(map(type, row)) != _TYPES:
        raise DamageFoundError(row[0], f"the events at position {row[1]} are not what was recorded")


def _count(number: int, first_seq: int, events: bytes) -> int:
    try:
        return len(_split_events(events))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        reason = f"the events at position {first_seq} cannot be read ({error})"
        raise DamageFoundError(number, reason) from error


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")  # what is damaged need not be text any more
