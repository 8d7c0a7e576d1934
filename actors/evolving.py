"""The fold: how an execution's state follows from its events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from actors.context import Context, decode_fields
from actors.events import (
    AttemptFailed,
    AttemptInterrupted,
    CancelRequested,
    EndingStarted,
    Event,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionParked,
    ExecutionPaused,
    ExecutionQuarantined,
    ExecutionResumed,
    ExecutionRetried,
    ExecutionStarted,
    ForkResumed,
    ForkStarted,
    JoinReached,
    ScopeFinished,
    ScopeStarted,
    ScopeStopped,
    SignalReceived,
    SignalTaken,
    TaskFinished,
    TaskSkipped,
    TaskStarted,
    TaskStopped,
    Transition,
    WaitStarted,
)
from actors.outcome import NULL, Outcome
from actors.paths import COMPENSATION, FINALLY, is_opened_by_a_task, split, task_path
from actors.plan import END
from actors.state import Cancellation, Compensable, ExecutionState, Fork, ScopeState

_NOTHING = Context()


def evolve(state: ExecutionState, events: Sequence[Event]) -> None:
    """Apply *events*, in place. Never fails on events that this program has written."""
    if state.parked is not None:
        state.parked = None  # whatever is recorded then is so by one that was taken up again
    for event in events:
        _EVOLVERS[type(event)](state, event)
    state.seq += len(events)


def fold(events: Sequence[Event]) -> ExecutionState:
    """Return the state that *events* lead to."""
    state = ExecutionState()
    evolve(state, events)
    if not isinstance(events[-1] if events else None, ExecutionParked):
        state.parked = None
    return state


def _execution_started(state: ExecutionState, event: ExecutionStarted) -> None:
    state.flow_id = event.flow_id
    state.flow_version = event.flow_version
    state.status = "running"
    state.current_task = event.start_task
    state.context = Context.from_json(event.context)
    state.started_at = state.runs_since = event.at
    state.metadata = event.metadata
    state.rerun_of = event.rerun_of
    state.parent = event.parent
    state.depth = event.depth


# Tasks.


def _task_started(state: ExecutionState, event: TaskStarted) -> None:
    scope = state.scopes[event.scope] if event.scope else state
    task = event.task
    scope.current_task = task
    scope.next_task = scope.stopped_task = scope.wait = None
    if event.attempt == 1:
        scope.since = event.at
        scope.failures = 0
        if scope.fork is not None:
            _drop_fork(state, scope)
    scope.visits[task] = event.visit
    scope.attempts[task] = event.attempt
    scope.running = event
    if not scope.is_busy:
        scope.is_busy = True
        state.busy += 1


def _attempt_interrupted(state: ExecutionState, event: AttemptInterrupted) -> None:
    scope = state.scope(event.scope)
    scope.running = None
    scope.stopped_task = event.task
    state.interruptions += 1
    _rest(state, scope)


def _attempt_failed(state: ExecutionState, event: AttemptFailed) -> None:
    scope = state.scope(event.scope)
    scope.running = None
    scope.stopped_task = event.task
    scope.failures += 1
    scope.wait = event
    _rest(state, scope)


def _wait_started(state: ExecutionState, event: WaitStarted) -> None:
    scope = state.scope(event.scope)
    scope.wait = event
    _rest(state, scope)


def _task_finished(state: ExecutionState, event: TaskFinished) -> None:
    scope = state.scopes[event.scope] if event.scope else state
    task, outcome = event.task, event.outcome
    scope.running = scope.wait = None
    if scope.is_busy:
        scope.is_busy = False
        state.busy -= 1
    if outcome.error is None:
        if scope.fork is not None:
            _drop_fork(state, scope)
    else:
        state.has_failures = True
    if event.is_merged:
        for key, value in decode_fields(outcome.data).items():
            scope.context = scope.context.extended(key, value)
    _keep_outcome(scope, task, outcome, event.transition)
    if event.is_compensable:
        name = _compensation_name(state, event)
        state.compensable[name] = Compensable(name, event.scope, task, scope.context, outcome)


def _compensation_name(state: ExecutionState, event: TaskFinished) -> str:
    """Return a name that no other compensation has: a scope that is opened again has its path."""
    name = task_path(event.scope, event.task) + (f"/{event.visit}" if event.visit > 1 else "")
    return f"{name}#{len(state.compensable) + 1}" if name in state.compensable else name


def _task_skipped(state: ExecutionState, event: TaskSkipped) -> None:
    scope = state.scope(event.scope)
    if state.has_ended:
        _reopen(state, event.at)
    scope.running = scope.wait = None
    scope.visits[event.task] = event.visit
    outcome = Outcome("success", 0.0, event.result)
    _keep_outcome(scope, event.task, outcome, event.transition)


def _task_stopped(state: ExecutionState, event: TaskStopped) -> None:
    scope = state.scope(event.scope)
    if scope.running is not None:
        scope.running = None
        scope.stopped_task = event.task
        scope.wait = None
    if state.cancellation is not None:
        state.cancellation.tasks = (*state.cancellation.tasks, event)
    _rest(state, scope)


def _keep_outcome(
    scope: ScopeState, task: str, outcome: Outcome, transition: Transition | None
) -> None:
    if scope.stopped_task == task:
        scope.stopped_task = None
    results = scope.results
    if task in results:  # a repeated task moves to the end: results are in run order
        del results[task]
        scope.context = scope.context.compacted()
    results[task] = outcome
    scope.context = scope.context.extended(f"{task}_result", outcome.data)
    if transition is not None:
        target = scope.current_task = transition.target
        scope.next_task = None if target == END else target


def _rest(state: ExecutionState, scope: ScopeState) -> None:
    """Note that no code of the scope's own runs."""
    if scope.is_busy:
        scope.is_busy = False
        state.busy -= 1


# Scopes.


def _fork_started(state: ExecutionState, event: ForkStarted) -> None:
    scope = state.scope(event.scope)
    if scope.fork is not None:
        _drop_fork(state, scope)
    items = [] if event.binds is None else _decode_items(event.items)
    scope.fork = Fork(
        event.task, event.branches, items, event.binds, scope.attempts.get(event.task, 1)
    )
    _rest(state, scope)


def _scope_started(state: ExecutionState, event: ScopeStarted) -> None:
    opened = ScopeState()
    state.scopes[event.scope] = opened
    if not is_opened_by_a_task(event.scope):
        opened.context = state.context
        return
    around, _, branch = split(event.scope)
    scope = state.scope(around)
    fork = scope.fork
    assert fork is not None
    fork.scopes[event.scope] = opened
    opened.context = scope.context
    if fork.binds is not None:
        position = int(branch)
        opened.context = scope.context.extended(fork.binds, fork.items[position])
        _item_opened(fork, position)
    if event.context != NULL:
        opened.context = Context.from_json(event.context)


def _item_opened(fork: Fork, position: int) -> None:
    if position != fork.following:
        fork.ahead.add(position)
        return
    fork.following += 1
    while fork.following in fork.ahead:
        fork.ahead.remove(fork.following)
        fork.following += 1


def _fork_resumed(state: ExecutionState, event: ForkResumed) -> None:
    scope = state.scope(event.scope)
    fork = scope.fork
    assert fork is not None
    fork.attempt = scope.attempts[event.task]
    fork.failed = 0
    fork.is_joined = False
    fork.is_resumed = True
    for opened in fork.scopes.values():
        if opened.outcome is not None and opened.outcome.error is not None:
            opened.outcome = None
            opened.since, opened.failures = event.at, 0
            last = next(reversed(opened.results), None)
            if last is not None and opened.results[last].error is not None:
                opened.stopped_task = last
        opened.is_stopped = False
    _rest(state, scope)


def _scope_finished(state: ExecutionState, event: ScopeFinished) -> None:
    scope = state.scopes[event.scope]
    scope.outcome = event.outcome
    if not is_opened_by_a_task(event.scope):
        return
    fork = _fork_around(state, event.scope)
    if event.outcome.error is None:
        fork.succeeded += 1
        # It never goes on: only what became of it is of interest.
        scope.context = _NOTHING
    else:
        fork.failed += 1


def _scope_stopped(state: ExecutionState, event: ScopeStopped) -> None:
    scope = state.scopes[event.scope]
    scope.is_stopped = True
    scope.wait = None  # for the next attempt, which there will not be


def _join_reached(state: ExecutionState, event: JoinReached) -> None:
    scope = state.scope(event.scope)
    assert scope.fork is not None
    scope.fork.is_joined = True
    if not scope.is_busy:  # with closing what is still open
        scope.is_busy = True
        state.busy += 1


def _fork_around(state: ExecutionState, path: str) -> Fork:
    fork = state.scope(split(path)[0]).fork
    assert fork is not None
    return fork


def _drop_fork(state: ExecutionState, scope: ScopeState) -> None:
    pending = [scope]
    while pending:
        fork, pending[-1].fork = pending[-1].fork, None
        pending.pop()
        if fork is not None:
            for path, opened in fork.scopes.items():
                state.scopes.pop(path, None)
                pending.append(opened)


# Signals.


def _signal_received(state: ExecutionState, event: SignalReceived) -> None:
    state.signals.setdefault(event.name, []).append(event.value)
    if event.key is not None:
        state.signal_keys.add(event.key)


def _signal_taken(state: ExecutionState, event: SignalTaken) -> None:
    state.signals[event.name].pop(0)


# The execution.


def _execution_parked(state: ExecutionState, event: ExecutionParked) -> None:
    state.parked = event


def _execution_paused(state: ExecutionState, _: ExecutionPaused) -> None:
    state.status = "paused"


def _execution_resumed(state: ExecutionState, _: ExecutionResumed) -> None:
    state.status = "running"


def _execution_quarantined(state: ExecutionState, _: ExecutionQuarantined) -> None:
    state.status = "quarantined"


def _execution_retried(state: ExecutionState, event: ExecutionRetried) -> None:
    state.flow_version = event.flow_version
    _reopen(state, event.at)


def _reopen(state: ExecutionState, at: float) -> None:
    ended_for = at - (state.ended_at or at)
    for _, scope in state.all_scopes():
        last = next(reversed(scope.results.values()), None)
        if scope.stopped_task is None and last is not None and last.error is not None:
            scope.since, scope.failures = at, 0  # what has failed has all its time again
        else:
            scope.since += ended_for  # what was stopped has what was left
    state.runs_since = at
    state.status = "running"
    state.ended_at = state.ending = None
    state.error = state.error_task = state.cancellation = None
    for path in (COMPENSATION, FINALLY):
        closed = state.scopes.pop(path, None)
        if closed is not None:
            _drop_fork(state, closed)


def _cancel_requested(state: ExecutionState, event: CancelRequested) -> None:
    state.status = "cancelling"
    state.cancellation = Cancellation(event.at, event.reason, by=event.by)


def _ending_started(state: ExecutionState, event: EndingStarted) -> None:
    state.ending = event
    for _, scope in state.all_scopes():
        scope.wait = None  # for the next attempt, which there will not be


def _execution_completed(state: ExecutionState, event: ExecutionCompleted) -> None:
    state.status = "completed"
    state.output = event.output
    _end(state, event.at)


def _execution_failed(state: ExecutionState, event: ExecutionFailed) -> None:
    state.status = "failed"
    state.error = event.error
    state.error_task = event.task
    _end(state, event.at)


def _execution_cancelled(state: ExecutionState, event: ExecutionCancelled) -> None:
    state.status = "cancelled"
    if state.ending is not None and state.ending.error is not None:
        # It was about to fail: that is not forgotten because somebody has cancelled its end.
        state.error, state.error_task = state.ending.error, state.ending.task
    _end(state, event.at)


def _end(state: ExecutionState, at: float) -> None:
    state.ended_at = at
    state.busy = 0
    state.is_busy = False
    state.wait = None
    state.running = None
    for scope in state.scopes.values():
        scope.is_busy = False
        scope.wait = None
        scope.running = None


_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode

_EVOLVERS: dict[type[Event], Callable[[ExecutionState, Any], None]] = {
    ExecutionStarted: _execution_started,
    TaskStarted: _task_started,
    AttemptInterrupted: _attempt_interrupted,
    AttemptFailed: _attempt_failed,
    WaitStarted: _wait_started,
    TaskFinished: _task_finished,
    TaskSkipped: _task_skipped,
    TaskStopped: _task_stopped,
    ForkStarted: _fork_started,
    ScopeStarted: _scope_started,
    ForkResumed: _fork_resumed,
    ScopeFinished: _scope_finished,
    ScopeStopped: _scope_stopped,
    JoinReached: _join_reached,
    SignalReceived: _signal_received,
    SignalTaken: _signal_taken,
    ExecutionParked: _execution_parked,
    ExecutionPaused: _execution_paused,
    ExecutionResumed: _execution_resumed,
    ExecutionRetried: _execution_retried,
    ExecutionQuarantined: _execution_quarantined,
    CancelRequested: _cancel_requested,
    EndingStarted: _ending_started,
    ExecutionCompleted: _execution_completed,
    ExecutionFailed: _execution_failed,
    ExecutionCancelled: _execution_cancelled,
}
