"""Engines and activities for the table of constructs, and the time that they live in."""

import contextlib
import itertools

import anyio

from flowmgr import ActivityError, Settings, activity, open_engine
from flowmgr.journal.store import ExecutionQuery
from tests.support.flows import recorded
from tests.support.virtual_time import LoopClock

UNITS = 200
"""Units of time after which a test that waits for something has failed."""


class CrashError(Exception):
    """Ends an engine without giving what runs in it any time."""


async def die():
    """Leave no word, as a process that is killed."""


class World:
    """Engines one after the other on the same journal.

    Attributes:
        shares_loop: whether others, as a server, have tasks that come and go in the event loop.
        unit: seconds that stand for a while: many where time is virtual, few where it is real.
    """

    def __init__(self, settings, *, is_virtual):
        self._settings = settings
        self._clock = {"clock": LoopClock()} if is_virtual else {}
        self.unit = 1_000.0 if is_virtual else 0.05
        self.grace = 3.0 * self.unit if is_virtual else 10.0
        self._begun_with = 0
        self.shares_loop = False

    @contextlib.asynccontextmanager
    async def open(self, acts, **settings):
        """Open an engine, and close it in order; nothing of its executions is left then."""
        before = len(anyio.get_running_tasks())
        settings = Settings(**{"grace": self.grace, **self._settings, **settings})
        async with open_engine(settings, activities=acts.all, **self._clock) as engine:
            self._begun_with = len(anyio.get_running_tasks())
            yield engine
        assert not acts.is_inside
        assert self.shares_loop or len(anyio.get_running_tasks()) <= before

    @contextlib.asynccontextmanager
    async def killed(self, acts, **settings):
        """Open an engine; what is unfinished when the block is left is as after a SIGKILL."""
        with contextlib.suppress(CrashError):
            async with self.open(acts, **settings) as engine:
                engine.forgive = die
                yield engine
                raise CrashError

    async def pass_units(self, count):
        await anyio.sleep(count * self.unit)

    async def until(self, condition):
        with anyio.fail_after(UNITS * self.unit):
            while not condition():  # noqa: ASYNC110 - what it is about has no event
                await anyio.sleep(self.unit / 20)

    async def ended(self, engine, execution_id):
        with anyio.fail_after(UNITS * self.unit):
            return await engine.wait(execution_id)

    async def nothing_is_left(self, engine):
        """Wait until the engine is as it was before anything was started."""
        await self.until(lambda: not engine.live_executions and not engine.abandoned_executions)
        hosts = engine._live._hosts._idle  # which are kept for further executions
        await self.until(lambda: len(anyio.get_running_tasks()) - len(hosts) <= self._begun_with)


class Acts:
    """Activities that note what they do.

    Attributes:
        ran: the names of those that have come to their end, in order.
        came: how often one was entered that waits, and `inside` how many are inside now.
        is_open: whether those that wait may go on.
        failing: how often "flaky" fails.
    """

    def __init__(self, world, *, is_open=False, failing=0):
        self.ran = []
        self.came = self.inside = 0
        self.is_open = anyio.Event()
        self.failing = failing
        self.attempts = 0
        if is_open:
            self.is_open.set()
        self._world = world
        functions = (self.ok, self.refuse, self.flaky, self.gate, self.sleep)
        self.all = [activity(function.__name__)(function) for function in functions]
        self.all += [self._noting(name) for name in ("undo", "tidy", "other")]

    def _noting(self, name):
        @activity(name)
        async def note(context):
            await anyio.sleep(self._world.unit / 10)
            self.ran.append(name)
            return name

        return note

    @property
    def is_inside(self):
        return self.inside > 0

    async def ok(self, context):
        self.ran.append("ok")
        return "fine"

    async def refuse(self, context):
        self.attempts += 1
        raise ActivityError("Refused", "not today")

    async def flaky(self, context):
        self.attempts += 1
        if self.attempts <= self.failing:
            raise ActivityError("Flaky", "try again")
        self.ran.append("flaky")
        return "at last"

    async def gate(self, context):
        """Wait until it is open; being cancelled takes it a while."""
        self.came += 1
        self.inside += 1
        try:
            await self.is_open.wait()
            self.ran.append("gate")
            return context.get("item", "through")
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(self._world.unit / 20)
            self.inside -= 1

    async def sleep(self, context):
        self.came += 1
        self.inside += 1
        try:
            await anyio.sleep(100 * UNITS * self._world.unit)
        finally:
            self.inside -= 1


def task(name, **fields):
    return {"name": name, **fields}


def body(*tasks, conditions=None, **fields):
    """A body in which a success leads on to the next task, and a failure to the end."""
    names = [each["name"] for each in tasks]
    following = [
        {"name": f"{source}-{target}", "source_task": source, "target_task_success": target}
        for source, target in itertools.pairwise(names)
    ]
    return {
        "start_task": names[0],
        "tasks": list(tasks),
        "conditions": following if conditions is None else conditions,
        **fields,
    }


def flow(*tasks, flow_id="flow", **fields):
    return {"id": flow_id, "name": flow_id, **body(*tasks, **fields)}


def parallel_of(*tasks, **fields):
    """A parallel task with one branch for each task, or body, named by a letter."""
    bodies = [each if "start_task" in each else body(each) for each in tasks]
    named = dict(zip("abcdefgh", bodies, strict=False))
    return task("fan", kind="parallel", branches=named, **fields)


async def executions(engine):
    """All that there are, sub-flows included."""
    return await engine.list(ExecutionQuery(), None, 1_000)


async def kinds(engine, execution_id):
    return [type(event).__name__ for event in await recorded(engine, execution_id)]
