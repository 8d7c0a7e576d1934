"""The rules that texts of a flow keep: names, ids, and what else there is to be said in one."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from actors.plan import END
from flowmgr.language.findings import SURROGATE, quote

MAX_NAME_LENGTH: Final = 128
ID_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
RESERVED_IDS: Final = frozenset({"execute", "validate"})

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
BINDABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


class Fault(NamedTuple):
    """The rule that a text breaks, as a sentence goes on after naming the field."""

    code: str
    rule: str
    hint: str | None = None


TextRule = Callable[[str], Fault | None]


def any_text(text: str) -> Fault | None:
    """Any text that can be written as UTF-8."""
    if text.isascii() or not SURROGATE.search(text):
        return None
    return Fault("invalid_text", "has half of a surrogate pair, which is no character")


def filled_text(text: str) -> Fault | None:
    """Text that is not only blanks."""
    return None if text.strip() else Fault("empty", "must be a non-empty string")


def name(text: str) -> Fault | None:
    """The name of a task or a condition."""
    if fault := filled_text(text):
        return fault
    if len(text) > MAX_NAME_LENGTH:
        rule = f"is {len(text):,} characters long; {MAX_NAME_LENGTH} are allowed: {quote(text)}"
        return Fault("too_long", rule)
    if _UNPRINTABLE.search(text):
        rule = f"must not have control characters or line breaks: {quote(text)}"
        return Fault("invalid_text", rule)
    return None


def task_name(text: str) -> Fault | None:
    """The name of a task."""
    if text == END:
        rule = f"must not be '{END}': that is the target that ends an execution"
        return Fault("reserved_name", rule, "Choose another name, such as 'finish'")
    return name(text)


def identifier(text: str) -> Fault | None:
    """An id that can stand in an address and in a file name."""
    if fault := filled_text(text):
        return fault
    if ID_PATTERN.fullmatch(text) and ".." not in text:
        return None
    hint = "1 to 128 of A-Z a-z 0-9 . _ - with a letter or digit first, and no '..'"
    return Fault("invalid_id", f"is not an id: {quote(text)}", hint)


def flow_id(text: str) -> Fault | None:
    """The id of a flow."""
    if text in RESERVED_IDS:
        rule = f"must not be {quote(text)}: /flows/{text} is an address of the API"
        return Fault("reserved_name", rule, "Choose another id")
    return identifier(text)


def bindable_name(text: str) -> Fault | None:
    """A name that expressions can use as ``context.NAME``."""
    if fault := filled_text(text):
        return fault
    if BINDABLE.fullmatch(text):
        return None
    hint = "1 to 128 of A-Z a-z 0-9 _ with no digit first"
    return Fault("invalid_text", f"cannot be used as context.{quote(text)[1:-1]}", hint)


def instant(text: str) -> Fault | None:
    """An instant in ISO 8601, with its offset from UTC."""
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is not None and found.tzinfo is not None:
        return None
    hint = "Write it as in 2030-01-31T09:00:00+01:00 or 2030-01-31T08:00:00Z"
    rule = "has no offset from UTC" if found is not None else "is not an instant in ISO 8601"
    return Fault("invalid_text", f"{rule}: {quote(text)}", hint)
