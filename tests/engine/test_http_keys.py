"""The idempotency keys of HTTP tasks: one for each time that a request is to be made."""

import re

import pytest

from flowmgr import Settings, activity, open_engine
from tests.support.answering import answering, message
from tests.support.flows import PATIENCE

pytestmark = pytest.mark.anyio

BUSY = message(503)
DONE = message(204)


def post(server, **fields):
    request = {"method": "POST", "url": server.url()}
    return {"name": "post", "kind": "http", "request": request, **fields}


def flow(*tasks, **fields):
    return {"id": "f", "name": "f", "start_task": "begin", "tasks": tasks, **fields}


def keys(server):
    return [re.findall(rb"idempotency-key: (\S+)", request)[0] for request in server.requests]


async def _second_fails(server, _, stream):
    await stream.send(BUSY if len(server.requests) == 2 else DONE)


async def test_each_visit_of_a_task_around_a_request_has_a_key_of_its_own():
    async with answering(_second_fails) as server:
        retry = {"maximum_attempts": 2, "initial_interval": 0.001}
        body = {"tasks": [post(server, retry=retry)], "start_task": "post", "conditions": []}
        again = {"source_task": "begin", "when": "task.visit < 2", "target_task_success": "begin"}
        document = flow(
            {"name": "begin", "kind": "map", "items": ["a"], "do": body},
            conditions=[again],
            max_visits=2,
        )
        async with open_engine(Settings(http_allow=("127.0.0.1",))) as engine:
            ended = await engine.run(document, timeout=PATIENCE)
        assert ended.status == "completed"
    first, second, third = keys(server)
    assert second == third != first


async def test_each_end_of_an_execution_has_a_key_of_its_own():
    attempts = []

    @activity
    async def begin(context):
        attempts.append(context)
        if len(attempts) == 1:
            raise ConnectionError("nobody answers")

    async with answering(DONE) as server:
        closing = {"tasks": [post(server)], "start_task": "post", "conditions": []}
        document = flow({"name": "begin"}, conditions=[], **{"finally": closing})
        settings = Settings(http_allow=("127.0.0.1",))
        async with open_engine(settings, activities=[begin]) as engine:
            failed = await engine.run(document, timeout=PATIENCE)
            assert failed.status == "failed"
            await engine.retry(failed.execution_id)
            ended = await engine.wait(failed.execution_id, timeout=PATIENCE)
        assert ended.status == "completed"
    first, second = keys(server)
    assert first != second
