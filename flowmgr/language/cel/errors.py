"""What can be wrong with the source of an expression."""

from __future__ import annotations

from typing import Final

MAX_SHOWN: Final = 80
"""Characters of an expression that an error repeats."""


class ExpressionSyntaxError(ValueError):
    """An expression cannot be used as it is written: the message says what, where and the way out.

    Attributes:
        message: what is wrong, without the place.
        at: the offset in the source where it is, if there is one place.
    """

    def __init__(self, message: str, at: int | None = None) -> None:
        super().__init__(message if at is None else f"{message} (at character {at + 1})")
        self.message = message
        self.at = at
