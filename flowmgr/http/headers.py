"""The headers that a task can set: their names, and the texts that they can have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from flowmgr.language.texts import Fault

_OWN_HEADERS: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that belong to the connection, and are made here."""

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
_HEADER_TEXT = re.compile(r"[\t\x20-\x7e]*")


def header_name_faults(names: Iterable[str]) -> Iterator[tuple[str, Fault]]:
    """Yield those of *names* that headers of one request cannot have together, and why."""
    seen: set[str] = set()
    for name in names:
        if not _TOKEN.fullmatch(name):
            yield name, Fault("invalid_text", "has a name with characters that no header has")
        elif name.lower() in _OWN_HEADERS:
            rule = "cannot be set: it belongs to the connection"
            yield name, Fault("reserved_name", rule, "Leave it out")
        elif name.lower() in seen:
            hint = "Keep one of them: upper and lower case do not differ in headers"
            yield name, Fault("duplicate_name", "is there twice", hint)
        seen.add(name.lower())


def header_text_fault(text: str) -> Fault | None:
    """Return why no header can have *text*; None if one can."""
    if _HEADER_TEXT.fullmatch(text):
        return None
    rule = "has characters that a header cannot have: only ASCII, no line breaks"
    return Fault("invalid_text", rule)
