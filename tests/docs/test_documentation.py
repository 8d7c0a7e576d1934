"""The documentation keeps up with the code, and what it shows works."""

from __future__ import annotations

import ast
import re
import typing
from collections.abc import Iterator

import click
import msgspec
import pytest

from actors.events import ExecutionEvent
from actors.outcome import StopKind
from flowmgr.language import validation
from flowmgr.settings import Settings
from tests.support.server_process import ROOT
from web.app import create_app
from web.commands.executions import executions
from web.commands.journal import journal
from web.commands.serve import serve
from web.filters import FILTERS
from web.flow_resources import ShownFlowResource
from web.health_resources import Readiness
from web.resources import BulkResource, CancellationResource, ExecutionResource

README = (ROOT / "README.md").read_text()
DOCS = {path.stem: path.read_text() for path in (ROOT / "docs").glob("*.md")}


def routes() -> list[str]:
    return sorted(
        f"{method} {route.path_format}"
        for route in create_app().routes
        for method in getattr(route, "methods", [])
        if method not in {"OPTIONS", "HEAD"} and not route.path.startswith("/assets")
    )


def test_every_route_is_documented() -> None:
    named = [route for route in routes() if not re.search(r"/docs/.", route)]
    assert len(named) > 20
    assert [route for route in named if f"`{route}`" not in DOCS["rest"]] == []


@pytest.mark.parametrize("event", [event.__name__ for event in typing.get_args(ExecutionEvent)])
def test_every_event_is_documented(event: str) -> None:
    assert f"`{event}`" in DOCS["rest"]


SAID_OF_ALL = {"seq", "type", "at", "by", "reason", "scope"}


@pytest.mark.parametrize("event", typing.get_args(ExecutionEvent), ids=lambda event: event.__name__)
def test_every_field_of_an_event_is_documented(event: type[msgspec.Struct]) -> None:
    row = re.search(rf"^\| `{event.__name__}` \|(.*)", DOCS["rest"], re.MULTILINE)
    assert row is not None
    for field in {*event.__struct_fields__} - {"v"} - SAID_OF_ALL:
        assert f"`{field}`" in row[1], field


@pytest.mark.parametrize(
    "field",
    [
        *ExecutionResource.__struct_fields__,
        *CancellationResource.__struct_fields__,
        *BulkResource.__struct_fields__,
        *FILTERS,
    ],
)
def test_every_field_and_filter_of_executions_is_documented(field: str) -> None:
    assert re.search(rf"\b{field}\b", DOCS["rest"])


@pytest.mark.parametrize("field", ShownFlowResource.__struct_fields__)
def test_every_field_of_a_flow_that_is_shown_is_documented(field: str) -> None:
    table = DOCS["rest"].partition("`GET /flows/{flow_id}` answers with")[2].partition("\n\n`")[0]
    assert re.search(rf"^\| [^|]*`{field}`", table, re.MULTILINE)


@pytest.mark.parametrize("setting", Settings.__struct_fields__)
def test_every_setting_is_documented(setting: str) -> None:
    assert f"| `{setting}` |" in DOCS["operations"]


@pytest.mark.parametrize("field", Readiness.__struct_fields__)
def test_every_field_about_readiness_is_documented(field: str) -> None:
    assert f"`{field}`" in DOCS["operations"]


@pytest.mark.parametrize("option", serve.params, ids=lambda option: option.name)
def test_every_flag_of_serve_is_documented_with_its_variable(option: click.Parameter) -> None:
    flag = option.opts[0]
    variable = "FLOWMGR_" + flag.lstrip("-").replace("-", "_").upper()
    assert f"| `{flag}` | `{variable}` |" in DOCS["operations"]


def commands_of(group: click.Command) -> list[click.Command]:
    assert isinstance(group, click.Group)
    return list(group.commands.values())


@pytest.mark.parametrize("command", commands_of(executions), ids=lambda command: command.name)
def test_every_command_about_executions_is_documented_with_its_options(
    command: click.Command,
) -> None:
    assert re.search(rf"`{command.name}( ID)?`", DOCS["operations"])
    for option in command.params:
        if isinstance(option, click.Option) and option.name not in {"help", "interval"}:
            for flag in [*option.opts, *option.secondary_opts]:
                assert flag in DOCS["operations"], flag


@pytest.mark.parametrize("command", commands_of(journal), ids=lambda command: command.name)
def test_every_command_about_journals_is_documented(command: click.Command) -> None:
    assert f"flowmgr journal {command.name} " in DOCS["operations"]


@pytest.mark.parametrize("code", sorted(set(re.findall(r"\b[a-z]+_[a-z_]+\b", validation.__doc__))))
def test_every_code_of_a_problem_is_documented(code: str) -> None:
    assert f"`{code}`" in DOCS["language"]


CODE_POSITIONS = {
    "add": 1,
    "_refuse": 1,
    "refuse": 1,
    "Problem": 1,
    "refuse_parameter": 1,
    "_refuse_context": 0,
    "_UnreadableNumber": 0,
    "Fault": 0,
}
"""Which argument is the code, by the name of what notes a problem."""


def codes_in(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        position = CODE_POSITIONS.get(name, len(node.args))
        for part in node.args[position : position + 1]:
            if isinstance(part, ast.Constant) and re.fullmatch("[a-z0-9_]+", str(part.value)):
                yield part.value


def test_every_code_that_an_answer_can_have_is_documented() -> None:
    files = [
        *(ROOT / "flowmgr").rglob("*.py"),
        *(file for file in (ROOT / "web").rglob("*.py") if file.parent.name != "commands"),
    ]
    codes = {code for file in files for code in codes_in(file.read_text())}
    assert len(codes) > 40
    assert {"malformed_yaml", "lone_surrogate", "unknown_field", "not_as_input"} <= codes
    documented = DOCS["rest"] + DOCS["language"]
    assert [code for code in sorted(codes) if f"`{code}`" not in documented] == []


@pytest.mark.parametrize("how", typing.get_args(StopKind))
def test_the_readme_explains_every_line_of_a_receipt(how: str) -> None:
    assert f"| `{how}` |" in README


def test_the_readme_shows_a_working_use_before_line_40() -> None:
    first_lines = "\n".join(README.splitlines()[:40])
    assert "curl" in first_lines
    assert '"status":"completed"' in first_lines


@pytest.mark.parametrize("document", ["README", *sorted(DOCS)])
def test_every_link_leads_somewhere(document: str) -> None:
    text, base = (README, ROOT) if document == "README" else (DOCS[document], ROOT / "docs")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("http") or (base / target).exists(), target


@pytest.mark.parametrize("document", ["README", *sorted(DOCS)])
def test_every_json_example_is_json(document: str) -> None:
    text = README if document == "README" else DOCS[document]
    for example in re.findall(r"```json\n(.*?)```", text, re.DOTALL):
        assert msgspec.json.decode(example)


MATRIX = re.findall(r"\[`(test_\w+)`\]\(\.\./(\S+?)\)", (ROOT / "docs/reliability.md").read_text())


def test_the_failure_matrix_names_tests() -> None:
    assert len(MATRIX) > 20


@pytest.mark.parametrize(("name", "file"), MATRIX)
def test_every_test_that_the_failure_matrix_names_is_there(name: str, file: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
