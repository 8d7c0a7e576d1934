"""From plain data to a draft of a flow: every field by its own rule, and names that must exist.

In sentences tasks and conditions are counted from 1, in pointers from 0.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.plan import END
from flowmgr.language.definition import ConditionDefinition, FlowDefinition, TaskDefinition
from flowmgr.language.fields import (
    MAX_NAME_LENGTH,
    Fields,
    any_text,
    filled_text,
    flow_id,
    identifier,
    name,
    task_name,
)
from flowmgr.language.findings import Findings, Names, capitalised, join, kind_of, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from actors.outcome import OutcomeStatus

MAX_VISITS_LIMIT: Final = 10_000

_FLOW_FIELDS = (
    "id",
    "name",
    "description",
    "start_task",
    "tasks",
    "conditions",
    "max_visits",
    "metadata",
)
_TASK_FIELDS = ("name", "description", "activity", "at_most_once", "metadata")
_CONDITION_FIELDS = (
    "name",
    "description",
    "source_task",
    "outcome",
    "target_task_success",
    "target_task_failure",
)
_OUTCOMES: dict[str, OutcomeStatus] = {"success": "success", "failure": "failure"}


class Draft(msgspec.Struct, frozen=True):
    """What could be read of a flow.

    Attributes:
        pointer: where the flow is in the document.
        id: its id, if it has one.
        start_task: a name of `tasks`; None when there was a problem with it.
        max_visits: None when there was a problem with it.
        tasks: those with a readable name, by their position in the document.
        conditions: those whose source is a task, by their position in the document.
    """

    pointer: str
    id: str | None
    name: str
    start_task: str | None
    max_visits: int | None
    description: str
    metadata: dict[str, Any]
    tasks: dict[int, TaskDefinition]
    conditions: dict[int, ConditionDefinition]

    def definition(self, new_id: Callable[[], str]) -> FlowDefinition:
        """The definition. Only for a draft that was read without a problem."""
        return FlowDefinition(
            id=self.id or new_id(),
            name=self.name,
            start_task=self.start_task or "",
            tasks=tuple(self.tasks.values()),
            conditions=tuple(self.conditions.values()),
            description=self.description,
            max_visits=self.max_visits or 1,
            metadata=self.metadata,
        )


def unwrap(document: object, findings: Findings) -> Fields | None:
    """Find the flow in its wrapping: {"flow": ...}, {"flow_data": {"flow": ...}} or none."""
    found = _as_fields(document, "", "the document", findings)
    if found is not None and "flow_data" in found.data:
        found = _open(found, "flow_data", findings)
        if found is not None and not found.required("flow"):
            found.refuse_unknown(("flow",))
            return None
    if found is not None and "flow" in found.data:
        found = _open(found, "flow", findings)
    if found is not None:
        found.subject = "the flow"
    return found


def read_flow(flow: Fields) -> Draft:
    """Read the fields of a flow, of its tasks and of its conditions."""
    flow.refuse_unknown(_FLOW_FIELDS)
    read_id = flow.optional_text("id", flow_id)
    read_name = flow.required_text("name", filled_text)
    tasks = _read_tasks(flow)
    # A task called "end" is refused already. Nothing can refer to it: it would mean the target.
    names = Names(task.name for task in tasks.values() if task.name != END) if tasks else None
    return Draft(
        pointer=flow.pointer,
        id=read_id,
        name=read_name or "",
        start_task=_read_start(flow, names),
        max_visits=flow.optional_integer("max_visits", 1, 1, MAX_VISITS_LIMIT),
        description=flow.optional_text("description", any_text) or "",
        metadata=flow.optional_object("metadata"),
        tasks=tasks,
        conditions=_read_conditions(flow, names),
    )


def _open(wrapping: Fields, field: str, findings: Findings) -> Fields | None:
    wrapping.refuse_unknown((field,))
    return _as_fields(
        wrapping.data[field], join(wrapping.pointer, field), f"field '{field}'", findings
    )


def _as_fields(value: object, pointer: str, subject: str, findings: Findings) -> Fields | None:
    if isinstance(value, dict):
        return Fields(value, pointer, subject, findings)
    message = f"{capitalised(subject)} must be an object, not {kind_of(value)}"
    findings.add(pointer, "wrong_type", message)
    return None


def _items(flow: Fields, field: str, kind: str, least: int) -> Iterator[tuple[int, Fields]]:
    for index, item in enumerate(flow.required_list(field, least=least) or ()):
        pointer = join(flow.pointer, field, index)
        subject = f"{kind} {index + 1}"
        if isinstance(item, dict) and isinstance(named := item.get("name"), str) and named:
            subject += f" ({quote(named)})"
        fields = _as_fields(item, pointer, subject, flow.findings)
        if fields is not None:
            yield index, fields


def _read_tasks(flow: Fields) -> dict[int, TaskDefinition]:
    tasks: dict[int, TaskDefinition] = {}
    first: dict[str, int] = {}
    for index, fields in _items(flow, "tasks", "task", least=1):
        task = _read_task(fields)
        if task is None:
            continue
        tasks[index] = task
        if task.name in first:
            message = f"Duplicate task name: {quote(task.name)}"
            hint = f"Task {first[task.name] + 1} has it already; give each task its own name"
            fields.add("name", "duplicate_name", message, hint)
        first.setdefault(task.name, index)
    return tasks


def _read_task(fields: Fields) -> TaskDefinition | None:
    fields.refuse_unknown(_TASK_FIELDS)
    read_name = fields.required_text("name", task_name)
    description = fields.optional_text("description", any_text)
    activity = fields.optional_text("activity", identifier)
    at_most_once = fields.optional_boolean("at_most_once")
    metadata = fields.optional_object("metadata")
    if read_name is None:
        return None
    return TaskDefinition(read_name, description or "", activity, metadata, at_most_once)


def _read_start(flow: Fields, names: Names | None) -> str | None:
    start = flow.required_text("start_task", filled_text)
    if start is None or names is None or start in names:
        return start
    if start.strip():
        message = f"start_task {quote(start)} not found in tasks"
        flow.add("start_task", "unknown_task", message, _meant(start, names, flow.findings))
    return None


def _read_conditions(flow: Fields, names: Names | None) -> dict[int, ConditionDefinition]:
    sources = names
    targets = None if names is None else Names([*names, END])
    conditions: dict[int, ConditionDefinition] = {}
    unnamed: list[int] = []
    for index, fields in _items(flow, "conditions", "condition", least=0):
        fields.refuse_unknown(_CONDITION_FIELDS)
        read_name = fields.optional_text("name", name)
        source = _read_reference(fields, "source_task", sources)
        outcome = _read_outcome(fields)
        matched = _read_reference(fields, "target_task_success", targets)
        otherwise = END
        if fields.data.get("target_task_failure") is not None:
            otherwise = _read_reference(fields, "target_task_failure", targets) or END
        description = fields.optional_text("description", any_text) or ""
        if source is None:
            continue
        if read_name is None:
            unnamed.append(index)
        conditions[index] = ConditionDefinition(
            read_name or "", source, matched or END, outcome, otherwise, description
        )
    return _name(conditions, unnamed)


def _read_reference(fields: Fields, field: str, names: Names | None) -> str | None:
    """The name of a task (or "end") that must exist; None when there is a problem with it."""
    value = fields.required_text(field, filled_text)
    if value is None or names is None or not value.strip():
        return None
    if value in names:
        return value
    subject = capitalised(fields.subject)
    hint = _meant(value, names, fields.findings)
    if value.strip().lower() == END and END not in names:
        hint = f"'{END}' ends the execution, so that nothing comes after it; name a task"
    fields.add(field, "unknown_task", f"{subject} uses unknown {field}: {quote(value)}", hint)
    return None


def _meant(wrong: str, names: Names, findings: Findings) -> str | None:
    if findings.is_full or not names:
        return None
    return names.suggestion(wrong) or f"The names are: {names.listing()}"


def _read_outcome(fields: Fields) -> OutcomeStatus:
    value = fields.data.get("outcome")
    if value is None:
        return "success"
    if isinstance(value, str) and value in _OUTCOMES:
        return _OUTCOMES[value]
    shown = quote(value) if isinstance(value, str) else kind_of(value)
    hint = Names(_OUTCOMES).suggestion(value) if isinstance(value, str) else None
    subject = capitalised(fields.subject)
    message = f"{subject} has invalid outcome: {shown} (expected 'success' or 'failure')"
    fields.add("outcome", "invalid_outcome", message, hint)
    return "success"


def _name(
    conditions: dict[int, ConditionDefinition], unnamed: list[int]
) -> dict[int, ConditionDefinition]:
    """Give the conditions without a name one of their own: their source and a number."""
    taken = {condition.name for condition in conditions.values()}
    counted: Counter[str] = Counter()
    for index in unnamed:
        condition = conditions[index]
        # Long sources are cut, so that a generated name passes the rule for names.
        base = condition.source_task[: MAX_NAME_LENGTH - 8]
        generated = ""
        while not generated or generated in taken:
            counted[base] += 1
            generated = f"{base}-{counted[base]}"
        taken.add(generated)
        conditions[index] = msgspec.structs.replace(condition, name=generated)
    return conditions
