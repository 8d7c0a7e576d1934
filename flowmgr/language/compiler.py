"""Compiles a flow definition into the plan that the runtime runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from actors.plan import Condition, Plan, PlannedTask
from actors.ports import ActivityRunner
from flowmgr.language.definition import FlowDefinition
from flowmgr.metadata import searchable


def compile_flow(
    definition: FlowDefinition, version: int, runner: Callable[[str], ActivityRunner]
) -> Plan:
    """Compile *definition*, which has been validated.

    Args:
        definition: the flow.
        version: its version; 0 for an inline flow.
        runner: returns the runner of an activity by its name.

    Raises:
        DefinitionError: *runner* does not know an activity.
    """
    conditions: dict[str, list[Condition]] = defaultdict(list)
    for condition in definition.conditions:
        conditions[condition.source_task].append(
            Condition.of(
                condition.name,
                condition.outcome,
                condition.target_task_success,
                condition.target_task_failure,
            )
        )
    tasks = {
        task.name: PlannedTask(
            task.name,
            runner(task.activity_name),
            tuple(conditions[task.name]),
            task.at_most_once,
        )
        for task in definition.tasks
    }
    return Plan(
        definition.id,
        version,
        definition.start_task,
        tasks,
        definition.max_visits,
        searchable(definition.metadata),
    )
