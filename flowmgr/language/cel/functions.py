"""The functions and methods that expressions have. Each takes a time that its arguments bound."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from actors.expressions import ExpressionError
from flowmgr.language.cel.operators import type_name, whole
from flowmgr.language.cel.run import Run
from flowmgr.language.findings import shorten

MAX_NUMBER_LENGTH: Final = 400
MAX_SHOWN_VALUE: Final = 40

_SHORT: Final = 1e21
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_DOUBLE = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_UPPER = str.maketrans({chr(code): chr(code - 32) for code in range(ord("a"), ord("z") + 1)})
_LOWER = str.maketrans({chr(code): chr(code + 32) for code in range(ord("A"), ord("Z") + 1)})
_METHOD: Final = frozenset({True})
_FUNCTION: Final = frozenset({False})
_EITHER: Final = _METHOD | _FUNCTION
_SPACE: Final = " \t\n\v\f\r"


class Function(NamedTuple):
    """A function.

    Attributes:
        run: does it; the target of a method is the first argument.
        kinds: the types of its arguments, as CEL calls them; "" for any.
        forms: whether it may be called with a target before its name, as ``target.name(...)``.
        usage: how it is used.
    """

    run: Callable[..., Any]
    kinds: tuple[str, ...]
    forms: frozenset[bool]
    usage: str


def call(name: str, function: Function, run: Run, arguments: list[Any]) -> Any:
    """Call *function* after checking the types.

    Raises:
        ExpressionError: an argument is of another type, or the function has no result for it.
    """
    for kind, argument in zip(function.kinds, arguments, strict=True):
        if kind and type_name(argument) != kind:
            found = ", ".join(map(type_name, arguments))
            raise ExpressionError(f"{name} cannot be used with {found}; use {function.usage}")
    return function.run(run, *arguments)


def _size(_run: Run, value: Any) -> int:
    if isinstance(value, (str, list, dict)):
        return len(value)
    raise ExpressionError(f"{type_name(value)} has no size; texts, lists and maps have one")


def _contains(run: Run, text: str, part: str) -> bool:
    run.spend((len(text) + len(part)) >> 5)
    return part in text


def _starts(run: Run, text: str, part: str) -> bool:
    run.spend(len(part) >> 10)
    return text.startswith(part)


def _ends(run: Run, text: str, part: str) -> bool:
    run.spend(len(part) >> 10)
    return text.endswith(part)


def _int(_run: Run, value: Any) -> int:
    if type(value) is int:
        return whole(value)
    if type(value) is float and math.isfinite(value):
        return whole(int(value))
    if type(value) is str and len(value) <= MAX_NUMBER_LENGTH and _INTEGER.fullmatch(value):
        return whole(int(value))
    raise ExpressionError(f"int() cannot convert {_shown(value)}; it takes numbers, or their text")


def _double(_run: Run, value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        return float(whole(value))
    if type(value) is str and len(value) <= MAX_NUMBER_LENGTH and _DOUBLE.fullmatch(value):
        return float(value)
    raise ExpressionError(
        f"double() cannot convert {_shown(value)}; it takes numbers, or their text"
    )


def _shown(value: Any) -> str:
    if type(value) is str:
        return repr(shorten(value, MAX_SHOWN_VALUE))
    return type_name(value)


def _string(_run: Run, value: Any) -> str:
    if type(value) is str:
        return value
    if type(value) in (bool, int):
        return msgspec.json.encode(value).decode()
    if type(value) is float:
        is_short = value.is_integer() and abs(value) < _SHORT
        return str(int(value)) if is_short else "NaN" if math.isnan(value) else repr(value)
    raise ExpressionError(f"string() cannot convert {type_name(value)}; it takes plain values")


def _lower(run: Run, text: str) -> str:
    run.spend(len(text) >> 4)
    return text.translate(_LOWER)


def _upper(run: Run, text: str) -> str:
    run.spend(len(text) >> 4)
    return text.translate(_UPPER)


def _trim(run: Run, text: str) -> str:
    run.spend(len(text) >> 6)
    return text.strip(_SPACE)


def _split(run: Run, text: str, separator: str) -> list[str]:
    run.spend((len(text) >> 5) + (text.count(separator) >> 1))
    return text.split(separator) if separator else list(text)


def _join(run: Run, items: list[Any], separator: str) -> str:
    run.spend(len(items) + (len(items) * len(separator) >> 6))
    for item in items:
        if type(item) is not str:
            raise ExpressionError(f"join takes a list of texts, and there is {type_name(item)}")
        run.spend(len(item) >> 6)
    return separator.join(items)


def _replace(run: Run, text: str, old: str, new: str) -> str:
    run.spend(len(text) >> 5)
    run.spend(text.count(old) * (1 + (len(new) >> 6)))
    return text.replace(old, new)


FUNCTIONS: Final[dict[str, Function]] = {
    "size": Function(_size, ("",), _EITHER, "size(value)"),
    "contains": Function(_contains, ("string", "string"), _METHOD, "text.contains(part)"),
    "startsWith": Function(_starts, ("string", "string"), _METHOD, "text.startsWith(part)"),
    "endsWith": Function(_ends, ("string", "string"), _METHOD, "text.endsWith(part)"),
    "int": Function(_int, ("",), _FUNCTION, "int(value)"),
    "double": Function(_double, ("",), _FUNCTION, "double(value)"),
    "string": Function(_string, ("",), _FUNCTION, "string(value)"),
    "type": Function(lambda _run, value: type_name(value), ("",), _FUNCTION, "type(value)"),
    "dyn": Function(lambda _run, value: value, ("",), _FUNCTION, "dyn(value)"),
    "lowerAscii": Function(_lower, ("string",), _METHOD, "text.lowerAscii()"),
    "upperAscii": Function(_upper, ("string",), _METHOD, "text.upperAscii()"),
    "trim": Function(_trim, ("string",), _METHOD, "text.trim()"),
    "split": Function(_split, ("string", "string"), _METHOD, "text.split(separator)"),
    "join": Function(_join, ("list", "string"), _METHOD, "list.join(separator)"),
    "replace": Function(
        _replace, ("string", "string", "string"), _METHOD, "text.replace(old, new)"
    ),
}
"""By name. What is not here has no bound, or no result that JSON can hold."""
