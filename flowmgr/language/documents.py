"""The one door for JSON that comes from outside: read exactly, or refused with a reason.

Reading is done by msgspec, which is fast and strict but accepts duplicate keys, says little about
what it refuses and can exhaust the C stack on deep nesting. So the depth is measured before it
decodes, duplicates are looked for after it, and what it refuses is read a second time by the
lenient decoder in `flowmgr.language.unreadable`, to say what and where.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

import msgspec

from actors.values import ValueRefusedError, encode_value
from flowmgr.errors import ContextError, DocumentError, Problem
from flowmgr.language.findings import kind_of
from flowmgr.language.unreadable import explain, place

MAX_DOCUMENT_DEPTH: Final = 100
MAX_CONTEXT_BYTES: Final = 1_048_576

_decode = msgspec.json.Decoder().decode

# Strings are whole tokens, so that brackets in them do not count. The possessive quantifiers and
# the optional last quote keep it linear: a string that never ends is one token, tried once.
_NESTING_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{\]}]', re.DOTALL)


def parse_json(text: bytes, *, max_depth: int = MAX_DOCUMENT_DEPTH) -> Any:
    """Read a JSON document exactly as it was sent.

    Args:
        text: the document.
        max_depth: levels of objects and lists that it may have.

    Returns:
        Plain data: dict, list, str, int, float, bool and None.

    Raises:
        DocumentError: for text that is not UTF-8, not JSON, empty or nested too deep, and for JSON
            that would not be read as it was meant: duplicate keys, NaN and infinity (numbers too
            large for a float among them), integers too long to read, and lone surrogates.
    """
    if text.count(b"[") + text.count(b"{") > max_depth:
        _refuse_deep(text, max_depth)
    try:
        value = _decode(text)
    except (msgspec.MsgspecError, ValueError) as error:
        raise explain(text) from error
    # Each key has its own colon in the text. As many keys as colons: no key was sent twice.
    if text.count(b":") != _count_keys(value):
        _refuse_duplicate_keys(text)
    return value


def check_context(context: object, *, max_bytes: int = MAX_CONTEXT_BYTES) -> bytes:
    """Check the context that an execution is to start with, and encode it.

    Its size is that of the text which ``json.dumps(context, ensure_ascii=False)`` writes, in UTF-8.

    Args:
        context: an object with text keys; None for an empty one.
        max_bytes: how large it may be.

    Returns:
        The context as compact JSON.

    Raises:
        ContextError: when it is not an object, not JSON, too large or too deep. The pointers of its
            problems lead into the context.
    """
    if context is None:
        return b"{}"
    try:
        encoded = encode_value(context)
    except ValueRefusedError as error:
        _refuse_context(*refusal(error, "context"))
    if not encoded.startswith(b"{"):
        message = f"The context must be an object, not {kind_of(context)}"
        _refuse_context("wrong_type", message, 'Name the value, as in {"value": ...}')
    # The spaces and the other spelling of numbers cannot double the length.
    if 2 * len(encoded) > max_bytes and (size := _written_size(encoded)) > max_bytes:
        limit = "1MB" if max_bytes == MAX_CONTEXT_BYTES else f"{max_bytes} bytes"
        message = f"Context too large: {size} bytes (max {limit})"
        hint = "Keep large data where the activities can fetch it, and send a reference to it"
        _refuse_context("too_large", message, hint)
    return encoded


def refusal(error: ValueRefusedError, name: str) -> tuple[str, str]:
    """The code and the sentence for *error*, of a value that was sent.

    Args:
        error: what `encode_value` raised.
        name: what the value is called.
    """
    return error.refusal.code, error.refusal.sentence(name, "send")


def _refuse_deep(text: bytes, max_depth: int) -> None:
    at = _too_deep_at(text, max_depth)
    if at is None:
        return
    message = f"The document is nested deeper than {max_depth} levels, at {place(text, at)}"
    raise DocumentError(message, [Problem("", "too_deep", message, "Send a flatter document")])


def _too_deep_at(text: bytes, max_depth: int) -> int | None:
    """Where *text* is nested deeper than *max_depth* for the first time; None if nowhere."""
    depth = 0
    for token in _NESTING_TOKEN.finditer(text):
        start = token.start()
        match text[start : start + 1]:
            case b"[" | b"{":
                depth += 1
                if depth > max_depth:
                    return start
            case b"]" | b"}":
                depth -= 1
    return None


def _count_keys(value: object) -> int:
    count = 0
    pending: list[object] = [value]
    while pending:
        value = pending.pop()
        if type(value) is dict:
            count += len(value)
            pending += value.values()
        elif type(value) is list:
            pending += value
    return count


class _DuplicateKeyError(Exception):
    """Some object of the document has a key twice."""


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise _DuplicateKeyError


_decode_distinct = json.JSONDecoder(object_pairs_hook=_distinct).decode


def _refuse_duplicate_keys(text: bytes) -> None:
    try:
        _decode_distinct(text.decode())
    except _DuplicateKeyError as error:
        raise explain(text) from error


def _written_size(encoded: bytes) -> int:
    return len(json.dumps(_decode(encoded), ensure_ascii=False).encode())


def _refuse_context(code: str, message: str, hint: str | None = None) -> NoReturn:
    raise ContextError(message, [Problem("", code, message, hint)])
