"""How the execution that is to be repeated was when it came to the task to begin with."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from actors.context import Context
from actors.events import Event, ExecutionStarted, ScopeFinished, ScopeStarted, TaskStarted
from actors.evolving import evolve, fold
from actors.outcome import Outcome
from actors.paths import split, task_path
from actors.plan import Parallel
from actors.state import Fork
from flowmgr.errors import InputError
from flowmgr.ways import Step, Way, refusal


class Opened(msgspec.Struct, frozen=True):
    """A scope on the way to the task, as the other execution had it when it came to the task.

    Attributes:
        step: which one it is.
        context: its context then.
        fork: the scopes of its task in that visit, itself among them, as they were in the end.
    """

    step: Step
    context: Context
    fork: Fork

    @property
    def kept(self) -> dict[str, Outcome]:
        """How the scopes beside it ended that have succeeded, by their path.

        Those of branches that the flow does not have any more are left out.
        """
        succeeded = {
            path: scope.outcome
            for path, scope in self.fork.scopes.items()
            if path != self.step.path and scope.outcome is not None and scope.outcome.error is None
        }
        construct = self.step.task.construct
        if not isinstance(construct, Parallel):
            return succeeded
        return {
            path: outcome
            for path, outcome in succeeded.items()
            if split(path)[2] in construct.branches
        }


def as_it_was(events: Sequence[Event], way: Way) -> tuple[Context, list[Opened]]:
    """Return the context of the execution, and the scopes around the task, when it came to it.

    Raises:
        InputError: it has never been in one of these scopes.
    """
    position = _position_of_start(events, way)
    if position is None:
        position = _position_of_end(events, way) if way.steps else len(events)
    state = fold(events[:position])
    context, opened = state.context, []
    for step in way.steps:
        fork = state.scope(step.scope).fork
        assert fork is not None
        opened.append(Opened(step, state.scope(step.path).context, fork))
    if opened:
        # A fork that is dropped stays as it is then: with all that has succeeded in that visit.
        evolve(state, events[position:])
    return context, opened


def _position_of_start(events: Sequence[Event], way: Way) -> int | None:
    """Return the position of the event that first started the task; None if it never started."""
    scope, task = way.scope, way.task
    for position, event in enumerate(events):
        if isinstance(event, TaskStarted) and event.scope == scope and event.task == task:
            return position
    return None


def _position_of_end(events: Sequence[Event], way: Way) -> int:
    """Return the position of the event with which the context of the task's scope was lost.

    The number of events if it never was.

    Raises:
        InputError: it, or one around it, was never opened, or has only kept its result.
    """
    opened = {event.scope: n for n, event in enumerate(events) if isinstance(event, ScopeStarted)}
    for step in way.steps:
        if step.path not in opened:
            raise _never_opened(step)
    path = way.scope
    following = opened[path] + 1
    state = fold(events[:following])
    scope = state.scope(path)
    for position, event in enumerate(events[following:], start=following):
        if isinstance(event, ScopeFinished) and event.scope == path and event.outcome.error is None:
            if not scope.visits and way.task != way.steps[-1].body.start_task:
                raise _only_kept(events[0], way)
            return position  # which leaves nothing of its context
        evolve(state, [event])
        if state.find(path) is not scope:
            return position
    return len(events)


def _never_opened(step: Step) -> InputError:
    message = (
        f"The execution has never been in '{step.path}'; a rerun begins where it has been, as "
        "there is no context otherwise"
    )
    return refusal("never_opened", message, f"Rerun it from '{step.opener}'")


def _only_kept(first: Event, way: Way) -> InputError:
    assert isinstance(first, ExecutionStarted)
    message = (
        f"Nothing of '{way.scope}' has run in this execution, which keeps the result that it had "
        f"in execution '{first.rerun_of}'; a task that is not its first one has no context here"
    )
    start = task_path(way.scope, way.steps[-1].body.start_task)
    return refusal("only_kept", message, f"Rerun that execution, or this one from '{start}'")
