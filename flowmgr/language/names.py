"""Names that mean nothing where they stand: see `flowmgr.language.validation`.

Expressions can speak of all names everywhere; what is not known yet, or not any more, is null.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowmgr.language.expressions import names_in
from flowmgr.language.findings import Findings, capitalised, join, quote
from flowmgr.language.templates import names_in_template
from flowmgr.language.texts import BINDABLE

if TYPE_CHECKING:
    from flowmgr.language.bodies import BodyDraft
    from flowmgr.language.definition import TaskDefinition
    from flowmgr.language.reading import Draft

_GIVEN: Final = (
    "arguments",
    "request",
    "seconds",
    "until",
    "items",
    "values",
    "type",
    "message",
    "data",
)
"""The fields that are evaluated before the task has a result."""

_BEFORE: Final = frozenset({"result", "error"})
_BEHIND_SUCCESS: Final = frozenset({"error"})
_AT_THE_END: Final = frozenset({"result", "error", "task"})


class _Use(NamedTuple):
    """That an expression speaks of names that mean nothing where it stands.

    Attributes:
        pointer: where.
        subject: what has it, inside a sentence.
        names: the names.
    """

    pointer: str
    subject: str
    names: frozenset[str]


def warn_about_names(draft: Draft, warnings: Findings) -> None:
    """Warn about expressions that speak of what is always null where they stand."""
    for body in draft.bodies:
        before = _before(body)
        for index, task in body.tasks.items():
            subject = f"task {index + 1} ({quote(task.name)})"
            for use in _uses(task, join(body.pointer, "tasks", index), subject):
                _warn(use, before[task.name], warnings)
    if draft.output is not None:
        names = names_in(draft.output, _AT_THE_END)
        use = _Use(join(draft.body.pointer, "output"), "the 'output' of the flow", names)
        _warn(use, _last(draft.body), warnings)


def _uses(task: TaskDefinition, pointer: str, subject: str) -> Iterator[_Use]:
    templates: list[tuple[str, Any, frozenset[str]]] = [
        (field, getattr(task, field), _BEFORE) for field in _GIVEN
    ]
    if task.compensate is not None:
        templates.append(("compensate/arguments", task.compensate.arguments, _BEHIND_SUCCESS))
    for field, template, nothing in templates:
        about = f"the '{field.rpartition('/')[2]}' of {subject}"
        for place, names in names_in_template(template, nothing):
            yield _Use(f"{pointer}/{field}{place}", about, names)
    if task.output is not None:
        names = names_in(task.output, _BEHIND_SUCCESS)
        yield _Use(f"{pointer}/output", f"the 'output' of {subject}", names)


def _warn(use: _Use, finished: Collection[str], warnings: Findings) -> None:
    for name in sorted(use.names):
        what = "empty" if name == "task" else "null"
        message = f"{capitalised(use.subject)} speaks of '{name}', which is always {what} there"
        warnings.add(use.pointer, "always_null", message, _hint(name, finished))


def _hint(name: str, finished: Collection[str]) -> str:
    """Return the way out.

    Args:
        name: what means nothing.
        finished: the tasks, one of which has finished last.
    """
    if name == "error":
        return "What follows a failure is said by the 'when' of a condition"
    if name == "result" and len(finished) == 1:
        [task] = finished
        key = f"{task}_result"
        place = f"context.{key}" if BINDABLE.fullmatch(key) else f"context[{quote(key)}]"
        return f"Did you mean {place}? The results of all tasks are in the context"
    return "The results of all tasks are in the context, as context.NAME_result"


def _before(body: BodyDraft) -> dict[str, set[str]]:
    """The tasks that lead to each task."""
    before: dict[str, set[str]] = defaultdict(set)
    for condition in body.conditions.values():
        for target in condition.targets:
            before[target].add(condition.source_task)
    return before


def _last(body: BodyDraft) -> list[str]:
    """The tasks after which nothing comes."""
    sources = {condition.source_task for condition in body.conditions.values()}
    return [task.name for task in body.tasks.values() if task.name not in sources]
