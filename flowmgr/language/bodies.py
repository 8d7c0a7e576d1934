"""Reading a body: its tasks, those that have bodies themselves among them, and its conditions.

In sentences tasks and conditions are counted from 1, in pointers from 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from actors.plan import END
from flowmgr.language.conditions import read_conditions, what_was_meant
from flowmgr.language.definition import BodyDefinition, ConditionDefinition, TaskDefinition
from flowmgr.language.fields import Fields
from flowmgr.language.findings import Names, capitalised, join, kind_of, quote
from flowmgr.language.tasks import read_task
from flowmgr.language.texts import filled_text
from flowmgr.language.vocabulary import BODY_FIELDS

MAX_VISITS_LIMIT: Final = 10_000
MAX_BODY_DEPTH: Final = 20
"""How deep bodies may be inside of each other, that of the flow not counted."""


class BodyDraft(msgspec.Struct, frozen=True):
    """What could be read of a body.

    Attributes:
        pointer: where it is in the document.
        start_task: a name of `tasks`; None when there was a problem with it.
        max_visits: None when there was a problem with it.
        tasks: those with a readable name, by their position in the document.
        conditions: those whose source is a task, by their position in the document.
    """

    pointer: str
    start_task: str | None
    max_visits: int | None
    tasks: dict[int, TaskDefinition]
    conditions: dict[int, ConditionDefinition]

    def definition(self) -> BodyDefinition:
        """The definition, of use only if there was no problem."""
        return BodyDefinition(
            self.start_task or "",
            tuple(self.tasks.values()),
            tuple(self.conditions.values()),
            self.max_visits or 1,
        )


class BodyReader:
    """Reads bodies, and keeps what it has read.

    Attributes:
        bodies: every body that could be read; those inside of another come before it.
    """

    def __init__(self) -> None:
        self.bodies: list[BodyDraft] = []

    def read(self, fields: Fields, depth: int = 0) -> BodyDraft:
        """Read the body that an object has, whatever else it has; *depth* others are around it."""
        tasks = self._read_tasks(fields, depth)
        # A task called "end" is refused already. Nothing can refer to it: it would be the target.
        names = Names(task.name for task in tasks.values() if task.name != END) if tasks else None
        if depth:
            listed = fields.optional_list("conditions")
        else:
            listed = fields.required_list("conditions", least=0) or ()
        body = BodyDraft(
            pointer=fields.pointer,
            start_task=_read_start(fields, names, is_optional=depth > 0),
            max_visits=fields.optional_integer("max_visits", 1, 1, MAX_VISITS_LIMIT),
            tasks=tasks,
            conditions=read_conditions(_items(fields, "conditions", "condition", listed), names),
        )
        self.bodies.append(body)
        return body

    def read_inner(self, fields: Fields, depth: int) -> BodyDefinition | None:
        """Read an object that is a body and nothing else; None if it is too deep to be looked at.

        This is where reading recurs, no more than `MAX_BODY_DEPTH` times; the bound is also that of
        whatever follows the definition down.
        """
        if depth > MAX_BODY_DEPTH:
            message = f"{capitalised(fields.subject)} is inside of {MAX_BODY_DEPTH} other bodies"
            hint = (
                "Put the inner ones into a flow of their own, and run it with a task of kind flow"
            )
            fields.findings.add(fields.pointer, "too_deep", message, hint)
            return None
        fields.refuse_unknown(BODY_FIELDS)
        return self.read(fields, depth).definition()

    def _read_tasks(self, fields: Fields, depth: int) -> dict[int, TaskDefinition]:
        tasks: dict[int, TaskDefinition] = {}
        first: dict[str, int] = {}
        listed = fields.required_list("tasks", least=1) or ()
        for index, each in _items(fields, "tasks", "task", listed):
            task = read_task(each, lambda inner: self.read_inner(inner, depth + 1))
            if task is None:
                continue
            tasks[index] = task
            if task.name in first:
                message = f"Duplicate task name: {quote(task.name)}"
                hint = f"Task {first[task.name] + 1} has it already; give each task its own name"
                each.add("name", "duplicate_name", message, hint)
            first.setdefault(task.name, index)
        return tasks


def _items(
    fields: Fields, field: str, kind: str, listed: Sequence[Any]
) -> Iterator[tuple[int, Fields]]:
    for index, item in enumerate(listed):
        pointer = join(fields.pointer, field, index)
        subject = f"{kind} {index + 1}"
        if not isinstance(item, dict):
            message = f"{capitalised(subject)} must be an object, not {kind_of(item)}"
            fields.findings.add(pointer, "wrong_type", message)
            continue
        if isinstance(named := item.get("name"), str) and named:
            subject += f" ({quote(named)})"
        yield index, Fields(item, pointer, subject, fields.findings)


def _read_start(fields: Fields, names: Names | None, *, is_optional: bool) -> str | None:
    if is_optional and fields.data.get("start_task") is None:
        return _only_task(fields, names)
    start = fields.required_text("start_task", filled_text)
    if start is None or names is None or start in names:
        return start
    if start.strip():
        message = f"start_task {quote(start)} not found in tasks"
        hint = what_was_meant(start, names, fields.findings)
        fields.add("start_task", "unknown_task", message, hint)
    return None


def _only_task(fields: Fields, names: Names | None) -> str | None:
    """The task that a body begins with which does not say so: it may have only one."""
    listed = fields.data.get("tasks")
    if names is None or not isinstance(listed, (list, tuple)):
        return None
    if len(listed) == 1:
        return next(iter(names), None)
    message = f"Missing required field: 'start_task' in {fields.subject}, which has several tasks"
    fields.add("start_task", "missing_field", message)
    return None
