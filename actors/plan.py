"""The plan: a flow compiled into what the runtime needs to run it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from actors.events import Scalar, Transition
from actors.expressions import Expression, Schema
from actors.outcome import ErrorInfo, Outcome, OutcomeStatus
from actors.ports import ActivityRunner

END: Final = "end"
"""The target that ends a body. It is not a task."""


class Condition(msgspec.Struct, frozen=True):
    """Where to go after a task, by its outcome.

    Attributes:
        on_success: where to after a success.
        on_failure: where to after a failure.
        when: whether the condition holds; one that does not is passed over. None: it always does.
    """

    on_success: Transition
    on_failure: Transition
    when: Expression | None = None

    def transition(self, outcome: Outcome) -> Transition:
        """Return where to go after a task that ended so, if the condition holds."""
        return self.on_success if outcome.error is None else self.on_failure

    @classmethod
    def of(
        cls,
        name: str,
        outcome: OutcomeStatus,
        on_match: str,
        otherwise: str,
        when: Expression | None = None,
    ) -> Condition:
        """Return the condition *name*.

        An outcome equal to *outcome* leads to *on_match*, any other to *otherwise*. With the
        outcome "failure" it is therefore the failed task that goes to *on_match*.
        """
        matched = Transition(name, matched=True, target=on_match)
        other = Transition(name, matched=False, target=otherwise)
        if outcome == "success":
            return cls(matched, other, when)
        return cls(other, matched, when)


class Retry(msgspec.Struct, frozen=True):
    """When a failed attempt is followed by another one, and how long after it.

    The five names, and what they mean, are Temporal's (its `RetryPolicy`).

    Attributes:
        maximum_attempts: failed attempts after which the task has failed.
        initial_interval: seconds between the first attempt and the second.
        backoff_coefficient: what each interval is multiplied by to make the next.
        maximum_interval: seconds that no interval exceeds.
        non_retryable_error_types: types of errors after which there is no further attempt.
        jitter: by how much of itself an interval is varied at random, up or down: 0 to 1.
    """

    maximum_attempts: int
    initial_interval: float
    backoff_coefficient: float
    maximum_interval: float
    non_retryable_error_types: frozenset[str] = frozenset()
    jitter: float = 0.0

    def interval(self, failures: int, chance: float) -> float:
        """Return the seconds to wait after the failed attempt number *failures*.

        Args:
            failures: how many attempts have failed, at least 1.
            chance: a random number from 0 to 1, which decides about the jitter.
        """
        # Beyond 1,000 doublings a float overflows; any maximum is reached long before.
        exponent = min(failures - 1, 1000)
        try:
            interval = self.initial_interval * self.backoff_coefficient**exponent
        except OverflowError:
            interval = self.maximum_interval
        interval = min(interval, self.maximum_interval)
        return max(0.0, interval * (1 + self.jitter * (2 * chance - 1)))

    def allows(self, error: ErrorInfo, failures: int) -> bool:
        """Whether another attempt follows the failed attempt number *failures*."""
        return (
            error.retryable
            and failures < self.maximum_attempts
            and error.type not in self.non_retryable_error_types
        )


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks, of which one at a time runs, from the first to the end.

    Attributes:
        start_task: the task that it begins with.
        tasks: every task by its name. Every target of a condition is a key of it, or `END`.
        max_visits: how often one task may run in one run of the body.
    """

    start_task: str
    tasks: Mapping[str, PlannedTask]
    max_visits: int = 1


class Wait(msgspec.Struct, frozen=True):
    """Waits until an instant.

    `PlannedTask.arguments` come to ``{"seconds": s}``, from the start of the task on, or to
    ``{"until": t}`` in ISO 8601 with an offset.
    """


class Signal(msgspec.Struct, frozen=True):
    """Waits for a signal, whose value is the task's result.

    Attributes:
        name: the signal's name.
    """

    name: str


class Parallel(msgspec.Struct, frozen=True):
    """Runs bodies at once, each in a scope of its own.

    Attributes:
        branches: the bodies by name.
        needed: how many have to succeed for the task to succeed; then the others are stopped.
        cancels: whether a failure that leaves too few to succeed stops the others at once;
            otherwise they go on to their end before the task fails.
    """

    branches: Mapping[str, Body]
    needed: int
    cancels: bool = True


class Map(msgspec.Struct, frozen=True):
    """Runs one body for each item of a list: `PlannedTask.arguments` come to the list.

    Attributes:
        body: what is run.
        binds: the name that the item has in the body's context.
        max_concurrency: how many items run at once; None for all.
        tolerated_failures: how many items may fail without the task failing.
        cancels: whether one more failure stops the others at once.
    """

    body: Body
    binds: str
    max_concurrency: int | None = None
    tolerated_failures: int = 0
    cancels: bool = True


Construct = Wait | Signal | Parallel | Map
"""What a task can be that runs no code of its own."""


class PlannedTask(msgspec.Struct, frozen=True):
    """A task, ready to run.

    Attributes:
        name: the task's name in its body.
        runner: runs the task's code; None for a construct.
        conditions: the conditions that have this task as their source, in the flow's order.
        at_most_once: whether an attempt that was interrupted by the end of the server is a failure
            of the task, and not repeated.
        construct: what the task is if it runs no code of its own.
        arguments: what the code, or the construct, is given, evaluated for each attempt.
        output: makes the result that is recorded from ``result``.
        retry: whether and when a failed attempt is repeated; None for never.
        timeout: seconds that an attempt may take; for a signal, that it may be waited for.
        deadline: seconds that all attempts of a visit may take, with the time between them.
        compensation: what undoes the task when the execution fails or is cancelled after it.
        merges: whether the result's fields are put into the context, each by itself.
        goes_on: whether an attempt goes on after the end of the server, instead of being repeated:
            what it runs is recorded by itself (a sub-flow).
    """

    name: str
    runner: ActivityRunner | None = None
    conditions: tuple[Condition, ...] = ()
    at_most_once: bool = False
    construct: Construct | None = None
    arguments: Expression | None = None
    output: Expression | None = None
    retry: Retry | None = None
    timeout: float | None = None
    deadline: float | None = None
    compensation: PlannedTask | None = None
    merges: bool = False
    goes_on: bool = False


class Plan(Body, frozen=True, kw_only=True):
    """A flow version, compiled.

    Attributes:
        flow_id: the flow's id.
        flow_version: its version, from 1; 0 for an inline flow that is not registered.
        metadata: what executions can be looked up by, unless they are started with other values.
        input: what the context that an execution is started with has to be like; None for any.
        timeout: seconds that an execution may take, up to where its end begins (compensation,
            `closing`).
        output: makes the execution's output from its context at the end.
        closing: what runs at the end, however it comes: the flow's ``finally``.
        signals: what the values of the signals have to be like that its tasks wait for, by the
            signal's name: as one of the schemas says, each of which is a task's; None for any.
    """

    flow_id: str
    flow_version: int
    metadata: dict[str, Scalar] = {}
    input: Schema | None = None
    timeout: float | None = None
    output: Expression | None = None
    closing: Body | None = None
    signals: Mapping[str, tuple[Schema | None, ...]] = {}
