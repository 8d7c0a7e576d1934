"""What the interpreter of flows says of an execution that is retried or run again."""

import dataclasses

from tests.fuzz.model import Model
from tests.fuzz.scopes import Scope, Step, opened, step_at


class RefusedError(Exception):
    """It cannot go on."""


def retried(model, act):
    """Have the execution of a model go on, from where it has ended, to its next end.

    Raises:
        RefusedError: it has completed, or was compensated.
    """
    if model.status == "completed" or model.compensated:
        raise RefusedError
    now, root = max(model.ended_at + act["after"], model.busy_until), model.root
    until = min(model.cancel, model.ended_at)
    model.signals = [signal for signal in model.signals if signal.at < until]
    model.intervene(act.get("done", {}), now)
    _reopen(root, model.ended_at, now)
    if root.outcome is not None and root.outcome.error:
        if root.outcome.error[0] == "MaxVisitsExceeded":
            root.outcome = None  # it comes to the same task again
        elif root.results[root.ended_in].error:
            root.task, root.is_visiting, root.outcome = root.ended_in, True, None
    model.execute(now)
    return model


def _reopen(scope, ended_at, now):
    """What has failed has all its time again; what was stopped has what was left."""
    last = next(reversed(scope.results.values()), None)
    if not scope.is_visiting and last is not None and last.error:
        scope.since, scope.failures = now, 0
    else:
        scope.since += now - ended_at
    for inner in scope.scopes.values():
        _reopen(inner, ended_at, now)


def run_again(model, act, path, task):
    """Run what an execution has done anew, from a task on, in an execution of its own.

    Raises:
        RefusedError: that task would be stopped at once.
    """
    begun = model.first.get((path, task))
    if begun is None:  # it never was
        begun = [Step(model.flow, "", task, model.root.context, {})]
    innermost = begun[-1]
    scope = opened(innermost.body, path, innermost.context | act.get("context", {}))
    scope.task, way = task, []
    for step in reversed(begun[:-1]):
        scope = _around(step, scope)
        way.insert(0, scope)
    again = Model(model.story, model.flow, {})
    again.root = scope
    for number, each in enumerate(way, start=1):
        again.first[each.path, each.task] = [step_at(around) for around in way[:number]]
    again.intervene(act.get("done", {}), 0.0)
    again.execute(0.0)
    return again


def _around(step, inner):
    """The scope of a step, in the task that opens another one, which is open already."""
    names = {scope.path: name for name, scope in step.scopes.items()}
    inner.is_open = True
    kept = {
        name: scope
        for name, scope in step.scopes.items()
        if scope.path != inner.path and scope.outcome is not None and not scope.outcome.error
    }
    task = next(task for task in step.body["tasks"] if task["name"] == step.task)
    join = task.get("join")
    if task["kind"] == "parallel":
        needed = {"all": len(task["branches"]), "any": 1}.get(str(join)) or join["at_least"]
        if len(kept) >= needed:
            raise RefusedError
    scopes = {name: dataclasses.replace(scope) for name, scope in kept.items()}
    return Scope(
        step.body,
        step.path,
        dict(step.context),
        step.task,
        is_visiting=True,
        visits={step.task: 1},
        attempts={step.task: 0},
        scopes=scopes | {names[inner.path]: inner},
    )
