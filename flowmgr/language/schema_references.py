"""How often the parts of a JSON Schema lead to one another.

Checking a value follows every reference as often as there are ways to it. Two references to the
next definition, in each of thirty, are a billion ways; and a definition that refers to itself
twice for the same value doubles the work at each level of the value. Both are refused here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from flowmgr.language.findings import quote

MAX_WAYS: Final = 10_000
"""Ways through a schema that there may be: visits of its parts for one value."""

_AGAIN: Final = 3
"""How often what is beside `unevaluatedItems` or `unevaluatedProperties` is checked, if not more.

To know what is evaluated, jsonschema-rs 0.61 goes through it again: measured, each further level
of `anyOf` beside one takes 2.6 times as long.
"""

# Of these, one at most applies to any part of a value.
_DISJOINT: Final = ("additionalProperties", "items", "additionalItems")
_OBJECTS: Final = ("properties", "patternProperties", "dependentSchemas", "dependencies")
_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_SINGLE: Final = (
    *("not", "if", "then", "else", "contains", "propertyNames", "contentSchema"),
    *("unevaluatedItems", "unevaluatedProperties", *_DISJOINT),
)
_DEFINITIONS: Final = ("$defs", "definitions")
_CHILDREN: Final = "children"
_REFUSED: Final = ("$dynamicRef", "$recursiveRef")
_UNEVALUATED: Final = ("unevaluatedItems", "unevaluatedProperties")
_INDEX: Final = re.compile("[0-9]{1,9}")


class _Edge(NamedTuple):
    """That checking a part checks another one.

    Attributes:
        target: the pointer of the other.
        group: edges of one group never lead to the same value.
    """

    target: str
    group: str


class ReferencesError(ValueError):
    """The references of a schema cannot be followed, or not within a bound.

    Attributes:
        pointer: where in the schema, as a JSON Pointer.
    """

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer


def count_ways(document: Any) -> int:
    """Return how many ways there are through a schema: visits of its parts for one value, at most.

    Raises:
        ReferencesError: a reference does not lead to a place in the schema, or there is no bound.
    """
    graph = _graph(document)
    component = _components(graph)
    for pointer, edges in graph.items():
        again = [edge.group for edge in edges if component[edge.target] == component[pointer]]
        if len(set(again)) > 1:
            message = "It leads back to itself in more than one way, which doubles the work at each"
            raise ReferencesError(pointer, f"{message} level of a value; let one reference do it")
    return _ways(graph, component)


def _graph(document: Any) -> dict[str, list[_Edge]]:
    graph: dict[str, list[_Edge]] = {}
    pending: list[tuple[str, Any]] = [("", document)]
    while pending:
        pointer, schema = pending.pop()
        if pointer in graph:
            continue
        graph[pointer] = []
        if not isinstance(schema, dict):
            continue
        _refuse_other_bases(pointer, schema)
        for keyword, tokens, part in _parts(schema):
            target = _join(pointer, keyword, *tokens)
            graph[pointer].append(_Edge(target, _group(keyword, target)))
            pending.append((target, part))
        for keyword in _DEFINITIONS:
            if isinstance(schema.get(keyword), dict):
                parts = schema[keyword].items()
                pending += [(_join(pointer, keyword, name), part) for name, part in parts]
        if "$ref" in schema:
            target, part = _resolve(document, pointer, schema["$ref"])
            graph[pointer].append(_Edge(target, _join(pointer, "$ref")))
            pending.append((target, part))
        if not schema.keys().isdisjoint(_UNEVALUATED):
            graph[pointer] *= _AGAIN
    return graph


def _parts(schema: dict[str, Any]) -> Iterator[tuple[str, tuple[str | int, ...], Any]]:
    for keyword in _OBJECTS:
        if isinstance(schema.get(keyword), dict):
            for key, part in schema[keyword].items():
                yield keyword, (key,), part
    for keyword in _LISTS:
        if isinstance(schema.get(keyword), list):
            for position, part in enumerate(schema[keyword]):
                yield keyword, (position,), part
    for keyword in _SINGLE:
        if isinstance(schema.get(keyword), (dict, bool)):
            yield keyword, (), schema[keyword]


def _group(keyword: str, target: str) -> str:
    return _CHILDREN if keyword in {"properties", "prefixItems", *_DISJOINT} else target


def _refuse_other_bases(pointer: str, schema: dict[str, Any]) -> None:
    for keyword in _REFUSED:
        if keyword in schema:
            message = f"{keyword} cannot be used; write $ref with '#/...'"
            raise ReferencesError(_join(pointer, keyword), message)
    if pointer and isinstance(schema.get("$id"), str):
        message = "Only the whole schema may have an $id; refer to its parts with '#/...'"
        raise ReferencesError(_join(pointer, "$id"), message)


def _resolve(document: Any, pointer: str, reference: Any) -> tuple[str, Any]:
    where = _join(pointer, "$ref")
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        shown = quote(reference) if isinstance(reference, str) else "This"
        message = f"{shown} does not refer to a part of this schema, and nothing else is read"
        raise ReferencesError(where, f"{message}; copy it to $defs, and write '#/$defs/...'")
    target, part = "", document
    for token in reference.split("/")[1:]:
        key = _unescaped(token)
        if isinstance(part, dict) and key in part:
            part = part[key]
        elif isinstance(part, list) and _INDEX.fullmatch(key) and int(key) < len(part):
            part = part[int(key)]
        else:
            raise ReferencesError(where, f"There is nothing at {quote(reference)}")
        target = _join(target, key)
    return target, part


def _join(pointer: str, *tokens: str | int) -> str:
    """The JSON Pointer that leads from *pointer* on to *tokens*, all of them, however long."""
    texts = (str(token).replace("~", "~0").replace("/", "~1") for token in tokens)
    return "/".join((pointer, *texts))


def _unescaped(token: str) -> str:
    return unquote(token).replace("~1", "/").replace("~0", "~")


def _components(graph: dict[str, list[_Edge]]) -> dict[str, str]:
    """For each part a name that it shares with those that lead to it and that it leads to."""
    backwards: dict[str, list[str]] = {pointer: [] for pointer in graph}
    for pointer, edges in graph.items():
        for edge in edges:
            backwards[edge.target].append(pointer)
    component: dict[str, str] = {}
    for root in reversed(_finished(graph)):
        pending = [root]
        while pending:
            pointer = pending.pop()
            if pointer not in component:
                component[pointer] = root
                pending += backwards[pointer]
    return component


def _finished(graph: dict[str, list[_Edge]]) -> list[str]:
    """The parts, each after those that it leads to, but for those that lead back to it."""
    finished: list[str] = []
    seen: set[str] = set()
    for root in graph:
        pending = [(root, False)]
        while pending:
            pointer, is_done = pending.pop()
            if is_done:
                finished.append(pointer)
            elif pointer not in seen:
                seen.add(pointer)
                pending.append((pointer, True))
                pending += [(edge.target, False) for edge in graph[pointer]]
    return finished


def _ways(graph: dict[str, list[_Edge]], component: dict[str, str]) -> int:
    members: dict[str, list[str]] = {}
    order: dict[str, None] = {}
    for pointer in _finished(graph):
        members.setdefault(component[pointer], []).append(pointer)
        order.pop(component[pointer], None)
        order[component[pointer]] = None
    ways: dict[str, int] = {}
    for name in order:
        ways[name] = sum(
            _ways_on(graph[pointer], component, name, ways) for pointer in members[name]
        )
    return ways[component[""]]


def _ways_on(edges: list[_Edge], component: dict[str, str], name: str, ways: dict[str, int]) -> int:
    """The ways from one part on, those left out that stay among the parts called *name*."""
    leaving = [
        (edge.group, ways[component[edge.target]])
        for edge in edges
        if component[edge.target] != name
    ]
    child = max((count for group, count in leaving if group == _CHILDREN), default=0)
    return 1 + child + sum(count for group, count in leaving if group != _CHILDREN)
