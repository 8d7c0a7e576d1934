"""Where tasks lead: questions about a directed graph.

Linear, and without recursion: flows may be very long.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from actors.plan import END
from flowmgr.language.definition import ConditionDefinition

Edges = Mapping[str, Sequence[str]]
"""Where each node leads. A node without an entry leads nowhere."""


def find_cycle(start: str, edges: Edges) -> list[str] | None:
    """The first cycle met on the way from *start*, as [a, b, a]; None when there is none."""
    path = [start]
    position = {start: 0}  # of every node on the path
    ahead = [iter(edges.get(start, ()))]
    finished: set[str] = set()
    while path:
        node = next(ahead[-1], None)
        if node is None:
            ahead.pop()
            left = path.pop()
            del position[left]
            finished.add(left)
        elif node in position:
            return [*path[position[node] :], node]
        elif node not in finished:
            position[node] = len(path)
            path.append(node)
            ahead.append(iter(edges.get(node, ())))
    return None


def reachable(start: str, edges: Edges) -> set[str]:
    """The nodes that a way leads to from *start*, itself included."""
    found = {start}
    pending = [start]
    while pending:
        for node in edges.get(pending.pop(), ()):
            if node not in found:
                found.add(node)
                pending.append(node)
    return found


def transitions(conditions: Iterable[ConditionDefinition]) -> Edges:
    """Where *conditions* lead from each of their sources, "end" not counted."""
    edges: dict[str, list[str]] = {}
    for condition in conditions:
        targets = [target for target in condition.targets if target != END]
        edges.setdefault(condition.source_task, []).extend(targets)
    return edges
