"""How the tree of scopes of an execution is sent."""

from __future__ import annotations

from typing import Literal

import msgspec

from actors.outcome import ErrorInfo
from actors.state import ExecutionStatus
from flowmgr.trees import (
    Awaited,
    RetryWait,
    ScopeNode,
    ScopeStatus,
    ScopesWait,
    SignalWait,
    TaskNode,
    TimerWait,
    Tree,
)
from web.resources import ErrorResource, due_timestamp, error_resource, timestamp


class WaitResource(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a task waits for.

    Attributes:
        kind: what it is.
        execution_id: the execution of a sub-flow.
        due: when it is over; for a signal, at the latest; not there for never.
        name: the name of a signal.
        error: why the last attempt failed, before a further one.
        total: how many scopes the task opens; `open`, `succeeded`, `failed`, `stopped` and
            `unopened` say how many of them stand so.
    """

    kind: Literal["timer", "signal", "retry", "scopes", "flow"]
    execution_id: str | None = None
    due: str | None = None
    name: str | None = None
    error: ErrorResource | None = None
    total: int | None = None
    open: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    stopped: int | None = None
    unopened: int | None = None


class TaskNodeResource(msgspec.Struct, frozen=True):
    """The task at which a scope is, with the scopes in it; `unlisted` are not among them."""

    name: str
    path: str
    since: str | None
    visit: int | None
    attempt: int | None
    deadline: str | None
    waits_for: WaitResource | None
    scopes: list[ScopeNodeResource]
    unlisted: int


class ScopeNodeResource(msgspec.Struct, frozen=True):
    """A scope."""

    path: str
    status: ScopeStatus
    task: TaskNodeResource | None
    error: ErrorResource | None


class TreeResource(msgspec.Struct, frozen=True, rename={"closing": "finally"}):
    """The scopes of an execution."""

    execution_id: str
    flow_id: str
    flow_version: int
    status: ExecutionStatus
    is_parked: bool
    scope: ScopeNodeResource
    compensation: ScopeNodeResource | None
    closing: ScopeNodeResource | None


def tree_resource(tree: Tree) -> TreeResource:
    """Return how *tree* is sent."""
    return TreeResource(
        execution_id=tree.execution_id,
        flow_id=tree.flow_id,
        flow_version=tree.flow_version,
        status=tree.status,
        is_parked=tree.is_parked,
        scope=_scope_resource(tree.scope, tree),
        compensation=None
        if tree.compensation is None
        else _scope_resource(tree.compensation, tree),
        closing=None if tree.closing is None else _scope_resource(tree.closing, tree),
    )


def _scope_resource(scope: ScopeNode, tree: Tree) -> ScopeNodeResource:
    task = None if scope.task is None else _task_resource(scope.task, tree)
    return ScopeNodeResource(scope.path, scope.status, task, error_resource(scope.error))


def _task_resource(task: TaskNode, tree: Tree) -> TaskNodeResource:
    waits_for = None if task.waits_for is None else _wait_resource(task.waits_for)
    sub_flow = tree.sub_flows.get(task.sub_flow_key or "")
    if sub_flow is not None:
        waits_for = WaitResource("flow", execution_id=sub_flow)
    return TaskNodeResource(
        name=task.name,
        path=task.path,
        since=None if task.since is None else timestamp(task.since),
        visit=task.visit,
        attempt=task.attempt,
        deadline=_due(task.deadline),
        waits_for=waits_for,
        scopes=[_scope_resource(scope, tree) for scope in task.scopes],
        unlisted=task.unlisted,
    )


def _wait_resource(awaited: Awaited) -> WaitResource:
    match awaited:
        case TimerWait():
            return WaitResource("timer", due=_due(awaited.due))
        case SignalWait():
            return WaitResource("signal", due=_due(awaited.due), name=awaited.name)
        case RetryWait():
            error: ErrorInfo | None = awaited.error
            return WaitResource("retry", due=_due(awaited.due), error=error_resource(error))
        case ScopesWait():
            return WaitResource(
                "scopes",
                total=awaited.total,
                open=awaited.open,
                succeeded=awaited.succeeded,
                failed=awaited.failed,
                stopped=awaited.stopped,
                unopened=awaited.unopened,
            )


def _due(at: float | None) -> str | None:
    return None if at is None else due_timestamp(at)
