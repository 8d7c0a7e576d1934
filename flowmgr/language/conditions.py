"""Reading conditions: names of tasks that must exist, and where to go from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from actors.outcome import OutcomeStatus
from actors.plan import END
from flowmgr.language.definition import ConditionDefinition, define
from flowmgr.language.fields import Fields
from flowmgr.language.findings import Findings, Names, capitalised, kind_of, quote
from flowmgr.language.formulas import read_predicate
from flowmgr.language.texts import MAX_NAME_LENGTH, any_text, filled_text, name
from flowmgr.language.vocabulary import CONDITION_FIELDS

_OUTCOMES: dict[str, OutcomeStatus] = {"success": "success", "failure": "failure"}


def read_conditions(
    listed: Iterable[tuple[int, Fields]], names: Names | None
) -> dict[int, ConditionDefinition]:
    """Read the conditions of a body.

    Args:
        listed: each with its position.
        names: those of the body's tasks; None if they are not known.

    Returns:
        Those whose source is a task, by their position.
    """
    targets = None if names is None else Names([*names, END])
    conditions: dict[int, ConditionDefinition] = {}
    unnamed: list[int] = []
    for index, fields in listed:
        condition = _read_condition(fields, names, targets)
        if condition is not None:
            conditions[index] = condition
            if not condition.name:
                unnamed.append(index)
    return _name(conditions, unnamed)


def what_was_meant(wrong: str, names: Names, findings: Findings) -> str | None:
    """A hint about the name of a task that does not exist."""
    if findings.is_full or not names:
        return None
    return names.suggestion(wrong) or f"The names are: {names.listing()}"


def _read_condition(
    fields: Fields, sources: Names | None, targets: Names | None
) -> ConditionDefinition | None:
    fields.refuse_unknown(CONDITION_FIELDS)
    read_name = fields.optional_text("name", name)
    source = _read_reference(fields, "source_task", sources)
    outcome = _read_outcome(fields)
    matched = _read_reference(fields, "target_task_success", targets)
    otherwise = END
    if fields.data.get("target_task_failure") is not None:
        otherwise = _read_reference(fields, "target_task_failure", targets) or END
    description = fields.optional_text("description", any_text) or ""
    when = read_predicate(fields, "when")
    if source is None:
        return None
    return define(
        ConditionDefinition,
        name=read_name or "",
        source_task=source,
        target_task_success=matched or END,
        outcome=outcome,
        target_task_failure=otherwise,
        description=description,
        when=when,
    )


def _read_reference(fields: Fields, field: str, names: Names | None) -> str | None:
    """The name of a task (or "end") that must exist; None when there is a problem with it."""
    value = fields.required_text(field, filled_text)
    if value is None or names is None or not value.strip():
        return None
    if value in names:
        return value
    subject = capitalised(fields.subject)
    hint = what_was_meant(value, names, fields.findings)
    if value.strip().lower() == END and END not in names:
        hint = f"'{END}' ends the execution, so that nothing comes after it; name a task"
    fields.add(field, "unknown_task", f"{subject} uses unknown {field}: {quote(value)}", hint)
    return None


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
