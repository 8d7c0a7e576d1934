"""A tour through a real server, on both backends: `make demo`.

Registers flows, executes one, runs one in the background, watches it, and cancels it with a
receipt; pauses, resumes and retries; kills the server in the middle of an execution, starts it
again, and watches the execution go on.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parent.parent
BACKGROUND_FLOW = {
    "flow": {
        "id": "reservation",
        "name": "Reserve and compute",
        "start_task": "reserve_stock",
        "tasks": [{"name": "reserve_stock"}],
        "conditions": [],
    }
}


SHOP = {
    "id": "shop",
    "name": "Sell",
    "start_task": "charge",
    "tasks": [{"name": "charge"}, {"name": "crunch"}, {"name": "ship"}],
    "conditions": [
        {"source_task": "charge", "target_task_success": "crunch"},
        {"source_task": "crunch", "target_task_success": "ship"},
    ],
}
FRIENDLY_SHOP = SHOP | {
    "tasks": [*SHOP["tasks"], {"name": "apologise"}],
    "conditions": [
        {
            "source_task": "charge",
            "target_task_success": "crunch",
            "target_task_failure": "apologise",
        },
        {"source_task": "crunch", "target_task_success": "ship"},
    ],
}


def main() -> None:
    """Take the tour on asyncio and on trio."""
    for backend in ("asyncio", "trio"):
        with tempfile.TemporaryDirectory() as directory:
            journal = f"sqlite:{directory}/flowmgr.db"
            with server(backend, journal) as (client, process):
                tour(client)
                operate(client)
                location = begin_long_work(client)
                kill(process)
            with server(backend, journal) as (client, _):
                watch_it_go_on(client, location)


def tour(client: httpx.Client) -> None:
    """Do what a user would do first."""
    say("Is it ready?", client.get("/health/ready"))
    order = json.loads((ROOT / "examples" / "order.json").read_text())
    say("Register a flow", client.post("/flows", json=order))
    body = {"flow_id": "order", "context": {"order": {"id": "A-1", "amount": 99.5}}}
    say("Execute it", client.post("/flows/execute", json=body))
    body = {"flow_id": "order", "context": {"order": {"id": "A-2", "amount": 5000}}}
    say("A failure is routed to another task", client.post("/flows/execute", json=body))

    say("Register a flow that takes a minute", client.post("/flows", json=BACKGROUND_FLOW))
    answer = client.post(
        "/flows/execute", json={"flow_id": "reservation"}, headers={"Prefer": "respond-async"}
    )
    say("Run it in the background", answer)
    location = answer.headers["Location"]
    say("Watch it", client.get(location, params={"wait": 0.3}))
    answer = client.post(
        f"{location}/cancel", json={"reason": "end of the tour"}, headers={"Prefer": "wait=5"}
    )
    say("Cancel it: when this answers, nothing of it is running", answer, "cancellation")
    say("What happened", client.get(f"{location}/events"))


def operate(client: httpx.Client) -> None:
    """Do what an operator does: pause and resume, and mend a flow that has failed."""
    say("Register a flow of three tasks", client.post("/flows", json=SHOP))
    answer = start(client, {"order": {"id": "A-3", "amount": 10}, "seconds": 0.1})
    location = answer.headers["Location"]
    by_ada = {"by": "ada", "reason": "stocktaking"}
    say("Pause an execution", client.post(f"{location}/pause", json=by_ada), "status")
    say("No further task is started", client.get(location, params={"wait": 0.5}), "task_results")
    answer = client.post(f"{location}/resume", headers={"Prefer": "wait=5"})
    say("Resume it, and wait for its end", answer, "status")

    answer = start(client, {"order": {"id": "A-4", "amount": 5000}})
    location = answer.headers["Location"]
    say("One that fails", client.get(location, params={"wait": 5}), "error")
    say("Mend the flow: version 2", client.post("/flows", json=FRIENDLY_SHOP), "version")
    answer = client.post(f"{location}/retry", json={"version": 2}, headers={"Prefer": "wait=5"})
    say("Retry the failed execution on it", answer)


def begin_long_work(client: httpx.Client) -> str:
    """Start an execution whose second task takes two seconds, and wait until it runs."""
    answer = start(client, {"order": {"id": "A-5", "amount": 10}, "seconds": 2})
    say("Start something that takes two seconds", answer, "status")
    location: str = answer.headers["Location"]
    while client.get(location).json()["current_task"] != "crunch":
        time.sleep(0.01)
    say("The first task has finished, the second one runs", client.get(location), "task_results")
    return location


def watch_it_go_on(client: httpx.Client, location: str) -> None:
    """See that what had finished was not run again, and what was interrupted was."""
    while client.get("/health/ready").status_code != httpx.codes.OK:
        time.sleep(0.01)
    say("Another server on the same database", client.get("/health/ready"), "recovery")
    answer = client.get(location, params={"wait": 10})
    say("The execution has gone on by itself", answer, "status")
    events = client.get(f"{location}/events").json()["items"]
    print("\n".join(f"  {event['type']} {event.get('task', '')}" for event in events))


def start(client: httpx.Client, context: dict[str, Any]) -> httpx.Response:
    """Start an execution of the shop, without waiting for its end."""
    body = {"flow_id": "shop", "context": context}
    return client.post("/flows/execute", json=body, headers={"Prefer": "respond-async"})


def kill(process: subprocess.Popen[str]) -> None:
    """End a server as a crash would."""
    print(f"\n# kill -9 {process.pid}")
    process.kill()
    process.wait()


def say(title: str, answer: httpx.Response, field: str | None = None) -> None:
    """Print a step of the tour and what the server answered."""
    answer.raise_for_status()
    request = answer.request
    body = answer.json() if field is None else answer.json()[field]
    print(f"\n# {title}\n{request.method} {request.url.raw_path.decode()} -> {answer.status_code}")
    print(json.dumps(body, indent=2)[:1500])


@contextlib.contextmanager
def server(backend: str, journal: str) -> Iterator[tuple[httpx.Client, subprocess.Popen[str]]]:
    """Run a server on a free port, with a client of it; stop it by SIGTERM if it still runs."""
    command = [sys.executable, "-c", "from web.cli import main; main()", "serve", "--port", "0"]
    command += ["--journal", journal, "--backend", backend, "--activities", "examples.activities"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            print(f"\n{'=' * 80}\n{line.strip()}")
            url = re.search(r"http://\S+", line)[0]
            with httpx.Client(base_url=url, timeout=30) as client:
                yield client, process
        finally:
            process.terminate()
            print(f"\nThe server ended with exit code {process.wait(timeout=15)}")


if __name__ == "__main__":
    main()
