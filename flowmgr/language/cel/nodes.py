"""The parts of an expression. Chains are flat, so that depth is only what is nested."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression.

    Attributes:
        start: where it begins in the source.
        end: where it ends.
    """

    start: int
    end: int

    def children(self) -> Iterator[Node]:
        """The parts of this part."""
        for each in fields(self):
            yield from _nodes_in(getattr(self, each.name))


def _nodes_in(value: Any) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _nodes_in(item)


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A number, a text, true, false or null."""

    value: Any


@dataclass(frozen=True, slots=True)
class Name(Node):
    """One of the names that an expression can speak of, or the variable of a macro."""

    name: str


@dataclass(frozen=True, slots=True)
class Step(Node):
    """One step of a path: ``.field`` or ``[key]``."""

    key: Node | str


@dataclass(frozen=True, slots=True)
class Path(Node):
    """A value and the steps that lead into it."""

    operand: Node
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Has(Node):
    """``has(operand.field)``."""

    operand: Node
    field: str


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function, or with a target a method."""

    name: str
    target: Node | None
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Macro(Node):
    """A comprehension: it goes through the items of a list or the keys of an object."""

    name: str
    target: Node
    variable: str
    bodies: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """``!`` or ``-``, one or several times."""

    operator: str
    count: int
    operand: Node


@dataclass(frozen=True, slots=True)
class Chain(Node):
    """Operators of one rank, from left to right."""

    first: Node
    rest: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """``&&`` or ``||`` between two or more."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice(Node):
    """``condition ? then : otherwise``."""

    condition: Node
    then: Node
    otherwise: Node


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    """``[a, b]``."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ObjectOf(Node):
    """``{"a": b}``."""

    entries: tuple[tuple[Node, Node], ...]
