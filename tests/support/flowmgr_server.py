"""A real flowmgr server, and what tests often ask of it."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests.support.server_process import PATIENCE, ROOT, ServerProcess

T = TypeVar("T")

BACKENDS = ("asyncio", "trio")
ACTIVITIES = "tests.support.http_activities"
EXAMPLE: dict[str, Any] = json.loads((ROOT / "examples" / "flow123.json").read_bytes())
"""The original's example flow, wrapped as {"flow": ...}."""


def new_id(start: str = "flow") -> str:
    """Return an id that no other test uses."""
    return f"{start}-{uuid.uuid4().hex[:12]}"


def task(name: str, activity: str | None = None) -> dict[str, Any]:
    return {"name": name} if activity is None else {"name": name, "activity": activity}


def condition(
    source: str, on_match: str, otherwise: str = "end", outcome: str = "success"
) -> dict[str, Any]:
    return {
        "name": f"after {source}",
        "source_task": source,
        "outcome": outcome,
        "target_task_success": on_match,
        "target_task_failure": otherwise,
    }


def flow(
    *tasks: dict[str, Any], conditions: Sequence[dict[str, Any]] = (), **fields: Any
) -> dict[str, Any]:
    """Return a bare flow that begins with the first of *tasks*, with an id of its own."""
    return {
        "id": new_id(),
        "name": "A flow of a test",
        "start_task": tasks[0]["name"],
        "tasks": list(tasks),
        "conditions": list(conditions),
    } | fields


def chain(*activities: str) -> dict[str, Any]:
    """Return a flow that runs *activities* one after the other, each in a task of its name."""
    steps = itertools.pairwise(activities)
    return flow(*map(task, activities), conditions=[condition(*step) for step in steps])


def eventually(ask: Callable[[], T | None]) -> T:
    """Ask until the answer is neither None nor false; fail if that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"never true: {ask}"
    return answer


class Served:
    """A server that runs, and a client of it.

    Attributes:
        backend: what it runs on.
        process: its process.
        client: an HTTP client that waits for answers as long as tests have patience.
    """

    def __init__(self, backend: str, process: ServerProcess, client: httpx.Client) -> None:
        self.backend = backend
        self.process = process
        self.client = client

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.client.get(path, params=params)

    def post(
        self, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        content = None if body is None else json.dumps(body)
        sent = {} if body is None else {"Content-Type": "application/json"}
        return self.client.post(path, content=content, headers=sent | (headers or {}))

    def register(self, document: dict[str, Any]) -> str:
        """Register a flow; return its id."""
        response = self.post("/flows", document)
        assert response.status_code == 201, response.text
        registered: str = response.json()["id"]
        return registered

    def run(self, document: dict[str, Any], context: Any = None) -> dict[str, Any]:
        """Register a flow and execute it to its end; return the execution."""
        return self.execute(self.register(document), context)

    def execute(self, flow_id: str, context: Any = None, **fields: Any) -> dict[str, Any]:
        """Execute a registered flow to its end; return the execution."""
        body = {"flow_id": flow_id, "context": context} | fields
        response = self.post("/flows/execute", body)
        assert response.status_code == 200, response.text
        execution: dict[str, Any] = response.json()
        return execution

    def start(self, flow_id: str, context: Any = None, **fields: Any) -> str:
        """Start an execution of a registered flow; return its id."""
        body = {"flow_id": flow_id, "context": context} | fields
        response = self.post("/flows/execute", body, {"Prefer": "respond-async"})
        assert response.status_code == 202, response.text
        started: str = response.json()["execution_id"]
        return started

    def ended(self, execution_id: str) -> dict[str, Any]:
        """Wait until an execution has ended; return it."""
        execution: dict[str, Any] = self.get(f"/executions/{execution_id}", wait=PATIENCE).json()
        assert execution["end_time"] is not None, execution
        return execution

    def events(self, execution_id: str) -> list[dict[str, Any]]:
        response = self.get(f"/executions/{execution_id}/events", limit=1000)
        assert response.status_code == 200, response.text
        items: list[dict[str, Any]] = response.json()["items"]
        return items

    def check(self) -> None:
        """Check that the server is ready and executes the example flow."""
        assert self.get("/health/ready").status_code == 200
        assert self.run(EXAMPLE)["status"] == "completed"


def wait_for_file(file: Path) -> None:
    eventually(file.exists)


@contextlib.contextmanager
def serving(
    backend: str,
    *options: str,
    env: dict[str, str] | None = None,
    is_told_by_environment: bool = False,
    is_killed: bool = False,
) -> Iterator[Served]:
    """Run a server; in the end, check that it stops as it should and that nothing went wrong.

    Or end it by SIGKILL, if it *is_killed*.
    """
    fixed = ["--port", "0", "--backend", backend, "--activities", ACTIVITIES]
    if is_told_by_environment:
        fixed = []
    elif "--journal" not in options:
        fixed += ["--journal", "memory"]
    with ServerProcess(["web", "serve", *fixed, *options], env=env) as process:
        process.wait_until_ready()
        # Of more connections than it keeps, httpx closes idle ones: one too that another thread has
        # just been given, but has not begun to use.
        limits = httpx.Limits(max_keepalive_connections=None)
        with httpx.Client(
            base_url=process.url, timeout=PATIENCE, trust_env=False, verify=False, limits=limits
        ) as client:
            yield Served(backend, process, client)
        if is_killed:
            process.kill()
        else:
            assert process.stop() == 0
        assert "Traceback" not in process.stderr.text
        assert "bug in flowmgr" not in process.stderr.text
