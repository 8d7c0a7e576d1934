"""Lanes: which actor runs when."""

import itertools
import time

import anyio
import anyio.lowlevel
import pytest

from actors.actor import HostedActor
from actors.lane import MAX_INLINE_RUNS, MAX_INLINE_SECONDS, Lane

pytestmark = pytest.mark.anyio


class Hosted(HostedActor):
    """Calls a function with an argument, both of which are its message; awaits what it returns."""

    async def run(self):
        function, argument = self._message
        waiting = function(argument)
        if waiting is not None:
            await waiting


class Host:
    """A lane and its host task."""

    def __init__(self, group):
        self.lane = Lane()
        self.scope = anyio.CancelScope()
        self.ended = anyio.Event()
        group.start_soon(self._run)

    async def _run(self):
        with self.scope:
            await self.lane.host()
        self.ended.set()

    def spawn(self, *messages, function):
        for message in messages:
            self.lane.spawn(Hosted((function, message)))


@pytest.fixture
async def host():
    async with anyio.create_task_group() as group:
        yield Host(group)
        group.cancel_scope.cancel()


async def test_a_host_that_has_waited_long_does_not_give_up_its_turn_once_more(host, monkeypatch):
    turns, ran = [], anyio.Event()

    async def checkpoint():
        turns.append("given up")
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr("actors.lane.checkpoint", checkpoint)
    await anyio.wait_all_tasks_blocked()
    await anyio.sleep(2 * MAX_INLINE_SECONDS)
    host.spawn(ran, function=lambda event: event.set())
    with anyio.fail_after(5):
        await ran.wait()
    assert turns == []


async def test_hosted_actors_are_run_one_after_the_other_by_one_task(host):
    steps = []

    async def work(number):
        steps.append((number, "begins", anyio.get_current_task().id))
        await anyio.lowlevel.checkpoint()
        steps.append((number, "ends", anyio.get_current_task().id))

    host.spawn(1, 2, function=work)
    await anyio.wait_all_tasks_blocked()
    task = steps[0][2]
    assert steps == [(number, word, task) for number in (1, 2) for word in ("begins", "ends")]


async def test_a_host_that_has_nothing_to_run_is_woken_by_an_actor(host):
    ran = anyio.Event()
    await anyio.wait_all_tasks_blocked()
    host.spawn(ran, function=lambda event: event.set())
    with anyio.fail_after(5):
        await ran.wait()


async def test_other_tasks_run_between_many_short_actors(host, monkeypatch):
    monkeypatch.setattr("actors.lane.MAX_INLINE_SECONDS", 1e9)
    steps = []

    def step(number):
        steps.append(number)
        if number < 10 * MAX_INLINE_RUNS:
            host.spawn(number + 1, function=step)

    host.spawn(1, function=step)
    seen = []
    while len(steps) < 10 * MAX_INLINE_RUNS:
        seen.append(len(steps))
        await anyio.lowlevel.checkpoint()
    runs = [later - earlier for earlier, later in itertools.pairwise(seen)]
    assert max(runs) <= 2 * MAX_INLINE_RUNS  # trio shuffles: the host may be first, then last


async def test_other_tasks_run_between_actors_that_take_long(host):
    steps = []

    def take_long(number):
        end = time.monotonic() + 2 * MAX_INLINE_SECONDS
        while time.monotonic() < end:
            pass
        steps.append(number)

    host.spawn(*range(10), function=take_long)
    seen = []
    while len(steps) < 10:
        seen.append(len(steps))
        await anyio.lowlevel.checkpoint()
    runs = [later - earlier for earlier, later in itertools.pairwise(seen)]
    assert max(runs) <= 2  # trio shuffles: the host may be first, then last


async def test_closing_lets_the_running_actor_end_and_runs_no_further_one(host):
    going_on, steps = anyio.Event(), []

    async def work(number):
        await going_on.wait()
        steps.append(number)

    host.spawn(1, 2, function=work)
    await anyio.wait_all_tasks_blocked()
    host.lane.close()
    going_on.set()
    with anyio.fail_after(5):
        await host.ended.wait()
    assert steps == [1]


async def test_closing_ends_a_host_that_has_nothing_to_run(host):
    await anyio.wait_all_tasks_blocked()
    host.lane.close()
    with anyio.fail_after(5):
        await host.ended.wait()


async def test_stopping_runs_no_actor_that_has_not_begun_however_the_running_one_ends(host):
    steps = []

    async def swallow(number):
        steps.append(number)
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            host.spawn("later", function=steps.append)

    host.spawn(1, 2, function=swallow)
    await anyio.wait_all_tasks_blocked()
    host.lane.stop()
    host.scope.cancel()
    with anyio.fail_after(5):
        await host.ended.wait()
    assert steps == [1]
