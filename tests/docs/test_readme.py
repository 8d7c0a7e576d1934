"""What the README tells a newcomer to do works."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from flowmgr import Settings, open_engine
from tests.support.server_process import ROOT, ServerProcess

README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
JSON = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
FLOW_FILE = ROOT / "examples" / "flow123.json"


def curl_commands() -> list[list[str]]:
    return [shlex.split(line[2:]) for line in README.splitlines() if line.startswith("$ curl")]


def send(command: list[str], **values: str) -> httpx.Response:
    """Do what a curl command of the README says, with the variables of the shell filled in."""
    method, headers, body, url = "GET", {}, None, ""
    arguments = iter(command[1:])
    for argument in arguments:
        if argument == "-X":
            method = next(arguments)
        elif argument == "-H":
            name, value = next(arguments).split(": ")
            headers[name] = value
        elif argument == "-d":
            body = next(arguments)
        elif argument != "-s" and not argument.startswith("#"):
            url = url or argument
    for name, value in values.items():
        url = url.replace(f"${name}", value)
    return httpx.request(method, url, headers=headers, content=body, timeout=30)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_curl_commands_of_the_readme_do_what_it_says(backend: str, tmp_path: Path) -> None:
    execute, start, wait, events, cancel = curl_commands()
    args = ["web", "serve", "--port", "0", "--flows", str(FLOW_FILE), "--backend", backend]
    args += ["--journal", f"sqlite:{tmp_path}/flowmgr.db"]
    with ServerProcess(args, is_fresh=True) as server:
        server.wait_until_ready()
        execute = [word.replace("http://127.0.0.1:8000", server.url) for word in execute]
        assert send(execute).json()["status"] == "completed"

        started = send(start, URL=server.url)
        assert started.status_code == 202
        execution_id = started.json()["execution_id"]
        cancelled = send(cancel, URL=server.url, ID=execution_id)
        assert cancelled.json()["cancellation"]["tasks"][0]["how"] == "stopped"
        assert send(wait, URL=server.url, ID=execution_id).json()["status"] == "cancelled"
        types = [
            event["type"] for event in send(events, URL=server.url, ID=execution_id).json()["items"]
        ]
        assert types[0] == "ExecutionStarted"
        assert types[-1] == "ExecutionCancelled"


def test_the_flow_of_the_readme_is_the_one_that_make_run_registers() -> None:
    shown, registered = json.loads(JSON[0])["flow"], json.loads(FLOW_FILE.read_text())["flow"]
    assert [task["name"] for task in shown["tasks"]] == [
        task["name"] for task in registered["tasks"]
    ]
    for of_readme, of_file in zip(shown["conditions"], registered["conditions"], strict=True):
        assert of_readme.items() <= of_file.items()
    assert str(FLOW_FILE.relative_to(ROOT)) in (ROOT / "Makefile").read_text()


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the activities of the README, and a flow that runs them."""
    (tmp_path / "my_activities.py").write_text(PYTHON[0])
    flow = {
        "id": "my-flow",
        "name": "Greet",
        "start_task": "greet",
        "tasks": [{"name": "greet"}, {"name": "add"}],
        "conditions": [{"source_task": "greet", "target_task_success": "add"}],
    }
    (tmp_path / "flow.json").write_text(json.dumps(flow))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_activities_of_the_readme_run_from_the_command_line(workplace: Path) -> None:
    command = ["run", "flow.json", "--context", '{"a": 2, "user_id": "ada"}']
    command += ["--activities", "my_activities"]
    run = subprocess.run(
        [sys.executable, "-m", "web", *command],
        cwd=workplace,
        capture_output=True,
        text=True,
        check=True,
    )
    context = json.loads(run.stdout)["context"]
    assert context["greet_result"] == {"greeting": "hello ada"}
    assert context["add_result"] == 3


@pytest.mark.anyio
async def test_the_program_of_the_readme_runs_without_a_server(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = json.loads((workplace / "flow.json").read_text())
    body = re.sub(r"^", "    ", PYTHON[1], flags=re.MULTILINE)
    names: dict[str, object] = {"flow": flow | {"tasks": flow["tasks"][:1], "conditions": []}}
    exec(f"async def program():\n{body}", names)  # the README's own text
    await names["program"]()
    assert "completed {'greeting': 'hello ada'}" in capsys.readouterr().out


@pytest.mark.anyio
async def test_the_example_flows_run(anyio_backend: object) -> None:
    async with open_engine(Settings(), activities=["examples.activities"]) as engine:
        order = json.loads((ROOT / "examples" / "order.json").read_text())
        await engine.register(order)
        paid = await engine.run("order", {"order": {"id": "A-1", "amount": 99.5}})
        refused = await engine.run("order", {"order": {"id": "A-2", "amount": 5000}})
    assert list(paid.task_results) == ["charge", "ship"]
    assert list(refused.task_results) == ["charge", "apologise"]
    assert refused.had_failures
    assert refused.status == "completed"
