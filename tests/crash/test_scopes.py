"""Servers that are killed while flows of scopes in scopes run: all goes on where it was."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.support.flowmgr_server import BACKENDS, serving
from tests.support.lines import whole_lines

KILLS = 6
EXECUTIONS = 3
ITEMS = 12
ACTIVITIES = "tests.support.scope_activities"


def effect(place: str, activity: str = "effect", **fields: Any) -> dict[str, Any]:
    """A task that leaves lines about *place*, in which expressions may be."""
    arguments = {
        "file": "${context.file}",
        "place": "${execution.id}/" + place,
        "attempt": "${task.attempt}",
    }
    return {"activity": activity, "arguments": arguments, **fields}


def body(*tasks: dict[str, Any]) -> dict[str, Any]:
    names = [task["name"] for task in tasks]
    links = itertools.pairwise(names)
    return {
        "start_task": names[0],
        "tasks": list(tasks),
        "conditions": [{"source_task": a, "target_task_success": b} for a, b in links],
    }


CHILD = {"id": "child", "name": "child", **body({"name": "only", **effect("${context.of}/child")})}

FLOW = {
    "id": "scopes",
    "name": "scopes",
    **body(
        {"name": "first", **effect("first"), "compensate": effect("undo")},
        {
            "name": "fan",
            "kind": "parallel",
            "branches": {
                "left": body(
                    {"name": "a", **effect("left-a")},
                    {"name": "pause", "kind": "wait", "seconds": 0.05},
                    {"name": "b", **effect("left-b")},
                ),
                "right": body(
                    {
                        "name": "flaky",
                        **effect("right", "flaky"),
                        "retry": {"maximum_attempts": 1000, "initial_interval": 0.01},
                    },
                ),
                "asked": body({"name": "answer", "kind": "signal"}),
            },
        },
        {
            "name": "each",
            "kind": "map",
            "items": "${context.numbers}",
            "as": "number",
            "max_concurrency": 3,
            "do": body(
                {"name": "one", **effect("each-${context.number}-one")},
                {"name": "two", **effect("each-${context.number}-two")},
            ),
        },
        {
            "name": "sub",
            "kind": "flow",
            "flow": "child",
            "arguments": {"file": "${context.file}", "of": "${execution.id}"},
        },
        {"name": "no", "kind": "raise", "type": "Refused", "message": "in the end"},
    ),
    "finally": body({"name": "bye", **effect("bye")}),
}

PLACES = [
    "first",
    "left-a",
    "left-b",
    "right",
    *(f"each-{number}-{task}" for number in range(ITEMS) for task in ("one", "two")),
    "undo",
    "bye",
]
"""Every place that an execution comes to, once."""


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_flow_of_scopes_ends_as_it_should_however_often_its_server_is_killed(
    backend: str, tmp_path: Path
) -> None:
    chance = random.Random(backend)
    arguments = ("--journal", f"sqlite:{tmp_path}/flowmgr.db", "--activities", ACTIVITIES)
    file = tmp_path / "effects"
    with serving(backend, *arguments, is_killed=True) as served:
        served.register(CHILD)
        served.register(FLOW)
        context = {"file": str(file), "numbers": list(range(ITEMS))}
        started = [served.start("scopes", context) for _ in range(EXECUTIONS)]
        time.sleep(chance.uniform(0, 0.1))
    for number in range(KILLS):
        with serving(backend, *arguments, is_killed=True) as served:
            if number == KILLS // 2:
                for execution_id in started:
                    answer = served.post(f"/executions/{execution_id}/signals/answer", "yes")
                    assert answer.status_code in {200, 202}, answer.text
            time.sleep(chance.uniform(0, 0.15))
    with serving(backend, *arguments) as served:
        ended = [served.ended(execution_id) for execution_id in started]
        histories = {each: served.events(each) for each in started}
    for execution in ended:
        assert execution["status"] == "failed"
        assert execution["error"]["type"] == "Refused"
        results = execution["task_results"]
        of = execution["execution_id"]
        items = [f"{of}/each-{number}-two" for number in range(ITEMS)]
        assert results["each"]["data"] == items
        assert results["fan"]["data"]["asked"] == "yes"
        assert results["sub"]["data"] == f"{of}/{of}/child" or results["sub"]["data"].endswith(
            "/child"
        )
    check_effects(file, started)
    for events in histories.values():
        check_history(events)


def check_effects(file: Path, started: list[str]) -> None:
    """Every place was come to, no attempt ran twice, and none after one that is done."""
    began: dict[str, list[int]] = defaultdict(list)
    done: dict[str, int] = {}
    for word, place, attempt in whole_lines(file):
        if word == "began":
            began[place].append(int(attempt))
        else:
            done[place] = int(attempt)
    for execution_id in started:
        for place in PLACES:
            assert f"{execution_id}/{place}" in done, place
    for place, attempts in began.items():
        assert len(attempts) == len(set(attempts)), (place, attempts)


def check_history(events: list[dict[str, Any]]) -> None:
    """Seq has no gaps, one event is terminal, and no task starts again behind its success."""
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    kinds = Counter(event["type"] for event in events)
    assert kinds["ExecutionFailed"] == 1
    assert events[-1]["type"] == "ExecutionFailed"
    succeeded = set()
    for event in events:
        place = (event.get("scope", ""), event.get("task"))
        if event["type"] == "TaskFinished" and event["outcome"] == "success":
            assert place not in succeeded, place
            succeeded.add(place)
        elif event["type"] == "TaskStarted":
            assert place not in succeeded, place
