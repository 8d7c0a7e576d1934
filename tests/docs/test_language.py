"""Every flow that the reference of the language shows is one."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema_rs
import pytest

from actors.expressions import FIELDS
from flowmgr import activity, open_engine
from flowmgr.http.request import REQUEST_FIELDS
from flowmgr.language.json_schema import flow_schema
from flowmgr.language.vocabulary import (
    ANY_TASK_FIELDS,
    COMPENSATION_FIELDS,
    CONDITION_FIELDS,
    FLOW_FIELDS,
    KIND_FIELDS,
    RETRY_FIELDS,
)
from tests.support.server_process import ROOT

REFERENCE = (ROOT / "docs" / "language.md").read_text()
EXPRESSIONS = REFERENCE.partition("\n## Expressions")[2].partition("\n## ")[0]
README = (ROOT / "README.md").read_text()


def examples_in(document: str) -> list[dict[str, Any]]:
    """The flows that a document shows."""
    blocks = re.findall(r"```json\n(.*?)```", document, re.DOTALL)
    return [json.loads(block) for block in blocks if '"start_task"' in block]


EXAMPLES = [*examples_in(README), *examples_in(REFERENCE)]
ATTEMPTS = {"output", "retry", "timeout", "deadline", "compensate", "at_most_once"}


def activities_in(value: object) -> set[str]:
    """The names of the activities that tasks, at any depth, run."""
    if isinstance(value, list):
        return set().union(*map(activities_in, value))
    if not isinstance(value, dict):
        return set()
    found = set().union(*map(activities_in, value.values()))
    for task in value.get("tasks", ()):
        if task.get("kind", "activity") == "activity":
            found.add(task.get("activity", task["name"]))
        if "compensate" in task:
            found.add(task["compensate"]["activity"])
    return found


def stub(name: str):
    @activity(name)
    async def run(context):
        return None

    return run


@pytest.mark.anyio
async def test_every_example_is_registered_without_a_warning():
    assert len(EXAMPLES) > 12
    names = activities_in(EXAMPLES) - {"task1", "task2", "task3"}
    async with open_engine(activities=[stub(name) for name in sorted(names)]) as engine:
        for example in EXAMPLES:
            registered = await engine.register(example)
            codes = {warning.code for warning in registered.warnings}
            assert codes <= {"outcome_failure"}, example


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["flow"]["id"])
def test_every_example_satisfies_the_schema(example):
    jsonschema_rs.Draft202012Validator(flow_schema()).validate(example)


@pytest.mark.parametrize(
    "field",
    [
        *FLOW_FIELDS,
        *ANY_TASK_FIELDS,
        *CONDITION_FIELDS,
        *RETRY_FIELDS,
        *COMPENSATION_FIELDS,
        *REQUEST_FIELDS,
    ],
)
def test_every_field_is_documented(field):
    assert re.search(rf"\b{field}\b", REFERENCE)


@pytest.mark.parametrize("owner", FIELDS)
def test_every_name_of_expressions_has_a_row_with_its_fields(owner):
    (row,) = re.findall(rf"\n\| `{owner.partition('.')[0]}` \|(.*)\|\n", EXPRESSIONS)
    assert set(FIELDS[owner]) <= set(re.findall(r"`(\w+)`", row))


@pytest.mark.parametrize("kind", KIND_FIELDS)
def test_every_kind_has_a_table_of_its_fields(kind):
    section = REFERENCE.partition(f"### `{kind}`")[2].partition("\n##")[0]
    for field in KIND_FIELDS[kind]:
        if field not in ATTEMPTS:
            assert f"`{field}`" in section
    assert any(task_of_kind(example, kind) for example in EXAMPLES)


def task_of_kind(value: object, kind: str) -> bool:
    if isinstance(value, list):
        return any(task_of_kind(item, kind) for item in value)
    if not isinstance(value, dict):
        return False
    is_task = "name" in value and "tasks" not in value and value.get("kind", "activity") == kind
    return is_task or any(task_of_kind(item, kind) for item in value.values())
