"""What a flow is: tasks, and conditions that say where to go after each of them."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from actors.outcome import OutcomeStatus
from actors.plan import END

# Two settings of these structs decide about stored definitions. Unknown fields are refused: a
# definition that a newer version wrote is not run with half of its meaning. Defaults are left
# out: a field that is added later with a default does not change the digest of what is stored.


class TaskDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A task as its author wrote it.

    Attributes:
        name: unique in its flow, and never "end".
        description: for people.
        activity: the name of the activity that the task invokes; None for the task's own name.
        metadata: a JSON object of the author's; flowmgr keeps it and never reads it.
        at_most_once: whether the task has failed, instead of being run again, when the server
            ended while it was running.
    """

    name: str
    description: str = ""
    activity: str | None = None
    metadata: dict[str, Any] = {}
    at_most_once: bool = False

    @property
    def activity_name(self) -> str:
        """The name of the activity that the task invokes."""
        return self.name if self.activity is None else self.activity


class ConditionDefinition(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A condition as its author wrote it: where to go after a task.

    Attributes:
        name: for people and for the history; names may repeat.
        source_task: the task that it is about.
        target_task_success: where to go when the task's outcome is `outcome`. With "failure"
            that is where a failed task leads, whatever the field's name suggests.
        outcome: the outcome that the condition waits for.
        target_task_failure: where to go when the task's outcome is the other one.
        description: for people.
    """

    name: str
    source_task: str
    target_task_success: str
    outcome: OutcomeStatus = "success"
    target_task_failure: str = END
    description: str = ""

    @property
    def targets(self) -> tuple[str, str]:
        """Both places it may lead to: tasks, or "end"."""
        return self.target_task_success, self.target_task_failure


class FlowDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A flow as its author wrote it, with every rule of the language kept.

    Attributes:
        id: names the flow in addresses.
        name: for people.
        start_task: the task that an execution begins with.
        tasks: at least one.
        conditions: in the order in which they are asked: the first of a task decides.
        description: for people.
        max_visits: how often one task may run in an execution; cycles need more than 1.
        metadata: a JSON object of the author's. Executions can be looked up by its plain values.
    """

    id: str
    name: str
    start_task: str
    tasks: tuple[TaskDefinition, ...]
    conditions: tuple[ConditionDefinition, ...]
    description: str = ""
    max_visits: int = 1
    metadata: dict[str, Any] = {}


_canonical = msgspec.json.Encoder(order="sorted")


def digest(definition: FlowDefinition) -> str:
    """The SHA-256 of a definition's content, in hexadecimal: equal content, equal digest.

    The order of keys does not count, that of tasks and conditions does. A field that is absent and
    one that has its default are the same.
    """
    return hashlib.sha256(_canonical.encode(definition)).hexdigest()
