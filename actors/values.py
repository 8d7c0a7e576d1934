"""What may pass from one task to the next: JSON, exactly, or a clear refusal.

A task always receives what a recovery would read back, that is ``decode(encode(result))`` of the
task before it. A value that JSON would change silently (NaN to null, a set to a list, bytes to
base64, the key 1 to "1") is therefore refused where it appears.
"""

from __future__ import annotations

import math
from typing import Any, Final, Literal, NoReturn

import msgspec

MAX_DEPTH = 64
"""Levels of nesting that a value may have; deeper ones are refused."""

MAX_BYTES: Final = 64 * 1024 * 1024
"""Bytes that a value may have as JSON: a few of them have to go into one row of the journal."""

_PLAIN = frozenset({str, int, bool, type(None)})
_are_text = frozenset({str}).issuperset
_are_plain = _PLAIN.issuperset
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Refusal(msgspec.Struct, frozen=True):
    """Why a value is refused, of which callers make their sentences.

    Attributes:
        rule: what is wrong, as it goes behind the value's name: "is a set: JSON has none".
        place: where in the value that is, as in "['a'][1].x"; None if it is said of the whole.
        instead: what to give instead, as it goes behind "return"; empty if the rule says it.
        code: which kind of rule that is, as a word that programs can rely on.
    """

    rule: str
    place: str | None = None
    instead: str = ""
    code: Literal["not_json", "too_deep", "too_large"] = "not_json"

    def sentence(self, name: str, verb: str = "return") -> str:
        """Return the sentence about a value that is called *name*, and is given by *verb*."""
        said = f"{name}{self.place or ''} {self.rule}"
        return f"{said}; {verb} {self.instead}" if self.instead else said


class ValueRefusedError(ValueError):
    """The value is not JSON, or JSON would change it. The message names the place and the rule.

    Attributes:
        refusal: both of them, and the way out.
    """

    def __init__(self, refusal: Refusal, message: str | None = None) -> None:
        """Make the error.

        Args:
            refusal: why the value is refused.
            message: what is said of it; if None, what there is to say of a task's result.
        """
        name = "the result" if refusal.place is None else "result"
        super().__init__(refusal.sentence(name) if message is None else message)
        self.refusal = refusal


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
            types that JSON does not have, integers too long to write, nesting deeper than
            `MAX_DEPTH` and more than `MAX_BYTES`.
    """
    if (
        type(value) is dict
        and _are_text(map(type, value))
        and _are_plain(map(type, value.values()))
    ):
        pass  # most are like this, and no Python code looks at each entry
    elif type(value) not in _PLAIN:
        _refuse_what_json_changes(value, 0, "")
    try:
        data = _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueRefusedError(Refusal(f"cannot be written as JSON: {error}")) from error
    if len(data) > MAX_BYTES:
        raise too_large(data)
    return data


def too_large(data: bytes) -> ValueRefusedError:
    """Return the error about *data*, which is a value as JSON and has more than `MAX_BYTES`."""
    rule = f"has {len(data):,} bytes as JSON, and {MAX_BYTES:,} are allowed"
    return ValueRefusedError(Refusal(rule, instead="a reference to it", code="too_large"))


def decode_value(data: bytes | msgspec.Raw) -> Any:
    """Decode what `encode_value` wrote. Every call makes a new value that is the caller's own."""
    return _decode(data)


def _refuse_what_json_changes(value: Any, depth: int, where: str) -> None:
    if isinstance(value, dict):
        if depth >= MAX_DEPTH:
            _refuse_deep()
        for key, item in value.items():
            if not isinstance(key, str):
                rule = f"has the key {key!r}: keys in JSON are text; use str({key!r})"
                raise ValueRefusedError(Refusal(rule, where))
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
    rule = f"is nested deeper than {MAX_DEPTH} levels"
    raise ValueRefusedError(Refusal(rule, instead="a flatter value", code="too_deep"))


def _refuse_object_or_scalar(value: Any, depth: int, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        rule, instead = f"is {value}: JSON has no such number", "None or text instead"
    elif isinstance(value, (set, frozenset)):
        rule, instead = "is a set: JSON has none", "sorted(...) or list(...) of it"
    elif isinstance(value, (bytes, bytearray, memoryview)):
        rule = "is bytes: JSON has none; decode it to text, or encode it as base64 yourself"
        instead = ""
    elif isinstance(value, msgspec.Raw):
        rule, instead = "is raw JSON, which may be anything", "msgspec.json.decode(...) of it"
    else:
        attributes = getattr(type(value), "__attrs_attrs__", ())
        fields = getattr(value, "__dataclass_fields__", [each.name for each in attributes])
        fields = getattr(value, "__struct_fields__", fields)
        if fields and depth >= MAX_DEPTH:
            _refuse_deep()
        for name in fields:
            _refuse_what_json_changes(getattr(value, name, None), depth + 1, f"{where}.{name}")
        return
    raise ValueRefusedError(Refusal(rule, where, instead))
