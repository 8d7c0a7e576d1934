"""One evaluation: what it may use, and how much work it has left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from actors.expressions import ExpressionError

MAX_STEPS: Final = 100_000
"""How much an evaluation may do: about 0.3 microseconds a step."""

ERROR_STEPS: Final = 8
"""What it costs to go on after the error of a part."""


class TooMuchError(ExpressionError):
    """The evaluation has done all that it may do."""


class Run:
    """One evaluation.

    Attributes:
        values: what the names in `actors.expressions.NAMES` stand for.
        item: the value of the variable of the macro that is going on. Macros do not nest, so that
            there is one at most.
        left: the steps that may still be done; `spend` counts them.
    """

    __slots__ = ("item", "left", "values")

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.item: Any = None
        self.left = MAX_STEPS

    def spend(self, steps: int) -> None:
        """Count work before it is done.

        Raises:
            TooMuchError: that is more than is left.
        """
        self.left -= steps
        if self.left < 0:
            message = (
                f"it takes more than {MAX_STEPS:,} steps with these values; "
                "use a smaller part of them, or do it in an activity"
            )
            raise TooMuchError(message)


class Evaluate(Protocol):
    """A compiled part of an expression."""

    def __call__(self, run: Run, /) -> Any:
        """Return its value.

        Raises:
            ExpressionError: it has none.
        """
