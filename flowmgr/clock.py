"""Where the time comes from."""

from __future__ import annotations

import time


class SystemClock:
    """The machine's clocks; see `actors.ports.Clock`."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.perf_counter)
