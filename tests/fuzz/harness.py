"""Runs a story on the engine, and says what is wrong about it."""

import contextlib
import json
import signal
from unittest import mock

import anyio

from actors.paths import task_path
from flowmgr import Settings, open_engine
from flowmgr.errors import FlowmgrError
from flowmgr.journal.memory import MemoryJournal
from tests.fuzz.course import Course
from tests.fuzz.family import family_of, unended
from tests.fuzz.meddling import meddle, not_as_recorded, picked, skip
from tests.fuzz.model import GRACE
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
    """A story on its way, over engines that follow each other on the same journal.

    Attributes:
        stage: where its activities run.
        found: what has come of it, at each end.
        is_over: whether all has been done.
    """

    def __init__(self, story):
        self.found = []
        self.stage = Stage(story)
        self.is_over = False
        self._story = story
        self._acts = [{"do": "start", "after": 0, "done": story["done"]}, *story["then"]]
        self._calls = None
        self._began = self._since = anyio.current_time()
        self._execution_id = None
        self._asked = None

    async def go_on(self, engine):
        """Go on up to the next crash, or to the end."""
        while self._acts:
            if self._calls is None:
                await self._begin(engine, self._acts[0])
            if await self._intervene(engine):
                return
            await engine.wait(self._execution_id, timeout=PATIENCE)
            is_empty = self.stage.is_empty
            found = await family_of(engine, self._execution_id, self._began, PATIENCE)
            self.found.append(found)
            found.asked = self._asked
            found.problems += [] if is_empty else ["something runs after the end"]
            self._since = found.first.events[-1].at
            self._acts.pop(0)
            self._calls = None
            if not found.has_ended:
                break
        self.is_over = True

    async def _begin(self, engine, act):
        """Start the execution, or have it go on."""
        await anyio.sleep_until(self._since + act["after"])
        self._since, self._asked = anyio.current_time(), None
        self._calls = _calls(act.get("done", {}))
        try:
            await getattr(self, f"_{act['do']}")(engine, act)
        except FlowmgrError as error:
            if self._execution_id is None:
                raise
            self._asked, self._calls = error, []

    async def _start(self, engine, _):
        for flow in self._story["flows"].values():
            await engine.register(flow)
        started = await engine.start(self._story["flow"], self._story["context"])
        self._execution_id = started.execution_id

    async def _retry(self, engine, _):
        await engine.retry(self._execution_id)

    async def _skip(self, engine, act):
        await skip(engine, self._execution_id, act["pick"])

    async def _rerun(self, engine, act):
        events = self.found[-1].first.events
        unstarted = [("", task["name"]) for task in self._story["flow"]["tasks"]]
        scope, task = picked(events, unstarted, act["pick"])
        path = task_path(scope, task) if scope else task
        again = await engine.rerun(self._execution_id, task=path, context=act.get("context"))
        self._execution_id, self._asked = again.execution_id, (scope, task)
        self._began = self._since

    async def _intervene(self, engine):
        """Do what is to be done; return whether that is a crash, which others follow."""
        while self._calls:
            at, call, *values = self._calls.pop(0)
            await anyio.sleep_until(self._since + at)
            if call == "crash":
                return True
            going_on = await unended(engine)
            self.stage.problems += await not_as_recorded(engine, going_on)
            if call == "meddling":
                await meddle(engine, going_on, *values)
                continue
            for execution_id in going_on if call == "signal" else [self._execution_id]:
                with contextlib.suppress(FlowmgrError):
                    await getattr(engine, call)(execution_id, *values)
        for execution_id in await unended(engine):  # or what is paused has no end
            with contextlib.suppress(FlowmgrError):
                await engine.resume(execution_id)
        return False


async def perform(story):
    """Run a story on engines that follow each other on the same journal."""
    await anyio.sleep(START)
    performance, journal = Performance(story), MemoryJournal(KEPT)
    stage = performance.stage
    with mock.patch("flowmgr.journal.MemoryJournal", return_value=journal):
        while not performance.is_over:
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
    performance.found[-1].problems += stage.problems
    return performance.found


def _calls(done):
    """What is done to an execution, in order: when, and what."""
    calls = [(at, "crash") for at in done.get("crashes", [])]
    calls += zip(done.get("pause", []), ["pause", "resume"], strict=False)
    calls += [(done["cancel"], "cancel")] if "cancel" in done else []
    calls += [(at, "meddling", what, pick) for at, what, pick in done.get("meddling", [])]
    calls += [(at, "signal", name, value) for at, name, value in done.get("signals", [])]
    return sorted(calls, key=lambda call: (call[0], call[1] != "crash"))


async def _say_nothing():
    """Leave no word, as a process that is killed."""


def check(story, backend):
    """Run a story both ways; only in the main thread.

    Returns:
        What is wrong, in sentences; and whether the model had something to say.
    """
    course = Course(story)
    if course.has_no_end:
        raise InvalidStoryError
    name, options = BACKENDS[backend]()
    before = signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, STUCK_SECONDS)
    try:
        found = anyio.run(perform, story, backend=name, backend_options=options)
    except FlowmgrError:
        raise  # the story is no valid one
    except (StuckError, BaseExceptionGroup, RuntimeError) as error:
        return [f"stuck or broken: {error!r}"], course.is_certain
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return course.problems(found), course.is_certain


def _stop(_, __):
    raise StuckError


def shown(story):
    return json.dumps(story, indent=1)
