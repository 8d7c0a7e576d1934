"""What the REST surface sends of flows and activities.

The names of a flow's first five fields are those of the original service, whose clients rely on
them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from actors.outcome import OutcomeStatus
from flowmgr.activities.declaration import Activity
from flowmgr.errors import Problem
from flowmgr.flows import RegisteredFlow
from flowmgr.language.definition import FlowDefinition
from web.resources import timestamp


class TaskResource(msgspec.Struct, frozen=True):
    """A task of a flow."""

    name: str
    description: str
    activity: str
    metadata: dict[str, Any]


class ConditionResource(msgspec.Struct, frozen=True):
    """A condition of a flow."""

    name: str
    description: str
    source_task: str
    outcome: OutcomeStatus
    target_task_success: str
    target_task_failure: str


class FlowResource(msgspec.Struct, frozen=True):
    """A version of a flow."""

    id: str
    name: str
    start_task: str
    tasks: list[TaskResource]
    conditions: list[ConditionResource]
    description: str
    max_visits: int
    metadata: dict[str, Any]
    version: int
    registered_at: str


class FlowSummaryResource(msgspec.Struct, frozen=True):
    """A flow in a list: its latest version, without tasks and conditions."""

    id: str
    name: str
    description: str
    version: int
    registered_at: str


class FlowCreated(msgspec.Struct, frozen=True):
    """The answer to a registered flow."""

    message: str
    id: str
    version: int
    warnings: tuple[Problem, ...]


class ValidationReport(msgspec.Struct, frozen=True):
    """What there is to say about a flow document."""

    valid: bool
    problems: list[Problem]
    warnings: list[Problem]


class ActivityResource(msgspec.Struct, frozen=True):
    """An activity of the catalogue; `parameters` and `result` are JSON Schemas."""

    name: str
    description: str
    isolation: str
    parameters: dict[str, Any] | None
    result: dict[str, Any] | None


def flow_resource(flow: RegisteredFlow) -> FlowResource:
    """Return how a flow version is sent."""
    definition = flow.definition
    return FlowResource(
        id=definition.id,
        name=definition.name,
        start_task=definition.start_task,
        tasks=[
            TaskResource(task.name, task.description, task.activity_name, task.metadata)
            for task in definition.tasks
        ],
        conditions=_condition_resources(definition),
        description=definition.description,
        max_visits=definition.max_visits,
        metadata=definition.metadata,
        version=flow.version,
        registered_at=timestamp(flow.registered_at),
    )


def _condition_resources(definition: FlowDefinition) -> list[ConditionResource]:
    return [
        ConditionResource(
            name=condition.name,
            description=condition.description,
            source_task=condition.source_task,
            outcome=condition.outcome,
            target_task_success=condition.target_task_success,
            target_task_failure=condition.target_task_failure,
        )
        for condition in definition.conditions
    ]


def flow_summary_resource(flow: RegisteredFlow) -> FlowSummaryResource:
    """Return how a flow is sent in a list."""
    definition = flow.definition
    return FlowSummaryResource(
        id=definition.id,
        name=definition.name,
        description=definition.description,
        version=flow.version,
        registered_at=timestamp(flow.registered_at),
    )


def activity_resource(declared: Activity[..., Any]) -> ActivityResource:
    """Return how an activity is sent."""
    return ActivityResource(
        name=declared.name,
        description=declared.description,
        isolation=declared.isolation,
        parameters=declared.parameters_schema,
        result=declared.result_schema,
    )
