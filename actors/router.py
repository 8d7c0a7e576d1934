"""The router actor: says what follows from how a flow's tasks ended."""

from __future__ import annotations

import random
from functools import partial
from typing import Final

import msgspec
from msgspec.structs import replace

from actors.ending import execution_values
from actors.expressions import ExpressionError, Values
from actors.messages import (
    ApplyConditions,
    AttemptToRepeat,
    RoutingFailed,
    RunTask,
    TaskDecided,
)
from actors.outcome import Outcome
from actors.routing import decide, due_again, expression_error
from actors.values import ValueRefusedError, encode_value


class RouterActor:
    """Applies the rules of `actors.routing`, and tells the supervisor what they say.

    It keeps nothing between messages. So it needs no mailbox: it handles each when it is sent; and
    one serves all executions.
    """

    def send(self, message: ApplyConditions) -> None:
        """Decide where the finished task leads, or when it is tried again; not a checkpoint."""
        run, outcome = message.run, message.outcome
        task, supervisor = run.task, run.environment.supervisor
        if outcome.error is None:
            if task.output is not None:
                outcome = _shaped(run, outcome)
        elif task.retry is not None:
            at, chance = run.environment.clock.now(), random.random()  # noqa: S311 - for jitter
            due = due_again(run.failures, task, outcome.error, run.since, at, chance)
            if due is not None:
                supervisor.send(AttemptToRepeat(run, outcome, due))
                return
        conditions = task.conditions
        if conditions and conditions[0].when is None:  # most tasks: nothing has to be evaluated
            supervisor.send(TaskDecided(run, outcome, conditions[0].transition(outcome)))
            return
        try:
            transition = decide(task, outcome, partial(_values_behind, run, outcome))
        except ExpressionError as error:
            supervisor.send(RoutingFailed(run, outcome, expression_error(error)))
        else:
            supervisor.send(TaskDecided(run, outcome, transition))


ROUTER: Final = RouterActor()


def values_of(run: RunTask, outcome: Outcome | None = None) -> Values:
    """Return what expressions can speak of, during a task's attempt or behind it."""
    about = {"name": run.task.name, "visit": run.started.visit, "attempt": run.started.attempt}
    known = run.undoes if outcome is None else outcome
    environment = run.environment
    # As it stands now, not as it did when the attempt began: a restart would not know that either.
    state = environment.supervisor.state
    execution = partial(execution_values, environment.plan, environment.execution_id, state)
    return Values(run.context, task=about, execution=execution, outcome=known)


def _values_behind(run: RunTask, outcome: Outcome) -> Values:
    """Return what conditions can speak of: the task's result is in the context already."""
    is_merged = run.task.merges and outcome.error is None
    context = run.context.behind(run.task.name, outcome.data, is_merged=is_merged)
    return values_of(replace(run, context=context), outcome)


def _shaped(run: RunTask, outcome: Outcome) -> Outcome:
    """Return the outcome with the result that the task's ``output`` makes of it."""
    assert run.task.output is not None
    try:
        result = run.task.output.evaluate(values_of(run, outcome))
        data = msgspec.Raw(encode_value(result))
    except (ExpressionError, ValueRefusedError) as error:
        shown = ExpressionError(f"output of task '{run.task.name}': {error}")
        return Outcome("failure", outcome.seconds, error=expression_error(shown))
    return Outcome("success", outcome.seconds, data)
