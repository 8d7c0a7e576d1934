"""The words of the language: which fields there are, and which task can have which of them."""

from __future__ import annotations

import typing
from typing import Final

from flowmgr.language.definition import TaskKind

FLOW_FIELDS: Final = (
    "id",
    "name",
    "description",
    "start_task",
    "tasks",
    "conditions",
    "max_visits",
    "metadata",
    "timeout",
    "input",
    "output",
    "finally",
)
BODY_FIELDS: Final = ("start_task", "tasks", "conditions", "max_visits")
CONDITION_FIELDS: Final = (
    "name",
    "description",
    "source_task",
    "when",
    "outcome",
    "target_task_success",
    "target_task_failure",
)
RETRY_FIELDS: Final = (
    "maximum_attempts",
    "initial_interval",
    "backoff_coefficient",
    "maximum_interval",
    "non_retryable_error_types",
    "jitter",
)
COMPENSATION_FIELDS: Final = ("activity", "arguments", "retry", "timeout")

KINDS: Final[tuple[TaskKind, ...]] = typing.get_args(TaskKind)

ANY_TASK_FIELDS: Final = ("name", "kind", "description", "metadata")
_ATTEMPTS: Final = ("output", "retry", "timeout", "deadline", "compensate")

KIND_FIELDS: Final[dict[TaskKind, tuple[str, ...]]] = {
    "activity": ("activity", "arguments", *_ATTEMPTS, "at_most_once"),
    "http": ("request", "expect", *_ATTEMPTS, "at_most_once"),
    "wait": ("seconds", "until"),
    "signal": ("signal", "schema", "timeout", "output", "compensate"),
    "flow": ("flow", "version", "arguments", *_ATTEMPTS),
    "parallel": ("branches", "join", "on_failure", *_ATTEMPTS),
    "map": (
        "items",
        "as",
        "do",
        "flow",
        "arguments",
        "max_concurrency",
        "tolerated_failures",
        "on_failure",
        *_ATTEMPTS,
    ),
    "set": ("values", "compensate"),
    "raise": ("type", "message", "data"),
}
"""The fields of a task by its kind, beside those that any task can have."""

REQUIRED_FIELDS: Final[dict[TaskKind, tuple[str, ...]]] = {
    "http": ("request",),
    "flow": ("flow",),
    "parallel": ("branches",),
    "map": ("items",),
    "set": ("values",),
    "raise": ("type",),
}
"""Those that a task of the kind must have, beside its name."""

TASK_FIELDS: Final = tuple(
    dict.fromkeys([*ANY_TASK_FIELDS, *(name for names in KIND_FIELDS.values() for name in names)])
)
"""Every field that a task of some kind can have."""


def kinds_with(field: str) -> list[str]:
    """The kinds of tasks that can have a field."""
    return [kind for kind, fields in KIND_FIELDS.items() if field in fields]
