"""`flowmgr executions`, on real servers."""

from __future__ import annotations

import functools
import getpass
import http.server
import io
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, NoReturn, Self

import pytest
from click.testing import CliRunner

from tests.support.flowmgr_server import (
    Served,
    chain,
    condition,
    eventually,
    flow,
    new_id,
    serving,
    task,
    wait_for_file,
)
from tests.support.server_process import PATIENCE, ROOT, ServerProcess
from web.cli import main
from web.commands.waiting import waited_for


class Ran(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


Executions = Callable[..., Ran]


@pytest.fixture
def executions(served: Served) -> Executions:
    """Runs `flowmgr executions` on the server."""

    def run(*args: str, typed: str | io.BytesIO = "") -> Ran:
        return run_at(served.process.url, *args, typed=typed)

    return run


def run_at(url: str, *args: str, typed: str | io.BytesIO = "") -> Ran:
    ran = CliRunner().invoke(main, ["executions", *args], input=typed, env={"FLOWMGR_URL": url})
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
    return Ran(ran.exit_code, ran.stdout, ran.stderr)


def refused(ran: Ran, code: int) -> str:
    """Check that a command was refused in one line; return it."""
    assert (ran.code, ran.out) == (code, ""), ran
    (line,) = ran.err.splitlines()
    assert line.startswith("flowmgr: ")
    return line


# Looking.


def test_executions_are_listed_for_people_and_for_programs(served, executions):
    flow_id = served.register(chain("succeed"))
    one, two = (served.execute(flow_id, metadata={"n": n}) for n in (1, 2))
    listed = executions("list", "--flow", flow_id)
    assert listed.code == 0
    header, first, second = listed.out.splitlines()
    assert header.split() == ["EXECUTION", "FLOW", "STATUS", "STARTED", "SECONDS", "METADATA"]
    assert [line.split()[0] for line in (first, second)] == [
        two["execution_id"],
        one["execution_id"],
    ]
    assert first.split()[1:4] == [flow_id, "v1", "completed"]
    assert first.rstrip().endswith("n=2")
    shown = executions("list", "--flow", flow_id, "--json").json
    assert shown == served.get("/executions", flow_id=flow_id).json()["items"]


def test_the_list_can_be_filtered_and_limited(served, executions):
    flow_id, tag = served.register(chain("succeed")), new_id("tag")
    failing = served.register(chain("fail"))
    started = [served.execute(flow_id, metadata={"tag": tag, "n": n}) for n in range(5)]
    failed = served.execute(failing, metadata={"tag": tag, "n": 9})
    newest_first = [each["execution_id"] for each in [failed, *started[::-1]]]

    def found(*options: str) -> list[str]:
        listed = executions("list", "--metadata", f"tag={tag}", "--json", *options).json
        return [each["execution_id"] for each in listed]

    assert found() == newest_first
    assert found("--limit", "2") == newest_first[:2]
    assert found("--status", "failed") == found("--failures") == newest_first[:1]
    assert found("--no-failures") == newest_first[1:]
    assert found("--metadata", "n=3") == [started[3]["execution_id"]]
    assert found("--flow", flow_id, "--flow-version", "1") == newest_first[1:]
    assert found("--started-after", started[4]["start_time"]) == newest_first[:2]
    assert found("--started-after", "1h", "--started-before", "0.001s") == newest_first
    assert found("--started-before", "1h") == found("--ended-before", "30d") == []
    nothing = executions("list", "--metadata", f"tag={tag}", "--status", "paused")
    assert nothing == Ran(0, "", "no execution matches\n")


def test_a_list_longer_than_a_page_is_listed_whole(served, executions, monkeypatch):
    monkeypatch.setattr("web.commands.client.PAGE", 2)
    flow_id = served.register(chain("succeed"))
    started = [served.execute(flow_id)["execution_id"] for _ in range(5)]
    for limit, wanted in ((20, 5), (5, 5), (4, 4), (3, 3)):
        shown = executions("list", "--flow", flow_id, "--limit", str(limit), "--json").json
        assert [each["execution_id"] for each in shown] == started[::-1][:wanted]


def test_an_execution_is_shown_with_all_that_people_want_to_know(served, executions):
    execution = served.execute(served.register(chain("succeed", "fail")), {"a": "x" * 500})
    execution_id = execution["execution_id"]
    shown = executions("show", execution_id).out
    for wanted in (
        execution_id,
        execution["flow_id"],
        "failed",
        "fail: ValueError: asked to fail",
        "succeeded",
        "characters, see --json",
    ):
        assert wanted in shown
    assert executions("show", execution_id, "--json").json == execution


def test_showing_an_execution_names_what_has_failed_of_its_end(served, executions):
    undone = task("succeed") | {"compensate": {"activity": "fail"}}
    closing = {"tasks": [task("close", "fail")]}
    document = flow(undone, task("fail"), conditions=[condition("succeed", "fail")])
    execution_id = served.run(document | {"finally": closing})["execution_id"]
    lines = executions("show", execution_id).out.splitlines()
    shown = [" ".join(line.split()) for line in lines]
    assert "compensation failed: /succeed: ValueError: asked to fail" in shown
    assert "finally failed: close: ValueError: asked to fail" in shown
    tree = executions("tree", execution_id).out
    assert tree.count("ValueError: asked to fail") == 2


def test_showing_can_wait_for_the_end(served, executions, files):
    execution_id = served.start(served.register(chain("hold")), files)
    assert "running" in executions("show", execution_id, "--wait", "0.1").out
    Path(files["release"]).touch()
    assert executions("show", execution_id, "--wait", "10", "--json").json["status"] == "completed"


@pytest.fixture(scope="module")
def impatient() -> Iterator[Served]:
    """A server that waits for next to nothing."""
    with serving("asyncio", "--wait-limit", "0.05") as running:
        yield running


def test_a_wait_goes_on_beyond_what_the_server_waits_at_once(impatient):
    def executions(*args: str) -> Ran:
        return run_at(impatient.process.url, *args, "--wait", "15")

    nap = {"name": "nap", "kind": "wait", "seconds": 0.5}
    execution_id = impatient.start(impatient.register(flow(nap)))
    assert executions("show", execution_id, "--json").json["status"] == "completed"
    assert executions("rerun", execution_id).out.endswith(" is completed\n")

    execution_id = impatient.start(impatient.register(flow(nap)))
    assert executions("cancel", execution_id).out == f"{execution_id} is cancelled\n"
    assert executions("retry", execution_id) == Ran(0, f"{execution_id} is completed\n", "")


@pytest.mark.parametrize("command", ["show", "resume", "signal", "rerun"])
def test_what_has_not_ended_when_a_wait_is_over_is_told_and_exits_with_3(
    served, executions, command
):
    signals = [{"name": name, "kind": "signal"} for name in ("one", "two")]
    asked = served.start(served.register(flow(*signals, conditions=[condition("one", "two")])))
    args = [command, asked, *(["one"] if command == "signal" else []), "--wait", "0.1"]
    ran = executions(*args, "--json")
    found = json.loads(ran.out)
    assert (ran.code, found["status"]) == (3, "running")
    assert ran.err == f"flowmgr: {found['execution_id']} is still running after 0.1 s\n"


def test_a_server_that_does_not_wait_is_not_asked_without_a_pause(monkeypatch):
    monkeypatch.setattr("web.commands.waiting.INTERVAL", 0.05)
    asked = []

    def ask(path: str, wait: float) -> dict[str, Any]:
        asked.append((path, wait))
        return {"execution_id": "x", "end_time": None}

    waited_for(SimpleNamespace(get=ask), functools.partial(ask, "first"), 0.2)
    assert [path for path, _ in asked] == ["first", *["/executions/x"] * (len(asked) - 1)]
    assert 2 <= len(asked) <= 6
    assert asked[-1][1] == 0


def test_the_history_is_shown_whole(served, executions, monkeypatch):
    monkeypatch.setattr("web.commands.client.PAGE", 2)
    execution_id = served.run(chain("succeed", "fail"))["execution_id"]
    events = served.events(execution_id)
    assert executions("events", execution_id, "--json").json == events
    lines = executions("events", execution_id).out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [str(each["seq"]) for each in events]
    for line, event in zip(lines, events, strict=True):
        assert event["type"] in line
    assert "task=fail" in lines[-1]


def test_what_a_terminal_would_act_upon_is_not_written(served, executions):
    flow_id = served.register(chain("succeed"))
    metadata = {"k\x1b[2J": "\x1b]0;title\x07", "n": "\r\n"}
    execution_id = served.execute(flow_id, metadata=metadata)["execution_id"]
    for shown in (
        executions("list", "--flow", flow_id),
        executions("show", execution_id),
        executions("events", execution_id),
    ):
        assert shown.code == 0
        assert not {"\x1b", "\x07", "\r"} & set(shown.out)


# Changing one.


def test_an_execution_is_paused_resumed_and_cancelled(served, executions, files):
    execution_id = served.start(served.register(chain("hold", "stay")), files)
    who = ("--by", "ada", "--reason", "lunch")
    paused = executions("pause", execution_id, *who)
    assert paused == Ran(0, f"{execution_id} is paused, at task hold\n", "")
    resumed = executions("resume", execution_id, "--json")
    assert resumed.json["status"] == "running"
    Path(files["release"]).touch()
    wait_for_file(Path(files["started"]))
    cancelled = executions("cancel", execution_id, "--wait", "10", *who)
    assert cancelled.out == f"{execution_id} is cancelled\n"
    events = {each["type"]: each for each in served.events(execution_id)}
    for kind in ("ExecutionPaused", "CancelRequested"):
        assert (events[kind]["by"], events[kind]["reason"]) == ("ada", "lunch")
    assert events["ExecutionResumed"]["by"] == getpass.getuser()


def test_a_failed_execution_is_retried_skipped_and_run_again(served, executions, tmp_path):
    bare = flow(task("do", "fail"))
    execution_id = served.run(bare)["execution_id"]
    assert executions("retry", execution_id, "--wait", "5").out == f"{execution_id} is failed\n"
    served.register(bare | {"tasks": [task("do", "keys")]})
    result = tmp_path / "result.json"
    result.write_text('{"by": "hand"}')
    skipped = executions("skip", execution_id, "--task", "do", "--result", f"@{result}", "--json")
    assert skipped.json["context"]["do_result"] == {"by": "hand"}
    options = ("--task", "do", "--version", "2", "--context", '{"b": 1}', "--wait", "5")
    again = executions("rerun", execution_id, *options, "--json").json
    assert (again["status"], again["rerun_of"]) == ("completed", execution_id)
    assert again["context"]["do_result"] == ["b"]
    assert (again["flow_version"], again["status"]) == (2, "completed")
    told = executions("rerun", execution_id, "--version", "2", "--wait", "5").out
    assert f" repeats {execution_id} and is completed" in told


def test_an_execution_is_run_again_once_with_one_key(served, executions):
    execution_id = served.run(chain("succeed"))["execution_id"]
    keys = ("one", "one", "two")
    ran = [executions("rerun", execution_id, "--key", key, "--json").json for key in keys]
    first, same, other = (each["execution_id"] for each in ran)
    assert first == same != other
    another = executions("rerun", execution_id, "--key", "one", "--context", '{"b": 1}')
    assert "'one' has been used for another request" in refused(another, 1)


@pytest.mark.parametrize(
    ("waits", "words"),
    [
        ({"kind": "signal"}, "a signal"),
        ({"kind": "wait", "seconds": 3600}, "a time"),
        (
            {"activity": "fail", "retry": {"maximum_attempts": 2, "initial_interval": 3600}},
            "its next attempt",
        ),
    ],
    ids=["signal", "time", "retry"],
)
def test_a_task_is_skipped_that_waits_and_the_help_says_so(served, executions, waits, words):
    helped = " ".join(executions("skip", "--help").out.replace("│", " ").split())
    assert words in helped.partition("waits for")[2]
    execution_id = served.start(served.register(flow({"name": "do"} | waits)))
    eventually(lambda: served.get(f"/executions/{execution_id}/tree").json()["is_parked"])
    options = ("--result", "7", "--wait", "5", "--json")
    assert executions("skip", execution_id, *options).json["context"]["do_result"] == 7


def test_an_execution_is_run_again_from_a_task_inside_of_another(served, executions):
    do = {"start_task": "keys", "tasks": [task("keys")], "conditions": []}
    each = {"name": "each", "kind": "map", "items": [1, 2], "as": "item", "do": do}
    execution_id = served.run(flow(each))["execution_id"]
    options = ("--task", "/each/1/keys", "--context", '{"b": 1}', "--wait", "5")
    again = executions("rerun", execution_id, *options, "--json").json
    assert (again["status"], again["rerun_of"]) == ("completed", execution_id)
    assert again["context"]["each_result"] == [["item"], ["item", "b"]]
    says = "'/each/2'; a rerun begins where it has been"
    assert says in refused(executions("rerun", execution_id, "--task", "/each/2/keys"), 1)


def test_an_execution_is_deleted(served, executions):
    execution_id = served.run(chain("succeed"))["execution_id"]
    assert executions("delete", execution_id) == Ran(0, f"{execution_id} is deleted\n", "")
    assert execution_id in refused(executions("show", execution_id), 1)


def test_a_signal_is_sent_with_its_value_once(served, executions):
    waits = [{"name": name, "kind": "signal", "signal": "go"} for name in ("one", "two", "three")]
    steps = [condition("one", "two"), condition("two", "three")]
    execution_id = served.start(served.register(flow(*waits, conditions=steps)))
    value = '{"approved": true}'
    for _ in range(2):
        sent = executions("signal", execution_id, "go", value, "--key", "1", "--by", "ada")
        assert sent.out.startswith(f"{execution_id} is running, at task ")
    received = [e for e in served.events(execution_id) if e["type"] == "SignalReceived"]
    assert [(e["value"], e["by"], e["key"]) for e in received] == [({"approved": True}, "ada", "1")]
    executions("signal", execution_id, "go", "--reason", "no value")
    ended = executions("signal", execution_id, "go", "false", "--wait", "10", "--json").json
    results = {name: ended["context"][f"{name}_result"] for name in ("one", "two", "three")}
    assert results == {"one": {"approved": True}, "two": None, "three": False}
    assert "completed" in refused(executions("signal", execution_id, "go"), 1)


def test_a_signal_that_no_task_waits_for_is_refused_with_the_one_that_was_meant(served, executions):
    waits = {"name": "one", "kind": "signal", "signal": "approval"}
    execution_id = served.start(served.register(flow(waits)))
    line = refused(executions("signal", execution_id, "aproval"), 1)
    assert line.endswith("Did you mean 'approval'?")
    assert "JSON" in refused(executions("signal", execution_id, "approval", "{"), 2)
    executions("cancel", execution_id)


# Changing many.


@pytest.fixture
def batch(served: Served, files: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Executions that stay until they are cancelled, and what their metadata has."""
    tag, flow_id = f"tag={new_id()}", served.register(chain("stay"))
    metadata = {"tag": tag.removeprefix("tag=")}
    yield tag, [served.start(flow_id, files, metadata=metadata) for _ in range(3)]
    run_at(served.process.url, "cancel", "--metadata", tag, "--yes")


def test_many_are_cancelled_after_a_question(served, executions, batch):
    tag, started = batch
    chosen = ("cancel", "--metadata", tag, "--reason", "all of them")
    dry = executions(*chosen, "--dry-run")
    assert dry.out.splitlines() == [*started[::-1], "3 executions would be cancelled"]
    for typed in ("", "n\n"):
        ran = executions(*chosen, typed=typed)
        assert (ran.code, ran.out) == (1, "")
        assert "Cancel 3 executions?" in ran.err
        assert "nothing was done" in ran.err
    assert {served.get(f"/executions/{each}").json()["status"] for each in started} == {"running"}
    ran = executions(*chosen, typed="y\n")
    assert (ran.code, ran.out) == (0, "3 of 3 executions cancelled\n")
    for execution_id in started:
        ended = served.ended(execution_id)
        assert ended["cancellation"]["reason"] == "all of them"
        assert ended["cancellation"]["by"] == getpass.getuser()


class Interrupted(io.BytesIO):
    """What is typed when it is Ctrl-C."""

    def read1(self, size: int | None = -1, /) -> NoReturn:
        raise KeyboardInterrupt


def test_ctrl_c_at_the_question_exits_with_130_and_nothing_is_done(served, executions, batch):
    tag, started = batch
    ran = executions("cancel", "--metadata", tag, typed=Interrupted())
    assert (ran.code, ran.out) == (130, "")
    assert "Cancel 3 executions?" in ran.err
    assert {served.get(f"/executions/{each}").json()["status"] for each in started} == {"running"}


def test_many_are_deleted_without_a_question_if_that_is_said(served, executions, batch):
    tag, started = batch
    executions("cancel", "--metadata", tag, "--yes")
    for execution_id in started:
        served.ended(execution_id)
    report = executions("delete", "--metadata", tag, "--yes", "--json").json
    assert (report["done"], report["items"]) == (3, started[::-1])
    ran = executions("retry", "--metadata", tag)
    assert ran == Ran(0, "0 of 0 executions retried\n", "")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["cancel"], "say which"),
        (["delete", "--yes"], "say which"),
        (["retry", "x", "--status", "failed"], "say which"),
        (["cancel", "x", "--dry-run"], "--dry-run goes with filters"),
        (["cancel", "--status", "running", "--wait", "1"], "--wait goes with an ID"),
        (["retry", "--status", "failed", "--version", "2"], "--version goes with an ID"),
        (["pause"], "Missing argument"),
        (["resume", "x", "--wait", "nan"], "not a number of seconds"),
        (["pause", "x", "--wait", "1"], "No such option"),
        (["list", "--status", "done"], "'done' is not one of"),
        (["list", "--status", "failed", "--status", "completed"], "'--status': may be given once"),
        (["delete", "--flow", "a", "--flow", "b", "--yes"], "'--flow': may be given once only"),
        (["cancel", "--metadata", "x=1", "--metadata", "x=2"], "once only for each NAME"),
        (["list", "--metadata", "x"], "'x' is not NAME=VALUE"),
        (["list", "--started-after", "5y"], "'5y' is no time such as 30d"),
        (["list", "--limit", "0"], "0 is not in the range"),
        (["list", "--watch", "--json"], "give one of them"),
        (["stop", "x"], "No such command"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_asked(args, says):
    ran = run_at("http://127.0.0.1:1", *args)
    assert (ran.code, ran.out) == (2, "")
    assert says in " ".join(ran.err.replace("│", " ").split())


# What goes wrong.


@pytest.mark.parametrize("name", ["", " ", ".", ".."])
@pytest.mark.parametrize(
    "command", ["show", "events", "tree", "cancel", "pause", "retry", "skip", "rerun", "delete"]
)
def test_what_cannot_be_an_id_is_told_and_nothing_is_asked(command, name):
    ran = run_at("http://127.0.0.1:9", command, name)
    told = refused(ran, 2)
    assert f"{name!r} is no ID of an execution" in told
    assert "flowmgr executions list" in told


def test_what_cannot_be_the_name_of_a_signal_is_told(executions):
    assert "'' is no name of a signal" in refused(executions("signal", "x", ""), 2)


def test_an_argument_that_is_not_utf_8_is_told_in_one_line(executions):
    for args in (
        ["cancel", "x", "--reason", "\udcff"],
        ["delete", "x", "--reason", "\udcff"],
        ["list", "--metadata", "a=\udcff"],
    ):
        assert "cannot be sent as UTF-8" in refused(executions(*args), 2)
    assert "cannot be sent as ASCII" in refused(executions("signal", "x", "y", "--key", "é"), 2)
    assert "not UTF-8" in refused(executions("signal", "x", "y", '"\udcff"'), 2)
    for args in (["show", "\udcff"], ["signal", "x", "\udcff"]):
        assert "was not found" in refused(executions(*args), 1)


def test_a_problem_is_told_in_one_line(served, executions):
    completed = served.run(chain("succeed"))["execution_id"]
    for args, says in (
        (["show", "nothing"], "'nothing' was not found"),
        (["show", "a/b?c#d"], "a/b?c#d"),
        (["pause", completed], "only running executions can be paused"),
        (["retry", "nothing"], "'nothing' was not found"),
        (["rerun", completed, "--task", "x\ny"], "There is no task"),
        (["list", "--started-after", "2026-01-31 12:00"], "a time with its offset"),
        (["pause", completed, "--reason", "x" * 1001], "1000 characters"),
    ):
        assert says in refused(executions(*args), 1)
    said = refused(executions("skip", completed, "--result", "{"), 2)
    assert "not JSON" in said
    assert "cannot be read" in refused(executions("skip", completed, "--result", "@/none"), 2)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "nonsense", "http://", "ftp://x", "http://[x"]
)
def test_a_server_that_is_not_there_is_told_in_one_line(url):
    for args in (["list"], ["show", "x"], ["cancel", "--status", "running", "--yes"]):
        said = refused(run_at(url, *args), 2)
        assert url in said


@pytest.mark.parametrize("body", [b"<html>", b'{"detail": 1}', b"", b'{"items": 1'])
def test_a_server_of_something_else_is_told_in_one_line(body):
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json" if body else "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            assert "is no server of flowmgr" in refused(run_at(url, "list"), 2)
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("command", [["show", "x", "--wait", "60"], ["retry", "x"]])
def test_ctrl_c_while_a_server_is_asked_exits_with_130(command):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        args = ["web", "executions", *command, "--url", url]
        with ServerProcess(args) as process:
            server.settimeout(PATIENCE)
            with server.accept()[0]:
                assert process.stop(signal.SIGINT) == 130
            process.stdout.close()
            process.stderr.close()
            assert (process.stdout.text, process.stderr.text) == ("", "")


# Watching.


def test_watching_shows_what_changes_until_it_is_interrupted(served, files):
    flow_id = served.register(chain("hold"))
    execution_id = served.start(flow_id, files)
    with Terminal("list", "--flow", flow_id, "--watch", "--interval", "0.1", served=served) as seen:
        seen.until(execution_id, "running")
        Path(files["release"]).touch()
        seen.until("completed")
        seen.process.send_signal(signal.SIGINT)
        assert seen.process.wait(PATIENCE) == 0
    assert "Traceback" not in seen.text


def test_watching_goes_on_when_the_server_is_started_again(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    options = ("--journal", f"sqlite:{tmp_path}/flowmgr.db", "--port", port)
    with serving("asyncio", *options, is_killed=True) as served:
        first = served.run(chain("succeed"))["execution_id"]
        seen = Terminal("list", "--watch", "--interval", "0.1", served=served)
        seen.until(first)
    with seen:
        seen.until("the server does not answer")
        with serving("asyncio", *options) as served:
            second = served.run(chain("succeed"))["execution_id"]
            seen.until(second)
            seen.process.send_signal(signal.SIGINT)
            assert seen.process.wait(PATIENCE) == 0


class Terminal:
    """A command on a terminal, and what it has written there."""

    def __init__(self, *args: str, served: Served) -> None:
        self._master, slave = pty.openpty()
        env = os.environ | {"FLOWMGR_URL": served.process.url, "COLUMNS": "150", "TERM": "xterm"}
        command = [sys.executable, "-m", "web", "executions", *args]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)
        self.text = ""

    def until(self, *wanted: str) -> None:
        """Read until all that is *wanted* has been written."""
        deadline = time.monotonic() + PATIENCE
        while not all(each in self.text for each in wanted):
            assert time.monotonic() < deadline, self.text[-2000:]
            self.text += os.read(self._master, 65536).decode(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)
