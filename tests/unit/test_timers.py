"""The timer wakes each execution once, when its instant has come by the wall clock."""

import contextlib
import random
import tracemalloc

import anyio
import pytest

from flowmgr import timers as module
from flowmgr.clock import SystemClock
from flowmgr.timers import CHUNK, LOOK_AGAIN, SLACK, Timers
from tests.support.flows import until
from tests.support.virtual_time import LoopClock, in_virtual_time

pytestmark = pytest.mark.anyio

DAY = 86_400.0


class Woken:
    """What is woken, and when."""

    def __init__(self, clock):
        self._clock = clock
        self.at = {}
        self.chunks = []

    async def wake(self, execution_ids):
        self.chunks.append(len(execution_ids))
        for execution_id in execution_ids:
            assert execution_id not in self.at
            self.at[execution_id] = self._clock.now()


class SetClock:
    """A wall clock that can be set, beside the monotonic one of the event loop."""

    offset = 0.0

    def now(self):
        return anyio.current_time() + self.offset

    monotonic = staticmethod(anyio.current_time)


@contextlib.asynccontextmanager
async def running(clock):
    timers, woken = Timers(clock), Woken(clock)
    async with anyio.create_task_group() as group:
        group.start_soon(timers.run, woken.wake)
        yield timers, woken
        group.cancel_scope.cancel()


async def test_what_is_due_is_woken_in_real_time():
    clock = SystemClock()
    async with running(clock) as (timers, woken):
        now = clock.now()
        timers.set("later", now + 0.1)
        timers.set("sooner", now + 0.05)
        timers.set("past", now - 100.0)
        await until(lambda: len(woken.at) == 3)
        assert list(woken.at) == ["past", "sooner", "later"]
        for execution_id, after in (("sooner", 0.05), ("later", 0.1)):
            assert now + after <= woken.at[execution_id]
        assert len(timers) == 0


@in_virtual_time
async def test_each_is_woken_at_its_instant_whatever_was_set_before_and_after():
    chance, clock = random.Random(3), LoopClock()
    async with running(clock) as (timers, woken):
        expected = {}
        for number in range(1000):
            execution_id = f"e{number % 300}"
            await anyio.sleep(chance.choice([0, 0, 0, 1]))
            due = clock.now() + chance.choice([10.0, 400.0, 3 * DAY]) * (1 + chance.random())
            if execution_id in woken.at:
                timers.clear(execution_id)  # which changes nothing
            elif chance.random() < 0.2:
                timers.clear(execution_id)
                expected.pop(execution_id, None)
            else:
                timers.set(execution_id, due)
                expected[execution_id] = due
            for each, at in woken.at.items():
                assert abs(expected[each] - at) < 0.01
        assert len(timers) == len(expected) - len(woken.at)
        await anyio.sleep(7 * DAY)
    assert woken.at == pytest.approx(expected, abs=0.01)


@in_virtual_time
async def test_a_week_of_waiting_takes_a_moment():
    async with running(LoopClock()) as (timers, woken):
        due = anyio.current_time() + 7 * DAY
        timers.set("e", due)
        await anyio.sleep(7 * DAY - 1)
        assert not woken.at
        await anyio.sleep(2)
    assert woken.at == {"e": pytest.approx(due, abs=0.01)}


@in_virtual_time
async def test_a_clock_that_is_set_forward_is_noticed_within_a_minute():
    clock = SetClock()
    async with running(clock) as (timers, woken):
        timers.set("e", clock.now() + DAY)
        await anyio.sleep(5)
        clock.offset = 2 * DAY
        await anyio.sleep(LOOK_AGAIN)
        assert list(woken.at) == ["e"]


@in_virtual_time
async def test_a_clock_that_is_set_back_wakes_nothing_early():
    clock = SetClock()
    async with running(clock) as (timers, woken):
        timers.set("e", clock.now() + 30)
        await anyio.sleep(5)
        clock.offset = -DAY
        await anyio.sleep(DAY)
        assert not woken.at
        await anyio.sleep(31)
        assert list(woken.at) == ["e"]


@in_virtual_time
async def test_an_earlier_instant_shortens_the_sleep_and_a_later_one_prolongs_it():
    clock = LoopClock()
    async with running(clock) as (timers, woken):
        now = clock.now()
        timers.set("a", now + 50)
        await anyio.sleep(1)
        timers.set("b", now + 20)
        timers.set("a", now + 55)
        await anyio.sleep(100)
    assert woken.at == pytest.approx({"b": now + 20, "a": now + 55}, abs=0.01)


@in_virtual_time
async def test_waiting_far_ahead_is_not_polling(monkeypatch):
    looks = []
    monkeypatch.setattr(module.Timers, "_take_due", lambda _: looks.append(1) or [])
    async with running(LoopClock()) as (timers, _):
        timers.set("e", anyio.current_time() + DAY)
        await anyio.sleep(3600)
    assert len(looks) <= 3600 / LOOK_AGAIN + 2


async def test_many_at_the_same_instant_leave_others_their_turn():
    clock, turns = SystemClock(), []

    async def take_turns():
        while True:
            await anyio.lowlevel.checkpoint()
            turns.append(1)

    async with running(clock) as (timers, woken), anyio.create_task_group() as group:
        due = clock.now()
        for number in range(10_000):
            timers.set(f"e{number}", due)
        group.start_soon(take_turns)
        await until(lambda: len(woken.at) == 10_000)
        group.cancel_scope.cancel()
    assert max(woken.chunks) == CHUNK
    assert len(turns) >= 10_000 / CHUNK / 2  # trio shuffles: either may be first, then last


async def test_what_was_replaced_and_cleared_is_forgotten():
    timers = Timers(SystemClock())
    for number in range(10_000):
        timers.set("e", 1e12 + number)
        timers.set(f"x{number}", 1e12)
        timers.clear(f"x{number}")
    assert (len(timers), timers.due("e"), timers.due("x1")) == (1, 1e12 + 9_999, None)
    assert len(timers._heap) <= 2 + SLACK


def test_a_hundred_thousand_take_little_memory():
    timers, ids = Timers(SystemClock()), [f"e{number}" for number in range(100_000)]
    tracemalloc.start()
    for number, execution_id in enumerate(ids):
        timers.set(execution_id, 1e12 + number)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / len(ids) < 250
