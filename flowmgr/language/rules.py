"""The rules about a flow as a whole: what it names must exist, and cycles are bounded."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple

from flowmgr.language.findings import Findings, Names, join, quote, shorten
from flowmgr.language.graph import find_cycle, transitions
from flowmgr.language.texts import identifier, task_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowmgr.language.bodies import BodyDraft
    from flowmgr.language.definition import FlowDefinition, TaskDefinition
    from flowmgr.language.reading import Draft

_SHOWN_OF_CYCLE = 8


class FlowReference(NamedTuple):
    """A flow that a task runs: its id and its version, None for the latest."""

    flow_id: str
    version: int | None


KnownFlows = Mapping[FlowReference, Collection[FlowReference]]
"""Flows that exist, each with those that it runs."""


def check_activities(draft: Draft, activities: Collection[str], problems: Findings) -> None:
    """Every activity that a task names must exist."""
    known = Names(sorted(activities))
    for body, index, task in _tasks(draft):
        for activity, *path in _activities(task):
            if activity in known:
                continue
            message = f"Unknown activity {quote(activity)} of task {index + 1} ({quote(task.name)})"
            problems.add(
                join(body.pointer, "tasks", index, *path),
                "unknown_activity",
                message,
                None if problems.is_full else _activity_hint(activity, known),
            )


def flows_named_in(draft: Draft) -> frozenset[FlowReference]:
    """The flows that tasks run."""
    return frozenset(
        FlowReference(task.flow, task.version) for _, _, task in _tasks(draft) if task.flow
    )


def flows_run_by(definition: FlowDefinition) -> frozenset[FlowReference]:
    """The flows that tasks of *definition* run, those inside of others among them."""
    found: set[FlowReference] = set()
    bodies = [definition.body]
    if definition.closing is not None:
        bodies.append(definition.closing)
    while bodies:
        for task in bodies.pop().tasks:
            if task.flow is not None:
                found.add(FlowReference(task.flow, task.version))
            if task.do is not None:
                bodies.append(task.do)
            bodies.extend((task.branches or {}).values())
    return frozenset(found)


def warn_about_rings(draft: Draft, flows: KnownFlows, warnings: Findings) -> None:
    """Warn about tasks that run a flow which comes to run the flow that they are in."""
    if draft.id is None:
        return
    home = FlowReference(draft.id, None)
    towards = _towards(home, flows)
    for body, index, task in _tasks(draft):
        step = FlowReference(task.flow or "", task.version)
        if step not in towards:
            continue
        way = [home.flow_id]
        while step != home:
            way.append(step.flow_id)
            step = towards[step]
        message = f"Task {index + 1} ({quote(task.name)}) runs a flow that runs this one again"
        hint = "Executions are at most 20 deep inside of each other: see that a condition ends it"
        shown = f"{message}: {_shown([*way, home.flow_id])}"
        warnings.add(join(body.pointer, "tasks", index, "flow"), "flow_cycle", shown, hint)


def _towards(home: FlowReference, flows: KnownFlows) -> dict[FlowReference, FlowReference]:
    """The next flow on a shortest way to *home*, from each of *flows* that leads there."""
    runners: dict[FlowReference, list[FlowReference]] = defaultdict(list)
    for runner, those_run in flows.items():
        for run in those_run:
            runners[run].append(runner)
    towards: dict[FlowReference, FlowReference] = {}
    pending = deque([home])
    while pending:
        reached = pending.popleft()
        for runner in runners[reached]:
            if runner not in towards and runner != home:
                towards[runner] = reached
                pending.append(runner)
    return towards


def check_flows(draft: Draft, flows: KnownFlows | None, problems: Findings) -> None:
    """Every flow that a task names must exist, unless *flows* are not known; none runs itself."""
    for body, index, task in _tasks(draft):
        if not task.flow or identifier(task.flow) is not None:
            continue
        pointer = join(body.pointer, "tasks", index, "flow")
        subject = f"Task {index + 1} ({quote(task.name)})"
        wanted = FlowReference(task.flow, task.version)
        if task.flow == draft.id:
            message = f"{subject} runs the flow that it is in, {quote(task.flow)}"
            hint = "A flow that runs itself never ends; loop inside of it, bounded by 'max_visits'"
            problems.add(pointer, "cycle", message, hint)
        elif flows is not None and wanted not in flows:
            version = "" if task.version is None else f", version {task.version}"
            message = f"{subject} runs an unknown flow: {quote(task.flow)}{version}"
            problems.add(pointer, "unknown_flow", message, "Register that flow first")


def check_cycles(body: BodyDraft, problems: Findings) -> None:
    """A cycle that can be reached from the start needs `max_visits` above 1.

    Both targets of every condition count, those of conditions that never decide among them.
    """
    if body.start_task is None or body.max_visits != 1:
        return
    cycle = find_cycle(body.start_task, transitions(body.conditions.values()))
    if cycle is None:
        return
    hint = "Take one of these transitions out, or bound the loop with 'max_visits' above 1"
    message = f"Flow contains a cycle in task transitions: {_shown(cycle)}"
    problems.add(_closing_transition(body, cycle), "cycle", message, hint)


def _tasks(draft: Draft) -> Iterator[tuple[BodyDraft, int, TaskDefinition]]:
    for body in draft.bodies:
        for index, task in body.tasks.items():
            yield body, index, task


def _activities(task: TaskDefinition) -> Iterator[tuple[str, ...]]:
    """The activities that a task names, each with the path to where; not those refused already."""
    undo = task.compensate
    if undo is not None and identifier(undo.activity) is None:
        yield undo.activity, "compensate", "activity"
    if task.kind == "activity":
        own = task.activity
        if own is None and task_name(task.name) is None:
            yield task.name, "name"
        elif own is not None and identifier(own) is None:
            yield own, "activity"


def _activity_hint(activity: str, known: Names) -> str:
    if not known:
        return "No activities are registered"
    listing = f"The activities are: {known.listing()}"
    suggestion = known.suggestion(activity)
    return f"{suggestion} {listing}" if suggestion else listing


def _closing_transition(body: BodyDraft, cycle: list[str]) -> str:
    """Where the document says that the cycle's last task leads back to its first."""
    source, target = cycle[-2:]
    for index, condition in body.conditions.items():
        if condition.source_task == source and target in condition.targets:
            on_match = condition.target_task_success == target
            field = "target_task_success" if on_match else "target_task_failure"
            return join(body.pointer, "conditions", index, field)
    return join(body.pointer, "conditions")


def _shown(cycle: list[str]) -> str:
    names = [shorten(name) for name in cycle]
    if len(names) > _SHOWN_OF_CYCLE:
        left_out = f"... ({len(names) - _SHOWN_OF_CYCLE + 1:,} more)"
        names[_SHOWN_OF_CYCLE - 3 : -2] = [left_out]
    return " -> ".join(names)
