"""What the REST surface sends of flows and activities.

The names of a flow's first five fields are those of the original service, whose clients rely on
them.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from actors.outcome import OutcomeStatus
from flowmgr.activities.declaration import Activity
from flowmgr.errors import Problem
from flowmgr.flows import RegisteredFlow
from flowmgr.language.definition import FlowDefinition, TaskDefinition
from web.resources import timestamp


class TaskResource(msgspec.Struct, frozen=True):
    """A task of a flow; `activity` is null if it runs none."""

    name: str
    description: str
    activity: str | None
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


class ShownFlowResource(FlowResource, frozen=True):
    """A version of a flow with all that it says."""

    definition: Annotated[
        dict[str, Any],
        msgspec.Meta(
            description="The flow as it is registered; what is not there has its default. It can "
            "be sent to `POST /flows` again, and is the same version then. Its JSON Schema is "
            "`/schema/flow.json`."
        ),
    ]


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
    """Return how a flow version is sent in a list."""
    definition = flow.definition
    return FlowResource(
        id=definition.id,
        name=definition.name,
        start_task=definition.start_task,
        tasks=[_task_resource(task) for task in definition.tasks],
        conditions=_condition_resources(definition),
        description=definition.description,
        max_visits=definition.max_visits,
        metadata=definition.metadata,
        version=flow.version,
        registered_at=timestamp(flow.registered_at),
    )


def shown_flow_resource(flow: RegisteredFlow) -> ShownFlowResource:
    """Return how a flow version is sent by itself."""
    listed = msgspec.structs.asdict(flow_resource(flow))
    return ShownFlowResource(**listed, definition=msgspec.to_builtins(flow.definition))


def _task_resource(task: TaskDefinition) -> TaskResource:
    activity = task.activity_name if task.kind == "activity" else None
    return TaskResource(task.name, task.description, activity, task.metadata)


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
