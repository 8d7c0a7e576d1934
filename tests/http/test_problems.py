"""What is wrong with a request is told all at once, each thing with its place and the way out."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.rest import problem

WRONG_BODIES: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "/flows/execute": (
        {"flow_id": "x", "version": 0, "context": [], "metadata": 1, "contxt": {}},
        [
            ("/contxt", "unknown_field"),
            ("/version", "out_of_range"),
            ("/context", "wrong_type"),
            ("/metadata", "wrong_type"),
        ],
    ),
    "/executions/none/retry": (
        {"vresion": 2, "version": "2", "by": 7, "reason": "x" * 1001},
        [
            ("/vresion", "unknown_field"),
            ("/version", "wrong_type"),
            ("/by", "wrong_type"),
            ("/reason", "too_long"),
        ],
    ),
    "/executions/none/skip": (
        {"task": 1, "resutl": 1},
        [("/resutl", "unknown_field"), ("/task", "wrong_type")],
    ),
    "/executions/none/rerun": (
        {"task": ["x"], "context": "x", "version": 1.5},
        [("/task", "wrong_type"), ("/context", "wrong_type"), ("/version", "wrong_type")],
    ),
    "/executions/bulk": (
        {
            "action": "retyr",
            "dry_run": 1,
            "dry-run": True,
            "filter": {
                "stauts": "failed",
                "status": "Failed",
                "version": -1,
                "started_after": "yesterday",
                "had_failures": "no",
                "metadata": {"a": [], "b": None, "c": 1},
            },
        },
        [
            ("/dry-run", "unknown_field"),
            ("/action", "invalid_choice"),
            ("/filter/stauts", "unknown_field"),
            ("/filter/status", "invalid_choice"),
            ("/filter/version", "out_of_range"),
            ("/filter/started_after", "invalid_text"),
            ("/filter/had_failures", "wrong_type"),
            ("/filter/metadata/a", "wrong_type"),
            ("/filter/metadata/b", "wrong_type"),
            ("/dry_run", "wrong_type"),
        ],
    ),
}


@pytest.mark.parametrize("path", WRONG_BODIES)
def test_everything_that_is_wrong_with_a_body_is_told_at_once(served, path):
    body, wanted = WRONG_BODIES[path]
    refused = problem(served.post(path, body), 422)
    assert [(each["pointer"], each["code"]) for each in refused["errors"]] == wanted
    assert refused["detail"].startswith(refused["errors"][0]["message"])
    assert f"and {len(wanted) - 1} more problem" in refused["detail"]


@pytest.mark.parametrize(
    ("path", "body", "meant"),
    [
        ("/flows/execute", {"flow_id": "x", "contxt": {}}, "did you mean 'context'?"),
        ("/executions/none/cancel", {"raeson": "x"}, "did you mean 'reason'?"),
        ("/executions/none/skip", {"resutl": 1}, "did you mean 'result'?"),
        (
            "/executions/bulk",
            {"action": "cancel", "filter": {"stauts": "failed"}},
            "did you mean 'status'?",
        ),
    ],
)
def test_an_unknown_field_of_a_body_is_told_with_the_one_that_was_meant(served, path, body, meant):
    (error,) = problem(served.post(path, body), 422)["errors"]
    assert error["code"] == "unknown_field"
    assert meant in error["message"]
    assert error["hint"].startswith("The fields are: ")


def test_an_unknown_action_is_told_with_the_choices_and_the_one_that_was_meant(served):
    body = {"action": "retyr", "filter": {"status": "failed"}}
    (error,) = problem(served.post("/executions/bulk", body), 422)["errors"]
    assert (error["pointer"], error["code"]) == ("/action", "invalid_choice")
    assert "'cancel' or 'retry' or 'delete', not 'retyr'" in error["message"]
    assert error["hint"] == "Did you mean 'retry'?"


WRONG_QUERIES: dict[str, list[tuple[str, str]]] = {
    "/executions?limt=1&cursr=x&flow_id=a&flow_id=b": [
        ("cursr", "unknown_parameter"),
        ("flow_id", "duplicate_parameter"),
        ("limt", "unknown_parameter"),
    ],
    "/executions?status=Failed&version=x&started_after=now&metadata.=1&had_failures=2": [
        ("had_failures", "wrong_type"),
        ("started_after", "invalid_text"),
        ("status", "invalid_choice"),
        ("version", "wrong_type"),
        ("metadata.", "out_of_range"),
    ],
    "/executions?limit=0": [("limit", "out_of_range")],
    "/flows?limit=ten": [("limit", "wrong_type")],
    "/flows/x?version=0": [("version", "out_of_range")],
    "/executions/x?wait=soon": [("wait", "wrong_type")],
    "/executions/x/events?cursor=!": [("cursor", "invalid_cursor")],
}


@pytest.mark.parametrize("target", WRONG_QUERIES)
def test_query_parameters_are_told_by_name_with_the_rule_in_plain_words(served, target):
    refused = problem(served.client.get(target), 400)
    assert [(each["parameter"], each["code"]) for each in refused["errors"]] == WRONG_QUERIES[
        target
    ]
    for error in refused["errors"]:
        assert list(error) == ["parameter", "code", "message", "hint"]
        assert "`" not in error["message"]
        assert not {"int", "str", "float"} & set(error["message"].replace("'", " ").split())


@pytest.mark.parametrize(
    ("target", "message", "hint"),
    [
        (
            "/flows?limit=ten",
            "'limit' is 'ten': it must be a whole number from 1 to 1,000",
            "It may be left out; then it is 100",
        ),
        (
            "/flows/x?version=0",
            "'version' is '0': it must be a whole number from 1 to 1,000,000,000",
            "It may be left out",
        ),
        (
            "/flows?limt=1",
            "There is no query parameter 'limt' here; did you mean 'limit'?",
            "The parameters are: cursor, limit",
        ),
        (
            "/health?x=1",
            "There is no query parameter 'x' here",
            "There are none; take it out",
        ),
    ],
)
def test_a_query_parameter_is_told_with_the_way_out(served, target, message, hint):
    (error,) = problem(served.client.get(target), 400)["errors"]
    assert (error["message"], error["hint"]) == (message, hint)
