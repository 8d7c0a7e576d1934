"""What is allowed but worth telling an author about: see `flowmgr.language.validation`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowmgr.language.findings import Findings, join, quote
from flowmgr.language.graph import find_cycle, reachable, transitions

if TYPE_CHECKING:
    from flowmgr.language.bodies import BodyDraft
    from flowmgr.language.definition import ConditionDefinition


def warn_about_conditions(body: BodyDraft, warnings: Findings) -> None:
    """Warn about conditions that never decide, read badly or share a name."""
    deciding: dict[str, ConditionDefinition] = {}
    first_named: dict[str, int] = {}
    for index, condition in body.conditions.items():
        pointer = join(body.pointer, "conditions", index)
        subject = f"Condition {index + 1} ({quote(condition.name)})"
        source = quote(condition.source_task)
        decides = deciding.get(condition.source_task)
        if decides is not None:
            message = f"{subject} can never be used: {quote(decides.name)} decides after {source}"
            hint = "The first condition of a task decides, unless it has a 'when' that is not true"
            warnings.add(pointer, "unused_condition", message, hint)
        elif condition.when is None:
            deciding[condition.source_task] = condition
        if condition.outcome == "failure":
            _warn_of_failure(pointer, subject, condition, warnings)
        named = first_named.setdefault(condition.name, index)
        if named != index:
            message = f"{subject} has the same name as condition {named + 1}"
            hint = "Give each condition its own name, to tell them apart in the history"
            warnings.add(join(pointer, "name"), "duplicate_condition_name", message, hint)


def warn_about_graph(body: BodyDraft, warnings: Findings) -> None:
    """Warn about tasks that never run, and `max_visits` without a cycle."""
    if body.start_task is None:
        return
    runs = reachable(body.start_task, transitions(_deciding(body)))
    for index, task in body.tasks.items():
        if task.name not in runs:
            message = f"Task {index + 1} ({quote(task.name)}) can never run: nothing leads to it"
            hint = "Make it the target of a condition, or take it out"
            warnings.add(join(body.pointer, "tasks", index), "unreachable_task", message, hint)
    if body.max_visits == 1 or find_cycle(body.start_task, transitions(body.conditions.values())):
        return
    message = f"'max_visits' is {body.max_visits}, but no task can be visited twice"
    hint = "Take 'max_visits' out, or add the transition that goes back"
    warnings.add(join(body.pointer, "max_visits"), "unused_max_visits", message, hint)


def _deciding(body: BodyDraft) -> list[ConditionDefinition]:
    """The conditions that can decide: no condition without a ``when`` stands before them."""
    settled: set[str] = set()
    deciding = []
    for condition in body.conditions.values():
        if condition.source_task not in settled:
            deciding.append(condition)
            if condition.when is None:
                settled.add(condition.source_task)
    return deciding


def _warn_of_failure(
    pointer: str, subject: str, condition: ConditionDefinition, warnings: Findings
) -> None:
    source = quote(condition.source_task)
    message = (
        f"{subject} has outcome 'failure': when {source} fails, 'target_task_success' "
        f"({quote(condition.target_task_success)}) is next; when it succeeds, "
        f"'target_task_failure' ({quote(condition.target_task_failure)})"
    )
    hint = "If that is not what you mean, write outcome 'success'"
    warnings.add(join(pointer, "outcome"), "outcome_failure", message, hint)
