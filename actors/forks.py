"""The rules of tasks that open scopes: what is opened, when it is decided, what comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from actors.bodies import task_of
from actors.events import (
    Event,
    ForkResumed,
    ForkStarted,
    JoinReached,
    ScopeFinished,
    ScopeStarted,
    ScopeStopped,
    TaskStarted,
    TaskStopped,
)
from actors.outcome import MAX_LISTED, MAX_MESSAGE, NULL, ErrorInfo, Outcome, describe_error
from actors.paths import child, is_opened_by_a_task, split
from actors.plan import Body, Map, Parallel, Plan, PlannedTask
from actors.state import ExecutionState, Fork, ScopeState
from actors.values import MAX_BYTES, too_large

Events = tuple[Event, ...]

MAX_ERRORS: Final = 100
"""Errors of scopes that the error of their task holds; it says how many there were."""

MAX_SCOPES: Final = 100_000
"""Scopes that an execution may have at a time; each takes up to 9 KiB while it runs."""


def open_scope(body: Body, path: str, at: float) -> Events:
    """Return what is to be recorded when a scope is opened: it, and its first task."""
    return (
        ScopeStarted(at=at, scope=path),
        TaskStarted(at=at, scope=path, task=body.start_task),
    )


def start_fork(task: PlannedTask, scope: str, items: msgspec.Raw, at: float) -> Events:
    """Return what is to be recorded when *task* opens its scopes, as many at once as may be.

    Args:
        task: a parallel task or a map.
        scope: the path of the scope that it is in.
        items: what a map runs for, a JSON list.
        at: the time: seconds since 1970-01-01 UTC.
    """
    construct = task.construct
    opened: list[Event] = []
    if isinstance(construct, Parallel):
        started = ForkStarted(at=at, scope=scope, task=task.name, branches=len(construct.branches))
        for name, body in construct.branches.items():
            opened += open_scope(body, child(scope, task.name, name), at)
        return (started, *opened)
    assert isinstance(construct, Map)
    total = len(_decode_items(items))
    started = ForkStarted(
        at=at, scope=scope, task=task.name, branches=total, items=items, binds=construct.binds
    )
    if not total:
        return (started, JoinReached(at=at, scope=scope, task=task.name))
    for position in range(min(total, construct.max_concurrency or total)):
        opened += open_scope(construct.body, child(scope, task.name, position), at)
    return (started, *opened)


def after_scope(
    plan: Plan, state: ExecutionState, path: str, outcome: Outcome, at: float
) -> Events:
    """Return what is to be recorded when the scope *path*, opened by a task, comes to its end.

    If that decides what becomes of the task, its other scopes are stopped. If not, a map goes on
    with the next item, unless the execution is paused.
    """
    around, name, _ = split(path)
    task = task_of(plan, state, around, name)
    fork = state.scope(around).fork
    assert fork is not None
    finished = ScopeFinished(at=at, scope=path, outcome=outcome)
    if fork.is_joined:
        return (finished,)
    is_success = outcome.error is None
    if _is_decided(task, fork, fork.succeeded + is_success, fork.failed + (not is_success)):
        return (finished, JoinReached(at=at, scope=around, task=name))
    # In a further attempt places are given to those that have begun before, and then the others.
    may_open = state.status != "paused" and fork.following < fork.total and not fork.is_resumed
    if isinstance(task.construct, Map) and may_open:
        following = child(around, name, fork.following)
        return (finished, *open_scope(task.construct.body, following, at))
    return (finished,)


def resume_fork(task: PlannedTask, scope: str, fork: Fork, at: float) -> Events:
    """Return what is to be recorded when the scopes of *fork* go on in a further attempt.

    There need not be any left: the task can have failed although enough of them have succeeded.
    """
    resumed = ForkResumed(at=at, scope=scope, task=task.name)
    if _is_decided(task, fork, fork.succeeded, 0):
        return (resumed, JoinReached(at=at, scope=scope, task=task.name))
    return (resumed,)


def too_many_scopes(
    state: ExecutionState, task: PlannedTask, items: msgspec.Raw
) -> ErrorInfo | None:
    """Return the error of a task that would open more scopes than there may be; None if not.

    Args:
        state: how the execution stands.
        task: a parallel task or a map.
        items: what a map runs for, a JSON list.
    """
    construct = task.construct
    opened = construct.branches if isinstance(construct, Parallel) else _decode_items(items)
    more = len(opened)
    if len(state.scopes) + more <= MAX_SCOPES:
        return None
    message = (
        f"task '{task.name}' would run {more:,} bodies; an execution may have {MAX_SCOPES:,} at a "
        "time: split the list, or run a flow for a part of it"
    )
    return ErrorInfo("TooManyScopes", message, retryable=False)


def _is_decided(task: PlannedTask, fork: Fork, succeeded: int, failed: int) -> bool:
    construct = task.construct
    if succeeded + failed >= fork.total:
        return True
    if isinstance(construct, Map):
        return failed > construct.tolerated_failures and construct.cancels
    assert isinstance(construct, Parallel)
    is_lost = failed > fork.total - construct.needed
    return succeeded >= construct.needed or (is_lost and construct.cancels)


def fork_outcome(task: PlannedTask, fork: Fork, *, is_late: bool, seconds: float) -> Outcome:
    """Return how a task ended whose scopes are all closed.

    Args:
        task: the task.
        fork: its scopes.
        is_late: whether they were stopped because its time was over.
        seconds: how long the attempt took.
    """
    construct = task.construct
    if isinstance(construct, Map):
        is_success = fork.succeeded + fork.failed == fork.total
        is_success = is_success and fork.failed <= construct.tolerated_failures
    else:
        assert isinstance(construct, Parallel)
        is_success = fork.succeeded >= construct.needed
    if is_success:
        results = _results(task, fork)
        if len(results) > MAX_BYTES:
            return Outcome("failure", seconds, error=describe_error(too_large(results)))
        return Outcome("success", seconds, msgspec.Raw(results))
    if is_late and not fork.is_joined:
        return Outcome("failure", seconds, error=timed_out(task.name))
    return Outcome("failure", seconds, error=_errors(task, fork))


def timed_out(task: str, clean_up_error: ErrorInfo | None = None) -> ErrorInfo:
    """Return the error of a task whose time is over.

    Args:
        task: the task's name.
        clean_up_error: what its clean-up has raised then.
    """
    message = f"task '{task}' took longer than its timeout or deadline allows"
    if clean_up_error is not None:
        message += f"; its clean-up raised {clean_up_error.type}: {clean_up_error.message}"
    return ErrorInfo("TimedOut", message[:MAX_MESSAGE])


def _results(task: PlannedTask, fork: Fork) -> bytes:
    """Return the results as JSON: a list by position, or an object by the names of the branches."""
    results = [
        (path, scope.outcome.data)
        for path, scope in fork.scopes.items()
        if scope.outcome is not None and scope.outcome.error is None
    ]
    if isinstance(task.construct, Parallel):
        return msgspec.json.encode({split(path)[2]: data for path, data in results})
    by_position = dict.fromkeys(range(fork.total), NULL)
    by_position.update({int(split(path)[2]): data for path, data in results})
    return msgspec.json.encode(list(by_position.values()))


def _errors(task: PlannedTask, fork: Fork) -> ErrorInfo:
    """Return one error that holds those of all scopes that have failed."""
    failed = [
        (split(path)[2], scope.outcome.error)
        for path, scope in fork.scopes.items()
        if scope.outcome is not None and scope.outcome.error is not None
    ]
    what = "items" if isinstance(task.construct, Map) else "branches"
    listed = "; ".join(
        f"{name}: {error.type}: {error.message}" for name, error in failed[:MAX_LISTED]
    )
    message = f"{len(failed)} of {fork.total} {what} of task '{task.name}' failed: {listed}"
    kind = "ItemsFailed" if isinstance(task.construct, Map) else "BranchesFailed"
    return ErrorInfo(kind, message[:MAX_MESSAGE], msgspec.Raw(_data_of(failed)))


def _data_of(failed: list[tuple[str, ErrorInfo]]) -> bytes:
    """Return the errors as JSON; without what each has as data if that is too much together."""
    errors = [{"branch": name, **error.as_value()} for name, error in failed[:MAX_ERRORS]]
    data = {"failed": len(failed), "errors": errors}
    encoded = msgspec.json.encode(data)
    if len(encoded) > MAX_BYTES:
        data["errors"] = [{**each, "data": None} for each in errors]
        encoded = msgspec.json.encode(data)
    return encoded


def stop_open_scopes(fork: Fork, at: float) -> Events:
    """Return what is to be recorded when the scopes that are still open have been stopped."""
    events: list[Event] = []
    for path, scope in open_scopes(fork):
        started = scope.running
        if started is not None:
            events.append(
                TaskStopped(
                    at=at,
                    scope=path,
                    task=started.task,
                    attempt=started.attempt,
                    how="stopped",
                    seconds=0.0,
                )
            )
        events.append(ScopeStopped(at=at, scope=path))
    return tuple(events)


def open_scopes(fork: Fork) -> Iterator[tuple[str, ScopeState]]:
    """Return the scopes of *fork* that are open, and those in them; inner ones come first."""
    for path, scope in fork.scopes.items():
        if scope.is_open:
            if scope.fork is not None:
                yield from open_scopes(scope.fork)
            yield path, scope


def is_being_stopped(state: ExecutionState, path: str) -> bool:
    """Whether the scope *path*, open or to be opened, is in one that is stopped or about to be."""
    while is_opened_by_a_task(path):
        around, _, _ = split(path)
        opened, outer = state.find(path), state.find(around)
        fork = None if outer is None else outer.fork
        if fork is None or fork.is_joined or (opened is not None and opened.is_stopped):
            return True
        path = around
    return False


def free_places(task: PlannedTask, fork: Fork) -> int:
    """Return how many more scopes of *fork* may be busy or waiting at once."""
    construct = task.construct
    if not isinstance(construct, Map) or construct.max_concurrency is None:
        return fork.total
    taken = sum(scope.is_open and not scope.is_idle for scope in fork.scopes.values())
    return max(0, construct.max_concurrency - taken)


def waiting_for_a_place(task: PlannedTask, scope: str, fork: Fork) -> Iterator[str]:
    """Return the paths of the scopes that are to go on, or to be opened, when there is room."""
    for path, opened in fork.scopes.items():
        if opened.is_idle:
            yield path
    if isinstance(task.construct, Map):
        for position in range(fork.following, fork.total):
            if position not in fork.ahead:
                yield child(scope, task.name, position)


def fork_ends(plan: Plan, state: ExecutionState) -> Iterator[float]:
    """Return when the time of each task is over that has opened scopes."""
    for path, _ in state.all_scopes():
        yield from scope_ends(plan, state, path)


def scope_ends(plan: Plan, state: ExecutionState, path: str) -> Iterator[float]:
    """Return when the time of the task is over that has opened scopes in the scope *path*."""
    scope = state.scope(path)
    fork, started = scope.fork, scope.running
    if fork is None or started is None or started.task != fork.task:
        return
    task = task_of(plan, state, path, fork.task)
    if task.timeout is not None:
        yield started.at + task.timeout
    if task.deadline is not None:
        yield scope.since + task.deadline


def is_late(plan: Plan, state: ExecutionState, path: str, at: float) -> bool:
    """Whether the time is over of a task that has opened the scope *path*, or one around it."""
    while is_opened_by_a_task(path):
        path, _, _ = split(path)
        if any(end <= at for end in scope_ends(plan, state, path)):
            return True
    return False


def flow_end(plan: Plan, state: ExecutionState) -> float | None:
    """Return when the flow's time is over; None if it has no limit, or its end has begun."""
    if plan.timeout is None or state.ending is not None:
        return None
    return state.runs_since + plan.timeout


def is_flow_late(plan: Plan, state: ExecutionState, at: float) -> bool:
    """Whether the flow's time is over, and its end has not begun."""
    end = flow_end(plan, state)
    return end is not None and end <= at


_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
