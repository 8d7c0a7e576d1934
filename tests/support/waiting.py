"""Flows with tasks that wait, made without the language: for tests of what happens to them then."""

import msgspec

from actors.events import ExecutionParked, ExecutionStarted, TaskStarted, WaitStarted
from actors.plan import Wait
from flowmgr.language.compiler import compile_flow
from flowmgr.language.definition import FlowDefinition
from tests.support.flows import chain


class Constant:
    """An expression that always comes to the same."""

    source = "constant"

    def __init__(self, value):
        self._value = value

    def evaluate(self, values):
        return self._value


class Waiting:
    """Compiles flows: a task whose name begins with "wait" waits for so many seconds."""

    def __init__(self, seconds):
        self.seconds = seconds

    def compile(self, definition, version, runner):
        """Do what `compile_flow` does, and make those tasks wait."""
        plan = compile_flow(definition, version, runner)
        tasks = {
            name: msgspec.structs.replace(
                task, runner=None, construct=Wait(), arguments=Constant({"seconds": self.seconds})
            )
            if name.startswith("wait")
            else task
            for name, task in plan.tasks.items()
        }
        return msgspec.structs.replace(plan, tasks=tasks)


def wait_then(*tasks):
    """A flow document that waits first."""
    document = chain("wait", *tasks)
    for task in document["tasks"]:
        if task["name"].startswith("wait"):
            task["activity"] = tasks[0]
    for number, condition in enumerate(document["conditions"]):
        condition["name"] = f"c{number}"
    return document


def parked_history(due, tasks=("a",), at=1.0):
    """The events of an execution that waits, and is parked, until *due*."""
    flow = msgspec.convert(wait_then(*tasks), FlowDefinition)
    started = ExecutionStarted(
        at=at,
        flow_id="chain",
        flow_version=0,
        start_task="wait",
        context=msgspec.Raw(b"{}"),
        definition=msgspec.Raw(msgspec.json.encode(flow)),
    )
    return (
        started,
        TaskStarted(at=at, task="wait"),
        WaitStarted(at=at, task="wait", visit=1, attempt=1, due=due),
        ExecutionParked(at=at, due=due),
    )
