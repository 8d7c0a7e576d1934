"""Runs a story on the engine, and says what is wrong about it."""

import contextlib
import json
import signal
from unittest import mock

import anyio

from flowmgr import Settings, open_engine
from flowmgr.errors import FlowmgrError
from flowmgr.journal.memory import MemoryJournal
from tests.fuzz.comparing import differences, seen
from tests.fuzz.family import family_of, unended
from tests.fuzz.model import GRACE, Model
from tests.fuzz.scopes import NEVER, AmbiguousError
from tests.fuzz.stage import CrashError, Stage, StoryClock, StuckError
from tests.support.virtual_time import asyncio_in_virtual_time, trio_in_virtual_time

PATIENCE = 1e5
"""Seconds of virtual time after which an execution that has not ended never will."""

START = 1000.0
"""When executions start: 0 would be 1970."""

STUCK_SECONDS = 3.0
"""Seconds of real time after which a story is stuck: it takes some hundredths of one."""

KEPT = 10_000
"""Ended executions that the journal keeps: all of a story."""

BACKENDS = {"asyncio": asyncio_in_virtual_time, "trio": trio_in_virtual_time}


class InvalidStoryError(Exception):
    """The story is none: it has no end."""


class Performance:
    """A story on its way, over engines that follow each other on the same journal."""

    def __init__(self, story):
        self.found = None
        self.stage = Stage(story)
        self._story = story
        self._calls = _calls(story["done"])
        self._began = anyio.current_time()
        self._execution_id = None

    async def go_on(self, engine):
        """Go on up to the next crash, or to the end."""
        if self._execution_id is None:
            for flow in self._story["flows"].values():
                await engine.register(flow)
            started = await engine.start(self._story["flow"], self._story["context"])
            self._execution_id = started.execution_id
        while self._calls:
            at, call, *values = self._calls.pop(0)
            await anyio.sleep_until(self._began + at)
            if call == "crash":
                return
            asked = [self._execution_id] if call != "signal" else await unended(engine)
            for execution_id in asked:
                with contextlib.suppress(FlowmgrError):
                    await getattr(engine, call)(execution_id, *values)
        await engine.wait(self._execution_id, timeout=PATIENCE)
        is_empty = self.stage.is_empty
        self.found = await family_of(engine, self._execution_id, self._began, PATIENCE)
        if not is_empty:
            self.found.problems.append("something runs after the end")
        self.found.problems += self.stage.problems


async def perform(story):
    """Run a story on engines that follow each other on the same journal."""
    await anyio.sleep(START)
    performance, journal = Performance(story), MemoryJournal(KEPT)
    stage = performance.stage
    with mock.patch("flowmgr.journal.MemoryJournal", return_value=journal):
        while performance.found is None:
            stage.is_crashing = False
            with contextlib.suppress(CrashError):
                settings = Settings(grace=GRACE)
                async with open_engine(
                    settings, activities=[stage.activity], clock=StoryClock()
                ) as engine:
                    engine.forgive = _say_nothing
                    await performance.go_on(engine)
                    stage.crash()
                    raise CrashError
    return performance.found


def _calls(done):
    """What is done to an execution, in order: when, and what."""
    calls = [(at, "crash") for at in done.get("crashes", [])]
    calls += zip(done.get("pause", []), ["pause", "resume"], strict=False)
    calls += [(done["cancel"], "cancel")] if "cancel" in done else []
    calls += [(at, "signal", name, value) for at, name, value in done.get("signals", [])]
    return sorted(calls, key=lambda call: (call[0], call[1] != "crash"))


async def _say_nothing():
    """Leave no word, as a process that is killed."""


def check(story, backend):
    """Run a story both ways; only in the main thread.

    Returns:
        What is wrong, in sentences; and whether the model had something to say.
    """
    try:
        expected = Model.of(story).run()
    except AmbiguousError:
        expected = None
    if expected is not None and expected.ended_at == NEVER:
        raise InvalidStoryError
    name, options = BACKENDS[backend]()
    before = signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, STUCK_SECONDS)
    try:
        found = anyio.run(perform, story, backend=name, backend_options=options)
    except FlowmgrError:
        raise  # the story is no valid one
    except (StuckError, BaseExceptionGroup, RuntimeError) as error:
        return [f"stuck or broken: {error!r}"], expected is not None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    problems = found.problems
    if expected is not None and found.has_ended:
        problems = problems + differences(seen(found), expected)
    return problems, expected is not None


def _stop(_, __):
    raise StuckError


def shown(story):
    return json.dumps(story, indent=1)
