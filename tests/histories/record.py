"""Record histories: ``python -m tests.histories.record`` adds those that are not there yet.

Each is the history of an execution as `flowmgr journal export` writes it, and the execution that
it means. A recorded one is never made anew: later versions have to read what earlier ones wrote.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import tempfile
from importlib.metadata import version
from pathlib import Path

import anyio
import msgspec

from flowmgr import Settings, activity, open_engine
from flowmgr.journal.sqlite.tools import export
from tests.support.flows import PATIENCE, chain, until
from web.resources import execution_resource

HERE = Path(__file__).parent


class Mended:
    """Whether the activities below do what they should."""

    is_so = False


class Stumbled:
    """How often the activity below has failed."""

    times = 0


@activity
async def greet(context):
    return {"greeting": f"hello {context.get('name', 'nobody')}", "numbers": [1, 2.5, None]}


@activity
async def call(context):
    if not Mended.is_so:
        raise ConnectionError("nobody answers")
    return "answered"


@activity
async def stumble(context):
    if Stumbled.times < context.get("stumbles", 1):
        Stumbled.times += 1
        raise ConnectionError("not at the first attempt")
    return context.get("item", "up again")


@activity
async def undo(context):
    return "undone"


@activity
async def hold(context):
    if not Mended.is_so:
        await anyio.sleep_forever()
    return "let go"


def stopping(*tasks, **fields):
    document = chain(*tasks, **fields)
    for condition in document["conditions"]:
        condition["target_task_failure"] = "end"
    return document


async def completed(engine):
    await engine.register(chain("greet", "greet2") | {"tasks": [task("greet"), again("greet2")]})
    return await engine.run("chain", {"name": "Ada"}, metadata={"team": "blue", "tier": 2})


async def inline(engine):
    return await engine.run(chain("greet"), {"name": "Ada"})


async def failed(engine):
    return await engine.run(stopping("greet", "call"))


async def failed_and_mended_by_a_condition(engine):
    return await engine.run(chain("call", "greet"))


async def retried(engine):
    execution = await engine.run(stopping("call", "greet"))
    Mended.is_so = True
    await engine.retry(execution.execution_id, by="ada", reason="it is up again")
    return execution


async def skipped(engine):
    execution = await engine.run(stopping("call", "greet"))
    await engine.skip(execution.execution_id, result={"by": "hand"}, by="ada", reason="phoned")
    return execution


async def repeated(engine):
    document = chain("greet", max_visits=2)
    document["conditions"] = [{"source_task": "greet", "target_task_success": "greet"}]
    return await engine.run(document)


async def rerun(engine):
    execution = await engine.run(chain("greet"), {"name": "Ada"})
    return await engine.rerun(execution.execution_id, context={"name": "Grace"}, by="ada")


async def rerun_inside_of_an_item(engine):
    retry = {"maximum_attempts": 2, "initial_interval": 0.01}
    do = body("stumble", undone_by="undo")
    do["tasks"][0]["retry"] = retry
    each = {"name": "each", "kind": "map", "items": [1, 2, 3, 4], "do": do, "max_concurrency": 1}
    execution = await engine.run(flow(each))
    context = {"item": "again", "stumbles": 0}
    return await engine.rerun(execution.execution_id, task="/each/2/stumble", context=context)


async def cancelled(engine):
    execution = await engine.start(chain("hold"))
    await engine.cancel(execution.execution_id, by="ada", reason="enough", wait=PATIENCE)
    return execution


async def paused(engine):
    execution = await engine.start(chain("hold", "greet"))
    await engine.pause(execution.execution_id, by="ada", reason="a look")
    return execution


async def interrupted(engine):
    return await engine.start(chain("hold", "greet"))


async def interrupted_at_most_once(engine):
    document = chain("hold", "greet")
    document["tasks"][0]["at_most_once"] = True
    return await engine.start(document)


async def branches_of_which_the_first_decides(engine):
    bodies = {name: body(name) for name in ("hold", "greet")}
    race = {"name": "race", "kind": "parallel", "branches": bodies, "join": "any"}
    return await engine.run(flow(race), {"name": "Ada"})


async def items_that_went_on_in_a_further_attempt(engine):
    retry = {"maximum_attempts": 2, "initial_interval": 0.01}
    do = body("stumble", undone_by="undo")
    each = {"name": "each", "kind": "map", "items": [1, 2, 3], "do": do, "retry": retry}
    each |= {"on_failure": "wait", "max_concurrency": 2}
    return await engine.run(flow(each))


async def attempts_that_failed(engine):
    retry = {"maximum_attempts": 4, "initial_interval": 0.01, "backoff_coefficient": 1.5}
    return await engine.run(flow({"name": "stumble", "retry": retry}), {"stumbles": 2})


async def signalled(engine):
    approval = {"name": "approval", "kind": "signal", "timeout": 3600}
    execution = await engine.start(flow(approval, {"name": "greet"}))
    execution_id = execution.execution_id
    for _ in range(2):
        who = {"by": "ada", "reason": "looked at it"}
        await engine.signal(execution_id, "approval", {"approved": True}, key="ada-1", **who)
    return execution


async def signalled_before_it_waited(engine):
    approval = {"name": "approval", "kind": "signal"}
    execution = await engine.start(flow({"name": "hold"}, approval))
    await engine.signal(execution.execution_id, "approval", [1, None])
    return execution


async def parked(engine):
    long = {"name": "long", "kind": "wait", "until": "2999-01-01T00:00:00Z"}
    execution = await engine.start(flow({"name": "greet"}, long))
    await until(lambda: engine.live_executions == 0)
    return execution


async def ended_with_compensation_and_finally(engine):
    booked = {"name": "greet", "compensate": {"activity": "undo"}}
    values = {"name": "values", "kind": "set", "values": {"a": 1, "b": [None]}}
    document = flow(booked, values, {"name": "call"}, **{"finally": body("undo")})
    return await engine.run(document)


async def completed_with_an_output(engine):
    values = {"name": "values", "kind": "set", "values": {"a": 1}}
    document = flow(values, output="context.a", **{"finally": body("undo")})
    return await engine.run(document)


async def with_a_sub_flow(engine):
    await engine.register(chain("greet", flow_id="inner", output="context.name"))
    inner = {"name": "inner", "kind": "flow", "flow": "inner", "arguments": {"name": "Ada"}}
    return await engine.run(flow(inner))


def flow(*tasks, **fields):
    return {"id": "structured", "name": "structured", **sequence(*tasks), **fields}


def body(activity, undone_by=None):
    undo = {"compensate": {"activity": undone_by}} if undone_by else {}
    return sequence({"name": activity, **undo})


def sequence(*tasks):
    names = [each["name"] for each in tasks]
    conditions = [
        {"source_task": source, "target_task_success": target}
        for source, target in itertools.pairwise(names)
    ]
    return {"start_task": names[0], "tasks": list(tasks), "conditions": conditions}


def task(name):
    return {"name": name}


def again(name):
    return {"name": name, "activity": "greet"}


SCENARIOS = [
    completed,
    inline,
    failed,
    failed_and_mended_by_a_condition,
    retried,
    skipped,
    repeated,
    rerun,
    rerun_inside_of_an_item,
    cancelled,
    paused,
    interrupted,
    interrupted_at_most_once,
    branches_of_which_the_first_decides,
    items_that_went_on_in_a_further_attempt,
    attempts_that_failed,
    signalled,
    signalled_before_it_waited,
    parked,
    ended_with_compensation_and_finally,
    completed_with_an_output,
    with_a_sub_flow,
]
ACTIVITIES = [greet, call, stumble, undo, hold]


class EndedError(Exception):
    """Ends an engine while something runs in it."""


async def record(scenario):
    """Return the history of a scenario and the execution that it means."""
    Mended.is_so = False
    Stumbled.times = 0
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "flowmgr.db"
        settings = Settings(journal=f"sqlite:{path}", grace=0)
        with contextlib.suppress(EndedError):
            async with open_engine(settings, activities=ACTIVITIES) as engine:
                execution = await scenario(engine)
                await engine.wait(execution.execution_id, timeout=0.2)
                raise EndedError
        Mended.is_so = True
        async with open_engine(settings, activities=ACTIVITIES) as engine:
            found = await engine.wait(execution.execution_id, timeout=0.5)
        exported = json.loads(export(path, execution.execution_id))
    return {
        "recorded_by": version("flowmgr"),
        "export": exported,
        "execution": json.loads(msgspec.json.encode(execution_resource(found))),
    }


def main():
    """Write the histories that are missing."""
    for scenario in SCENARIOS:
        file = HERE / f"{scenario.__name__}.json"
        if not file.exists():
            file.write_text(json.dumps(anyio.run(record, scenario), indent=1) + "\n")


if __name__ == "__main__":
    main()
