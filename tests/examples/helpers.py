"""The example flows as tests run them."""

import contextlib
import json
from importlib import import_module

from flowmgr import Settings, open_engine
from flowmgr.language.yaml_documents import parse_yaml
from tests.support.server_process import ROOT
from tests.support.virtual_time import LoopClock

EXAMPLES = ROOT / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/flow.*"))


def read(path):
    return json.loads(path.read_text()) if path.suffix == ".json" else parse_yaml(path.read_bytes())


def documents(name):
    """The flows of an example: those that are parts of others first, as a server takes them."""
    files = (EXAMPLES / name).iterdir()
    return [read(path) for path in sorted(files) if path.suffix in {".json", ".yaml"}]


def module(name):
    return import_module(f"examples.{name}.activities")


@contextlib.asynccontextmanager
async def opened(name, *, change=None, clock=True, **settings):
    """An engine in which an example is registered; and the id of its flow.

    Its time is virtual, unless *clock* is false. *change* changes the flow before.
    """
    *parts, flow = documents(name)
    if change is not None:
        change(flow)
    more = {"clock": LoopClock()} if clock else {}
    activities = [f"examples.{name}.activities"]
    async with open_engine(Settings(**settings), activities=activities, **more) as engine:
        for document in [*parts, flow]:
            await engine.register(document)
        yield engine, flow["id"]


def output(execution):
    """What a completed execution has come to."""
    assert execution.status == "completed", execution.error
    return json.loads(bytes(execution.output))


def result(execution, task):
    return execution.task_results[task].value
