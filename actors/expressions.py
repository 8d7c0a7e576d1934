"""Expressions of a flow, as the runtime sees them: what they are asked with, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

if TYPE_CHECKING:
    from actors.context import Context
    from actors.outcome import Outcome

NAMES: Final = ("context", "result", "error", "task", "execution")
"""What an expression can speak of."""

FIELDS: Final = {
    "error": ("type", "message", "data"),
    "task": ("name", "visit", "attempt"),
    "execution": ("id", "flow_id", "flow_version", "status", "error"),
    "execution.error": ("type", "message", "data", "task"),
}
"""The fields of those that always have the same ones, if they are not null."""


class ExpressionError(Exception):
    """An expression could not be evaluated; the message says which one and why.

    Attributes:
        field: the field of a task in which it stands, if a task's code is given what it comes to.
    """

    field = "arguments"


class Expression(Protocol):
    """A compiled expression, or a JSON value with expressions in it."""

    @property
    def source(self) -> str:
        """The expression as its author wrote it."""

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """Return what it comes to: a value that JSON can hold.

        Args:
            values: has a value for each of `NAMES`; only those that are used are asked for.

        Raises:
            ExpressionError: it has no value: something that it names is not there, or of a type
                that it cannot be used with.
        """


class Values(Mapping[str, Any]):
    """What expressions can speak of, each made when it is asked for first.

    Attributes:
        task: the task's ``name``, ``visit`` and ``attempt``.
    """

    __slots__ = ("_context", "_execution", "_made", "_outcome", "task")

    def __init__(
        self,
        context: Context,
        *,
        task: Mapping[str, Any],
        execution: Callable[[], dict[str, Any]],
        outcome: Outcome | None = None,
    ) -> None:
        """Make them of what they are made of.

        Args:
            context: what the scope has.
            task: see `Values.task`.
            execution: makes what they say of the execution, as `actors.ending.execution_values`.
            outcome: how the task has ended; None if it has not.
        """
        self._context = context
        self._outcome = outcome
        self.task = task
        self._execution = execution
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)

    def _make(self, name: str) -> Any:
        outcome = self._outcome
        if name == "context":
            return dict(self._context)
        if name == "result":
            return None if outcome is None else outcome.value
        if name == "error":
            error = None if outcome is None else outcome.error
            return None if error is None else error.as_value()
        if name == "task":
            return dict(self.task)
        if name == "execution":
            return self._execution()
        raise KeyError(name)


class Schema(Protocol):
    """A compiled JSON Schema."""

    def problems(self, value: Any) -> list[tuple[str, str]]:
        """Return what is wrong with *value*: JSON Pointers and sentences; empty if it is valid."""


def text_of(value: Any) -> str:
    """Return *value* as text inside of text: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
