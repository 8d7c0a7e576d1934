"""What the README tells a newcomer to do works."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from flowmgr import Settings, open_engine
from tests.support.server_process import PATIENCE, ROOT, ServerProcess

README = (ROOT / "README.md").read_text()
EXAMPLES = (ROOT / "examples" / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
JSON = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
FLOW_FILE = ROOT / "examples" / "flow123.json"
SERVER = "http://127.0.0.1:8000"
"""Where the documents say that the server is."""


def console(document: str, section: str) -> tuple[list[str], list[str]]:
    """Return the commands that a section shows, and the lines that it says they write."""
    shown = f"\n{document}".partition(f"# {section}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", shown, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return commands, [line for line in lines if not line.startswith("$ ")]


def in_a_shell(commands: Sequence[str], directory: Path, url: str = SERVER) -> list[str]:
    """Run what a document shows, with the server at *url*; return the lines that it writes."""
    script = "\necho\n".join(commands).replace(SERVER, url)  # answers have no end of line
    paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
    ran = subprocess.run(
        ["sh", "-e", "-c", script],
        cwd=directory,
        env=os.environ | {"PATH": os.pathsep.join(paths), "FLOWMGR_URL": url},
        capture_output=True,
        text=True,
        check=True,
        timeout=4 * PATIENCE,
    )
    return [line for line in ran.stdout.splitlines() if line]


@contextlib.contextmanager
def served(directory: Path, *options: str, backend: str = "asyncio") -> Iterator[ServerProcess]:
    """A server that keeps its journal in *directory*."""
    args = ["web", "serve", "--port", "0", "--backend", backend, *options]
    journal = f"sqlite:{directory}/flowmgr.db"
    with ServerProcess([*args, "--journal", journal], is_fresh=True) as server:
        yield server.wait_until_ready()


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")


@needs_curl
def test_the_first_command_of_the_readme_answers_as_it_shows(tmp_path: Path) -> None:
    commands, (shown,) = console(README, "A flow")
    with served(tmp_path, "--flows", str(FLOW_FILE)) as server:
        (answered,) = in_a_shell(commands, tmp_path, server.url)
    differs = r"[0-9a-f-]{36}|[0-9]\.[0-9]+"
    assert re.sub(differs, "", answered).startswith(
        re.sub(differs, "", shown.removesuffix(", \N{HORIZONTAL ELLIPSIS}"))
    )


@needs_curl
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_commands_of_the_readme_do_what_it_says_one_after_the_other(
    backend: str, tmp_path: Path
) -> None:
    watch, operate = console(README, "Run, watch, cancel")[0], console(README, "Operate")[0]
    with served(tmp_path, backend=backend) as server:
        wait, events, cancel, retry, check = in_a_shell([*watch, *operate], tmp_path, server.url)
    assert json.loads(wait)["status"] == "running"
    types = [event["type"] for event in json.loads(events)["items"]]
    assert types[:2] == ["ExecutionStarted", "TaskStarted"]
    cancelled = json.loads(cancel)
    assert cancelled["status"] == "cancelled"
    assert [line["how"] for line in cancelled["cancellation"]["tasks"]] == ["stopped"]
    assert retry == f"{cancelled['execution_id']} is running, at task nap"
    assert check.endswith("all is well")


def test_the_flow_of_the_readme_is_the_one_that_make_run_registers() -> None:
    shown, registered = json.loads(JSON[0])["flow"], json.loads(FLOW_FILE.read_text())["flow"]
    assert [task["name"] for task in shown["tasks"]] == [
        task["name"] for task in registered["tasks"]
    ]
    for of_readme, of_file in zip(shown["conditions"], registered["conditions"], strict=True):
        assert of_readme.items() <= of_file.items()
    assert str(FLOW_FILE.relative_to(ROOT)) in (ROOT / "Makefile").read_text()


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A directory with the files that the README shows."""
    (tmp_path / "my_activities.py").write_text(PYTHON[0])
    (tmp_path / "program.py").write_text(PYTHON[1])
    (flow,) = (each for each in JSON if '"my-flow"' in each)
    (tmp_path / "flow.json").write_text(flow)
    return tmp_path


def test_the_activities_of_the_readme_run_from_the_command_line(workplace: Path) -> None:
    validate, run, _ = console(README, "Your own tasks")[0]
    verdict, *shown = in_a_shell([validate, run], workplace)
    assert verdict == "flow.json: valid"
    context = json.loads("".join(shown))["context"]
    assert context["greet_result"] == {"greeting": "hello ada"}
    assert context["add_result"] == 3


def test_the_activities_of_the_readme_are_served(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = console(README, "Your own tasks")[0][-1]
    _, _, *options = shlex.split(command.replace("flow.json", f"{workplace}/flow.json"))
    monkeypatch.setenv("PYTHONPATH", str(workplace))  # a server of a test runs elsewhere
    with served(workplace, *options) as server:
        body = {"flow_id": "my-flow", "context": {"user_id": "ada", "a": 2}}
        answer = httpx.post(f"{server.url}/flows/execute", json=body)
    assert answer.json()["context"]["add_result"] == 3


def test_the_program_of_the_readme_runs_without_a_server(workplace: Path) -> None:
    (shown,) = re.findall(r"print\(.*\)  # (.*)", PYTHON[1])
    assert in_a_shell(["python program.py"], workplace) == [shown]


def test_serving_an_example_says_what_the_examples_show(tmp_path: Path) -> None:
    (command,), shown = console(EXAMPLES, "Examples")
    with served(tmp_path, *shlex.split(command)[2:]) as server:
        said = server.stdout.wait_for(r"listens on [^$]*/docs\n").string
    assert said.replace(server.url, SERVER).splitlines() == shown


@needs_curl
@pytest.mark.parametrize("example", ["order", "document_approval"])
def test_the_commands_of_an_example_bring_it_to_its_end(example: str, tmp_path: Path) -> None:
    options = ["--flows", f"examples/{example}", "--activities", f"examples.{example}.activities"]
    with served(tmp_path, *options) as server:
        *_, last = in_a_shell(console(EXAMPLES, f"`{example}`")[0], tmp_path, server.url)
    assert last.endswith(" is completed")


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
