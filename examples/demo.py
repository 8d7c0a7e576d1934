"""A tour through a real server, on both backends: `make demo`.

Registers flows, executes one, runs one in the background, watches it, and cancels it with a
receipt.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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


def main() -> None:
    """Take the tour on asyncio and on trio."""
    for backend in ("asyncio", "trio"):
        with server(backend) as url, httpx.Client(base_url=url, timeout=30) as client:
            tour(client)


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


def say(title: str, answer: httpx.Response, field: str | None = None) -> None:
    """Print a step of the tour and what the server answered."""
    answer.raise_for_status()
    request = answer.request
    body = answer.json() if field is None else answer.json()[field]
    print(f"\n# {title}\n{request.method} {request.url.raw_path.decode()} -> {answer.status_code}")
    print(json.dumps(body, indent=2)[:1500])


@contextlib.contextmanager
def server(backend: str) -> Iterator[str]:
    """Run a server on a free port, and stop it by SIGTERM."""
    command = [
        sys.executable,
        "-c",
        "from web.cli import main; main()",
        "serve",
        "--port",
        "0",
        "--journal",
        "memory",
    ]
    command += ["--backend", backend, "--activities", "examples.activities"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            print(f"\n{'=' * 80}\n{line.strip()}")
            yield re.search(r"http://\S+", line)[0]
        finally:
            process.terminate()
            print(f"\nThe server ended with exit code {process.wait(timeout=15)}")


if __name__ == "__main__":
    main()
