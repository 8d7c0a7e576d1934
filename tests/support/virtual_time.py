"""Time that passes only when nothing is ready to run: a day of sleeping takes milliseconds.

For tests in which nothing real is waited for. A thread, a process or a socket takes real time,
which these clocks know nothing about: they would be past every timeout before it answers.
"""

import asyncio
import math
import selectors

import anyio
import pytest
import trio.testing

PATIENCE = 10.0
"""Seconds of real time after which a loop with no timer and nothing to run is called stuck."""


class JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for a timer, moves the loop's clock to it."""

    def __init__(self):
        super().__init__()
        self.now = 0.0

    def select(self, timeout=None):
        events = super().select(0)
        if events or timeout == 0:
            return events
        if timeout is None:
            return self._wait_for_a_thread()
        self.now += timeout
        # A year from zero the loop's tolerance is less than the last digit: go past the timer, or
        # the loop asks for ever.
        self.now += 2 * math.ulp(self.now)
        return []

    def _wait_for_a_thread(self):
        events = super().select(PATIENCE)
        if not events:
            msg = f"no timer, nothing to run, and no thread has called for {PATIENCE} s"
            raise RuntimeError(msg)
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose time is its selector's."""

    def __init__(self):
        self._clock = JumpingSelector()
        super().__init__(self._clock)

    def time(self):
        return self._clock.now


class LoopClock:
    """The clock of an engine whose time is that of the event loop."""

    now = staticmethod(anyio.current_time)
    monotonic = staticmethod(anyio.current_time)


def asyncio_in_virtual_time():
    return "asyncio", {"loop_factory": VirtualTimeLoop}


def trio_in_virtual_time():
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


in_virtual_time = pytest.mark.parametrize(
    "anyio_backend",
    [
        pytest.param(asyncio_in_virtual_time, id="virtual-asyncio"),
        pytest.param(trio_in_virtual_time, id="virtual-trio"),
    ],
    indirect=True,
)
"""Marks an async test to be run in virtual time."""
