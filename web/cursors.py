"""Cursors: where the next page of a list begins. Clients are not to look inside."""

from __future__ import annotations

import base64
import binascii
from typing import Final, NoReturn

from flowmgr.language.findings import quote
from web.parameters import refuse_parameter

MAX_DIGITS: Final = 15
"""Digits that a number in a cursor may have: no list is that long."""


def encode_cursor(position: str) -> str:
    """Return the cursor that leads behind *position*."""
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """Return the position in *cursor*.

    Raises:
        RequestError: no answer of this server had such a cursor.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        position = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        position = ""
    return position or _refuse(cursor)


def decode_number_cursor(cursor: str) -> int:
    """Return the position in *cursor*, a number.

    Raises:
        RequestError: no answer of this server had such a cursor.
    """
    position = decode_cursor(cursor)
    if not position.isascii() or not position.isdigit() or len(position) > MAX_DIGITS:
        _refuse(cursor)
    return int(position)


def _refuse(cursor: str) -> NoReturn:
    message = f"The cursor {quote(cursor)} is not one"
    refuse_parameter(
        "cursor", "invalid_cursor", message, "Use the next_cursor of an answer as it is"
    )
