"""The context that messages carry: an immutable mapping from text to JSON values."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from actors.values import decode_value

MIN_COMPACTED: Final = 16
"""Entries that are kept whatever is overwritten of them."""

_encode_key = msgspec.json.Encoder().encode


class Context(Mapping[str, Any]):
    """An immutable mapping of the values that an execution has so far.

    Values are kept as JSON and decoded on first access, so what a task gets is its own copy:
    changing it changes nothing for anyone else, just as after a recovery. ``dict(context)`` is a
    plain dict.

    Contexts share one append-only log of entries, and each sees only its first ``_size`` ones.
    Extending the newest context is therefore O(1) whatever its size; extending an older one
    copies.
    """

    __slots__ = ("_decoded", "_log", "_size")

    def __init__(self, log: _Log | None = None, size: int = 0) -> None:
        self._log: Final = _Log() if log is None else log
        self._size: Final = size
        self._decoded: dict[str, Any] | None = None

    @classmethod
    def of(cls, values: Mapping[str, msgspec.Raw]) -> Context:
        """Return a context of *values*, which are JSON."""
        return cls(_Log(list(values.items())), len(values))

    @classmethod
    def from_json(cls, data: bytes | msgspec.Raw) -> Context:
        """Read a JSON object.

        Raises:
            msgspec.DecodeError: *data* is not JSON; its subclass ValidationError: not an object.
        """
        return cls.of(decode_fields(data))

    def extended(self, key: str, data: msgspec.Raw) -> Context:
        """Return a context that has *data* (JSON) under *key* as well; this one stays as it is."""
        log, size = self._log, self._size
        if len(log.entries) != size:  # someone else has extended this context already
            return Context.of({**self.raw(), key: data})
        log.entries.append((key, data))
        return Context(log, size + 1)

    def compacted(self) -> Context:
        """Return this context, without what was overwritten if that is most of what is kept.

        Called whenever something is about to be overwritten, it takes O(1) on average.
        """
        log, size = self._log, self._size
        if size < log.next_look:
            return self
        values = self.raw()
        if size < 2 * len(values):
            log.next_look = 2 * size
            return self
        return Context.of(values)

    def behind(self, task: str, result: msgspec.Raw, *, is_merged: bool) -> Context:
        """Return the context as it is behind a task; what it is made of is not shared.

        Args:
            task: the task's name.
            result: its result.
            is_merged: whether the result's fields are put into the context, each by itself.
        """
        fields = decode_fields(result) if is_merged else {}
        return Context.of({**self.raw(), **fields, f"{task}_result": result})

    def copy(self) -> Context:
        """Return an equal context whose decoded values are not shared with this one."""
        return Context(self._log, self._size)

    def raw(self) -> dict[str, msgspec.Raw]:
        """Return the values as the JSON that they are kept in, in order of first appearance."""
        return dict(self._log.entries[: self._size])

    def to_json(self) -> bytes:
        """Return the context as one JSON object."""
        pairs = [_encode_key(key) + b":" + bytes(data) for key, data in self.raw().items()]
        return b"{" + b",".join(pairs) + b"}"

    def get_raw(self, key: str) -> msgspec.Raw | None:
        """Return the JSON under *key*, or None."""
        for position in reversed(self._log.positions().get(key, ())):
            if position < self._size:
                return self._log.entries[position][1]
        return None

    def __getitem__(self, key: str) -> Any:
        if self._decoded is None:
            self._decoded = {}
        elif key in self._decoded:
            return self._decoded[key]
        data = self.get_raw(key)
        if data is None:
            raise KeyError(key)
        value = self._decoded[key] = decode_value(data)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw())

    def __len__(self) -> int:
        return len(self.raw())

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.get_raw(key) is not None

    def __setitem__(self, key: str, value: object) -> None:
        msg = f"the context is read-only: return {key!r} as part of the task's result instead"
        raise TypeError(msg)

    def __repr__(self) -> str:
        return f"Context({dict(self)!r})"


class _Log(msgspec.Struct, eq=False):
    """Entries in the order in which they were written, and where each key was written."""

    entries: list[tuple[str, msgspec.Raw]] = []
    next_look: int = MIN_COMPACTED  # how many there are when it is next asked what is overwritten
    _positions: dict[str, tuple[int, ...]] = {}
    _found: int = 0  # of how many entries the key's position is known

    def positions(self) -> dict[str, tuple[int, ...]]:
        """Return where each key was written; made when it is asked for, far less than written."""
        if self._found < len(self.entries):
            with _finding:
                found, entries = self._positions, self.entries
                for position in range(self._found, len(entries)):
                    key = entries[position][0]
                    found[key] = (*found[key], position) if key in found else (position,)
                    self._found = position + 1
        return self._positions


_finding: Final = threading.Lock()  # several threads may read the contexts of one log

decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
"""Reads a JSON object, and leaves its values as they are."""
