"""The tree of scopes of an execution: what runs in each, since when, and what it waits for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final, Literal

import msgspec

from actors.bodies import NoSuchBodyError, task_of
from actors.events import AttemptFailed, TaskStarted
from actors.forks import flow_end
from actors.outcome import ErrorInfo
from actors.paths import COMPENSATION, FINALLY, ROOT, task_path
from actors.plan import END, Plan, PlannedTask, Signal
from actors.state import ExecutionState, ExecutionStatus, Fork, ScopeState
from flowmgr.subflows import child_key

MAX_LISTED: Final = 100
"""Scopes of one task that a tree has."""

MAX_SCOPES: Final = 1_000
"""Scopes that a whole tree has; those that are further inside are left out first."""

ScopeStatus = Literal["running", "waiting", "idle", "completed", "failed", "stopped"]
"""How a scope stands.

``running``: a task of it runs, or has opened scopes. ``waiting``: for a time, a signal, or the next
attempt. ``idle``: neither, although it is open: the execution is paused or has ended, or the scope
waits for a place.
"""


class TimerWait(msgspec.Struct, frozen=True):
    """Waits until a time: seconds since 1970-01-01 UTC."""

    due: float


class SignalWait(msgspec.Struct, frozen=True):
    """Waits for a signal; *due* is when that ends at the latest, None for never."""

    name: str
    due: float | None


class RetryWait(msgspec.Struct, frozen=True):
    """Waits for the next attempt; *error* is why the last one failed."""

    due: float
    error: ErrorInfo | None


class ScopesWait(msgspec.Struct, frozen=True):
    """Waits for the scopes that it has opened.

    Attributes:
        total: how many there will have been in the end; the sum of all that follow.
        open: how many are open.
        succeeded: how many have come to their end with a success, and `failed` with a failure.
        stopped: how many were stopped before their end.
        unopened: how many are still to be opened.
    """

    total: int
    open: int
    succeeded: int
    failed: int
    stopped: int
    unopened: int


Awaited = TimerWait | SignalWait | RetryWait | ScopesWait


class TaskNode(msgspec.Struct, frozen=True):
    """The task at which a scope is.

    Attributes:
        name: its name, and `path` its path in the execution.
        since: when its attempt, or the waiting for the next one, began; None if neither goes on.
        visit: how often the scope has come to it; None if it has not started yet.
        attempt: which attempt it is, or was; None if it has not started yet.
        deadline: when its time is over, or that of a task around it; None for never.
        waits_for: what it waits for, while no code of it runs.
        scopes: the scopes in it that are open, and then those that have failed.
        unlisted: how many of them are not in `scopes`.
        sub_flow_key: the key under which its attempt, which goes on, starts a sub-flow; None if it
            starts none.
    """

    name: str
    path: str
    since: float | None
    visit: int | None
    attempt: int | None
    deadline: float | None
    waits_for: Awaited | None
    scopes: tuple[ScopeNode, ...] = ()
    unlisted: int = 0
    sub_flow_key: str | None = None


class ScopeNode(msgspec.Struct, frozen=True):
    """A scope.

    Attributes:
        path: its path.
        status: how it stands.
        task: the task at which it is, or has failed; None if there is none.
        error: why it has failed.
    """

    path: str
    status: ScopeStatus
    task: TaskNode | None
    error: ErrorInfo | None = None


class Tree(msgspec.Struct, frozen=True):
    """All scopes of an execution, as they were at one moment.

    Attributes:
        execution_id: the execution.
        flow_id: its flow.
        flow_version: the flow's version.
        status: how it stands.
        is_parked: whether it is kept in the journal alone.
        scope: its own scope.
        compensation: the scope in which its finished tasks are compensated; None if none is.
        closing: that of the flow's ``finally``; None if it does not run and has not.
        sub_flows: the executions that its tasks have started and wait for, by `sub_flow_key`.
    """

    execution_id: str
    flow_id: str
    flow_version: int
    status: ExecutionStatus
    is_parked: bool
    scope: ScopeNode
    compensation: ScopeNode | None
    closing: ScopeNode | None
    sub_flows: Mapping[str, str] = {}


def tree_of(execution_id: str, plan: Plan | None, state: ExecutionState) -> Tree:
    """Return the tree of an execution.

    Args:
        execution_id: its id.
        plan: what it runs; None if that is not known: then no deadlines are.
        state: how it stands.
    """
    return _Drawing(plan, state).tree(execution_id)


def sub_flow_keys(tree: Tree) -> Iterator[str]:
    """Yield the keys of the sub-flows that tasks in *tree* wait for."""
    pending = [tree.scope, tree.compensation, tree.closing]
    while pending:
        scope = pending.pop()
        if scope is not None and scope.task is not None:
            pending.extend(scope.task.scopes)
            if scope.task.sub_flow_key is not None:
                yield scope.task.sub_flow_key


class _Drawing:
    """Draws one tree: first chooses the scopes that it has, then makes it from its leaves."""

    def __init__(self, plan: Plan | None, state: ExecutionState) -> None:
        self._plan = plan
        self._state = state
        self._left = MAX_SCOPES
        self._chosen: dict[str, list[str]] = {}  # by the path of the scope around

    def tree(self, execution_id: str) -> Tree:
        plan, state = self._plan, self._state
        ends = None if plan is None or state.has_ended else flow_end(plan, state)
        return Tree(
            execution_id=execution_id,
            flow_id=state.flow_id,
            flow_version=state.flow_version,
            status=state.status,
            is_parked=state.parked is not None,
            scope=self._drawn(ROOT, state, ends),
            compensation=self._drawn_end(COMPENSATION),
            closing=self._drawn_end(FINALLY),
        )

    def _drawn_end(self, path: str) -> ScopeNode | None:
        scope = self._state.scopes.get(path)
        return None if scope is None else self._drawn(path, scope, None)

    def _drawn(self, path: str, scope: ScopeState, ends: float | None) -> ScopeNode:
        self._choose(path, scope)
        return self._scope(path, scope, ends)

    def _choose(self, path: str, scope: ScopeState) -> None:
        """Choose the scopes in a scope: those further outside before those further inside."""
        pending = deque([(path, scope)])
        while pending:
            path, scope = pending.popleft()
            fork = _fork_at(scope, _current(self._state, path, scope))
            if fork is None:
                continue
            room = min(MAX_LISTED, self._left)
            chosen = _shown(fork)[:room]
            self._left -= len(chosen)
            self._chosen[path] = chosen
            pending.extend((each, fork.scopes[each]) for each in chosen)

    def _scope(self, path: str, scope: ScopeState, ends: float | None) -> ScopeNode:
        name, status = _current(self._state, path, scope), _status(self._state, path, scope)
        is_shown = name is not None and status != "completed"
        task = self._task(path, scope, name, ends) if is_shown and name else None
        return ScopeNode(path, status, task, _end_error(self._state, path, scope))

    def _task(self, path: str, scope: ScopeState, name: str, ends: float | None) -> TaskNode:
        running = scope.running
        started = running if running is not None and running.task == name else None
        has_started = name in scope.attempts and name != _next(scope)
        ends = _earliest(ends, *self._own_ends(path, scope, name, started))
        fork = _fork_at(scope, name)
        scopes: tuple[ScopeNode, ...] = ()
        unlisted = 0
        if fork is not None:
            chosen = self._chosen.get(path, [])
            scopes = tuple(self._scope(each, fork.scopes[each], ends) for each in chosen)
            unlisted = len(_shown(fork)) - len(chosen)
        return TaskNode(
            name=name,
            path=task_path(path, name) if path != COMPENSATION else name,
            since=_since(scope, started),
            visit=scope.visits.get(name) if has_started else None,
            attempt=scope.attempts[name] if has_started else None,
            deadline=ends,
            waits_for=_awaited(scope, started, fork),
            scopes=scopes,
            unlisted=unlisted,
            sub_flow_key=None if started is None else self._sub_flow_key(path, started),
        )

    def _sub_flow_key(self, path: str, started: TaskStarted) -> str | None:
        task = self._planned(path, started.task)
        if task is None or not task.goes_on:
            return None
        return child_key(self._state, started)

    def _own_ends(
        self, path: str, scope: ScopeState, name: str, started: TaskStarted | None
    ) -> list[float]:
        """Return when the task's own time is over: this attempt's, and that of all of them."""
        task = self._planned(path, name)
        if task is None or (started is None and scope.wait is None):
            return []
        ends = [] if task.deadline is None else [scope.since + task.deadline]
        if task.timeout is not None and started is not None:
            began = scope.since if isinstance(task.construct, Signal) else started.at
            ends.append(began + task.timeout)
        return ends

    def _planned(self, path: str, name: str) -> PlannedTask | None:
        if self._plan is None:
            return None
        try:
            return task_of(self._plan, self._state, path, name)
        except (NoSuchBodyError, KeyError):  # the execution went on with another version
            return None


def _status(state: ExecutionState, path: str, scope: ScopeState) -> ScopeStatus:
    if path == ROOT and (ended := _end_of(state)) is not None:
        return ended
    if _is_undone(state, path, scope):
        return "completed" if _first_failed(scope) is None else "failed"
    if scope.is_stopped:
        return "stopped"
    if scope.outcome is not None:
        return "completed" if scope.outcome.error is None else "failed"
    if scope.wait is not None:
        return "waiting"
    return "idle" if scope.running is None else "running"


def _is_undone(state: ExecutionState, path: str, scope: ScopeState) -> bool:
    """Whether *scope* is that of compensations, and all of them have run."""
    return path == COMPENSATION and scope.is_idle and len(scope.results) == len(state.compensable)


def _first_failed(scope: ScopeState) -> str | None:
    return next((name for name, each in scope.results.items() if each.error is not None), None)


def _end_of(state: ExecutionState) -> ScopeStatus | None:
    """Return how the execution's own scope has ended; None if it has not."""
    if state.ending is not None:
        return _ENDS[state.ending.status]
    return _ENDS[state.status] if state.has_ended else None


_ENDS: Final[dict[str, ScopeStatus]] = {
    "completed": "completed",
    "failed": "failed",
    "cancelled": "stopped",
}


def _current(state: ExecutionState, path: str, scope: ScopeState) -> str | None:
    """Return the task at which a scope is; None if it has come to its end and not failed there."""
    if scope.outcome is not None or (path == ROOT and _end_of(state) is not None):
        return _last_failed(state, path, scope)
    if _is_undone(state, path, scope):
        return _first_failed(scope)
    if scope.wait is not None:
        return scope.wait.task
    if scope.running is not None:
        return scope.running.task
    current = scope.current_task if scope.current_task != END else None
    return scope.stopped_task or scope.next_task or current or None


def _last_failed(state: ExecutionState, path: str, scope: ScopeState) -> str | None:
    if path == ROOT:
        ending = "" if state.ending is None else state.ending.task
        for name in (scope.stopped_task, state.error_task, ending):
            if name in scope.visits:  # which "finally" and "output" are not
                return name
    last = next(reversed(scope.results), None)
    return None if last is None or scope.results[last].error is None else last


def _next(scope: ScopeState) -> str | None:
    """Return the task that is to start with a new visit, if that is where the scope is."""
    return scope.next_task if scope.stopped_task is None and scope.running is None else None


def _since(scope: ScopeState, started: TaskStarted | None) -> float | None:
    if isinstance(scope.wait, AttemptFailed):
        return scope.wait.at
    return None if started is None else started.at


def _awaited(scope: ScopeState, started: TaskStarted | None, fork: Fork | None) -> Awaited | None:
    wait = scope.wait
    if isinstance(wait, AttemptFailed):
        return RetryWait(wait.due, wait.outcome.error)
    if wait is not None and wait.signal is not None:
        return SignalWait(wait.signal, wait.due)
    if wait is not None:
        return None if wait.due is None else TimerWait(wait.due)
    if fork is None or started is None:
        return None
    stopped = sum(each.is_stopped for each in fork.scopes.values()) if fork.is_joined else 0
    ended = fork.succeeded + fork.failed
    return ScopesWait(
        total=fork.total,
        open=len(fork.scopes) - ended - stopped,
        succeeded=fork.succeeded,
        failed=fork.failed,
        stopped=stopped,
        unopened=fork.total - len(fork.scopes),
    )


def _end_error(state: ExecutionState, path: str, scope: ScopeState) -> ErrorInfo | None:
    failed = _first_failed(scope) if _is_undone(state, path, scope) else None
    return _error(scope) if failed is None else scope.results[failed].error


def _error(scope: ScopeState) -> ErrorInfo | None:
    return None if scope.outcome is None else scope.outcome.error


def _fork_at(scope: ScopeState, task: str | None) -> Fork | None:
    return scope.fork if scope.fork is not None and scope.fork.task == task else None


def _shown(fork: Fork) -> list[str]:
    """Return the paths of the scopes that are open, and then of those that have failed."""
    open_ones = [path for path, each in fork.scopes.items() if each.is_open]
    return open_ones + [path for path, each in fork.scopes.items() if _error(each) is not None]


def _earliest(*times: float | None) -> float | None:
    return min((each for each in times if each is not None), default=None)
