"""What the operators do, with the types of CEL: integers of 64 bits, and no conversions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NoReturn

from actors.expressions import ExpressionError
from flowmgr.language.cel.run import Run

_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1
_LONG: Final = 1024
_PAIR_STEPS: Final = 2

_KINDS: Final[dict[type, str]] = {
    type(None): "null",
    bool: "bool",
    int: "int",
    float: "double",
    str: "string",
    list: "list",
    tuple: "list",
    dict: "map",
}
_NUMBERS: Final = frozenset({int, float})


def type_name(value: Any) -> str:
    """What CEL calls the type of *value*."""
    return _KINDS.get(type(value), type(value).__name__)


def whole(number: int) -> int:
    """Return *number*, which has to have 64 bits at most.

    Raises:
        ExpressionError: it has more.
    """
    if _LEAST <= number <= _MOST:
        return number
    raise ExpressionError("an integer is too large: they have 64 bits; use double(...)")


def arithmetic(run: Run, operator: str, left: Any, right: Any) -> Any:
    """``left operator right`` for ``+ - * / %``."""
    kind = type(left)
    if kind is type(right):
        if kind is int:
            return whole(_INTEGERS[operator](left, right))
        if kind is float and operator in _DOUBLES:
            return _DOUBLES[operator](left, right)
        if operator == "+" and kind is str:
            run.spend((len(left) + len(right)) >> 6)
            return left + right
        if operator == "+" and kind is list:
            run.spend((len(left) + len(right)) >> 4)
            return left + right
    return _refuse(operator, left, right)


def _refuse(operator: str, left: Any, right: Any) -> NoReturn:
    kinds = type_name(left), type_name(right)
    message = f"{kinds[0]} {operator} {kinds[1]} is not possible"
    if set(kinds) == {"int", "double"}:
        message += "; convert one of them with int(...) or double(...)"
    elif operator == "+" and "string" in kinds:
        message += "; convert with string(...)"
    raise ExpressionError(message)


def _divide(left: int, right: int) -> int:
    if right == 0:
        raise ExpressionError("division by zero")
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _remainder(left: int, right: int) -> int:
    if right == 0:
        raise ExpressionError("the remainder of a division by zero")
    whole(_divide(left, right))
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


def _divide_doubles(left: float, right: float) -> float:
    if right != 0:
        return left / right
    if left == 0 or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


_INTEGERS: Final[dict[str, Callable[[int, int], int]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divide,
    "%": _remainder,
}
_DOUBLES: Final[dict[str, Callable[[float, float], float]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divide_doubles,
}


def negate(value: Any) -> Any:
    """``-value``."""
    if type(value) is int:
        return whole(-value)
    if type(value) is float:
        return -value
    raise ExpressionError(f"-{type_name(value)} is not possible; only numbers have a sign")


def order(run: Run, operator: str, left: Any, right: Any) -> bool:
    """``left operator right`` for ``< <= > >=``."""
    kind, other = type(left), type(right)
    if kind is str and other is str:
        run.spend(min(len(left), len(right)) >> 10)
    elif not (kind in _NUMBERS and other in _NUMBERS) and not (kind is bool and other is bool):
        _refuse(operator, left, right)
    if operator == "<":
        return bool(left < right)
    if operator == "<=":
        return bool(left <= right)
    return bool(left > right if operator == ">" else left >= right)


def equal(run: Run, left: Any, right: Any) -> bool:
    """``left == right``: of different types they differ, but for int and double."""
    kind, other = type(left), type(right)
    if kind is str and other is str:
        if len(left) > _LONG:
            run.spend(len(left) >> 10)
        return bool(left == right)
    if kind is not other:
        return kind in _NUMBERS and other in _NUMBERS and bool(left == right)
    if kind is list:
        return len(left) == len(right) and _equal_items(run, left, right)
    if kind is dict:
        return len(left) == len(right) and _equal_entries(run, left, right)
    return bool(left == right)


def _equal_items(run: Run, left: list[Any], right: list[Any]) -> bool:
    for item, other in zip(left, right, strict=True):
        run.spend(_PAIR_STEPS)
        if not equal(run, item, other):
            return False
    return True


def _equal_entries(run: Run, left: dict[str, Any], right: dict[str, Any]) -> bool:
    for key, item in left.items():
        run.spend(_PAIR_STEPS)
        if key not in right or not equal(run, item, right[key]):
            return False
    return True


def contained(run: Run, item: Any, container: Any) -> bool:
    """``item in container``: an item of a list, or a key of an object."""
    if type(container) is dict:
        return type(item) is str and item in container
    if type(container) is not list:
        message = (
            f"{type_name(item)} in {type_name(container)} is not possible; only lists and maps"
        )
        raise ExpressionError(f"{message} have members (texts have text.contains(...))")
    if type(item) is str or item is None:
        size = len(item) if item else 0
        run.spend((len(container) >> 2) + len(container) * (size >> 10))
        return item in container
    for each in container:
        run.spend(1)
        if equal(run, item, each):
            return True
    return False
