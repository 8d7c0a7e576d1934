"""Reading a task: its kind, and the fields that tasks of its kind have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flowmgr.language.definition import TaskDefinition, TaskKind, define
from flowmgr.language.fields import Fields
from flowmgr.language.findings import Names, capitalised, kind_of, quote
from flowmgr.language.task_fields import READERS, Place, ReadBody
from flowmgr.language.texts import any_text, identifier, task_name
from flowmgr.language.vocabulary import (
    ANY_TASK_FIELDS,
    KIND_FIELDS,
    KINDS,
    REQUIRED_FIELDS,
    TASK_FIELDS,
    kinds_with,
)


def read_task(fields: Fields, read_body: ReadBody) -> TaskDefinition | None:
    """Read a task; None if it has no readable name."""
    kind = _read_kind(fields)
    _refuse_others(fields, kind)
    name = fields.required_text("name", task_name)
    description = fields.optional_text("description", any_text) or ""
    metadata = fields.optional_object("metadata")
    read = {} if kind is None else _read_kind_fields(fields, kind, read_body)
    if name is None:
        return None
    return define(
        TaskDefinition,
        name=name,
        description=description,
        metadata=metadata,
        kind=kind or "activity",
        **read,
    )


def _read_kind(fields: Fields) -> TaskKind | None:
    """The task's kind; None when there is a problem with it."""
    value = fields.data.get("kind")
    if value is None:
        return "activity"
    for kind in KINDS:
        if value == kind:
            return kind
    shown = quote(value) if isinstance(value, str) else kind_of(value)
    hint = f"The kinds are: {', '.join(KINDS)}"
    if isinstance(value, str) and (meant := Names(KINDS).suggestion(value)):
        hint = f"{meant} {hint}"
    message = f"{capitalised(fields.subject)} has an unknown kind: {shown}"
    fields.add("kind", "unknown_kind", message, hint)
    return None


def _refuse_others(fields: Fields, kind: TaskKind | None) -> None:
    """Note the fields that no task has, and those that only tasks of other kinds have."""
    if kind is None:
        fields.refuse_unknown(TASK_FIELDS)
        return
    own = (*ANY_TASK_FIELDS, *KIND_FIELDS[kind])
    others = [field for field in fields.data if field not in own and field in TASK_FIELDS]
    fields.refuse_unknown((*own, *others) if others else own, listed=own)
    for field in others:
        message = f"{capitalised(fields.subject)} is of kind '{kind}', which has no '{field}'"
        kinds = kinds_with(field)
        hint = f"Tasks of these kinds have it: {', '.join(kinds)}"
        fields.add(field, "field_not_allowed", message, hint)


def _read_kind_fields(fields: Fields, kind: TaskKind, read_body: ReadBody) -> dict[str, Any]:
    read: dict[str, Any] = {}
    required = REQUIRED_FIELDS.get(kind, ())
    for field in KIND_FIELDS[kind]:
        if field in required:
            if not fields.required(field):
                continue
        elif fields.data.get(field) is None:
            continue
        value = READERS[field](Place(fields, field, read_body))
        if value is not None:
            read["binds" if field == "as" else field] = value
    check = _CHECKS.get(kind)
    if check is not None:
        check(fields)
    return read


def _check_wait(fields: Fields) -> None:
    _require_one_of(fields, "seconds", "until")


def _check_signal(fields: Fields) -> None:
    """Refuse the name of a task that waits for the signal of its name if no signal has such one."""
    name = fields.data.get("name")
    if fields.data.get("signal") is not None or not isinstance(name, str) or task_name(name):
        return
    if fault := identifier(name):
        message = (
            f"{capitalised(fields.subject)} waits for a signal of its name, which no signal has"
        )
        hint = f"Give it a 'signal': {fault.hint}"
        fields.add("name", fault.code, message, hint)


def _check_map(fields: Fields) -> None:
    _require_one_of(fields, "do", "flow")
    if fields.data.get("arguments") is not None and fields.data.get("flow") is None:
        message = f"{capitalised(fields.subject)} has 'arguments', which only a 'flow' is given"
        hint = "Tasks inside of 'do' have the item and the context around it already"
        fields.add("arguments", "field_not_allowed", message, hint)


def _require_one_of(fields: Fields, one: str, other: str) -> None:
    has_one, has_other = (fields.data.get(field) is not None for field in (one, other))
    if has_one and has_other:
        message = f"{capitalised(fields.subject)} has both '{one}' and '{other}'"
        fields.add(other, "field_not_allowed", message, "Take one of them out")
    elif not has_one and not has_other:
        message = f"Missing required field: '{one}' or '{other}' in {fields.subject}"
        fields.add(one, "missing_field", message)


_CHECKS: Final[dict[TaskKind, Callable[[Fields], None]]] = {
    "wait": _check_wait,
    "signal": _check_signal,
    "map": _check_map,
}
