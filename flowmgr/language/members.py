"""What is refused of expressions, although they can be compiled: what would not mean what it says.

That is fields that a name does not have, and patterns that mean something else than in CEL. It is
refused when a flow is registered. One that has been registered goes on being compiled, whatever
this knows of by then.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from actors.expressions import FIELDS
from flowmgr.language.cel.errors import MAX_SHOWN, ExpressionSyntaxError
from flowmgr.language.cel.matching import misunderstood
from flowmgr.language.cel.nodes import Call, Has, Literal, Name, Node, Path
from flowmgr.language.cel.parser import parse
from flowmgr.language.findings import Names, shorten
from flowmgr.language.templates import TemplateError, sources_in_template

_SPEAKING: Final = frozenset(owner.partition(".")[0] for owner in FIELDS) | {"matches"}


def check_members(source: str) -> None:
    """Return if the names in an expression, which can be compiled, have the fields it speaks of.

    Raises:
        ExpressionSyntaxError: one has not, or a pattern means something else than in CEL.
    """
    if not any(name in source for name in _SPEAKING):
        return
    pending = [parse(source)]
    while pending:
        node = pending.pop()
        _check(node)
        _check_pattern(node)
        pending.extend(node.children())


def check_members_of_template(value: Any) -> None:
    """Return if that holds for all expressions in a template, which can be compiled.

    Raises:
        TemplateError: it does not.
    """
    problems = []
    for pointer, sources in sources_in_template(value):
        try:
            for source in sources:
                check_members(source)
        except ExpressionSyntaxError as error:
            problems.append((pointer, str(error)))
    if problems:
        raise TemplateError(problems)


def _check(node: Node) -> None:
    owner = ""
    for key, start in _way(node):
        known = FIELDS.get(owner)
        if known is not None and key not in known:
            names = Names(known)
            hint = names.suggestion(key) or f"There are {names.listing()}"
            message = f"'{owner}' has no '{shorten(key, MAX_SHOWN)}'. {hint}"
            raise ExpressionSyntaxError(message, start)
        owner = f"{owner}.{key}" if owner else key


def _check_pattern(node: Node) -> None:
    if isinstance(node, Call) and node.name == "matches":
        pattern = node.arguments[-1]
        wrong = misunderstood(str(pattern.value)) if isinstance(pattern, Literal) else None
        if wrong is not None:
            raise ExpressionSyntaxError(wrong, pattern.start)


def _way(node: Node) -> Iterator[tuple[str, int]]:
    """Yield a name and the fields, one in the other, that *node* leads to, and where they stand."""
    if isinstance(node, Name):
        yield node.name, node.start
    elif isinstance(node, Has):
        yield from _way(node.operand)
        yield node.field, node.start
    elif isinstance(node, Path):
        yield from _way(node.operand)
        for step in node.steps:
            key = step.key.value if isinstance(step.key, Literal) else step.key
            if not isinstance(key, str):
                return
            yield key, step.start
