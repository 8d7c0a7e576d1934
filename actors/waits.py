"""What the scopes of an execution wait for: when it is due, and which signal it is."""

from __future__ import annotations

import heapq
from collections import deque

from actors.events import AttemptFailed, WaitStarted
from actors.forks import flow_end, fork_ends
from actors.plan import Plan
from actors.state import ExecutionState


class Waits:
    """Finds the waiting scopes of an execution by time and by signal.

    It only remembers where to look; whether a scope still waits is what the state says.
    """

    __slots__ = ("_dues", "_listening")

    def __init__(self) -> None:
        self._dues: list[tuple[float, str]] = []
        self._listening: dict[str, deque[str]] = {}

    def add(self, wait: WaitStarted | AttemptFailed) -> None:
        """Note what a scope waits for."""
        if wait.due is not None:
            heapq.heappush(self._dues, (wait.due, wait.scope))
        if isinstance(wait, WaitStarted) and wait.signal is not None:
            self._listening.setdefault(wait.signal, deque()).append(wait.scope)

    def add_all(self, state: ExecutionState) -> None:
        """Note what all scopes wait for, those that began to wait first before the others."""
        self._dues.clear()
        self._listening.clear()
        waits = [scope.wait for _, scope in state.all_scopes() if scope.wait is not None]
        for wait in sorted(waits, key=lambda wait: wait.at):
            self.add(wait)

    def next_due(self, state: ExecutionState) -> float | None:
        """Return when the first scope is due; None if none ever is."""
        dues = self._dues
        while dues and not _is_waiting(state, *dues[0]):
            heapq.heappop(dues)
        return dues[0][0] if dues else None

    def take_due(self, state: ExecutionState, at: float) -> list[tuple[float, str]]:
        """Return, and forget, what is due at the time *at*: the instants and the scopes."""
        found = []
        while (due := self.next_due(state)) is not None and due <= at:
            found.append((due, heapq.heappop(self._dues)[1]))
        return found

    def take_listener(self, state: ExecutionState, signal: str) -> WaitStarted | None:
        """Return, and forget, what has waited for *signal* longest; None if nothing does."""
        listening = self._listening.get(signal)
        while listening:
            path = listening.popleft()
            wait = None if (scope := state.find(path)) is None else scope.wait
            if isinstance(wait, WaitStarted) and wait.signal == signal:
                return wait
        return None


def earliest_due(plan: Plan, state: ExecutionState, waits: Waits | None = None) -> float | None:
    """Return when something has to happen in an execution at the latest; None if never.

    Args:
        plan: what it runs.
        state: how it stands.
        waits: finds its waiting scopes; None if there are none.
    """
    dues: list[float | None] = [] if waits is None else [waits.next_due(state)]
    dues.append(flow_end(plan, state))
    dues += fork_ends(plan, state)
    return min((due for due in dues if due is not None), default=None)


def _is_waiting(state: ExecutionState, due: float, path: str) -> bool:
    scope = state.find(path)
    return scope is not None and scope.wait is not None and scope.wait.due == due
