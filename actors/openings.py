"""What tells a scope from those that had its path before it."""

from __future__ import annotations

from collections.abc import Iterator

from actors.paths import is_of_the_end, is_opened_by_a_task, split
from actors.state import ExecutionState


def opening(state: ExecutionState, scope: str) -> str:
    """Return a text that tells the scope *scope*, as it stands, from others with its path.

    A scope that is opened again counts its visits anew: so those of the tasks around it count, and
    for what belongs to the end, when the execution was last made to go on. It is the same after a
    recovery, and empty for a scope that is the first of its path.
    """
    text = ""
    if is_of_the_end(scope) and state.runs_since != state.started_at:
        text = f";{state.runs_since!r}"
    visits = list(_visits_around(state, scope))
    if all(each == 1 for each in visits):
        return text
    return f"{text};{','.join(map(str, visits))}"


def _visits_around(state: ExecutionState, scope: str) -> Iterator[int]:
    """Return the visits of the tasks around a scope, the innermost first."""
    while is_opened_by_a_task(scope):
        scope, task, _ = split(scope)
        yield state.scope(scope).visits.get(task, 1)
