"""What clients were told: every answer is a promise that the checker will come back to."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from typing import Any, NamedTuple

ENDED = frozenset({"completed", "failed", "cancelled"})


class Change(NamedTuple):
    """A request to change an execution.

    Attributes:
        kind: cancel, pause, resume, retry or skip.
        reason: its reason, which no other request has.
        status: of the answer; None if there was none.
    """

    kind: str
    reason: str
    status: int | None


class Ledger:
    """Takes down what is sent and what is answered; for use by many threads.

    Attributes:
        tags: how each start was sent, by the tag in its context: its flow's id and its key.
        starts: the executions that a start was answered with, by its tag.
        views: the last answer about each execution that said that it had ended.
        changes: what was asked of each execution, in the order of the answers.
        deletions: the executions that were asked to be deleted, and the answer's status; None if
            there was none.
        counts: how many requests had which end: "start ok", "start lost".
        wrong: answers that should never be given.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.tags: dict[str, tuple[str, str | None]] = {}
        self.starts: dict[str, set[str]] = defaultdict(set)
        self.views: dict[str, dict[str, Any]] = {}
        self.changes: dict[str, list[Change]] = defaultdict(list)
        self.deletions: dict[str, int | None] = {}
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    def sent(self, tag: str, flow_id: str, key: str | None) -> None:
        """A start is about to be sent, perhaps not for the first time."""
        with self._lock:
            self.tags[tag] = (flow_id, key)

    def started(self, tag: str, view: dict[str, Any]) -> None:
        """A start was answered."""
        with self._lock:
            self.starts[tag].add(view["execution_id"])
        self.saw(view)

    def saw(self, view: dict[str, Any]) -> None:
        """An answer has shown an execution."""
        if view["status"] in ENDED:
            with self._lock:
                self.views[view["execution_id"]] = view

    def changed(self, execution_id: str, change: Change) -> None:
        """A change was answered, or its answer has been lost."""
        with self._lock:
            self.changes[execution_id].append(change)

    def deleted(self, execution_id: str, status: int | None) -> None:
        """A request to delete was answered, or its answer has been lost."""
        with self._lock:
            self.deletions[execution_id] = status

    def count(self, what: str, end: str) -> None:
        with self._lock:
            self.counts[f"{what} {end}"] += 1

    def is_wrong(self, text: str) -> None:
        with self._lock:
            self.wrong.append(text)

    @property
    def acknowledged(self) -> set[str]:
        """The executions that a start was answered with."""
        with self._lock:
            return set().union(*self.starts.values())

    @property
    def done(self) -> int:
        """How many requests did what they asked for."""
        with self._lock:
            return sum(n for what, n in self.counts.items() if what.endswith(" ok"))
