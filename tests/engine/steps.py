"""Activities that note what they were given, and fail as long as they are to."""

import string

from flowmgr import activity
from tests.engine.constructs.world import body, task
from tests.support.flows import PATIENCE, until


class Steps:
    """Activities "a" to "z", and "undo"; each returns its name, with its item if it has one.

    Attributes:
        failing: the names of those that fail, or (name, item) for one item only.
        ran: the names, or (name, item), of all that were run, in order.
        contexts: what they were given, by name.
    """

    def __init__(self, failing=()):
        self.failing = set(failing)
        self.ran = []
        self.contexts = {}
        self.all = [self._step(name) for name in string.ascii_lowercase] + [self._step("undo")]

    def _step(self, name):
        @activity(name)
        async def step(context):
            item = context.get("item", context.get("each"))
            which = name if item is None else (name, item)
            self.ran.append(which)
            self.contexts.setdefault(name, []).append(dict(context))
            if name in self.failing or which in self.failing:
                raise ConnectionError(f"{which} fails")
            return name if item is None else f"{name}{item}"

        return step

    def context(self, name, item=None):
        """The context that a task was given last, for an item if there are several."""
        return [each for each in self.contexts[name] if each.get("item") == item][-1]

    async def until_ran(self, which, times=1):
        await until(lambda: self.ran.count(which) >= times)


def parallel(name, *, join="all", on_failure="cancel", **branches):
    return task(name, kind="parallel", branches=branches, join=join, on_failure=on_failure)


def each_of(items, *tasks, **fields):
    return task("each", kind="map", items=list(items), do=body(*tasks), **fields)


def sides(left=("a", "b", "c"), right=("r",), **fields):
    return parallel("fan", left=body(*map(task, left)), right=body(*map(task, right)), **fields)


def items(count, *tasks, **fields):
    return each_of(range(count), *map(task, tasks), on_failure="wait", **fields)


async def begun_again(engine, steps, execution_id, **options):
    """Run an execution again with nothing that fails, and return the new one at its end."""
    steps.failing.clear()
    steps.ran.clear()
    steps.contexts.clear()
    rerun = await engine.rerun(execution_id, **options)
    return await engine.wait(rerun.execution_id, timeout=PATIENCE)
