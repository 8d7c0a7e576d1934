"""What had not begun when a stopping engine stopped its executions begins at the next start."""

import contextlib
import threading
import time

import pytest

from actors.events import TaskStarted
from flowmgr import activity
from tests.engine.constructs.world import body, task
from tests.support.flows import PATIENCE, recorded, until

pytestmark = pytest.mark.anyio

LAST = task("last", at_most_once=True)
BODY = body(task("late"), LAST)
EACH = {"kind": "map", "items": [0, 1], "max_concurrency": 1, "tolerated_failures": 2}
ONCE = LAST | {"activity": "late"}
WRONG = {"source_task": "last", "when": "result.nothing", "target_task_success": "end"}
FLOWS = {
    "behind it": BODY,
    "within the time of its flow": BODY | {"timeout": 3600},
    "in its branch": body(task("fan", kind="parallel", branches={"a": BODY})),
    "for the next item": body(task("each", do=body(ONCE), **EACH)),
    "behind an item that fails": body(task("each", do=body(ONCE, conditions=[WRONG]), **EACH)),
}


class Late:
    """A sync activity that returns only when its execution has been stopped, and one behind it."""

    def __init__(self, *, waits):
        self.ran = []
        self.begun = threading.Event()
        self.stopped = threading.Event()
        self.waits = waits
        self.all = [activity("late")(self._late), activity("last")(self._last)]

    def _late(self):
        self.ran.append("late")
        self.begun.set()
        if self.waits:
            self.stopped.wait(PATIENCE)

    def _last(self):
        self.ran.append("last")


@contextlib.asynccontextmanager
async def stopped(reopened, late, flow):
    """Open an engine and stop it while *late* runs, which ends behind the block."""
    async with reopened.open_and_close(*late.all, grace=0.01) as engine:
        started = await engine.start({"name": "f", "conditions": [], **flow})
        await until(late.begun.is_set)
        engine.begin_draining()
        await until(lambda: engine.is_closing)
        yield engine, started.execution_id
        late.stopped.set()


async def has_gone_on(reopened, execution_id, ran):
    """Open an engine, and see the rest run as if nothing of it had been interrupted."""
    after = Late(waits=False)
    async with reopened.open(*after.all) as engine:
        found = await engine.wait(execution_id, timeout=PATIENCE)
        events = await recorded(engine, execution_id)
    assert (found.status, found.interruptions, len(after.ran)) == ("completed", 0, ran)
    return [each for each in events if isinstance(each, TaskStarted)]


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
async def test_a_task_that_runs_at_most_once_has_not_failed_if_it_had_not_begun(reopened, flow):
    late = Late(waits=True)
    async with stopped(reopened, late, flow) as (_, execution_id):
        pass
    assert late.ran == ["late"]
    starts = await has_gone_on(reopened, execution_id, ran=1)
    assert {each.attempt for each in starts} == {1}


async def test_nothing_begins_behind_a_task_that_is_skipped_while_the_engine_stops(reopened):
    late = Late(waits=True)
    waiting = body(task("wait", kind="wait", seconds=3600), LAST)
    fan = task("fan", kind="parallel", branches={"a": waiting, "b": body(task("late"))})
    async with stopped(reopened, late, body(fan)) as (engine, execution_id):
        await engine.skip(execution_id, task="wait")
    await has_gone_on(reopened, execution_id, ran=1)


async def test_a_further_attempt_does_not_begin_while_the_engine_stops(reopened):
    late, failures = Late(waits=True), []

    @activity("last")
    def fail():
        failures.append(time.monotonic())
        raise ValueError

    retry = {"maximum_attempts": 2, "initial_interval": 0.2}
    again = body(LAST | {"retry": retry})
    fan = task("fan", kind="parallel", branches={"a": again, "b": body(task("late"))})
    late.all[1] = fail
    async with stopped(reopened, late, body(fan)) as (_, execution_id):
        await until(lambda: failures and time.monotonic() > failures[0] + 0.25)
    await has_gone_on(reopened, execution_id, ran=1)
