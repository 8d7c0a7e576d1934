"""The row of HTTP tasks: over real connections, in real time."""

import anyio
import pytest

from tests.engine.constructs.conftest import real_time
from tests.engine.constructs.table import COLUMNS
from tests.engine.constructs.world import Acts, World, flow, task
from tests.support.answering import answering, message

pytestmark = pytest.mark.anyio

HERE = {"http_allow": ("127.0.0.1",)}
OK = message(200, b'{"ready": true}', "application/json")
BUSY = message(503, b"busy", "text/plain")


class Web:
    """Answers one request after the other as it is told; None is an answer that never comes."""

    def __init__(self, *answers):
        self.answers = list(answers)

    async def __call__(self, server, request, stream):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            await stream.receive()  # which ends when the connection is closed
        await stream.send(answer)


@pytest.fixture
def world(anyio_backend, tmp_path):
    settings = {"journal": f"sqlite:{tmp_path}/flowmgr.db", "durability": "relaxed"}
    world = World({**settings, **HERE}, is_virtual=False)
    world.shares_loop = True
    return world


def asking(server, *others, **fields):
    return flow(task("ask", kind="http", request={"url": server.url()}, **fields), *others)


RETRY = {"maximum_attempts": 3, "initial_interval": 0.01}
SLOW_RETRY = {"maximum_attempts": 3, "initial_interval": 1_000}


@real_time
async def test_success(anyio_backend, world):
    async with answering(Web(BUSY, OK)) as server, world.open(Acts(world)) as engine:
        started = await engine.start(asking(server, retry=RETRY, output="result.body.ready"))
        found = await world.ended(engine, started.execution_id)
        assert (found.status, found.context["ask_result"]) == ("completed", True)
        assert len(server.requests) == 2
        await world.nothing_is_left(engine)


@real_time
async def test_failure(anyio_backend, world):
    async with answering(Web(BUSY)) as server, world.open(Acts(world)) as engine:
        started = await engine.start(asking(server, retry=RETRY))
        found = await world.ended(engine, started.execution_id)
        assert (found.status, len(server.requests)) == ("failed", 3)
        await world.nothing_is_left(engine)


@real_time
async def test_timeout(anyio_backend, world):
    async with answering(Web(None)) as server, world.open(Acts(world)) as engine:
        started = await engine.start(asking(server, timeout=0.1))
        found = await world.ended(engine, started.execution_id)
        assert (found.status, found.error.type) == ("failed", "TimedOut")
        await world.until(lambda: not server.is_open)
        await world.nothing_is_left(engine)


@real_time
async def test_cancel_while_running(anyio_backend, world):
    async with answering(Web(None)) as server, world.open(Acts(world)) as engine:
        started = await engine.start(asking(server))
        await world.until(lambda: server.requests)
        found = await engine.cancel(started.execution_id, wait=10)
        assert found.status == "cancelled"
        await world.until(lambda: not server.is_open)
        await world.nothing_is_left(engine)


@real_time
async def test_cancel_while_waiting(anyio_backend, world):
    async with answering(Web(BUSY)) as server, world.open(Acts(world)) as engine:
        started = await engine.start(asking(server, retry=SLOW_RETRY))
        await world.until(lambda: not engine.live_executions)  # it is parked
        found = await engine.cancel(started.execution_id, wait=10)
        assert (found.status, len(server.requests)) == ("cancelled", 1)
        await world.nothing_is_left(engine)


@real_time
async def test_crash_and_recovery(anyio_backend, world):
    web = Web(None, OK)
    async with answering(web) as server:
        async with world.killed(Acts(world)) as engine:
            started = await engine.start(asking(server))
            await world.until(lambda: server.requests)
        async with world.open(Acts(world)) as engine:
            found = await world.ended(engine, started.execution_id)
            assert (found.status, found.interruptions) == ("completed", 1)
            assert found.context["ask_result"]["status"] == 200
            await world.nothing_is_left(engine)


@real_time
async def test_pause_and_resume(anyio_backend, world):
    gone_on = anyio.Event()

    async def late(server, request, stream):
        await gone_on.wait()
        await stream.send(OK)

    acts = Acts(world)
    async with answering(late) as server, world.open(acts) as engine:
        started = await engine.start(asking(server, task("ok")))
        await world.until(lambda: server.requests)
        await engine.pause(started.execution_id)
        gone_on.set()
        await world.pass_units(3)
        assert ((await engine.get(started.execution_id)).status, acts.ran) == ("paused", [])
        await engine.resume(started.execution_id)
        assert (await world.ended(engine, started.execution_id)).status == "completed"
        assert acts.ran == ["ok"]


def test_every_column_has_a_cell():
    names = {f"test_{column.replace(' ', '_')}" for column in COLUMNS}
    assert names <= set(globals())
