"""What has to hold of every history, whatever its flow is."""

import itertools

from actors.events import (
    TERMINAL,
    CancelRequested,
    EndingStarted,
    ExecutionFailed,
    ExecutionRetried,
    ForkResumed,
    ScopeFinished,
    ScopeStarted,
    ScopeStopped,
    TaskFinished,
    TaskSkipped,
    TaskStarted,
)
from actors.paths import is_of_the_end, is_opened_by_a_task, opener, task_path


def broken(events):
    """What is wrong about a history, whatever its flow is."""
    problems = _ends(events)
    problems += [
        f"a bug: {event.error.message}"
        for event in events
        if isinstance(event, ExecutionFailed) and event.error.type == "InternalError"
    ]
    problems += _left_open(events) + _started_in_stopped(events)
    return problems + _started_behind_the_end(events)


def _ends(events):
    """It ends once, or once more each time that it was made to go on."""
    if not isinstance(events[-1], TERMINAL):
        return ["not a terminal event as the last one"]
    for event, following in itertools.pairwise(events):
        has_ended = isinstance(event, TERMINAL)
        is_reopened = isinstance(following, ExecutionRetried | TaskSkipped)
        if has_ended and not is_reopened:
            return ["something is recorded behind the terminal event"]
    return []


def _started_behind_the_end(events):
    """Nothing but what belongs to the end is started once that, or a cancellation, has begun."""
    is_ending = False
    for event in events:
        if isinstance(event, CancelRequested | EndingStarted):
            is_ending = True
        elif isinstance(event, TERMINAL):
            is_ending = False
        elif isinstance(event, TaskStarted) and is_ending and not is_of_the_end(event.scope):
            return [f"a task is started at the end: {event.task}"]
    return []


def not_as_asked(events, path, task):
    """What is wrong about the history of a rerun, which begins with a task."""
    started = [each for each in events if isinstance(each, TaskStarted) and each.scope == path]
    if not started or started[0].task != task:
        return [f"it does not begin with the task: {path}/{task}"]
    begun, kept = set(), set()
    for event in events:
        if isinstance(event, ScopeStarted):
            begun.discard(event.scope)
            kept.discard(event.scope)
        elif isinstance(event, ScopeFinished) and event.scope not in begun:
            kept.add(event.scope)
        elif isinstance(event, TaskStarted):
            begun.add(event.scope)
            if event.scope in kept:
                return [f"what was kept runs again: {event.scope}"]
    return []


def _left_open(events):
    problems, open_scopes = [], set()
    for event in events:
        if isinstance(event, ScopeStarted) and is_opened_by_a_task(event.scope):
            if event.scope in open_scopes:
                problems.append(f"scope {event.scope} is opened twice")
            open_scopes.add(event.scope)
        elif isinstance(event, ScopeFinished | ScopeStopped):
            open_scopes.discard(event.scope)
        elif isinstance(event, TaskSkipped):  # what was stopped in it never goes on
            path = task_path(event.scope, event.task)
            open_scopes = {each for each in open_scopes if not f"{each}/".startswith(f"{path}/")}
        elif isinstance(event, TaskFinished):
            path = task_path(event.scope, event.task)
            left = [scope for scope in open_scopes if opener(scope) == path]
            problems += [f"scope {scope} is open behind its task" for scope in left]
    return problems


def _started_in_stopped(events):
    problems, stopped = [], set()
    for event in events:
        if isinstance(event, ScopeStopped):
            stopped.add(event.scope)
        elif isinstance(event, ScopeStarted):
            stopped.discard(event.scope)
        elif isinstance(event, ForkResumed):
            path = task_path(event.scope, event.task)
            stopped -= {scope for scope in stopped if opener(scope) == path}
        elif isinstance(event, TaskStarted):
            around = [scope for scope in stopped if f"{event.scope}/".startswith(f"{scope}/")]
            problems += [f"a task starts in a stopped scope: {scope}" for scope in around]
    return problems
