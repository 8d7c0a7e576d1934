"""Which body a scope runs, and which task of the plan a name in it means."""

from __future__ import annotations

from msgspec.structs import replace

from actors.paths import COMPENSATION, FINALLY, split
from actors.plan import Body, Map, Parallel, Plan, PlannedTask
from actors.state import Compensable, ExecutionState


class NoSuchBodyError(LookupError):
    """The plan has no body for this scope: it is another version of the flow."""


def body_of(plan: Plan, path: str) -> Body:
    """Return the body that the scope *path* runs; not for the scope of compensations.

    Raises:
        NoSuchBodyError: the plan has none.
    """
    if not path:
        return plan
    if path == FINALLY and plan.closing is not None:
        return plan.closing
    if "/" not in path:
        raise NoSuchBodyError(path)
    around, name, branch = split(path)
    task = body_of(plan, around).tasks.get(name)
    construct = None if task is None else task.construct
    if isinstance(construct, Parallel) and branch in construct.branches:
        return construct.branches[branch]
    if isinstance(construct, Map):
        return construct.body
    raise NoSuchBodyError(path)


def task_of(plan: Plan, state: ExecutionState, path: str, name: str) -> PlannedTask:
    """Return what the task *name* of the scope *path* is.

    Raises:
        NoSuchBodyError: the plan has no such scope.
        KeyError: its body has no such task.
    """
    if not path:
        return plan.tasks[name]
    if path == COMPENSATION:
        return compensation_of(plan, state.compensable[name])
    return body_of(plan, path).tasks[name]


def compensation_of(plan: Plan, done: Compensable) -> PlannedTask:
    """Return the task that compensates *done*, under the name that it has in its scope."""
    compensation = body_of(plan, done.scope).tasks[done.task].compensation
    assert compensation is not None
    return replace(compensation, name=done.name)
