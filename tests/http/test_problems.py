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
