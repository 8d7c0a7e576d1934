"""The plan: a flow compiled into what the runtime needs to run it."""

from __future__ import annotations

from typing import Final

import msgspec

from actors.events import Scalar, Transition
from actors.outcome import OutcomeStatus
from actors.ports import ActivityRunner

END: Final = "end"
"""The target that ends an execution. It is not a task."""


class Condition(msgspec.Struct, frozen=True):
    """Where to go after a task, by its outcome."""

    on_success: Transition
    on_failure: Transition

    @classmethod
    def of(cls, name: str, outcome: OutcomeStatus, on_match: str, otherwise: str) -> Condition:
        """Return the condition *name*.

        An outcome equal to *outcome* leads to *on_match*, any other to *otherwise*. With the
        outcome "failure" it is therefore the failed task that goes to *on_match*.
        """
        matched = Transition(name, matched=True, target=on_match)
        other = Transition(name, matched=False, target=otherwise)
        return cls(matched, other) if outcome == "success" else cls(other, matched)


class PlannedTask(msgspec.Struct, frozen=True):
    """A task, ready to run.

    Attributes:
        name: the task's name in its flow.
        runner: runs the task's activity.
        conditions: the conditions that have this task as their source, in the flow's order.
        at_most_once: whether an attempt that was interrupted by the end of the server is a failure
            of the task, and not repeated.
    """

    name: str
    runner: ActivityRunner
    conditions: tuple[Condition, ...] = ()
    at_most_once: bool = False


class Plan(msgspec.Struct, frozen=True):
    """A flow version, compiled.

    Attributes:
        flow_id: the flow's id.
        flow_version: its version, from 1; 0 for an inline flow that is not registered.
        start_task: where an execution begins.
        tasks: every task by its name. Every target of a condition is a key of it, or `END`.
        max_visits: how often one task may run in an execution.
        metadata: what executions can be looked up by, unless they are started with other values.
    """

    flow_id: str
    flow_version: int
    start_task: str
    tasks: dict[str, PlannedTask]
    max_visits: int = 1
    metadata: dict[str, Scalar] = {}
