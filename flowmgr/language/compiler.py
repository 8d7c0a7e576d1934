"""Compiles a flow definition into the plan that the runtime runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from actors.expressions import Expression, Schema
from actors.plan import (
    Body,
    Condition,
    Construct,
    Map,
    Parallel,
    Plan,
    PlannedTask,
    Retry,
    Signal,
    Wait,
)
from actors.ports import ActivityRunner
from flowmgr.language.definition import (
    BodyDefinition,
    CompensationDefinition,
    FlowDefinition,
    Quorum,
    RetryDefinition,
    TaskDefinition,
    TaskKind,
)
from flowmgr.language.expressions import compile_expression, compile_predicate
from flowmgr.language.fields import MAX_SECONDS
from flowmgr.language.given import GivenField, GivenFields
from flowmgr.language.inline import RaiseRunner, SetRunner
from flowmgr.language.schemas import compile_schema
from flowmgr.language.templates import compile_template
from flowmgr.metadata import searchable

INTERVALS_TO_MAXIMUM: Final = 100
"""How many initial intervals the longest one has, unless the author says otherwise."""


class Runners(Protocol):
    """What runs the tasks of a plan that run code."""

    def activity(self, name: str) -> ActivityRunner:
        """Return what runs an activity.

        Raises:
            DefinitionError: there is none of this name.
        """

    def http(self, expect: Sequence[int | str] | None) -> ActivityRunner:
        """Return what sends requests; *expect* says which statuses are a success.

        See `flowmgr.http.expect`.
        """

    def flow(self, flow_id: str, version: int | None) -> ActivityRunner:
        """Return what runs a version of a flow, the latest if it is None, as a child execution."""


def compile_flow(definition: FlowDefinition, version: int, runners: Runners) -> Plan:
    """Compile *definition*, which has been validated.

    Args:
        definition: the flow.
        version: its version; 0 for an inline flow.
        runners: what its tasks are run by.

    Raises:
        DefinitionError: *runners* do not know an activity.
    """
    compiler = _Compiler(runners)
    body = compiler.body(definition.body)
    closing = None if definition.closing is None else compiler.body(definition.closing)
    return Plan(
        flow_id=definition.id,
        flow_version=version,
        start_task=body.start_task,
        tasks=body.tasks,
        max_visits=body.max_visits,
        metadata=searchable(definition.metadata),
        input=None if definition.input is None else compile_schema(definition.input),
        timeout=definition.timeout,
        output=_expression(definition.output),
        closing=closing,
        signals={name: tuple(schemas) for name, schemas in compiler.signals.items()},
    )


class _Compiler:
    """Compiles bodies, and notes the signals that their tasks wait for.

    It recurs as deep as bodies are nested, which validation has bounded.
    """

    def __init__(self, runners: Runners) -> None:
        self._runners = runners
        self.signals: dict[str, list[Schema | None]] = defaultdict(list)
        self._constructs: dict[TaskKind, Callable[[TaskDefinition], Construct]] = {
            "wait": lambda _: Wait(),
            "signal": self._signal,
            "parallel": self._parallel,
            "map": self._map,
        }

    def body(self, definition: BodyDefinition) -> Body:
        conditions: dict[str, list[Condition]] = defaultdict(list)
        for condition in definition.conditions:
            conditions[condition.source_task].append(
                Condition.of(
                    condition.name,
                    condition.outcome,
                    condition.target_task_success,
                    condition.target_task_failure,
                    None if condition.when is None else compile_predicate(condition.when),
                )
            )
        return Body(
            start_task=definition.start_task,
            tasks={
                task.name: self._task(task, tuple(conditions.get(task.name, ())))
                for task in definition.tasks
            },
            max_visits=definition.max_visits,
        )

    def _task(self, task: TaskDefinition, conditions: tuple[Condition, ...]) -> PlannedTask:
        construct = self._constructs.get(task.kind)
        return PlannedTask(
            task.name,
            self._runner(task) if construct is None else None,
            conditions,
            at_most_once=task.at_most_once,
            construct=None if construct is None else construct(task),
            arguments=_arguments(task),
            output=_expression(task.output),
            retry=_retry(task.retry),
            timeout=task.timeout,
            deadline=task.deadline,
            compensation=self._compensation(task.name, task.compensate),
            merges=task.kind == "set",
            goes_on=task.kind == "flow",
        )

    def _runner(self, task: TaskDefinition) -> ActivityRunner:
        match task.kind:
            case "http":
                return self._runners.http(task.expect)
            case "flow":
                assert task.flow is not None
                return self._runners.flow(task.flow, task.version)
            case "set":
                return SetRunner()
            case "raise":
                return RaiseRunner()
        return self._runners.activity(task.activity_name)

    def _signal(self, task: TaskDefinition) -> Signal:
        schema = None if task.schema is None else compile_schema(task.schema)
        self.signals[task.signal_name].append(schema)
        return Signal(task.signal_name)

    def _parallel(self, task: TaskDefinition) -> Parallel:
        branches = {name: self.body(body) for name, body in (task.branches or {}).items()}
        join = task.join
        needed = len(branches) if join == "all" else 1
        return Parallel(
            branches,
            join.at_least if isinstance(join, Quorum) else needed,
            cancels=task.on_failure == "cancel",
        )

    def _map(self, task: TaskDefinition) -> Map:
        return Map(
            self.body(task.do or _running_a_flow(task)),
            task.binds,
            task.max_concurrency,
            task.tolerated_failures,
            cancels=task.on_failure == "cancel",
        )

    def _compensation(self, name: str, undo: CompensationDefinition | None) -> PlannedTask | None:
        if undo is None:
            return None
        return PlannedTask(
            name,
            self._runners.activity(undo.activity),
            arguments=_template(undo.arguments),
            retry=_retry(undo.retry),
            timeout=undo.timeout,
        )


def _running_a_flow(task: TaskDefinition) -> BodyDefinition:
    """What a map does that runs a flow for each item."""
    arguments = task.arguments
    if arguments is None:
        arguments = {task.binds: f"${{context.{task.binds}}}"}
    inner = TaskDefinition(task.name, kind="flow", flow=task.flow, arguments=arguments)
    return BodyDefinition(task.name, (inner,))


def _arguments(task: TaskDefinition) -> Expression | None:
    """What the task's code, or its construct, is given."""
    given = _GIVEN.get(task.kind)
    return _template(task.arguments) if given is None else given(task)


def _wait(task: TaskDefinition) -> Expression:
    field, value = ("seconds", task.seconds) if task.until is None else ("until", task.until)
    return GivenFields({field: value})


def _raised(task: TaskDefinition) -> Expression:
    return GivenFields({"type": task.type, "message": task.message, "data": task.data})


_GIVEN: Final[dict[TaskKind, Callable[[TaskDefinition], Expression]]] = {
    "http": lambda task: GivenField("request", task.request),
    "wait": _wait,
    "flow": lambda task: compile_template({} if task.arguments is None else task.arguments),
    "map": lambda task: compile_template(task.items),
    "set": lambda task: GivenField("values", task.values),
    "raise": _raised,
}


def _template(value: Any) -> Expression | None:
    return None if value is None else compile_template(value)


def _expression(source: str | None) -> Expression | None:
    return None if source is None else compile_expression(source)


def _retry(retry: RetryDefinition | None) -> Retry | None:
    if retry is None:
        return None
    longest = retry.maximum_interval
    if longest is None:
        longest = min(INTERVALS_TO_MAXIMUM * retry.initial_interval, MAX_SECONDS)
    return Retry(
        retry.maximum_attempts,
        retry.initial_interval,
        retry.backoff_coefficient,
        longest,
        frozenset(retry.non_retryable_error_types),
        retry.jitter,
    )
