"""What may pass from one task to the next: JSON, exactly, or a clear refusal.

A task always receives what a recovery would read back, that is ``decode(encode(result))`` of the
task before it. A value that JSON would change silently (NaN to null, a set to a list, bytes to
base64, the key 1 to "1") is therefore refused where it appears.
"""

from __future__ import annotations

import math
from typing import Any, NoReturn

import msgspec

MAX_DEPTH = 64
"""Levels of nesting that a value may have; deeper ones are refused."""

_PLAIN = frozenset({str, int, bool, type(None)})
_are_text = frozenset({str}).issuperset
_are_plain = _PLAIN.issuperset
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class ValueRefusedError(ValueError):
    """The value is not JSON, or JSON would change it. The message names the place and the rule."""


def encode_value(value: Any) -> bytes:
    """Encode *value* as JSON whose decoding is equal to it.

    Args:
        value: text, numbers, booleans, None, lists and tuples (a tuple is read back as a list),
            mappings with text keys, and whatever msgspec encodes as an object, as text or as a
            number: structs, dataclasses, datetimes, UUIDs, enums, decimals.

    Returns:
        UTF-8 JSON without spaces.

    Raises:
        ValueRefusedError: for NaN and infinity, sets, bytes, raw JSON, keys that are not text,
            types that JSON does not have, integers too long to write and nesting deeper than
            `MAX_DEPTH`.
    """
    if (
        type(value) is dict
        and _are_text(map(type, value))
        and _are_plain(map(type, value.values()))
    ):
        pass  # most are like this, and no Python code looks at each entry
    elif type(value) not in _PLAIN:
        _refuse_what_json_changes(value, 0, "result")
    try:
        return _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        msg = f"the result cannot be written as JSON: {error}"
        raise ValueRefusedError(msg) from error


def decode_value(data: bytes | msgspec.Raw) -> Any:
    """Decode what `encode_value` wrote. Every call makes a new value that is the caller's own."""
    return _decode(data)


def _refuse_what_json_changes(value: Any, depth: int, where: str) -> None:
    if isinstance(value, dict):
        if depth >= MAX_DEPTH:
            _refuse_deep()
        for key, item in value.items():
            if not isinstance(key, str):
                msg = f"{where} has the key {key!r}: keys in JSON are text; use str({key!r})"
                raise ValueRefusedError(msg)
            if type(item) not in _PLAIN:
                _refuse_what_json_changes(item, depth + 1, f"{where}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        if depth >= MAX_DEPTH:
            _refuse_deep()
        for position, item in enumerate(value):
            if type(item) not in _PLAIN:
                _refuse_what_json_changes(item, depth + 1, f"{where}[{position}]")
    else:
        _refuse_object_or_scalar(value, depth, where)


def _refuse_deep() -> NoReturn:
    """Refuse an object or a list that has `MAX_DEPTH` others around it."""
    msg = f"the result is nested deeper than {MAX_DEPTH} levels; return a flatter value"
    raise ValueRefusedError(msg)


def _refuse_object_or_scalar(value: Any, depth: int, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        msg = f"{where} is {value}: JSON has no such number; return None or text instead"
    elif isinstance(value, (set, frozenset)):
        msg = f"{where} is a set: JSON has none; return sorted(...) or list(...) of it"
    elif isinstance(value, (bytes, bytearray, memoryview)):
        msg = f"{where} is bytes: JSON has none; decode it to text, or encode it as base64 yourself"
    elif isinstance(value, msgspec.Raw):
        msg = f"{where} is raw JSON, which may be anything; return msgspec.json.decode(...) of it"
    else:
        attributes = getattr(type(value), "__attrs_attrs__", ())
        fields = getattr(value, "__dataclass_fields__", [each.name for each in attributes])
        fields = getattr(value, "__struct_fields__", fields)
        if fields and depth >= MAX_DEPTH:
            _refuse_deep()
        for name in fields:
            _refuse_what_json_changes(getattr(value, name, None), depth + 1, f"{where}.{name}")
        return
    raise ValueRefusedError(msg)
