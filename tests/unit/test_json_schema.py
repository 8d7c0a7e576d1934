"""The JSON Schema for editors agrees with what validation accepts."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest

from flowmgr.language.json_schema import flow_schema
from flowmgr.language.vocabulary import ANY_TASK_FIELDS, KIND_FIELDS, TASK_FIELDS
from tests.support.server_process import ROOT
from tests.unit.test_task_kinds import (
    ALSO_VALID,
    POSSIBLE_REQUESTS,
    REFUSED,
    VALID,
    a_task,
    changed,
    flow_of,
)
from tests.unit.test_validation import README, WRAPPINGS

VALIDATOR = jsonschema_rs.Draft202012Validator(flow_schema())
EXAMPLES = sorted((ROOT / "examples").glob("*.json"))

SAYS_NOTHING_OF = {
    "a maximum below the start",
    "an output that does not compile",
    "an argument that does not compile",
    "an argument of an execution that has no such field",
    "an output of an error that has no such field",
    "a header of an execution that has no such field",
    "arguments for a body",
    "more than there are",
    "a timeout of NaN",
    "an endless timeout",
    "a timeout of ages",
    "items in text",
    "a URL with a password",
    "a URL to port 0",
    "a URL with an expression and another scheme",
    "a URL with an expression behind a path",
    "a header of the connection",
    "a header of the connection that is computed",
    "a header with a blank in its name",
    "a header that is there twice",
    "a header with a line break",
    "a header beyond ASCII",
}


def test_it_is_a_schema():
    jsonschema_rs.meta.validate(flow_schema())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_satisfy_it(path):
    VALIDATOR.validate(json.loads(path.read_text()))


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_every_wrapping_satisfies_it(wrapping):
    VALIDATOR.validate(WRAPPINGS[wrapping][1](README))


@pytest.mark.parametrize("kind", VALID)
def test_a_task_of_every_kind_satisfies_it(kind):
    VALIDATOR.validate(flow_of(a_task(kind)))


@pytest.mark.parametrize("task", ALSO_VALID.values(), ids=ALSO_VALID)
def test_what_is_accepted_satisfies_it(task):
    VALIDATOR.validate(flow_of({"name": "t", **task}))


@pytest.mark.parametrize(("field", "value"), POSSIBLE_REQUESTS)
def test_a_request_that_can_be_one_satisfies_it(field, value):
    VALIDATOR.validate(flow_of(changed(a_task("http"), f"request/{field}", value)))


@pytest.mark.parametrize("kind", VALID)
def test_unknown_fields_and_those_of_other_kinds_do_not(kind):
    own = (*ANY_TASK_FIELDS, *KIND_FIELDS[kind])
    for field in ("secnds", *(field for field in TASK_FIELDS if field not in own)):
        assert not VALIDATOR.is_valid(flow_of(a_task(kind) | {field: 1}))
    assert not VALIDATOR.is_valid(flow_of(a_task(kind), tsks=[]))


@pytest.mark.parametrize("case", [case for case in REFUSED if case not in SAYS_NOTHING_OF])
def test_what_is_refused_does_not_satisfy_it(case):
    kind, path, value, _ = REFUSED[case]
    assert not VALIDATOR.is_valid(flow_of(changed(a_task(kind), path, value)))


def test_every_field_is_described_once():
    for name, definition in flow_schema()["$defs"].items():
        if name != "task":
            assert definition["additionalProperties"] is False
