"""What is recorded when a task is given a result instead of being run."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from actors.allowing import check_status
from actors.bodies import task_of
from actors.ending import execution_values
from actors.events import Event, ExecutionRetried, ForkResumed, TaskSkipped, TaskStarted, Transition
from actors.expressions import ExpressionError, Values
from actors.messages import NotAllowedError, SkipTask
from actors.outcome import Outcome
from actors.paths import COMPENSATION, ROOT, is_of_the_end, is_opened_by_a_task, split, task_path
from actors.plan import END, Plan, PlannedTask
from actors.routing import decide, end_scope, enter
from actors.state import ExecutionState, ScopeState

Events = tuple[Event, ...]


def skip(
    plan: Plan, state: ExecutionState, request: SkipTask, execution_id: str, at: float
) -> Events:
    """Return what is to be recorded when a task that waits or has failed is given a result.

    Raises:
        NotAllowedError: the execution's status does not allow it, or there is no such task.
    """
    places = dict(_skippable(state))
    _check_is_allowed(state, is_anything_skippable=bool(places))
    path, name = _chosen(state, places, request.task)
    scope = state.scope(path)
    outcome = Outcome("success", 0.0, request.result)
    is_new_visit = name == scope.next_task and scope.stopped_task is None
    visit = scope.visits.get(name, 0) + is_new_visit
    values = Values(
        scope.context.behind(name, outcome.data, is_merged=False),
        task={"name": name, "visit": visit, "attempt": 0},
        execution=partial(execution_values, plan, execution_id, state),
        outcome=outcome,
    )
    skipped = TaskSkipped(
        at=at,
        by=request.by,
        reason=request.reason,
        scope=path,
        task=name,
        visit=visit,
        result=request.result,
        transition=_transition(task_of(plan, state, path, name), values, outcome),
    )
    if state.has_ended and path != ROOT:
        return (*_open_again(state, path, request, at), skipped)
    return (skipped, *_following(plan, state, skipped, outcome))


def _check_is_allowed(state: ExecutionState, *, is_anything_skippable: bool) -> None:
    if state.status != "running" or not is_anything_skippable:
        check_status(state, "given a result instead of running a task", "paused", "failed")
    if COMPENSATION in state.scopes:
        msg = "has compensated its finished tasks, so it cannot go on; rerun it instead"
        raise NotAllowedError(msg)
    if state.status == "failed" and state.ending is not None and state.ending.status == "completed":
        msg = f"has failed in its {state.error_task}, which is no task; retry it instead"
        raise NotAllowedError(msg)


def _skippable(state: ExecutionState) -> Iterator[tuple[str, tuple[str, str]]]:
    """Return the tasks that can be skipped: their task paths, and the scopes and names."""
    is_ending = state.ending is not None and not state.has_ended
    for path, scope in state.all_scopes():
        if is_of_the_end(path) != is_ending:
            continue  # what it was at has been stopped; and behind the end nothing of that goes on
        task = _at(state, path, scope)
        if task is not None:
            yield task_path(path, task), (path, task)


def _at(state: ExecutionState, path: str, scope: ScopeState) -> str | None:
    """Return the task at which a scope waits, or has failed by itself."""
    if scope.wait is not None:
        return scope.wait.task
    if state.status == "paused":
        return (scope.stopped_task or scope.next_task) if scope.is_idle else None
    if state.status != "failed" or _has_failed_scopes(scope):
        return None
    if path == ROOT:
        return scope.stopped_task or scope.next_task or state.error_task or scope.current_task
    if scope.outcome is None or scope.outcome.error is None:
        return None
    return next(reversed(scope.results), None)


def _has_failed_scopes(scope: ScopeState) -> bool:
    return scope.fork is not None and bool(scope.fork.failed)


def _chosen(
    state: ExecutionState, places: dict[str, tuple[str, str]], wanted: str | None
) -> tuple[str, str]:
    """Return the one task that is meant: any if only there is one, or by its name or path.

    Raises:
        NotAllowedError: there is none, or more than one.
    """
    found = [
        place
        for path, place in places.items()
        if wanted is None or wanted == path or wanted == place[1]
    ]
    if len(found) == 1:
        return found[0]
    if not places:
        running = next((started.task for _, started in state.all_running()), None)
        at = "at its end" if running is None else f"running task '{running}'"
        msg = f"is {at}; only a task that waits or has failed can be skipped"
    elif wanted is not None and not found:
        listed = ", ".join(f"'{name}'" for _, name in places.values())
        msg = f"is at task {listed}; task '{wanted}' cannot be skipped"
    else:
        listed = ", ".join(f"'{path}'" for path in list(places)[:10])
        msg = f"has several tasks that can be skipped; name one by its path: {listed}"
    raise NotAllowedError(msg)


def _transition(task: PlannedTask, values: Values, outcome: Outcome) -> Transition:
    try:
        return decide(task, outcome, lambda: values)
    except ExpressionError as error:
        msg = f"cannot go on with this result: {error}"
        raise NotAllowedError(msg) from error


def _open_again(state: ExecutionState, path: str, request: SkipTask, at: float) -> Events:
    """Return what has a failed execution go on in a scope: the tasks around it, outermost first."""
    around: list[Event] = []
    while is_opened_by_a_task(path):
        path, task, _ = split(path)
        scope = state.scope(path)
        started = TaskStarted(
            at=at,
            scope=path,
            task=task,
            visit=scope.visits.get(task, 1),
            attempt=scope.attempts.get(task, 0) + 1,
        )
        around[:0] = [started, ForkResumed(at=at, scope=path, task=task)]
    version = state.flow_version
    retried = ExecutionRetried(at=at, by=request.by, reason=request.reason, flow_version=version)
    return (retried, *around)


def _following(plan: Plan, state: ExecutionState, skipped: TaskSkipped, outcome: Outcome) -> Events:
    target, path = skipped.transition.target, skipped.scope
    if target == END:
        return end_scope(plan, state, path, outcome, skipped.task, skipped.at)
    if state.status == "paused":
        return ()
    return enter(plan, state, path, target, skipped.at)
