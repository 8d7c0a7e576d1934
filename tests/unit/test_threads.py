"""The places of sync activities: who has one, and what becomes of those that are given up."""

import threading

import anyio
import pytest

from flowmgr.activities.threads import Threads
from tests.support.flows import until

pytestmark = pytest.mark.anyio


class Work:
    """Functions that run in threads until they are told to end."""

    def __init__(self):
        self.running = set()
        self._ends = {}

    def run(self, name):
        ends = self._ends.setdefault(name, threading.Event())
        self.running.add(name)
        ends.wait(10)
        self.running.remove(name)

    def end(self, name):
        self._ends[name].set()


async def test_when_a_thread_ends_that_was_given_up_its_place_is_nobodys():
    threads, work = Threads(1), Work()
    async with anyio.create_task_group() as group:
        group.start_soon(threads.run, "hung", work.run, "hung")
        await until(lambda: work.running == {"hung"})
        threads.give_up("hung")
        for name in ("first", "second"):
            group.start_soon(threads.run, name, work.run, name)
        await until(lambda: len(work.running) == 2)
        work.end("hung")
        await until(lambda: threads.limiter.total_tokens == 1)
        await anyio.sleep(0.05)  # for who would begin now
        [name] = work.running
        work.end(name)
        await until(lambda: work.running == {"first", "second"} - {name})
        [name] = work.running
        work.end(name)
    assert threads.limiter.total_tokens == 1


async def test_who_only_waits_for_a_place_is_not_given_up():
    threads, work = Threads(1), Work()
    async with anyio.create_task_group() as group:
        group.start_soon(threads.run, "busy", work.run, "busy")
        await until(lambda: work.running == {"busy"})
        with anyio.move_on_after(0.05):
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(threads.run, "waits", work.run, "waits")
                await anyio.sleep(0.02)
                threads.give_up("waits")
                assert threads.limiter.total_tokens == 1
        work.end("busy")
    assert not work.running
    assert threads.limiter.borrowed_tokens == 0
