"""Expressions of a flow: compiled when it is registered, evaluated within a bound."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, Final

from actors.expressions import NAMES, ExpressionError
from actors.values import decode_value, encode_value
from flowmgr.language.cel.checks import check
from flowmgr.language.cel.errors import ExpressionSyntaxError
from flowmgr.language.cel.evaluation import compile_node
from flowmgr.language.cel.nodes import Literal, Name, Node, Path
from flowmgr.language.cel.operators import type_name
from flowmgr.language.cel.parser import parse
from flowmgr.language.cel.run import Run
from flowmgr.language.findings import SURROGATE, kind_of, quote

__all__ = [
    "MAX_SOURCE",
    "CompiledExpression",
    "ExpressionSyntaxError",
    "compile_expression",
    "compile_predicate",
    "names_in",
]

_CONTAINER_STEPS: Final = 4

MAX_SOURCE: Final = 4096
"""Bytes of UTF-8 that an expression may have."""


def compile_expression(source: str) -> CompiledExpression:
    """Compile an expression in CEL over the names in `NAMES`.

    Returns:
        An expression whose value is plain JSON, and the caller's own. Evaluating it takes a
        bounded number of steps, whatever the values are.

    Raises:
        ExpressionSyntaxError: it is not text, empty, too long, not in the language, speaks of an
            unknown name or function, or could take longer than the size of its values warrants.
    """
    return CompiledExpression(source, _checked(source))


def compile_predicate(source: str) -> CompiledExpression:
    """Compile a condition: an expression whose value has to be true or false.

    Evaluating it raises `ExpressionError` if it comes to anything else.

    Raises:
        ExpressionSyntaxError: as `compile_expression`.
    """
    return _Predicate(source, _checked(source))


def names_in(source: str, wanted: Collection[str]) -> frozenset[str]:
    """Those of *wanted* that an expression, which can be compiled, speaks of."""
    if not any(name in source for name in wanted):
        return frozenset()
    found: set[str] = set()
    pending = [parse(source)]
    while pending:
        node = pending.pop()
        if isinstance(node, Name) and node.name in wanted:
            found.add(node.name)
        pending.extend(node.children())
    return frozenset(found)


def _checked(source: object) -> Node:
    if not isinstance(source, str):
        raise ExpressionSyntaxError(f"An expression is a text, not {kind_of(source)}")
    if not source.strip():
        raise ExpressionSyntaxError("The expression is empty; write one, as in context.order.id")
    if SURROGATE.search(source):
        raise ExpressionSyntaxError("The expression has half of a character (a lone surrogate)")
    size = len(source.encode())
    if size > MAX_SOURCE:
        message = f"The expression has {size:,} bytes, and {MAX_SOURCE:,} are allowed"
        raise ExpressionSyntaxError(f"{message}; do it in an activity")
    node = parse(source)
    check(node)
    return node


class CompiledExpression:
    """An expression that has been compiled.

    Attributes:
        source: as its author wrote it.
    """

    __slots__ = ("_evaluate", "_is_path", "source")

    def __init__(self, source: str, node: Node) -> None:
        self.source = source
        self._evaluate = compile_node(node, source)
        self._is_path = _is_path(node)

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """Evaluate it alone; see `actors.expressions.Expression`."""
        return self.run(Run(values))

    def run(self, run: Run) -> Any:
        """Evaluate it as a part of something that has one bound for all of its parts.

        Raises:
            ExpressionError: it has no value, or there are too few steps left for it.
        """
        try:
            value = self._evaluate(run)
            return _own(run, value) if self._is_path else _plain(run, value)
        except ExpressionError as error:
            raise ExpressionError(f"The expression {quote(self.source)}: {error}") from error
        except (ArithmeticError, RecursionError, ValueError, TypeError) as error:
            message = f"The expression {quote(self.source)} cannot be evaluated: {error}"
            raise ExpressionError(message) from error


class _Predicate(CompiledExpression):
    """A condition that has been compiled."""

    __slots__ = ()

    def run(self, run: Run) -> bool:
        value = super().run(run)
        if value is True or value is False:
            return value
        message = f"The condition {quote(self.source)} is {type_name(value)}, not a bool"
        raise ExpressionError(f"{message}; compare it with something")


def _is_path(node: Node) -> bool:
    """Whether *node* only selects, so that what it comes to is as bounded as the values are."""
    if not isinstance(node, Path):
        return isinstance(node, Name) and node.name in NAMES
    keys = [step.key for step in node.steps]
    return _is_path(node.operand) and all(isinstance(key, (str, Literal)) for key in keys)


def _own(run: Run, value: Any) -> Any:
    if isinstance(value, str):
        run.spend(len(value) >> 6)  # it is shared here, but not where a template repeats it
    if not isinstance(value, (list, dict)):
        return value
    encoded = encode_value(value)
    run.spend(len(encoded) >> 6)
    return decode_value(encoded)


def _plain(run: Run, value: Any) -> Any:
    """Return a copy of *value* that shares no list and no object with anything."""
    if type(value) is list:
        run.spend(_CONTAINER_STEPS)
        return [_plain(run, item) for item in value]
    if type(value) is dict:
        run.spend(_CONTAINER_STEPS + len(value))
        return {key: _plain(run, item) for key, item in value.items()}
    run.spend(1 + (len(value) >> 6) if type(value) is str else 1)
    if type(value) is float and not math.isfinite(value):
        raise ExpressionError(f"it comes to {value}, and JSON has no such number")
    return value
