"""Where a story is performed: activities that follow its script, and a clock that is watched."""

import collections

import anyio

from actors.context import Context
from actors.outcome import ActivityError
from flowmgr import activity
from tests.fuzz.story import step_of
from tests.support.virtual_time import LoopClock

MOST_AT_ONCE = 20_000
"""How often an engine may ask for the time before it has to pass."""


class CrashError(Exception):
    """Ends an engine without giving what runs in it any time."""


class StuckError(BaseException):
    """A story takes real time."""


class StoryClock(LoopClock):
    """The loop's time, which must not be asked for ever without passing."""

    def __init__(self):
        self._seen = collections.Counter()

    def now(self):
        now = anyio.current_time()
        self._seen[now] += 1
        if self._seen[now] > MOST_AT_ONCE:
            raise StuckError(f"at {now}")
        return now


class Stage:
    """Activities that follow the script, and note who is on."""

    def __init__(self, story):
        self.problems = []
        self.succeeded = collections.Counter()
        self.is_crashing = False
        self._story = story
        self._on = collections.Counter()
        self._interrupted = collections.Counter()
        self._clean_ups = []
        self.activity = activity("act")(self._act)

    @property
    def is_empty(self):
        return not any(self._on.values())

    def crash(self):
        self.is_crashing = True
        self._interrupted.update(+self._on)
        for clean_up in self._clean_ups:
            clean_up.cancel()

    async def _act(self, context: Context):
        script, at, visit, attempt = (
            context[name] for name in ("script", "at", "visit", "attempt")
        )
        key = script, at, visit
        if attempt == 1:
            self._interrupted[key] = 0
        attempt -= self._interrupted[key]
        step, delay = step_of(self._story, script, at, visit, attempt)
        if self._on[key]:
            self.problems.append(f"{key} overlaps with itself")
        self._on[key] += 1
        try:
            await anyio.sleep(delay)
        except anyio.get_cancelled_exc_class():
            if step["lingers"] and not self.is_crashing:
                with anyio.CancelScope(shield=True) as clean_up:
                    self._clean_ups.append(clean_up)
                    await anyio.sleep(step["lingers"])
            raise
        finally:
            self._on[key] -= 1
        if "raises" in step:
            raise ActivityError(step["raises"], "", retryable=step["raises"] != "Final")
        self.succeeded[script, at, visit] += 1
        value = step["returns"]
        return context.get(value[2:-1]) if isinstance(value, str) else value
