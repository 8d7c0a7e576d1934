"""The two servers that are compared over HTTP: flowmgr, and a bare Litestar app that echoes.

``python -m tests.benchmarks.servers flowmgr|echo '{"backend": "trio", "port": 0}'``. Both are run
by the same server code, and take and send the same bodies.
"""

from __future__ import annotations

import sys
from typing import Any

import anyio
import msgspec
from litestar import Litestar, post

from flowmgr import Context, activity
from tests.benchmarks.flows import chain, noop
from web.app import AppLifecycle, create_app
from web.servers import ServerOptions, describe_server, serve
from web.settings import WebSettings


@activity("bench.sleep")
async def sleep(context: Context) -> None:
    """Be asleep, until cancelled."""
    await anyio.sleep(3600)


class ExecuteRequest(msgspec.Struct):
    """What a client sends to start an execution."""

    flow_id: str
    context: dict[str, Any] = {}


class EchoedResult(msgspec.Struct):
    """The shape of a task's result in the answer."""

    status: str
    data: dict[str, Any] | None
    error: str | None
    execution_time: float


class EchoedExecution(msgspec.Struct):
    """The shape of flowmgr's answer."""

    execution_id: str
    flow_id: str
    status: str
    current_task: str
    task_results: dict[str, EchoedResult]
    start_time: str
    end_time: str | None
    context: dict[str, Any]
    flow_version: int
    had_failures: bool
    error: dict[str, Any] | None
    cancellation: dict[str, Any] | None
    metadata: dict[str, Any]
    interruptions: int
    rerun_of: str | None
    parent: str | None
    output: Any


RESULT = {"value": 1}

ANSWER = EchoedExecution(
    execution_id="01999999-9999-7999-8999-999999999999",
    flow_id="chain-3",
    status="completed",
    current_task="end",
    task_results={
        f"task{n}": EchoedResult("success", RESULT, None, 1.234567890123456e-06) for n in (1, 2, 3)
    },
    start_time="2025-01-01T00:00:00.000001+00:00",
    end_time="2025-01-01T00:00:00.000002+00:00",
    context={"user_id": 7} | {f"task{n}_result": RESULT for n in (1, 2, 3)},
    flow_version=1,
    had_failures=False,
    error=None,
    cancellation=None,
    metadata={},
    interruptions=0,
    rerun_of=None,
    parent=None,
    output=None,
)


@post("/flows/execute", status_code=200)
async def echo(data: ExecuteRequest) -> EchoedExecution:
    """Answer as flowmgr does, without doing anything."""
    assert data.context
    return ANSWER


class NothingToDrain:
    """The life of an app that has nothing to start or to stop."""

    def bind(self, stop: object) -> None:
        """Take what would stop the server."""

    def drain(self, grace: float) -> None:
        """Stop nothing."""


def main(which: str, options: ServerOptions) -> int:
    """Serve until told to stop, and return the exit code."""
    if which == "echo":
        bare = Litestar([echo], openapi_config=None, logging_config=None)
        return serve(bare, options, NothingToDrain())
    lifecycle = AppLifecycle()
    described = describe_server(options)
    app = create_app(
        web_settings=WebSettings(backend=described.backend, server=described.server),
        activities=[noop, sleep],
        flows=[chain(3), chain(1, "bench.sleep")],
        lifecycle=lifecycle,
    )
    return serve(app, options, lifecycle)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], msgspec.json.decode(sys.argv[2], type=ServerOptions)))
