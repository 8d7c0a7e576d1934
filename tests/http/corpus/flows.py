"""Flows: the wrong type at every field, one field too many at every level, bad values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.http.corpus.cases import (
    BAD_IDS,
    OPTIONAL,
    VALUES,
    Case,
    example,
    nested,
    pointer_to,
    post,
)
from tests.support.flowmgr_server import chain, condition, flow, task

FIELDS: dict[tuple[Any, ...], dict[str, set[str]]] = {
    (): {
        "id": {"a string"} | OPTIONAL,
        "name": {"a string"},
        "start_task": {"a string"},
        "description": {"a string"} | OPTIONAL,
        "tasks": {"a list"},
        "conditions": {"a list"},
        "max_visits": {"a number"} | OPTIONAL,
        "metadata": {"an object"} | OPTIONAL,
    },
    ("tasks", 0): {
        "name": {"a string"},
        "description": {"a string"} | OPTIONAL,
        "activity": {"a string"} | OPTIONAL,
        "metadata": {"an object"} | OPTIONAL,
    },
    ("conditions", 0): {
        "name": {"a string"} | OPTIONAL,
        "description": {"a string"} | OPTIONAL,
        "source_task": {"a string"},
        "outcome": {"a string"} | OPTIONAL,
        "target_task_success": {"a string"},
        "target_task_failure": {"a string"} | OPTIONAL,
    },
}
"""The fields of a flow, of its tasks and of its conditions, and what each may be."""


def changed(place: tuple[Any, ...], field: Any, value: Any) -> dict[str, Any]:
    """Return the example flow with another value at one place."""
    made = example()
    item: Any = made
    for step in place:
        item = item[step]
    item[field] = value
    return made


def wrong_types_in_flows() -> Iterator[Case]:
    for place, fields in FIELDS.items():
        for field, right in fields.items():
            for kind, value in VALUES.items():
                if kind in right:
                    continue
                name = f"{pointer_to(*place, field)} is {kind}"
                says = f"'{field}'" if field != "outcome" else "invalid outcome"
                sent = changed(place, field, value)
                pointer = pointer_to("flow", *place, field)
                yield post(name, "/flows", {"flow": sent}, 400, says, pointer=pointer)
    for items, subject in (("tasks", "Task 1"), ("conditions", "Condition 1")):
        for kind, value in VALUES.items():
            if kind != "an object":
                sent = changed((), items, [value])
                yield post(
                    f"{items}/0 is {kind}", "/flows", sent, 400, subject, pointer=f"/{items}/0"
                )
    for kind, value in VALUES.items():
        if kind != "an object":
            yield post(f"flow is {kind}", "/flows", {"flow": value}, 400, "'flow'")
            yield post(f"flow_data is {kind}", "/flows", {"flow_data": value}, 422, "'flow_data'")
            yield post(f"the flow's body is {kind}", "/flows", value, 422, "object")
            inline = {"flow": value}
            status = 422 if kind == "null" else 400
            yield post(f"inline flow is {kind}", "/flows/execute", inline, status, "'flow'")


def unknown_fields() -> Iterator[Case]:
    for place in FIELDS:
        for field, says in (("nmae", "did you mean 'name'?"), ("retries", "'retries'")):
            name = f"{pointer_to(*place, field)} is unknown"
            pointer = pointer_to("flow", *place, field)
            sent = {"flow": changed(place, field, 1)}
            yield post(name, "/flows", sent, 400, says, pointer=pointer)
    yield post("beside flow", "/flows", {"flow": example(), "x": 1}, 400, "'x'", pointer="/x")
    wrapped = {"flow_data": {"flow": example()}, "x": 1}
    yield post("beside flow_data", "/flows", wrapped, 400, "'x'", pointer="/x")
    wrapped = {"flow_data": {"flow": example(), "x": 1}}
    yield post("in flow_data", "/flows", wrapped, 400, "'x'", pointer="/flow_data/x")
    yield post("nothing that is known", "/flows", {"x": 1}, 422, "'flow'")
    yield post("an empty object", "/flows", {}, 422, "'flow'")
    yield post("an empty flow_data", "/flows", {"flow_data": {}}, 400, "'flow'")
    yield post("an empty flow", "/flows", {"flow": {}}, 400, "'name'", pointer="/flow/name")
    key = "k" * 100_000
    yield post("a key of 100,000 letters", "/flows", {**example(), key: 1}, 400, "kkk")
    many = {f"x{n}": n for n in range(10_000)}
    yield post("10,000 unknown fields", "/flows", example() | many, 400, "more of these")
    for field in ("name", "start_task", "tasks", "conditions"):
        sent = example()
        del sent[field]
        says = f"Missing required field: '{field}'"
        yield post(f"no {field}", "/flows", sent, 400, says, pointer=f"/{field}")
    for place, field in (("tasks", "name"), ("conditions", "source_task")):
        sent = example()
        del sent[place][0][field]
        pointer = f"/{place}/0/{field}"
        yield post(f"no {pointer}", "/flows", sent, 400, f"'{field}'", pointer=pointer)


BAD_NAMES: dict[str, str] = {
    "empty": "",
    "blank": " \t",
    "129 letters": "a" * 129,
    "line break": "a\nb",
    "NUL": "a\0b",
    "reserved": "end",
}


def bad_values_in_flows() -> Iterator[Case]:
    for name, value in BAD_IDS.items():
        sent = {"flow": changed((), "id", value)}
        yield post(f"id: {name}", "/flows", sent, 400, "'id'", pointer="/flow/id")
    for name, value in list(BAD_IDS.items())[:10]:
        sent = changed(("tasks", 0), "activity", value)
        pointer = "/tasks/0/activity"
        yield post(f"activity: {name}", "/flows", sent, 400, "'activity'", pointer=pointer)
    for name, value in BAD_NAMES.items():
        sent = flow({"name": value, "activity": "task1"}, task("task1"))
        yield post(f"task name: {name}", "/flows", sent, 400, "'name'", pointer="/tasks/0/name")
    for value in (0, -1, 10_001, 10**18, 10**100):
        sent = changed((), "max_visits", value)
        yield post(f"max_visits {value:.0e}", "/flows", sent, 400, "must be from 1 to 10000")
    rules: dict[str, tuple[dict[str, Any], str]] = {
        "no tasks": (changed((), "tasks", []), "non-empty list"),
        "unknown start": (changed((), "start_task", "task4"), "start_task 'task4' not found"),
        "start at the end": (changed((), "start_task", "end"), "start_task 'end' not found"),
        "unknown source": (changed(("conditions", 0), "source_task", "z"), "source_task: 'z'"),
        "end as a source": (changed(("conditions", 0), "source_task", "end"), "nothing comes"),
        "unknown target": (
            changed(("conditions", 0), "target_task_success", "z"),
            "target_task_success: 'z'",
        ),
        "unknown other target": (
            changed(("conditions", 0), "target_task_failure", "z"),
            "target_task_failure: 'z'",
        ),
        "outcome": (changed(("conditions", 0), "outcome", "any"), "invalid outcome: 'any'"),
        "duplicate": (flow(task("task1"), task("task1")), "Duplicate task name: 'task1'"),
        "unknown activity": (chain("task1", "tsak2"), "'tsak2'"),
        "loop": (flow(task("task1"), conditions=[condition("task1", "task1")]), "cycle"),
        "deep metadata": (changed((), "metadata", nested(70)), "metadata"),
    }
    for name, (sent, says) in rules.items():
        yield post(f"flow: {name}", "/flows", sent, 400, says)
        yield post(f"inline flow: {name}", "/flows/execute", {"flow": sent}, 400, says)
    expressions = [[f"${{{'1+' * 2_000}1}}"] * 100, ["${contxt}"] * 30_000, ["${"] * 200_000]
    for value in expressions:
        sent = flow({"name": "s", "kind": "set", "values": {"v": value}})
        yield post(f"expressions: {value[0][:9]} …", "/flows", sent, 400, "the expressions of")
    sent = chain("task1") | {"input": {"allOf": [True], "$ref": "#/allOf/" + "9" * 5_000}}
    yield post("a reference to a far item", "/flows", sent, 400, "There is nothing at")
    names = [f"t{n}" for n in range(2_000)]
    ring = [condition(a, b) for a, b in zip(names, names[1:] + names[:1], strict=True)]
    tasks = [task(name, "task1") for name in names]
    yield post("a ring of 2,000 tasks", "/flows", flow(*tasks, conditions=ring), 400, "cycle")
    wrong = [task(name) for name in names]
    yield post("2,000 unknown activities", "/flows", flow(*wrong), 400, "'t0'")


MAKERS = (wrong_types_in_flows, unknown_fields, bad_values_in_flows)
