"""What the interpreter of flows knows: how far a scope has come, and what came of it all."""

import dataclasses
import math
from typing import Any, NamedTuple

NEVER = math.inf

APART = 0.01
"""Seconds that two instants have to be apart, for their order to be certain."""


class AmbiguousError(Exception):
    """What is to come of the story depends on an order that nobody has promised."""


class Outcome(NamedTuple):
    value: Any
    error: tuple[str, bool] | None
    """The error's type, and whether another attempt is of no use."""


class Finished(NamedTuple):
    at: float
    path: str
    task: str
    visit: int
    is_success: bool


class Signal(NamedTuple):
    at: float
    name: str
    value: Any


class Undo(NamedTuple):
    at: float
    path: str
    name: str
    task: dict
    context: dict
    outcome: Outcome


def success(value):
    return Outcome(value, None)


def failure(kind, *, is_final=False):
    return Outcome(None, (kind, is_final))


def expression_error():
    return failure("ExpressionError", is_final=True)


@dataclasses.dataclass
class Scope:
    """One run of a body: how far it has come."""

    body: dict
    path: str
    context: dict
    task: str
    is_visiting: bool = False
    visits: dict = dataclasses.field(default_factory=dict)
    attempts: dict = dataclasses.field(default_factory=dict)
    results: dict = dataclasses.field(default_factory=dict)
    failures: int = 0
    since: float = 0.0
    scopes: dict = dataclasses.field(default_factory=dict)
    outcome: Outcome | None = None
    ended_in: str = ""
    is_open: bool = False
    """Whether it was opened before its task began, as in a rerun from within it."""

    def copy(self):
        copies = {name: scope.copy() for name, scope in self.scopes.items()}
        changed = ("visits", "attempts", "results", "context")
        fresh = {name: dict(getattr(self, name)) for name in changed}
        return dataclasses.replace(self, scopes=copies, **fresh)

    def plan(self):
        return next(task for task in self.body["tasks"] if task["name"] == self.task)

    def go_on(self, now):
        """Have it go on in a further attempt of the task around it: at what failed, if that did.

        That has all its attempts and all its time again.
        """
        if self.outcome is None or not self.outcome.error:
            return
        last = next(reversed(self.results))
        if self.results[last].error:
            self.task, self.is_visiting, self.outcome = last, True, None
            self.since, self.failures = now, 0
        elif self.outcome.error[0] == "MaxVisitsExceeded":
            self.outcome = None


class Step(NamedTuple):
    """A scope on the way to a task, as it was when that began first; its own scopes live on."""

    body: dict
    path: str
    task: str
    context: dict
    scopes: dict


def step_at(scope):
    return Step(scope.body, scope.path, scope.task, dict(scope.context), scope.scopes)


def opened(body, path, context):
    return Scope(body, path, dict(context), body["start_task"])


@dataclasses.dataclass
class Ending:
    """What comes of a story."""

    status: str
    error: str | None
    error_task: str | None
    context: dict
    output: Any
    results: list
    finished: list
    compensated: list
    ended_at: float
