"""What a flow is: tasks, and conditions that say where to go after each of them."""

from __future__ import annotations

import functools
import hashlib
from typing import Any, Literal, TypeVar

import msgspec

from actors.outcome import OutcomeStatus
from actors.plan import END

TaskKind = Literal["activity", "http", "wait", "signal", "flow", "parallel", "map", "set", "raise"]
"""What a task can be."""

OnFailure = Literal["cancel", "wait"]
"""What becomes of the others when a branch or an item has failed too many."""


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What all definitions have in common.

    Two settings decide about stored definitions. Unknown fields are refused: a definition that a
    newer version wrote is not run with half of its meaning. Defaults are left out: a field that is
    added later with a default does not change the digest of what is stored.
    """


class RetryDefinition(Definition, frozen=True):
    """When a failed attempt is followed by another; see `actors.plan.Retry`.

    Attributes:
        maximum_interval: None for a hundred times the initial one.
    """

    maximum_attempts: int = 3
    initial_interval: float = 1.0
    backoff_coefficient: float = 2.0
    maximum_interval: float | None = None
    non_retryable_error_types: tuple[str, ...] = ()
    jitter: float = 0.0


class CompensationDefinition(Definition, frozen=True):
    """The activity that undoes a task.

    Attributes:
        activity: its name.
        arguments: what it is given, a template; None if the flow says nothing about it.
        retry: whether and when a failed attempt is repeated; None for never.
        timeout: seconds that an attempt may take.
    """

    activity: str
    arguments: Any = None
    retry: RetryDefinition | None = None
    timeout: float | None = None


class Quorum(Definition, frozen=True):
    """How many branches have to succeed."""

    at_least: int


class TaskDefinition(Definition, frozen=True):
    """A task as its author wrote it. What it can have depends on its kind.

    A template is a JSON value with expressions in its texts, as ``"${ context.amount }"``.

    Attributes:
        name: unique in its body, and never "end".
        description: for people.
        activity: the name of the activity that the task invokes; None for the task's own name.
        metadata: a JSON object of the author's; flowmgr keeps it and never reads it.
        at_most_once: whether the task has failed, instead of being run again, when the server
            ended while it was running.
        kind: what the task is.
        output: the expression that makes the task's result.
        retry: whether and when a failed attempt is repeated; None for never.
        timeout: seconds that an attempt may take.
        deadline: seconds that all attempts may take, with the time between them.
        compensate: what undoes the task.
        arguments: a template of what an activity, a flow or the flow of a map is given.
        request: of http, a template for each field.
        expect: of http, the statuses that are a success: numbers, or classes such as "2xx", which
            None stands for.
        seconds: of wait, a number or an expression in ``${ }``.
        until: of wait, an instant or an expression in ``${ }``.
        signal: the name of the signal; None for the task's own name.
        schema: of signal, the JSON Schema of its value.
        flow: of flow and map, the id of the flow.
        version: of flow, the version; None for the latest.
        branches: of parallel, the bodies by name.
        join: of parallel, how many branches have to succeed.
        on_failure: of parallel and map, what becomes of the others.
        items: of map, a template of the list.
        binds: of map, the name that the item has in the context.
        do: of map, what is run for each item.
        max_concurrency: of map, how many items run at once; None for all.
        tolerated_failures: of map, how many items may fail.
        values: of set, a template for each value.
        type: of raise, a template of the error's type.
        message: of raise, a template of the sentence.
        data: of raise, a template of what else there is to know.
    """

    name: str
    description: str = ""
    activity: str | None = None
    metadata: dict[str, Any] = {}
    at_most_once: bool = False
    kind: TaskKind = "activity"
    output: str | None = None
    retry: RetryDefinition | None = None
    timeout: float | None = None
    deadline: float | None = None
    compensate: CompensationDefinition | None = None
    arguments: Any = None
    request: dict[str, Any] | None = None
    expect: tuple[int | str, ...] | None = None
    seconds: float | str | None = None
    until: str | None = None
    signal: str | None = None
    schema: dict[str, Any] | bool | None = None
    flow: str | None = None
    version: int | None = None
    branches: dict[str, BodyDefinition] | None = None
    join: Literal["all", "any"] | Quorum = "all"
    on_failure: OnFailure = "cancel"
    items: Any = None
    binds: str = msgspec.field(name="as", default="item")
    do: BodyDefinition | None = None
    max_concurrency: int | None = None
    tolerated_failures: int = 0
    values: dict[str, Any] | None = None
    type: str | None = None
    message: Any = None
    data: Any = None

    @property
    def activity_name(self) -> str:
        """The name of the activity that the task invokes."""
        return self.name if self.activity is None else self.activity

    @property
    def signal_name(self) -> str:
        """The name of the signal that the task waits for."""
        return self.name if self.signal is None else self.signal


class ConditionDefinition(Definition, frozen=True):
    """A condition as its author wrote it: where to go after a task.

    Attributes:
        name: for people and for the history; names may repeat.
        source_task: the task that it is about.
        target_task_success: where to go when the task's outcome is `outcome`. With "failure"
            that is where a failed task leads, whatever the field's name suggests.
        outcome: the outcome that the condition waits for.
        target_task_failure: where to go when the task's outcome is the other one.
        description: for people.
        when: the expression that says whether it holds; None if it always does.
    """

    name: str
    source_task: str
    target_task_success: str
    outcome: OutcomeStatus = "success"
    target_task_failure: str = END
    description: str = ""
    when: str | None = None

    @property
    def targets(self) -> tuple[str, str]:
        """Both places it may lead to: tasks, or "end"."""
        return self.target_task_success, self.target_task_failure


class BodyDefinition(Definition, frozen=True):
    """Tasks inside of a flow or of a task: a branch, what a map does, a flow's ``finally``.

    Attributes:
        start_task: the task that it begins with.
        tasks: at least one.
        conditions: in the order in which they are asked: the first of a task that holds decides.
        max_visits: how often one task may run in one run of the body; cycles need more than 1.
    """

    start_task: str
    tasks: tuple[TaskDefinition, ...]
    conditions: tuple[ConditionDefinition, ...] = ()
    max_visits: int = 1


class FlowDefinition(Definition, frozen=True):
    """A flow as its author wrote it, with every rule of the language kept.

    Attributes:
        id: names the flow in addresses.
        name: for people.
        start_task: the task that an execution begins with.
        tasks: at least one.
        conditions: in the order in which they are asked: the first of a task that holds decides.
        description: for people.
        max_visits: how often one task may run in an execution; cycles need more than 1.
        metadata: a JSON object of the author's. Executions can be looked up by its plain values.
        timeout: seconds that an execution may take.
        input: the JSON Schema of the context that an execution is started with.
        output: the expression that makes the execution's output.
        closing: what runs at the end, however it comes: ``finally``.
    """

    id: str
    name: str
    start_task: str
    tasks: tuple[TaskDefinition, ...]
    conditions: tuple[ConditionDefinition, ...]
    description: str = ""
    max_visits: int = 1
    metadata: dict[str, Any] = {}
    timeout: float | None = None
    input: dict[str, Any] | bool | None = None
    output: str | None = None
    closing: BodyDefinition | None = msgspec.field(name="finally", default=None)

    @property
    def body(self) -> BodyDefinition:
        """The flow's own tasks, as a body."""
        return BodyDefinition(self.start_task, self.tasks, self.conditions, self.max_visits)


D = TypeVar("D", bound=Definition)


def define(kind: type[D], /, **values: Any) -> D:
    """Make a definition of *kind*, in which values that are defaults are as if they were absent.

    Args:
        kind: the class.
        values: by attribute.
    """
    defaults = _defaults(kind)
    return kind(**{name: value for name, value in values.items() if value != defaults[name]})


@functools.cache
def _defaults(kind: type[Definition]) -> dict[str, Any]:
    return {field.name: field.default for field in msgspec.structs.fields(kind)}


_canonical = msgspec.json.Encoder(order="sorted")


def digest(definition: FlowDefinition) -> str:
    """The SHA-256 of a definition's content, in hexadecimal: equal content, equal digest.

    The order of keys does not count, that of tasks and conditions does. A field that is absent and
    one that has its default are the same.
    """
    return hashlib.sha256(_canonical.encode(definition)).hexdigest()
