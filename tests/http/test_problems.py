"""What is wrong with a request is told all at once, each thing with its place and the way out."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from flowmgr.language.findings import quote
from tests.support.flowmgr_server import Served, chain
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


def lists_with_cursors(served: Served) -> dict[str, str]:
    """Return lists of two items and more, each with the cursor of its second page."""
    flow_ids = [served.register(chain("succeed")) for _ in range(2)]
    served.register(chain("succeed", "keys") | {"id": flow_ids[0]})
    started = [served.execute(flow_ids[1])["execution_id"] for _ in range(2)]
    paths = ["/flows", "/executions", f"/flows/{flow_ids[0]}/versions"]
    paths += [f"/executions/{each}/events" for each in started]
    return {path: served.get(path, limit=1).json()["next_cursor"] for path in paths}


def test_the_cursor_of_one_list_is_refused_by_every_other(served):
    cursors = lists_with_cursors(served)
    for path in cursors:
        for its_list, cursor in cursors.items():
            if its_list == path:
                assert served.get(path, cursor=cursor).json()["items"]
                continue
            (error,) = problem(served.get(path, cursor=cursor), 400)["errors"]
            assert (error["parameter"], error["code"]) == ("cursor", "invalid_cursor")
            assert f"is one of the list {quote(its_list)}" in error["message"]


def test_cursors_that_were_handed_out_without_the_name_of_their_list_go_on_working(served):
    for path, field in (("/flows", "id"), ("/executions", "execution_id")):
        lists_with_cursors(served)
        first, second = served.get(path, limit=2).json()["items"]
        cursor = base64.urlsafe_b64encode(first[field].encode()).decode().rstrip("=")
        assert served.get(path, limit=1, cursor=cursor).json()["items"] == [second]
    events = next(path for path in lists_with_cursors(served) if path.endswith("/events"))
    assert served.get(events, limit=1, cursor="MQ").json()["items"][0]["seq"] == 2
