"""What is refused of an expression before it is evaluated, although it parses."""

from __future__ import annotations

from typing import Final

from actors.expressions import NAMES
from flowmgr.language.cel.errors import MAX_SHOWN, ExpressionSyntaxError
from flowmgr.language.cel.functions import FUNCTIONS
from flowmgr.language.cel.matching import check_pattern
from flowmgr.language.cel.nodes import Call, Chain, Literal, Macro, Name, Node, Path
from flowmgr.language.cel.parser import MACROS
from flowmgr.language.findings import Names, shorten

MAX_DEPTH: Final = 64
"""Levels of parts: what the stack of a thread has to hold when they are evaluated."""


def check(node: Node, variable: str | None = None, depth: int = 0) -> None:
    """Check *node* and everything in it.

    Args:
        node: the part.
        variable: the variable of the macro that it is in.
        depth: how many parts it is in.

    Raises:
        ExpressionSyntaxError: an unknown name or function, a wrong number of arguments, a
            comprehension inside of another, a pattern that is not constant, or too many levels.
    """
    if depth > MAX_DEPTH:
        message = f"It is nested deeper than {MAX_DEPTH} levels; split it, or flatten it"
        raise ExpressionSyntaxError(message, node.start)
    if isinstance(node, Name):
        _check_name(node, variable)
    elif isinstance(node, Call):
        _check_call(node)
    elif isinstance(node, Chain):
        _check_chain(node, variable)
    elif isinstance(node, Macro):
        _check_macro(node, variable)
        check(node.target, None, depth + 1)
        for body in node.bodies:
            check(body, node.variable, depth + 1)
        return
    for child in node.children():
        check(child, variable, depth + 1)


def _check_name(node: Name, variable: str | None) -> None:
    if node.name in NAMES or node.name == variable:
        return
    known = Names([*NAMES, *([variable] if variable else [])])
    hint = known.suggestion(node.name) or f"There are {known.listing()}"
    message = f"There is no name '{shorten(node.name, MAX_SHOWN)}'. {hint}"
    if node.name in MACROS or node.name in FUNCTIONS:
        message = f"'{node.name}' is a function; call it, as in {node.name}(...)"
    raise ExpressionSyntaxError(message, node.start)


def _check_chain(node: Chain, variable: str | None) -> None:
    """Refuse a minus that was meant to be a part of a key: `context.fetch-users_result`."""
    left = node.first
    for operator, right in node.rest:
        name = right.operand if isinstance(right, Path) else right
        if (
            operator == "-"
            and isinstance(left, Path)
            and isinstance(name, Name)
            and name.name not in {*NAMES, variable}
            and right.start == left.end + 1
            and isinstance(key := left.steps[-1].key, str)
        ):
            before, behind = shorten(key, MAX_SHOWN), shorten(name.name, MAX_SHOWN)
            message = (
                f"There is no name '{behind}' to subtract. A key that has a '-' is "
                f'written in brackets, as in context["{before}-{behind}"]'
            )
            raise ExpressionSyntaxError(message, name.start)
        left = right


def _check_macro(node: Macro, outer: str | None) -> None:
    if outer is not None:
        message = f"'{node.name}' is inside of another comprehension; they do not nest"
        message += ": go through the lists one after the other, or do it in an activity"
        raise ExpressionSyntaxError(message, node.start)
    if node.variable in NAMES:
        message = f"'{node.variable}' is a name of its own; call the variable something else"
        raise ExpressionSyntaxError(message, node.start)


def _check_call(node: Call) -> None:
    if node.name == "matches":
        _check_matches(node)
        return
    function = FUNCTIONS.get(node.name)
    if function is None:
        known = Names([*FUNCTIONS, *MACROS, "matches", "has"])
        hint = known.suggestion(node.name) or f"There are {known.listing()}"
        message = f"There is no function '{shorten(node.name, MAX_SHOWN)}'. {hint}"
        if node.name in MACROS:
            message = f"'{node.name}' belongs to a list, as in list.{node.name}(x, ...)"
        raise ExpressionSyntaxError(message, node.start)
    given = len(node.arguments) + (node.target is not None)
    if given != len(function.kinds) or (node.target is not None) not in function.forms:
        raise ExpressionSyntaxError(f"'{node.name}' is used as {function.usage}", node.start)


def _check_matches(node: Call) -> None:
    pattern = node.arguments[0] if len(node.arguments) == 1 else None
    if (
        node.target is None
        or not isinstance(pattern, Literal)
        or not isinstance(pattern.value, str)
    ):
        message = (
            "'matches' is used as text.matches(\"pattern\"), with a pattern that is a constant"
        )
        raise ExpressionSyntaxError(message, node.start)
    problem = check_pattern(pattern.value)
    if problem is not None:
        raise ExpressionSyntaxError(problem, pattern.start)
