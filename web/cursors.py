"""Cursors: where the next page of a list begins. Clients are not to look inside.

A cursor has the path of its list, a colon, and a position, which has no colon. Those that were
handed out before this was so have a position only, and are taken for those of any list.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final, NoReturn

from flowmgr.language.findings import quote
from web.parameters import refuse_parameter
from web.requests import AnyRequest

MAX_DIGITS: Final = 15
"""Digits that a number in a cursor may have: no list is that long."""


def encode_cursor(request: AnyRequest, position: str) -> str:
    """Return the cursor that leads behind *position* in the list that is asked for."""
    text = f"{_list_of(request)}:{position}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(request: AnyRequest, cursor: str) -> str:
    """Return the position in *cursor*.

    Raises:
        RequestError: no answer of this server had such a cursor, or one of another list.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        text = ""
    its_list, _, position = text.rpartition(":")
    if not position:
        _refuse(cursor)
    if its_list not in {"", _list_of(request)}:
        message = (
            f"The cursor {quote(cursor)} is one of the list {quote(its_list)}, not of this one"
        )
        refuse_parameter("cursor", "invalid_cursor", message, "Ask that list, or leave it out")
    return position


def decode_number_cursor(request: AnyRequest, cursor: str) -> int:
    """Return the position in *cursor*, a number.

    Raises:
        RequestError: no answer of this server had such a cursor, or one of another list.
    """
    position = decode_cursor(request, cursor)
    if not position.isascii() or not position.isdigit() or len(position) > MAX_DIGITS:
        _refuse(cursor)
    return int(position)


def _list_of(request: AnyRequest) -> str:
    path: str = request.scope["path"]
    return path.rstrip("/")


def _refuse(cursor: str) -> NoReturn:
    message = f"The cursor {quote(cursor)} is not one"
    refuse_parameter(
        "cursor", "invalid_cursor", message, "Use the next_cursor of an answer as it is"
    )
