"""Record histories: ``python -m tests.histories.record`` adds those that are not there yet.

Each is the history of an execution as `flowmgr journal export` writes it, and the execution that
it means. A recorded one is never made anew: later versions have to read what earlier ones wrote.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from importlib.metadata import version
from pathlib import Path

import anyio
import msgspec

from flowmgr import Settings, activity, open_engine
from flowmgr.journal.sqlite.tools import export
from tests.support.flows import PATIENCE, chain
from web.resources import execution_resource

HERE = Path(__file__).parent


class Mended:
    """Whether the activities below do what they should."""

    is_so = False


@activity
async def greet(context):
    return {"greeting": f"hello {context.get('name', 'nobody')}", "numbers": [1, 2.5, None]}


@activity
async def call(context):
    if not Mended.is_so:
        raise ConnectionError("nobody answers")
    return "answered"


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
    cancelled,
    paused,
    interrupted,
    interrupted_at_most_once,
]


class EndedError(Exception):
    """Ends an engine while something runs in it."""


async def record(scenario):
    """Return the history of a scenario and the execution that it means."""
    Mended.is_so = False
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "flowmgr.db"
        settings = Settings(journal=f"sqlite:{path}", grace=0)
        with contextlib.suppress(EndedError):
            async with open_engine(settings, activities=[greet, call, hold]) as engine:
                execution = await scenario(engine)
                await engine.wait(execution.execution_id, timeout=0.2)
                raise EndedError
        Mended.is_so = True
        async with open_engine(settings, activities=[greet, call, hold]) as engine:
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
