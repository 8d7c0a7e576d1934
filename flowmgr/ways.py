"""The way to a task that somebody names, by its name or by its path in an execution."""

from __future__ import annotations

import msgspec

from actors.paths import ROOT, child, task_path, tokens
from actors.plan import Body, Map, Parallel, Plan, PlannedTask
from flowmgr.errors import MAX_SHOWN, InputError, Problem


class Step(msgspec.Struct, frozen=True):
    """A scope on the way to a task, from the flow's own body inwards.

    Attributes:
        scope: the path of the scope around it.
        task: the task there that opens it: a parallel task or a map.
        path: its own path.
        body: what it runs.
    """

    scope: str
    task: PlannedTask
    path: str
    body: Body

    @property
    def opener(self) -> str:
        """The path of the task that opens it."""
        return task_path(self.scope, self.task.name)


class Way(msgspec.Struct, frozen=True):
    """The way to a task.

    Attributes:
        task: its name.
        steps: the scopes that it is in, the outermost first; none for one of the flow's own body.
    """

    task: str
    steps: tuple[Step, ...] = ()

    @property
    def scope(self) -> str:
        """The path of the scope that it is in."""
        return self.steps[-1].path if self.steps else ROOT


def refusal(code: str, message: str, hint: str | None = None) -> InputError:
    """Return the error that says why nothing can begin with the task that somebody has named.

    Args:
        code: the rule, as a word.
        message: what is wrong, without a full stop.
        hint: the way out.
    """
    problem = Problem("/task", code, message, hint)
    return InputError(message if hint is None else f"{message}. {hint}", [problem])


def find_way(plan: Plan, wanted: str) -> Way:
    """Return the way to the task *wanted*: a name in the flow's own body, or a path.

    Raises:
        InputError: there is none with which an execution could begin.
    """
    if wanted in plan.tasks:
        return Way(wanted)
    if wanted.startswith("~"):
        message = f"Task '{wanted[:MAX_SHOWN]}' belongs to the end of an execution, and none begins"
        raise refusal(
            "of_the_end", f"{message} with that", "Rerun it from one of the flow's own tasks"
        )
    names = tokens(wanted) if wanted.startswith("/") else []
    body: Body = plan
    steps: list[Step] = []
    for name, branch in zip(names[::2], names[1::2], strict=False):
        step = _step(plan, body, steps[-1].path if steps else ROOT, name, branch, wanted)
        body = step.body
        steps.append(step)
    if steps and len(names) == 2 * len(steps):
        message = f"'{wanted[:MAX_SHOWN]}' is the path of a branch or an item, not of a task"
        inside = task_path(steps[-1].path, body.start_task)
        raise refusal("unknown_task", message, f"Name a task in it, such as '{inside}'")
    if not names or names[-1] not in body.tasks:
        raise _unknown(plan, wanted)
    return Way(names[-1], tuple(steps))


def _step(plan: Plan, body: Body, scope: str, name: str, branch: str, wanted: str) -> Step:  # noqa: PLR0917
    """Return the scope that the task *name* of a body opens for *branch*.

    Raises:
        InputError: it opens none for that.
    """
    task = body.tasks.get(name)
    if task is None:
        raise _unknown(plan, wanted)
    path = child(scope, name, branch)
    if isinstance(task.construct, Map):
        return Step(scope, task, path, task.construct.body)
    if isinstance(task.construct, Parallel) and branch in task.construct.branches:
        return Step(scope, task, path, task.construct.branches[branch])
    if task.goes_on:
        message = (
            f"Task '{task_path(scope, name)}' runs another flow, as an execution of its own: "
            f"'{wanted[:MAX_SHOWN]}' is no task of this one"
        )
        hint = f"Rerun that execution, or this one from '{task_path(scope, name)}'"
        raise refusal("in_a_sub_flow", message, hint)
    raise _unknown(plan, wanted)


def _unknown(plan: Plan, wanted: str) -> InputError:
    where = f"flow '{plan.flow_id}'"
    if plan.flow_version:
        where = f"version {plan.flow_version} of {where}"
    return refusal("unknown_task", f"There is no task '{wanted[:MAX_SHOWN]}' in {where}")
