"""The command line, run as users run it: in a process of its own."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest
from click.testing import CliRunner

from flowmgr.language.definition import FlowDefinition
from flowmgr.language.json_schema import flow_schema
from flowmgr.language.validation import OpenedFlow, new_flow_id
from tests.support.flowmgr_server import (
    ACTIVITIES,
    BACKENDS,
    EXAMPLE,
    Served,
    chain,
    condition,
    flow,
    serving,
    task,
)
from tests.support.server_process import PATIENCE, ROOT, ServerProcess
from web.cli import main
from web.commands.serve import serve
from web.commands.trying import example_context, things_to_try

EXAMPLE_FILE = str(ROOT / "examples" / "flow123.json")
STARTUP_FAILED = 3


class Ran(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def execution(self) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.out)
        return shown


def flowmgr(*args: str, env: Mapping[str, str] | None = None) -> Ran:
    """Run a command to its end."""
    with ServerProcess(["web", *args], env=dict(env or {})) as process:
        code = process.wait()
        process.stdout.close()
        process.stderr.close()
        return Ran(code, process.stdout.text, process.stderr.text)


INTERRUPTED_WHILE_LOADING = """
import sys
from web.entry import main

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == interrupted:
            raise KeyboardInterrupt

interrupted = sys.argv.pop()
sys.meta_path.insert(0, Interrupts())
main()
"""


@pytest.mark.parametrize("module", ["web.cli", "web.commands.validate"])
def test_ctrl_c_while_the_program_is_loaded_is_no_traceback(module):
    command = [sys.executable, "-c", INTERRUPTED_WHILE_LOADING, "validate", "flow.json", module]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=PATIENCE)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, b"", b"")


INTERRUPTED_WHILE_OPENING = """
import contextlib
import os
import signal
import anyio
import web.run
from web.entry import main

@contextlib.asynccontextmanager
async def open_engine(*settings, **options):
    async with anyio.create_task_group():
        os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep(60)
        yield

web.run.open_engine = open_engine
main()
"""


def test_ctrl_c_before_a_run_has_begun_exits_with_130(backend):
    script = [sys.executable, "-c", INTERRUPTED_WHILE_OPENING]
    command = [*script, "run", EXAMPLE_FILE, "--backend", backend]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=PATIENCE)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, b"", b"")


@pytest.mark.parametrize(
    ("command", "does"),
    [
        (
            ["validate", EXAMPLE_FILE, "--activities", ACTIVITIES],
            "web.commands.validate.inspect_files",
        ),
        (["journal", "check", "flowmgr.db"], "flowmgr.journal.sqlite.tools.check"),
        (["schema"], "web.commands.schema.flow_schema"),
    ],
    ids=["validate", "journal check", "schema"],
)
def test_ctrl_c_is_not_taken_for_an_answer_of_a_command(here, monkeypatch, command, does):
    def interrupted(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(does, interrupted)
    assert here(*command) == Ran(130, "", "")


def in_one_line(text: str) -> str:
    """Return what the command line said, without the frames and the line breaks."""
    return " ".join(text.replace("│", " ").split())


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Runs commands that end before anything is started, in this process: that is faster."""

    def start(*_: Any) -> NoReturn:
        pytest.fail("it would have been started")

    monkeypatch.setattr("web.commands.serve.serve_app", start)
    monkeypatch.setattr("web.commands.run.run_flow", start)

    def run(*args: str, env: Mapping[str, str] | None = None) -> Ran:
        ran = CliRunner().invoke(main, args, env=env, prog_name="flowmgr")
        assert isinstance(ran.exception, SystemExit | None), ran.exception
        return Ran(ran.exit_code, ran.stdout, ran.stderr)

    return run


class Written:
    """Files for the command line to read."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, document: Any, name: str = "flow.json") -> str:
        file = self.directory / name
        file.write_text(document if isinstance(document, str) else json.dumps(document))
        return str(file)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path)


# flowmgr run


def test_running_a_flow_that_completes_exits_with_0_and_prints_the_execution(backend):
    ran = flowmgr("run", EXAMPLE_FILE, "--backend", backend, "--context", '{"user_id": "tester"}')
    assert ran.code == 0, ran.err
    assert ran.execution["status"] == "completed"
    assert list(ran.execution["task_results"]) == ["task1", "task2", "task3"]
    assert ran.execution["context"]["user_id"] == "tester"
    for name in ("task1", "task2", "task3"):
        assert name in ran.err


def test_running_a_flow_that_fails_exits_with_1_and_says_why(backend, written):
    file = written(chain("succeed", "fail"))
    ran = flowmgr("run", file, "--backend", backend, "--activities", ACTIVITIES)
    assert ran.code == 1
    assert ran.execution["status"] == "failed"
    assert ran.execution["error"]["task"] == "fail"
    assert "ValueError: asked to fail" in ran.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_a_run_cancels_it_waits_for_its_clean_up_and_exits_with_130(
    backend, written, tmp_path, number
):
    files = {name: str(tmp_path / name) for name in ("started", "ended")}
    options = ["--backend", backend, "--activities", ACTIVITIES, "--context", json.dumps(files)]
    with ServerProcess(["web", "run", written(chain("stay")), *options]) as process:
        wait_until_there(tmp_path / "started", process)
        assert process.stop(number) == 130
        assert (tmp_path / "ended").exists()
        process.stdout.close()
        execution = json.loads(process.stdout.text)
    assert execution["status"] == "cancelled"
    assert execution["cancellation"]["reason"] == f"interrupted by {number.name}"
    (line,) = execution["cancellation"]["tasks"]
    assert (line["task"], line["how"]) == ("stay", "stopped")


def test_a_second_interrupt_does_not_wait_for_the_clean_up(backend, written, tmp_path):
    files = {name: str(tmp_path / name) for name in ("started", "release")}
    options = ["--backend", backend, "--activities", ACTIVITIES, "--context", json.dumps(files)]
    file = written(chain("clean_up_slowly"))
    with ServerProcess(["web", "run", file, *options]) as process:
        wait_until_there(tmp_path / "started", process)
        process.send(signal.SIGINT)
        # Signals that come together are one, so ask again until it is taken.
        for _ in range(1000):
            try:
                code = process.wait(timeout=0.05)
                break
            except subprocess.TimeoutExpired:
                process.send(signal.SIGINT)
        assert code == 130


def test_what_does_not_stop_within_the_grace_is_left_behind(backend, written, tmp_path):
    files = {name: str(tmp_path / name) for name in ("started", "release")}
    options = ["--backend", backend, "--activities", ACTIVITIES, "--context", json.dumps(files)]
    file = written(chain("clean_up_slowly"))
    with ServerProcess(["web", "run", file, *options, "--grace", "0.1"]) as process:
        wait_until_there(tmp_path / "started", process)
        assert process.stop(signal.SIGINT) == 130
        process.stdout.close()
        execution = json.loads(process.stdout.text)
    (line,) = execution["cancellation"]["tasks"]
    assert line["how"] == "abandoned"


def wait_until_there(file: Path, process: ServerProcess) -> None:
    """Wait for a file that the process makes; fail if it ends without having made it."""
    for _ in range(int(PATIENCE / 0.01)):
        if file.exists():
            return
        try:
            process.wait(timeout=0.01)
        except subprocess.TimeoutExpired:
            continue
        break
    raise AssertionError(process.stderr.text)


def test_the_context_can_come_from_a_file(written):
    context = written({"given": ["in", "a", "file"]}, "context.json")
    options = ["--activities", ACTIVITIES, "--context", f"@{context}"]
    ran = flowmgr("run", written(chain("keys")), *options)
    assert ran.code == 0
    assert ran.execution["context"] == {"given": ["in", "a", "file"], "keys_result": ["given"]}


@pytest.mark.parametrize(
    ("context", "says"),
    [
        ("{", "not JSON"),
        ("[]", "The context must be an object, not a list"),
        ('{"a": NaN}', "NaN"),
        ('{"a": 1, "a": 2}', "'a'"),
        ("@no-such-file.json", "no-such-file.json"),
    ],
)
def test_a_context_that_cannot_be_used_is_refused_in_one_line(context, says):
    ran = flowmgr("run", EXAMPLE_FILE, "--context", context)
    assert ran.code == 2
    assert ran.out == ""
    assert says in ran.err
    assert ran.err.startswith("flowmgr: ")
    assert len(ran.err.splitlines()) == 1


def test_a_context_that_is_not_utf_8_is_refused_in_one_line(here):
    ran = here("run", EXAMPLE_FILE, "--context", os.fsdecode(b'"\xff"'))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("flowmgr: The document is not UTF-8: byte 0xff")
    assert len(ran.err.splitlines()) == 1


def test_running_a_flow_with_problems_tells_each_of_them(written):
    file = written(flow(task("task1"), task("tsak2"), start_task="x"))
    ran = flowmgr("run", file)
    assert ran.code == 2
    assert f"{file}: error: /start_task: start_task 'x' not found in tasks" in ran.err
    assert f"{file}: error: /tasks/1/name: Unknown activity 'tsak2'" in ran.err
    assert ran.out == ""


def test_running_can_simulate_unknown_activities(written):
    ran = flowmgr("run", written(chain("ship_order")), "--simulate-unknown-activities")
    assert ran.code == 0
    assert ran.execution["context"]["ship_order_result"] == "Result from ship_order"


def test_running_what_is_not_there_is_refused():
    ran = flowmgr("run", "no-such-flow.json")
    assert ran.code == 2
    assert "no-such-flow.json" in in_one_line(ran.err)


# flowmgr validate


def test_a_flow_without_problems_is_valid():
    ran = flowmgr("validate", EXAMPLE_FILE)
    assert (ran.code, ran.out) == (0, f"{EXAMPLE_FILE}: valid\n")
    assert in_one_line(ran.err) == "The names of activities are not checked: give --activities"


def test_a_directory_without_flows_is_refused(tmp_path):
    ran = flowmgr("validate", tmp_path)
    assert ran.code == 2
    assert "no *.json" in in_one_line(ran.err)


def test_flows_below_a_directory_are_looked_at_but_not_in_hidden_directories(
    here, written, tmp_path
):
    for name in ("orders/eu", ".cache"):
        (tmp_path / name).mkdir(parents=True)
    top, below = written(EXAMPLE), written("{", "orders/eu/flow.yaml")
    hidden = written("{", ".cache/flow.json")
    ran = here("validate", str(tmp_path))
    assert (ran.code, ran.out) == (1, f"{top}: valid\n")
    assert f"{below}: error: " in ran.err
    assert hidden not in ran.err
    assert (
        f"1 of 2 files are valid (in {tmp_path} and below, hidden directories left out)" in ran.err
    )


def test_a_flow_file_can_be_yaml(written, tmp_path):
    good = written("name: x\nstart_task: a\nconditions: []\ntasks: [{name: a}]\n", "a.yaml")
    bad = written("name: x\nstart_task: 2030-01-31\n", "b.yml")
    ran = flowmgr("validate", str(tmp_path))
    assert ran.code == 1
    assert ran.out == f"{good}: valid\n"
    assert f"{bad}: error: /start_task: The document has the date '2030-01-31'" in ran.err
    assert "at line 2" in ran.err


def test_the_schema_is_printed(here):
    ran = here("schema")
    assert ran.code == 0
    assert json.loads(ran.out) == flow_schema()


def test_warnings_are_told_and_the_flow_is_valid_all_the_same(written):
    file = written(flow(task("a"), task("island")))
    ran = flowmgr("validate", file)
    assert ran.code == 0
    assert ran.out == f"{file}: valid\n"
    assert f"{file}: warning: /tasks/1: Task 2 ('island') can never run" in ran.err


def test_all_problems_of_all_files_are_told_with_their_places(written, tmp_path):
    good = written(EXAMPLE, "a-good.json")
    wrong = flow(task("a"), conditions=[condition("a", "b"), condition("z", "end")])
    bad = written({"flow": wrong | {"nmae": 1}}, "b-bad.json")
    broken = written("{", "c-broken.json")
    written("not looked at", "notes.txt")
    ran = flowmgr("validate", str(tmp_path))
    assert ran.code == 1
    assert ran.out == f"{good}: valid\n"
    for place in ("/flow/nmae", "/flow/conditions/0/target_task_success"):
        assert f"{bad}: error: {place}: " in ran.err
    assert f"{bad}: error: /flow/conditions/1/source_task: " in ran.err
    assert "did you mean 'name'?" in ran.err
    assert f"{broken}: error: /: The document is not JSON" in ran.err
    assert "notes.txt" not in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("options", "code"), [([], 0), (["--activities", ACTIVITIES], 1)], ids=["without", "with"]
)
def test_names_of_activities_are_checked_if_the_modules_are_given(written, options, code):
    ran = flowmgr("validate", written(chain("succeed", "suceed")), *options)
    assert ran.code == code
    assert ("did you mean" in ran.err.lower()) is bool(code)


def test_validating_nothing_is_refused():
    assert flowmgr("validate").code == 2


# flowmgr serve


def test_flows_given_to_serve_are_registered_and_a_way_to_try_them_is_shown(written, tmp_path):
    (tmp_path / "below").mkdir()
    written(EXAMPLE, "below/flow123.json")
    with serving("asyncio", "--flows", str(tmp_path)) as served:
        said = served.process.stdout.wait_for(r"curl -X POST (\S+)/flows/execute .*flow123")
        assert said[1] == served.process.url
        assert served.execute("flow123")["status"] == "completed"


@pytest.mark.parametrize("example", ["order", "readings", "quotes", "document_approval"])
def test_what_serve_says_to_try_is_accepted(example):
    modules = ["--activities", f"examples.{example}.activities"]
    with serving("asyncio", "--flows", str(ROOT / "examples" / example), *modules) as served:
        said = served.process.stdout.wait_for(r"curl -X POST (\S+)/flows/execute .* -d (.*)")
        (body,) = shlex.split(said[2])
        response = served.post("/flows/execute", json.loads(body), {"Prefer": "respond-async"})
        assert response.status_code == 202, response.text


@pytest.mark.parametrize(
    ("schema", "context"),
    [
        (None, {"user_id": "tester"}),
        ({"required": ["a"], "examples": [{"b": 1}, {"a": 1}]}, {"a": 1}),
        ({"examples": [7]}, {"user_id": "tester"}),
        ({"required": ["a"]}, None),
        (False, None),
    ],
)
def test_a_context_to_try_is_one_that_the_input_schema_accepts(schema, context):
    assert example_context(schema) == context


def test_without_a_context_that_fits_serve_says_where_the_schema_is(written):
    file = written(chain("succeed") | {"id": "strict", "input": {"required": ["order"]}})
    with serving("asyncio", "--flows", file, "--activities", ACTIVITIES) as served:
        said = served.process.stdout.wait_for(r"curl (\S+)  # 'input' in its 'definition' says")
        assert said[1] == f"{served.process.url}/flows/strict"


def running(flow_id: str, *others: str, **fields: Any) -> dict[str, Any]:
    """Return a flow that runs *others*, one after the other."""
    tasks = [{"name": each, "kind": "flow", "flow": each, **fields} for each in others]
    return flow(*(tasks or [task("succeed")])) | {"id": flow_id}


def defined(document: dict[str, Any]) -> FlowDefinition:
    """Return a flow as it is when it has been registered."""
    opened = OpenedFlow(document)
    return opened.validated(activities=None, flows=None, new_id=new_flow_id).definition


@pytest.mark.parametrize(
    ("flows", "tried"),
    [
        ([running("b"), running("a", "b"), running("c")], "a"),
        ([running("a"), running("b", "c"), running("c", "a")], "b"),
        ([running("a", "b"), running("b", "a")], "a"),
    ],
    ids=["a flow and its part", "a part of a part", "a ring"],
)
def test_what_serve_says_to_try_is_a_flow_that_no_other_one_runs(flows, tried):
    _, start, _ = things_to_try("http://127.0.0.1:8000", [defined(each) for each in flows])
    assert f'{{"flow_id": "{tried}", ' in start


def test_where_the_documentation_is_is_said_without_a_command():
    *_, last = things_to_try("http://127.0.0.1:8000", [defined(EXAMPLE)])
    assert last == "All that can be asked: http://127.0.0.1:8000/docs"


def test_serve_registers_flows_that_run_each_other_whatever_their_files_are_called(
    written, tmp_path
):
    (tmp_path / "sub").mkdir()
    written(running("outer", "inner"), "a.json")
    written(running("inner", "leaf", version=1), "b.json")
    written(running("leaf"), "sub/c.json")
    written(running("ring", "ping"), "d.json")
    written(running("ping", "ring"), "e.json")
    with serving("asyncio", "--flows", str(tmp_path)) as served:
        assert served.execute("outer")["status"] == "completed"
        for flow_id in ("ring", "ping"):
            assert served.get(f"/flows/{flow_id}").json()["version"] == 1


def test_serve_warns_about_a_flow_without_an_id_which_each_start_registers_anew(written):
    document = running("x")
    del document["id"]
    nameless, named = written({"flow": document}, "nameless.json"), written(running("y"), "y.json")
    with serving("asyncio", "--flows", nameless, "--flows", named) as served:
        warning = f"{nameless}: warning: /flow/id: The flow has no id, so each start"
        served.process.stderr.wait_for(re.escape(warning) + '.*as in "id": "nameless"')
        assert f"{named}: " not in served.process.stderr.text
        assert len(served.get("/flows").json()["items"]) == 2


def test_serve_names_every_file_with_a_flow_that_there_is_not_and_exits_with_2(written):
    good = written(running("good"), "good.json")
    lost = written(running("lost", "nowhere"), "lost.json")
    old = written(running("old", "good", version=7), "old.json")
    files = ["--flows", good, "--flows", lost, "--flows", old]
    options = ["--port", "0", "--journal", "memory", "--activities", ACTIVITIES]
    ran = flowmgr("serve", *options, *files)
    assert ran.code == 2
    assert f"{lost}: error: /tasks/0/flow: Task 1 ('nowhere') runs an unknown flow" in ran.err
    assert f"{old}: error: /tasks/0/flow: Task 1 ('good') runs an unknown flow" in ran.err
    assert f"flowmgr: {lost} is not a flow that can be run here (and 1 more)" in ran.err
    assert f"{good}: error" not in ran.err
    assert "Traceback" not in ran.err


def test_validate_warns_about_flows_that_are_in_none_of_the_files(here, written, tmp_path):
    outer, inner = written(running("outer", "inner"), "a.json"), written(running("inner"), "b.json")
    ran = here("validate", str(tmp_path))
    assert (ran.code, "warning" in ran.err) == (0, False)
    ran = here("validate", outer)
    assert (ran.code, ran.out) == (0, f"{outer}: valid\n")
    assert f"{outer}: warning: /tasks/0/flow: Task 1 ('inner') runs an unknown flow" in ran.err
    written(running("inner", "outer"), "b.json")
    ran = here("validate", outer, inner)
    assert ran.code == 0
    assert ran.err.count("outer -> inner -> outer") == 1
    assert ran.err.count("inner -> outer -> inner") == 1


def test_two_files_with_one_flow_id_are_an_error_of_the_second_that_names_the_first(here, written):
    first, second = written(EXAMPLE, "a.json"), written({"flow_data": EXAMPLE}, "b.json")
    third = written(running("flow123", "flow123"), "c.json")
    said = "has the id 'flow123' as well (Give each flow its own id"
    ran = here("validate", first, second, third)
    assert (ran.code, ran.out) == (1, f"{first}: valid\n")
    assert f"{second}: error: /flow_data/flow/id: The flow in {first} {said}" in ran.err
    assert f"{third}: error: /id: The flow in {first} {said}" in ran.err
    assert f"{third}: error: /tasks/0/flow: " in ran.err
    ran = here("serve", "--flows", first, "--flows", second)
    assert (ran.code, ran.out) == (2, "")
    assert f"{second}: error: /flow_data/flow/id: The flow in {first} {said}" in ran.err
    assert f"flowmgr: {second} is not a flow that can be run here" in ran.err


def test_a_file_that_is_given_twice_counts_once(here, written, tmp_path, monkeypatch):
    file = written(EXAMPLE)
    (tmp_path / "link.json").symlink_to(file)
    monkeypatch.chdir(tmp_path)
    ran = here("validate", file, "flow.json", str(tmp_path), ".")
    assert (ran.code, ran.out) == (0, f"{file}: valid\n")
    assert "1 of 1 files are valid" in ran.err


def refused_by_serve(*options: str, env: Mapping[str, str] | None = None) -> str:
    """Return what `serve` says before it exits; it must not have begun to listen."""
    ran = flowmgr("serve", "--port", "0", *options, env=env)
    assert ran.code == 2
    assert "listens" not in ran.out
    assert "Traceback" not in ran.err
    return in_one_line(ran.err)


def test_a_flow_file_with_problems_stops_serve_and_they_are_told(written):
    file = written(flow(task("task1"), task("nobody-knows"), start_task="x"))
    said = refused_by_serve("--flows", file)
    assert f"{file}: error: /start_task: start_task 'x' not found in tasks" in said
    assert f"{file}: error: /tasks/1/name: Unknown activity 'nobody-knows'" in said
    assert f"flowmgr: {file} is not a flow that can be run here" in said


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": NaN}', "\ufeff{}"])
def test_a_file_that_is_not_a_flow_stops_serve(written, content):
    file = written(content)
    assert f"flowmgr: {file} is not a flow" in refused_by_serve("--flows", file)


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("no_such.module", "'no_such.module' with activities cannot be imported"),
        ("json", "'json' has no activities"),
        ("activities.py", "'activities.py' is a file"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "run", "validate"])
def test_a_module_without_activities_is_refused_in_one_line(here, command, module, says):
    files = [] if command == "serve" else [EXAMPLE_FILE]
    ran = here(command, *files, "--activities", module)
    assert ran.code == 2
    assert ran.err.startswith("flowmgr: ")
    assert says in ran.err
    assert len(ran.err.splitlines()) == 1


ONE_ACTIVITY = """
from flowmgr import activity


@activity("{name}")
async def mine(context):
    return "mine"
"""


def test_two_activities_of_one_name_are_refused_and_both_are_named(written):
    for module in ("one_module", "other_module"):
        written(ONE_ACTIVITY.format(name="twice"), f"{module}.py")
    env = {"PYTHONPATH": str(written.directory)}
    modules = ["--activities", "one_module", "--activities", "other_module"]
    ran = flowmgr("run", EXAMPLE_FILE, *modules, env=env)
    assert ran.code == 2
    for name in ("'twice'", "one_module", "other_module"):
        assert name in ran.err


def test_an_activity_of_the_users_own_stands_in_for_a_demonstration(written):
    written(ONE_ACTIVITY.format(name="task2"), "own_module.py")
    env = {"PYTHONPATH": str(written.directory)}
    ran = flowmgr("run", EXAMPLE_FILE, "--activities", "own_module", env=env)
    assert ran.code == 0
    assert ran.execution["context"]["task2_result"] == "mine"


BAD_VALUES = {
    "port": ["-1", "65536", "abc"],
    "backend": ["curio"],
    "journal": ["stone"],
    "flows": ["no-such-file.json"],
    "grace": ["-1", "abc", "nan", "inf", "3601"],
    "wait_limit": ["-1", "abc", "nan", "inf"],
    "simulate_unknown_activities": ["perhaps"],
    "access_log": ["perhaps"],
}


BAD_PAIRS = [(name, value) for name, values in BAD_VALUES.items() for value in values]


@pytest.mark.parametrize(("name", "value"), BAD_PAIRS)
def test_a_bad_value_is_refused_from_the_environment_too_and_named(here, name, value):
    ran = here("serve", env={f"FLOWMGR_{name.upper()}": value})
    assert ran.code == 2
    said = in_one_line(ran.err)
    assert "Traceback" not in said
    assert name.replace("_", "-") in said or value in said


def test_every_option_of_serve_can_be_set_by_the_environment_and_help_says_so(here):
    said = "".join(in_one_line(here("serve", "--help").out).split())
    for option in serve.params:
        if option.name != "help":
            assert f"FLOWMGR_{option.name.upper()}" in said


@pytest.fixture(scope="module", params=BACKENDS)
def by_environment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server that is told everything by the environment."""
    directory = tmp_path_factory.mktemp("flows")
    (directory / "one.json").write_text(json.dumps(EXAMPLE))
    held = chain("hold", "ship_order") | {"id": "held"}
    (directory / "two.json").write_text(json.dumps(held))
    (directory / "more_activities.py").write_text(ONE_ACTIVITY.format(name="more"))
    env = {
        "PYTHONPATH": str(directory),
        "FLOWMGR_HOST": "127.0.0.1",
        "FLOWMGR_PORT": "0",
        "FLOWMGR_BACKEND": request.param,
        "FLOWMGR_JOURNAL": "memory",
        "FLOWMGR_ACTIVITIES": f"{ACTIVITIES} more_activities",
        "FLOWMGR_FLOWS": str(directory),
        "FLOWMGR_GRACE": "0.3",
        "FLOWMGR_WAIT_LIMIT": "0.05",
        "FLOWMGR_SIMULATE_UNKNOWN_ACTIVITIES": "true",
        "FLOWMGR_ACCESS_LOG": "1",
    }
    with serving(request.param, env=env, is_told_by_environment=True) as running:
        yield running


def test_the_environment_decides_about_backend_and_journal(by_environment):
    ready = by_environment.get("/health/ready").json()
    assert ready["backend"] == by_environment.backend
    assert ready["journal"] == "memory"


def test_the_environment_decides_about_the_access_log(by_environment):
    by_environment.get("/health")
    by_environment.process.stderr.wait_for("GET /health")


def test_flows_from_the_environment_are_registered(by_environment):
    for flow_id in ("flow123", "held"):
        assert by_environment.get(f"/flows/{flow_id}").status_code == 200


def test_the_environment_decides_about_the_wait_limit(by_environment, tmp_path):
    context = {"release": str(tmp_path / "release")}
    body = {"flow_id": "held", "context": context}
    response = by_environment.post("/flows/execute", body)
    assert response.status_code == 202
    (tmp_path / "release").touch()


def test_the_environment_can_name_several_modules_of_activities(by_environment):
    names = {each["name"] for each in by_environment.get("/activities").json()["items"]}
    assert {"task1", "hold", "more"} <= names


def test_the_environment_decides_about_the_port_and_the_host():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = flowmgr("serve", env={"FLOWMGR_PORT": str(port)})
    assert ran.code == STARTUP_FAILED
    assert f"127.0.0.1:{port}" in ran.err
    assert "Address already in use" in ran.err
    ran = flowmgr("serve", "--port", "0", env={"FLOWMGR_HOST": "two..points"})
    assert ran.code == STARTUP_FAILED
    assert "two..points" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_the_environment_decides_about_the_grace_of_serve(backend, tmp_path):
    with serving(backend, env={"FLOWMGR_GRACE": "0.2"}) as served:
        flow_id = served.register(chain("hold"))
        served.start(flow_id, {"release": str(tmp_path / "never")})
        served.process.send()
        assert served.process.wait(timeout=5) == 0  # the default would be 10 seconds


def test_an_option_on_the_command_line_counts_more_than_the_environment():
    with serving("trio", env={"FLOWMGR_BACKEND": "asyncio"}) as served:
        assert served.get("/health/ready").json()["backend"] == "trio"


# All of it.


@pytest.mark.parametrize(
    "asked", [["--help"], ["serve", "-h"], ["run", "--help"], ["validate", "-h"]]
)
def test_every_command_explains_itself(here, asked):
    ran = here(*asked)
    assert ran.code == 0
    assert "Usage: flowmgr" in ran.out


def test_the_version_is_told():
    ran = flowmgr("--version")
    assert ran.code == 0
    assert ran.out == f"flowmgr, version {version('flowmgr')}\n"


def test_an_unknown_command_or_option_is_refused(here):
    for args in (["sreve"], ["serve", "--prot", "1"]):
        ran = here(*args)
        assert ran.code == 2
        assert args[-1] in ran.err or "--prot" in ran.err
