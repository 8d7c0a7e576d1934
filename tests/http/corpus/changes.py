"""What is asked of executions that were started: one, or many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.http.corpus.cases import (
    BAD_TIMES,
    OPTIONAL,
    VALUES,
    VERBS,
    Case,
    nested,
    post,
)

FIELDS_OF_VERBS: dict[str, set[str]] = {
    "by": {"a string"},
    "reason": {"a string"},
    "task": {"a string"},
    "version": {"a number"},
    "context": {"an object"},
}
TOO_LONG = {"by": 200, "reason": 1_000, "task": 10_000}


def wrong_changes() -> Iterator[Case]:
    for verb, own in VERBS.items():
        target = f"/executions/none/{verb}"
        for field in FIELDS_OF_VERBS:
            if field in {"by", "reason", *own}:
                yield from wrong_values(verb, field)
            else:
                name = f"{verb}: {field} is another verb's"
                yield post(name, target, {field: None}, 422, f"'{field}'", pointer=f"/{field}")
        for kind, value in VALUES.items():
            if kind != "an object":
                yield post(f"{verb}: body is {kind}", target, value, 422, "object")
        yield post(f"{verb}: unknown field", target, {"raeson": "x"}, 422, "'raeson'")
        yield post(f"{verb}: nothing", target, {}, 404, "'none'")
        yield Case(f"{verb}: nothing without a body", "POST", target.encode(), 404, "'none'")


def wrong_values(verb: str, field: str) -> Iterator[Case]:
    target, says, pointer = f"/executions/none/{verb}", f"'{field}'", f"/{field}"
    for kind, value in VALUES.items():
        if kind not in FIELDS_OF_VERBS[field] | OPTIONAL:
            name = f"{verb}: {field} is {kind}"
            yield post(name, target, {field: value}, 422, says, pointer=pointer)
    if (length := TOO_LONG.get(field)) is not None:
        sent = {field: "x" * (length + 1)}
        yield post(f"{verb}: {field} is too long", target, sent, 422, f"{length} characters")


def wrong_changes_in_detail() -> Iterator[Case]:
    for name, version in (("0", 0), ("-1", -1), ("huge", 10**30)):
        for verb in ("retry", "rerun"):
            target = f"/executions/none/{verb}"
            yield post(f"{verb}: version {name}", target, {"version": version}, 422, "'version'")
    result = {"result": nested(65)}
    yield post("skip: deep result", "/executions/none/skip", result, 400, "nested deeper")
    context = {"context": nested(65)}
    yield post("rerun: deep context", "/executions/none/rerun", context, 400, "nested deeper")
    for query in ("by=" + "x" * 201, "reason=" + "x" * 1_001, "wait=1"):
        target = f"/executions/none?{query}".encode()
        says = query.partition("=")[0]
        yield Case(f"delete: {query[:20]}", "DELETE", target, 400, says)


FIELDS_OF_FILTERS: dict[str, set[str]] = {
    "status": set(),
    "flow_id": {"a string"},
    "version": {"a number"},
    "started_after": set(),
    "started_before": set(),
    "ended_before": set(),
    "had_failures": {"a boolean"},
    "metadata": {"an object"},
}
BULK = "/executions/bulk"


def wrong_bulk_requests() -> Iterator[Case]:
    body: dict[str, Any] = {"action": "cancel", "filter": {"status": "running"}, "dry_run": True}
    for field, right in (
        ("action", set()),
        ("filter", {"an object"} | OPTIONAL),
        ("dry_run", {"a boolean"} | OPTIONAL),
        ("by", {"a string"} | OPTIONAL),
        ("reason", {"a string"} | OPTIONAL),
    ):
        for kind, value in VALUES.items():
            if kind not in right:
                sent = body | {field: value}
                name, says = f"bulk: {field} is {kind}", f"'{field}'"
                yield post(name, BULK, sent, 422, says, pointer=f"/{field}")
    for field, right in FIELDS_OF_FILTERS.items():
        for kind, value in VALUES.items():
            if kind not in right | OPTIONAL:
                sent = body | {"filter": {field: value}}
                name, says = f"bulk: filter {field} is {kind}", f"'{field}'"
                yield post(name, BULK, sent, 422, says, pointer=f"/filter/{field}")
    for kind, value in VALUES.items():
        if kind != "an object":
            yield post(f"bulk: body is {kind}", BULK, value, 422, "object")


def wrong_bulk_requests_in_detail() -> Iterator[Case]:
    filters: dict[str, tuple[dict[str, Any], str]] = {
        "unknown field": ({"state": "failed"}, "'state'"),
        "field of the list": ({"limit": 1}, "'limit'"),
        "metadata as in a query": ({"metadata.k": 1}, "'metadata.k'"),
        "unknown status": ({"status": "done"}, "one of pending, running"),
        "version -1": ({"version": -1}, "'version'"),
        "huge version": ({"version": 10**30}, "'version'"),
        "huge time": ({"started_after": 10**400}, "'started_after'"),
        "small time": ({"started_before": 2026}, "'started_before'"),
        "time in milliseconds": ({"ended_before": 1769860800000}, "'ended_before'"),
        "list in metadata": ({"metadata": {"k": [1]}}, "'k'"),
        "null in metadata": ({"metadata": {"k": None}}, "'k'"),
        "long text in metadata": ({"metadata": {"k": "x" * 257}}, "'k' cannot be looked up"),
        "no name in metadata": ({"metadata": {"": 1}}, "'' cannot be looked up"),
        "33 metadata": ({"metadata": {f"k{n}": n for n in range(33)}}, "32 metadata at once"),
        "nothing": ({}, "this would retry every execution"),
    }
    for time in BAD_TIMES:
        if "%" not in time:
            filters[f"time {time[:30]!r} ({len(time)})"] = (
                {"started_after": time},
                "'started_after'",
            )
    for name, (chosen, says) in filters.items():
        sent = {"action": "retry", "filter": chosen, "dry_run": True}
        yield post(f"bulk: filter: {name}", BULK, sent, 422, says)
    wanted = {"status": "failed"}
    for name, sent in {
        "nothing": {},
        "no action": {"filter": wanted},
        "another action": {"action": "pause", "filter": wanted},
        "an action in capitals": {"action": "CANCEL", "filter": wanted},
    }.items():
        yield post(f"bulk: {name}", BULK, sent, 422, "'action'", pointer="/action")
    sent = {"action": "cancel", "filter": wanted, "reason": "x" * 1_001}
    yield post("bulk: long reason", BULK, sent, 422, "1000 characters")
    sent = {"action": "cancel", "filter": wanted, "version": 1}
    yield post("bulk: unknown field", BULK, sent, 422, "'version'", pointer="/version")


MAKERS = (
    wrong_changes,
    wrong_changes_in_detail,
    wrong_bulk_requests,
    wrong_bulk_requests_in_detail,
)
