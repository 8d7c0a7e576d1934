"""Definitions as data: what they mean, and when two are the same version."""

from __future__ import annotations

import msgspec
import pytest

from flowmgr.language.definition import ConditionDefinition, FlowDefinition, TaskDefinition, digest
from tests.support.definitions import read_definition
from tests.unit.test_validation import README

FLOW = FlowDefinition(
    id="orders",
    name="Orders",
    start_task="pay",
    tasks=(TaskDefinition("pay", metadata={"b": 1, "a": {"y": 1, "x": 2}}), TaskDefinition("ship")),
    conditions=(ConditionDefinition("paid", "pay", "ship"),),
)


def test_a_task_invokes_the_activity_of_its_own_name_unless_it_names_another():
    assert TaskDefinition("pay").activity_name == "pay"
    assert TaskDefinition("pay", activity="charge").activity_name == "charge"


def test_a_condition_expects_success_and_ends_after_failure_unless_it_says_otherwise():
    condition = ConditionDefinition("paid", "pay", "ship")
    assert condition.outcome == "success"
    assert condition.targets == ("ship", "end")


def test_a_definition_cannot_be_changed():
    with pytest.raises(AttributeError):
        FLOW.name = "Other"  # type: ignore[misc]


def test_a_definition_survives_being_stored():
    stored = msgspec.json.encode(FLOW)
    assert msgspec.json.decode(stored, type=FlowDefinition) == FLOW


def test_a_stored_definition_with_an_unknown_field_is_not_read():
    stored = msgspec.json.encode({**msgspec.to_builtins(FLOW), "limit": 5})
    with pytest.raises(msgspec.ValidationError, match="limit"):
        msgspec.json.decode(stored, type=FlowDefinition)


def test_no_two_definitions_share_their_metadata():
    one, other = TaskDefinition("a"), TaskDefinition("a")
    one.metadata["x"] = 1
    assert other.metadata == {}


def test_a_digest_is_a_sha_256_in_hexadecimal():
    assert len(digest(FLOW)) == 64
    assert int(digest(FLOW), 16)


def test_equal_content_has_one_digest_whatever_the_order_of_keys():
    reordered = TaskDefinition("pay", metadata={"a": {"x": 2, "y": 1}, "b": 1})
    same = msgspec.structs.replace(FLOW, tasks=(reordered, FLOW.tasks[1]))
    assert digest(same) == digest(FLOW)


def test_a_default_that_is_written_out_makes_no_other_version():
    stored = msgspec.to_builtins(FLOW) | {"max_visits": 1, "description": "", "metadata": {}}
    assert digest(msgspec.convert(stored, FlowDefinition)) == digest(FLOW)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "other"},
        {"name": "Other"},
        {"description": "What it is for"},
        {"start_task": "ship"},
        {"tasks": FLOW.tasks[::-1]},
        {"tasks": (TaskDefinition("pay"), FLOW.tasks[1])},
        {"conditions": ()},
        {"max_visits": 2},
        {"metadata": {"team": "red"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_content_has_another_digest(change):
    assert digest(msgspec.structs.replace(FLOW, **change)) != digest(FLOW)


def test_the_digest_of_what_was_stored_before_does_not_change():
    validated = read_definition(README, activities=None, new_id=str)
    assert (
        digest(validated.definition)
        == "90f8f6775d87524c00b79f4ca37a5c2cbcc0afeb3210f7b9b11676139886f821"
    )


@pytest.mark.parametrize(
    ("task", "same"),
    [
        ({}, {"kind": "activity", "at_most_once": False, "output": None}),
        ({"retry": {}}, {"retry": {"initial_interval": 1, "jitter": 0, "maximum_attempts": 3}}),
        ({"timeout": 5}, {"timeout": 5.0}),
    ],
)
def test_a_task_with_its_defaults_written_out_is_the_same_version(task, same):
    assert digest(defined({"name": "a"} | task)) == digest(defined({"name": "a"} | same))


def test_a_map_with_its_defaults_written_out_is_the_same_version():
    task = {"name": "a", "kind": "map", "items": [], "do": {"tasks": [{"name": "b"}]}}
    full = task | {"as": "item", "on_failure": "cancel", "tolerated_failures": 0}
    assert digest(defined(task)) == digest(defined(full))


def defined(task):
    flow = {"id": "x", "name": "x", "start_task": "a", "conditions": [], "tasks": [task]}
    flow = msgspec.json.decode(msgspec.json.encode(flow))  # with texts that are not the defaults
    return read_definition(flow, activities=None, new_id=str).definition
