"""Runs a story on the engine, and says what is wrong about it."""

import collections
import contextlib
import dataclasses
import json
import signal
from unittest import mock

import anyio

from actors.context import Context
from actors.events import (
    TERMINAL,
    ForkResumed,
    ScopeFinished,
    ScopeStarted,
    ScopeStopped,
    TaskFinished,
    TaskStarted,
)
from actors.outcome import ActivityError
from actors.paths import COMPENSATION, is_opened_by_a_task, opener, task_path
from flowmgr import Settings, activity, open_engine
from flowmgr.errors import FlowmgrError
from flowmgr.journal.memory import MemoryJournal
from tests.fuzz.model import GRACE, Model
from tests.fuzz.scopes import AmbiguousError, Ending
from tests.fuzz.story import step_of
from tests.support.virtual_time import (
    LoopClock,
    asyncio_in_virtual_time,
    trio_in_virtual_time,
)

PATIENCE = 1e5
"""Seconds of virtual time after which an execution that has not ended never will."""

START = 1000.0
"""When executions start: 0 would be 1970."""

LATE = 0.1
"""Seconds that something may be late: timers wait a little longer than they have to."""

MOST_AT_ONCE = 20_000
"""How often an engine may ask for the time before it has to pass."""

STUCK_SECONDS = 3.0
"""Seconds of real time after which a story is stuck: it takes some hundredths of one."""

BACKENDS = {"asyncio": asyncio_in_virtual_time, "trio": trio_in_virtual_time}


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


@dataclasses.dataclass
class Found:
    """What the engine has made of a story."""

    execution: object
    events: list
    began: float
    problems: list


async def perform(story):
    """Run a story on engines that follow each other on the same journal."""
    await anyio.sleep(START)
    stage, journal, began = Stage(story), MemoryJournal(10), anyio.current_time()
    calls = _calls(story["done"])
    execution_id, found = None, None
    with mock.patch("flowmgr.journal.MemoryJournal", return_value=journal):
        while found is None:
            stage.is_crashing = False
            with contextlib.suppress(CrashError):
                settings = Settings(grace=GRACE)
                async with open_engine(
                    settings, activities=[stage.activity], clock=StoryClock()
                ) as engine:
                    engine.forgive = _say_nothing
                    if execution_id is None:
                        started = await engine.start(story["flow"], story["context"])
                        execution_id = started.execution_id
                    await _intervene(engine, execution_id, calls, began)
                    if calls:
                        calls.pop(0)
                    else:
                        found = await _find(engine, execution_id, stage, began)
                    stage.crash()
                    raise CrashError
    return found


def _calls(done):
    """What is done to an execution, in order: when, and what."""
    calls = [(at, "crash") for at in done.get("crashes", [])]
    calls += zip(done.get("pause", []), ["pause", "resume"], strict=False)
    calls += [(done["cancel"], "cancel")] if "cancel" in done else []
    return sorted(calls)


async def _intervene(engine, execution_id, calls, began):
    """Do what there is to do before the next crash; that is left as the first of the calls."""
    while calls:
        at, call = calls[0]
        await anyio.sleep_until(began + at)
        if call == "crash":
            return
        calls.pop(0)
        with contextlib.suppress(FlowmgrError):
            await getattr(engine, call)(execution_id)


async def _find(engine, execution_id, stage, began):
    """Wait for the end, and look at what there is then."""
    execution = await engine.wait(execution_id, timeout=PATIENCE)
    if not stage.is_empty:
        stage.problems.append("something runs after the end")
    events = [each.event for each in await engine.events(execution_id)]
    return Found(execution, events, began, stage.problems + _broken(events))


async def _say_nothing():
    """Leave no word, as a process that is killed."""


def _broken(events):
    """What is wrong about a history, whatever its flow is."""
    problems = []
    if [type(event) for event in events if isinstance(event, TERMINAL)] != [type(events[-1])]:
        problems.append("not exactly one terminal event, as the last one")
    if getattr(getattr(events[-1], "error", None), "type", "") == "InternalError":
        problems.append(f"a bug: {events[-1].error.message}")
    return problems + _left_open(events) + _started_in_stopped(events)


def _left_open(events):
    problems, open_scopes = [], set()
    for event in events:
        if isinstance(event, ScopeStarted) and is_opened_by_a_task(event.scope):
            if event.scope in open_scopes:
                problems.append(f"scope {event.scope} is opened twice")
            open_scopes.add(event.scope)
        elif isinstance(event, ScopeFinished | ScopeStopped):
            open_scopes.discard(event.scope)
        elif isinstance(event, TaskFinished):
            path = task_path(event.scope, event.task)
            left = [scope for scope in open_scopes if opener(scope) == path]
            problems += [f"scope {scope} is open behind its task" for scope in left]
    return problems


def _started_in_stopped(events):
    problems, stopped = [], set()
    for event in events:
        if isinstance(event, ScopeStopped):
            stopped.add(event.scope)
        elif isinstance(event, ScopeStarted):
            stopped.discard(event.scope)
        elif isinstance(event, ForkResumed):
            path = task_path(event.scope, event.task)
            stopped -= {scope for scope in stopped if opener(scope) == path}
        elif isinstance(event, TaskStarted):
            around = [scope for scope in stopped if f"{event.scope}/".startswith(f"{scope}/")]
            problems += [f"a task starts in a stopped scope: {scope}" for scope in around]
    return problems


def seen(found):
    """What the engine has made of a story, as the model says it."""
    execution, events, began = found.execution, found.events, found.began
    return Ending(
        status=execution.status,
        error=execution.error and execution.error.type,
        error_task=execution.error_task,
        context=dict(execution.context),
        results=[
            (name, outcome.value, outcome.error is not None)
            for name, outcome in execution.task_results.items()
        ],
        finished=[
            (event.at - began, event.scope, _name(event), event.visit, event.outcome.error is None)
            for event in events
            if isinstance(event, TaskFinished)
        ],
        compensated=[
            _name(event)
            for event in events
            if isinstance(event, TaskStarted) and event.scope == COMPENSATION and event.attempt == 1
        ],
        ended_at=events[-1].at - began,
    )


def _name(event):
    """The name of a task; of a compensation without what makes it unique."""
    return event.task.split("#")[0]


def differences(found, expected):
    """What is not as the model says, in sentences."""
    is_other = []
    for field in ("status", "error", "error_task", "context", "results", "compensated"):
        one, other = getattr(found, field), getattr(expected, field)
        if one != other:
            is_other.append(f"{field}: {one!r}; the model says {other!r}")
    names = [sorted(tuple(each[1:]) for each in ending.finished) for ending in (found, expected)]
    if names[0] != names[1]:
        lists = [collections.Counter(each) for each in names]
        is_other.append(f"finished, and not in the model: {list((lists[0] - lists[1]).elements())}")
        is_other.append(f"in the model, and not finished: {list((lists[1] - lists[0]).elements())}")
    else:
        pairs = zip(
            sorted(found.finished, key=lambda each: (each[1:], each[0])),
            sorted(expected.finished, key=lambda each: (each[1:], each[0])),
            strict=True,
        )
        is_other += [
            f"finished at another time: {one}; the model says {other[0]}"
            for one, other in pairs
            if abs(one[0] - other[0]) > LATE
        ]
    if abs(found.ended_at - expected.ended_at) > LATE:
        is_other.append(f"ended at {found.ended_at}; the model says {expected.ended_at}")
    return is_other


def check(story, backend):
    """Run a story both ways; only in the main thread.

    Returns:
        What is wrong, in sentences; and whether the model had something to say.
    """
    try:
        expected = Model(story).run()
    except AmbiguousError:
        expected = None
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
    if not found.execution.has_ended:
        problems = [*problems, f"has not ended: {found.execution.status}"]
    elif expected is not None:
        problems = problems + differences(seen(found), expected)
    return problems, expected is not None


def _stop(_, __):
    raise StuckError


def shown(story):
    return json.dumps(story, indent=1)
