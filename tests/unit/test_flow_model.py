"""Random flows, run by the engine and by an interpreter that is as plain as can be."""

import collections
import dataclasses

import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.events import TaskStarted
from actors.evolving import fold
from flowmgr import activity, open_engine
from flowmgr.executions import view
from flowmgr.journal.store import ExecutionQuery
from tests.support.flows import recorded

pytestmark = pytest.mark.anyio

LIVE = ExecutionQuery(status="running")
NAMES = ["t0", "t1", "t2", "t3", "t4"]
VALUES = st.none() | st.integers(0, 9) | st.lists(st.text(max_size=2), max_size=2)

# What an activity does at one visit: the value it returns or None to raise, and its checkpoints.
STEPS = st.tuples(st.booleans(), VALUES, st.integers(0, 2))


@dataclasses.dataclass
class Story:
    """A flow, and what its tasks are to do when they are visited for the n-th time."""

    flow: dict
    script: dict
    context: dict

    def step(self, task, visit):
        steps = self.script[task]
        return steps[(visit - 1) % len(steps)]


@dataclasses.dataclass
class Ending:
    """What came of a story."""

    order: list = dataclasses.field(default_factory=list)
    status: str = "running"
    had_failures: bool = False
    current_task: str = ""
    error_type: str | None = None
    error_task: str | None = None
    context: dict = dataclasses.field(default_factory=dict)
    results: dict = dataclasses.field(default_factory=dict)


@st.composite
def stories(draw):
    tasks = NAMES[: draw(st.integers(1, len(NAMES)))]
    max_visits = draw(st.integers(1, 4))
    conditions = []
    for _ in range(draw(st.integers(0, 2 * len(tasks)))):
        source = draw(st.integers(0, len(tasks) - 1))
        # Without further visits a cycle is refused, so then conditions lead forwards only.
        targets = st.sampled_from([*(tasks if max_visits > 1 else tasks[source + 1 :]), "end"])
        conditions.append(
            {
                "source_task": tasks[source],
                "outcome": draw(st.sampled_from(["success", "failure"])),
                "target_task_success": draw(targets),
                "target_task_failure": draw(targets),
            }
        )
    flow = {
        "id": "story",
        "name": "story",
        "start_task": tasks[0] if max_visits == 1 else draw(st.sampled_from(tasks)),
        "tasks": [{"name": task} for task in draw(st.permutations(tasks))],
        "conditions": conditions,
        "max_visits": max_visits,
    }
    script = {task: draw(st.lists(STEPS, min_size=1, max_size=3)) for task in tasks}
    context = draw(st.dictionaries(st.sampled_from(["a", "t0_result"]), VALUES, max_size=2))
    return Story(flow, script, context)


def interpret(story):
    """What is to come of *story*, in the words of the documentation."""
    flow, ending = story.flow, Ending(context=dict(story.context))
    task, visits = flow["start_task"], collections.Counter()
    while True:
        visits[task] += 1
        ending.current_task = task
        if visits[task] > flow["max_visits"]:
            ending.status, ending.error_type = "failed", "MaxVisitsExceeded"
            ending.error_task = task
            return ending
        is_success, value, _ = story.step(task, visits[task])
        ending.order.append((task, visits[task]))
        ending.results.pop(task, None)
        ending.results[task] = ("success", value) if is_success else ("failure", None)
        ending.context[f"{task}_result"] = value if is_success else None
        ending.had_failures = ending.had_failures or not is_success
        last, task = task, _next_task(flow["conditions"], task, is_success=is_success)
        if task == "end":
            ending.current_task = "end"
            ending.status = "completed" if is_success else "failed"
            if not is_success:
                ending.error_type, ending.error_task = "ScriptedError", last
            return ending


def _next_task(conditions, task, *, is_success):
    for condition in conditions:
        if condition["source_task"] == task:
            if (condition["outcome"] == "success") == is_success:
                return condition["target_task_success"]
            return condition["target_task_failure"]
    return "end"


class ScriptedError(Exception):
    """Raised where the script says so."""


class Actors:
    """Activities that do what the script says, and look at their own execution meanwhile."""

    def __init__(self, story):
        self.engine = None
        self.order = []
        self.problems = []  # what was found wrong: an assertion here is only a task that fails
        self._story = story
        self._visits = collections.Counter()
        self._expected_context = dict(story.context)
        self.activities = [self._activity(task) for task in story.script]

    def _activity(self, task):
        async def act(context):
            return await self._act(task, context)

        return activity(task)(act)

    async def _act(self, task, context):
        self._visits[task] += 1
        visit = self._visits[task]
        self.order.append((task, visit))
        if dict(context) != self._expected_context:
            self.problems.append((task, visit, dict(context), self._expected_context))
        is_success, value, checkpoints = self._story.step(task, visit)
        self._expected_context[f"{task}_result"] = value if is_success else None
        for _ in range(checkpoints):
            await anyio.lowlevel.checkpoint()
        await self._look()
        if not is_success:
            raise ScriptedError
        return value

    async def _look(self):
        [summary] = await self.engine.list(LIVE, None, 2)
        try:
            await assert_the_events_lead_to_the_view(self.engine, summary.execution_id)
        except AssertionError as problem:
            self.problems.append(problem)


async def assert_the_events_lead_to_the_view(engine, execution_id):
    shown = await engine.get(execution_id)
    assert view(execution_id, fold(await recorded(engine, execution_id))) == shown


async def run(story):
    """What the engine makes of *story*."""
    actors = Actors(story)
    async with open_engine(activities=actors.activities) as engine:
        actors.engine = engine
        execution = await engine.run(story.flow, story.context)
        await assert_the_events_lead_to_the_view(engine, execution.execution_id)
        events = await recorded(engine, execution.execution_id)
    assert actors.problems == []
    order = [(event.task, event.visit) for event in events if isinstance(event, TaskStarted)]
    assert order == actors.order
    assert list(execution.task_results) == list(dict.fromkeys(t for t, _ in order[::-1]))[::-1]
    return Ending(
        order=order,
        status=execution.status,
        had_failures=execution.had_failures,
        current_task=execution.current_task,
        error_type=None if execution.error is None else execution.error.type,
        error_task=execution.error_task,
        context=dict(execution.context),
        results={
            task: (outcome.status, outcome.value)
            for task, outcome in execution.task_results.items()
        },
    )


@given(story=stories())
@settings(max_examples=100)
async def test_the_engine_does_what_a_plain_interpreter_does(story):
    found, expected = await run(story), interpret(story)
    assert found == expected
    assert list(found.context) == list(expected.context)
