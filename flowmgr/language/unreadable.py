"""Why a document cannot be read: a second, lenient reading of it that keeps what is wrong.

Only documents that were refused come here, so this is written to be clear and linear, not fast.
"""

from __future__ import annotations

import codecs
import json
import math
from collections import Counter
from typing import Any, Final, NamedTuple

from flowmgr.errors import DocumentError, told
from flowmgr.language.findings import SURROGATE, Findings, join, quote, shorten

MAX_INTEGER_DIGITS: Final = 4300

_BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def explain(text: bytes) -> DocumentError:
    """Say what is wrong with *text*, which is not nested too deep for the C stack."""
    findings = Findings()
    _explain_bytes(text, findings)
    if not findings:
        _explain_text(text.decode(), findings)
    if not findings:
        findings.add("", "malformed_json", "The document is not JSON")
    problems = findings.listed()
    return DocumentError(told(problems), problems)


def place(text: bytes, offset: int) -> str:
    """The line and column of a byte, both from 1."""
    line = text.count(b"\n", 0, offset) + 1
    column = offset - text.rfind(b"\n", 0, offset)
    return f"line {line}, column {column}"


def _explain_bytes(text: bytes, findings: Findings) -> None:
    if text.startswith(_BYTE_ORDER_MARKS):
        message = "The document starts with a byte order mark"
        findings.add("", "byte_order_mark", message, "Send it as UTF-8 without one")
    elif not text.strip(b" \t\r\n"):
        findings.add("", "empty_document", "The document is empty", "Send a JSON document")
    else:
        try:
            text.decode()
        except UnicodeDecodeError as error:
            found = f"byte {text[error.start]:#04x} at offset {error.start}"
            message = f"The document is not UTF-8: {found} ({error.reason})"
            findings.add("", "not_utf8", message, "Encode the document as UTF-8")


def _explain_text(text: str, findings: Findings) -> None:
    try:
        value = _decode_leniently(text)
    except json.JSONDecodeError as error:
        reason = f"{error.msg[:1].lower()}{error.msg[1:]}".removesuffix(" at")
        message = f"The document is not JSON: {reason} at line {error.lineno}, column {error.colno}"
        hint = "JSON has no comments, trailing commas or single quotes"
        findings.add("", "malformed_json", message, hint)
    else:
        _collect(value, findings)


class _Place(NamedTuple):
    # A pointer made for every value would cost the length of all keys above it each time.
    # This links to the place above instead, and the pointer is made for findings only.
    above: _Place | None
    token: str | int

    def pointer(self) -> str:
        tokens: list[str | int] = []
        place: _Place = self
        while place.above is not None:
            tokens.append(place.token)
            place = place.above
        return join("", *reversed(tokens))


class _UnreadableNumber(NamedTuple):
    code: str
    message: str
    hint: str


class _RepeatingObject(dict[str, Any]):
    repeated: list[str]


def _collect(value: object, findings: Findings) -> None:
    pending: list[tuple[_Place, object]] = [(_Place(None, ""), value)]
    while pending and not findings.is_full:
        place, value = pending.pop()
        if isinstance(value, dict):
            _collect_keys(place, value, findings)
            items = [(_Place(place, key), item) for key, item in value.items()]
            pending += reversed(items)
        elif isinstance(value, list):
            pending += reversed([(_Place(place, n), item) for n, item in enumerate(value)])
        elif isinstance(value, _UnreadableNumber):
            findings.add(place.pointer(), value.code, value.message, value.hint)
        elif isinstance(value, str) and SURROGATE.search(value):
            _add_surrogate(place, f"The text {quote(value)}", findings)


def _collect_keys(place: _Place, value: dict[str, Any], findings: Findings) -> None:
    for key in value:
        if SURROGATE.search(key):
            _add_surrogate(place, f"The key {quote(key)}", findings)
    if isinstance(value, _RepeatingObject):
        for key in value.repeated:
            message = f"The key {quote(key)} is there more than once in the same object"
            hint = "Keep one of them: which one counts would be a guess"
            findings.add(_Place(place, key).pointer(), "duplicate_key", message, hint)


def _add_surrogate(place: _Place, subject: str, findings: Findings) -> None:
    message = f"{subject} has half of a surrogate pair, which is no character"
    hint = "Write the character itself, or both halves of the pair"
    findings.add(place.pointer(), "lone_surrogate", message, hint)


def _note_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    repeating = _RepeatingObject(value)
    counted = Counter(key for key, _ in pairs)
    repeating.repeated = [key for key, count in counted.items() if count > 1]
    return repeating


def _note_constant(text: str) -> _UnreadableNumber:
    return _UnreadableNumber("not_finite", f"{text} is not a JSON number", "Send null or text")


def _note_float(text: str) -> float | _UnreadableNumber:
    if math.isfinite(number := float(text)):
        return number
    message = f"The number {shorten(text)} is too large for a floating-point number"
    return _UnreadableNumber("not_finite", message, "Send a smaller number, or text")


def _note_integer(text: str) -> int | _UnreadableNumber:
    digits = len(text.removeprefix("-"))
    if digits <= MAX_INTEGER_DIGITS:
        return int(text)
    message = f"The integer {shorten(text)} has {digits} digits, more than {MAX_INTEGER_DIGITS}"
    return _UnreadableNumber("integer_too_long", message, "Send it as text")


_decode_leniently = json.JSONDecoder(
    object_pairs_hook=_note_repeated,
    parse_constant=_note_constant,
    parse_float=_note_float,
    parse_int=_note_integer,
).decode
