"""The rules about a flow as a whole: activities, cycles, and what is worth a warning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.plan import END
from flowmgr.language.fields import identifier, task_name
from flowmgr.language.findings import Findings, Names, join, quote, shorten
from flowmgr.language.graph import Edges, find_cycle, reachable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from flowmgr.language.definition import ConditionDefinition, TaskDefinition
    from flowmgr.language.reading import Draft

_SHOWN_OF_CYCLE = 8


def check_activities(draft: Draft, activities: Collection[str], problems: Findings) -> None:
    """Every task's activity must exist."""
    known = Names(sorted(activities))
    for index, task in draft.tasks.items():
        activity = task.activity_name
        if activity in known or _is_refused(task):
            continue
        field = "name" if task.activity is None else "activity"
        message = f"Unknown activity {quote(activity)} of task {index + 1} ({quote(task.name)})"
        problems.add(
            join(draft.pointer, "tasks", index, field),
            "unknown_activity",
            message,
            None if problems.is_full else _activity_hint(activity, known),
        )


def check_cycles(draft: Draft, problems: Findings) -> None:
    """A cycle that can be reached from the start needs `max_visits` above 1.

    Both targets of every condition count, those of conditions that never decide among them.
    """
    if draft.start_task is None or draft.max_visits != 1:
        return
    cycle = find_cycle(draft.start_task, _edges(draft.conditions.values()))
    if cycle is None:
        return
    hint = "Take one of these transitions out, or bound the loop with 'max_visits' above 1"
    message = f"Flow contains a cycle in task transitions: {_shown(cycle)}"
    problems.add(_closing_transition(draft, cycle), "cycle", message, hint)


def warn_about_conditions(draft: Draft, warnings: Findings) -> None:
    """Warn about conditions that never decide, read badly or share a name."""
    deciding: dict[str, ConditionDefinition] = {}
    first_named: dict[str, int] = {}
    for index, condition in draft.conditions.items():
        pointer = join(draft.pointer, "conditions", index)
        subject = f"Condition {index + 1} ({quote(condition.name)})"
        source = quote(condition.source_task)
        decides = deciding.setdefault(condition.source_task, condition)
        if decides is not condition:
            message = f"{subject} can never be used: {quote(decides.name)} decides after {source}"
            hint = "The first condition of a task decides; one condition has both targets"
            warnings.add(pointer, "unused_condition", message, hint)
        if condition.outcome == "failure":
            _warn_of_failure(pointer, subject, condition, warnings)
        named = first_named.setdefault(condition.name, index)
        if named != index:
            message = f"{subject} has the same name as condition {named + 1}"
            hint = "Give each condition its own name, to tell them apart in the history"
            warnings.add(join(pointer, "name"), "duplicate_condition_name", message, hint)


def warn_about_graph(draft: Draft, warnings: Findings) -> None:
    """Warn about tasks that never run, and `max_visits` without a cycle."""
    if draft.start_task is None:
        return
    deciding: dict[str, ConditionDefinition] = {}
    for condition in draft.conditions.values():
        deciding.setdefault(condition.source_task, condition)
    runs = reachable(draft.start_task, _edges(deciding.values()))
    for index, task in draft.tasks.items():
        if task.name not in runs:
            message = f"Task {index + 1} ({quote(task.name)}) can never run: nothing leads to it"
            hint = "Make it the target of a condition, or take it out"
            warnings.add(join(draft.pointer, "tasks", index), "unreachable_task", message, hint)
    if draft.max_visits == 1 or find_cycle(draft.start_task, _edges(draft.conditions.values())):
        return
    message = f"'max_visits' is {draft.max_visits}, but no task can be visited twice"
    hint = "Take 'max_visits' out, or add the transition that goes back"
    warnings.add(join(draft.pointer, "max_visits"), "unused_max_visits", message, hint)


def _is_refused(task: TaskDefinition) -> bool:
    """Whether the activity's name breaks a rule for names, which is a problem of its own."""
    if task.activity is None:
        return task_name(task.name) is not None
    return identifier(task.activity) is not None


def _activity_hint(activity: str, known: Names) -> str:
    if not known:
        return "No activities are registered"
    listing = f"The activities are: {known.listing()}"
    suggestion = known.suggestion(activity)
    return f"{suggestion} {listing}" if suggestion else listing


def _edges(conditions: Iterable[ConditionDefinition]) -> Edges:
    edges: dict[str, list[str]] = {}
    for condition in conditions:
        targets = [target for target in condition.targets if target != END]
        edges.setdefault(condition.source_task, []).extend(targets)
    return edges


def _closing_transition(draft: Draft, cycle: list[str]) -> str:
    """Where the document says that the cycle's last task leads back to its first."""
    source, target = cycle[-2:]
    for index, condition in draft.conditions.items():
        if condition.source_task == source and target in condition.targets:
            on_match = condition.target_task_success == target
            field = "target_task_success" if on_match else "target_task_failure"
            return join(draft.pointer, "conditions", index, field)
    return join(draft.pointer, "conditions")


def _shown(cycle: list[str]) -> str:
    names = [shorten(name) for name in cycle]
    if len(names) > _SHOWN_OF_CYCLE:
        left_out = f"... ({len(names) - _SHOWN_OF_CYCLE + 1:,} more)"
        names[_SHOWN_OF_CYCLE - 3 : -2] = [left_out]
    return " -> ".join(names)


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
