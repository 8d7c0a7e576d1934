"""An attempt has left its code before the next one of its task begins, whatever ends it."""

import random
import threading

import anyio
import anyio.from_thread
import pytest

from flowmgr import ActivityError, activity, open_engine
from tests.engine.constructs.conftest import real_time
from tests.engine.constructs.world import flow, parallel_of, task

pytestmark = pytest.mark.anyio

RUNS = 340
"""Executions on each of three backends: over 1,000."""

AT_ONCE = 20


class Attempts:
    """An activity that behaves at random, and notes who is inside of it, by execution."""

    def __init__(self, seed, unit):
        self.random = random.Random(seed)
        self.unit = unit
        self.inside = {}
        self.entered = {}
        self.problems = []
        self.all = [activity("attempt")(self.attempt)]

    @property
    def is_inside(self):
        return any(self.inside.values())

    async def attempt(self, context):
        run = context["run"]
        self._enter(run)
        try:
            return await self._behave(self.random.random(), self.random.random() * 4 * self.unit)
        finally:
            self._leave(run)

    async def _behave(self, choice, seconds):
        if choice < 0.2:
            raise ActivityError("Refused", "at once")
        if choice < 0.4:
            await anyio.sleep(seconds)
            raise ActivityError("Refused", "later")
        try:
            await anyio.sleep(seconds)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await anyio.sleep(seconds / 2)
            if choice < 0.6:
                return "all the same"
            if choice < 0.7:
                raise ActivityError("CleanUp", "failed") from None
            raise
        return "done"

    def _enter(self, run):
        self.entered[run] = self.entered.get(run, 0) + 1
        self.inside[run] = self.inside.get(run, 0) + 1
        if self.inside[run] > 1:
            self.problems.append(f"{self.inside[run]} attempts of run {run} are inside")

    def _leave(self, run):
        self.inside[run] -= 1


def attempted(unit, chance):
    """A task with timeout, deadline and retry, in the flow or in a branch of it."""
    tried = task(
        "attempt",
        timeout=(0.2 + chance.random() * 2) * unit,
        deadline=(1 + chance.random() * 8) * unit,
        retry={
            "maximum_attempts": 4,
            "initial_interval": 0.001 + chance.random() * unit / 2,
            "jitter": 0.5,
        },
    )
    if chance.random() < 0.5:
        return flow(tried)
    around = parallel_of(tried, timeout=(1 + chance.random() * 5) * unit)
    around["retry"] = {"maximum_attempts": 2, "initial_interval": 0.001}
    return flow(around)


async def run_one(engine, acts, unit, chance, number):
    started = await engine.start(attempted(unit, chance), {"run": number})
    if chance.random() < 0.4:
        await anyio.sleep(chance.random() * 4 * unit)
        try:
            await engine.cancel(started.execution_id)
        except Exception:
            assert (await engine.get(started.execution_id)).has_ended
        if chance.random() < 0.5:
            await engine.wait(started.execution_id)
            if acts.inside.get(number):
                acts.problems.append(f"run {number} has ended, and an attempt is inside")
            if (await engine.get(started.execution_id)).status == "cancelled":
                await engine.retry(started.execution_id)
    await engine.wait(started.execution_id)
    if acts.inside.get(number):
        acts.problems.append(f"run {number} has ended, and an attempt is inside")


async def test_two_attempts_of_a_task_are_never_inside_of_their_code_at_once(world):
    unit = world.unit / 5
    acts, chance = Attempts(1, unit), random.Random(2)
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def run(number):
        async with limiter:
            await run_one(engine, acts, unit, chance, number)

    async with world.open(acts) as engine:
        async with anyio.create_task_group() as group:
            for number in range(RUNS):
                group.start_soon(run, number)
        await world.nothing_is_left(engine)
    assert acts.problems == []
    assert sum(acts.entered.values()) > RUNS
    assert set(acts.inside.values()) == {0}


@real_time
async def test_a_thread_has_left_its_code_before_the_next_attempt_begins(anyio_backend):
    lock, inside, most, entered = threading.Lock(), [0], [0], [0]

    @activity
    def thread(context):
        with lock:
            inside[0] += 1
            entered[0] += 1
            most[0] = max(most[0], inside[0])
        try:
            for _ in range(4):
                threading.Event().wait(0.03)
                if entered[0] % 2:
                    anyio.from_thread.check_cancelled()
        finally:
            with lock:
                inside[0] -= 1

    tried = task("thread", timeout=0.08, retry={"maximum_attempts": 4, "initial_interval": 0.001})
    async with open_engine(activities=[thread]) as engine:
        found = await engine.run(flow(tried))
        assert inside == [0]
    assert (found.error.type, most, entered) == ("TimedOut", [1], [4])
