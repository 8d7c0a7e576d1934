"""The flows under load, and what each of their tasks leads to: for the server, and the checker."""

from __future__ import annotations

import itertools
from typing import Any

MAX_VISITS = 3

ASK = "ask"
"""The task that waits for a signal of its name."""

ASK_SECONDS = 0.5
"""How long it waits, so that one which nobody answers comes to its end."""


def _task(name: str, activity: str, *, at_most_once: bool = False) -> dict[str, Any]:
    task: dict[str, Any] = {"name": name, "activity": activity}
    return task | {"at_most_once": True} if at_most_once else task


def _after(source: str, success: str, failure: str = "end") -> dict[str, Any]:
    return {
        "source_task": source,
        "outcome": "success",
        "target_task_success": success,
        "target_task_failure": failure,
    }


def _flow(
    flow_id: str, tasks: list[dict[str, Any]], *conditions: dict[str, Any], **fields: Any
) -> dict[str, Any]:
    return {
        "id": flow_id,
        "name": flow_id,
        "start_task": tasks[0]["name"],
        "tasks": tasks,
        "conditions": list(conditions),
        **fields,
    }


def _chain(flow_id: str, *activities: str) -> dict[str, Any]:
    names = [f"t{number}" for number in range(1, len(activities) + 1)]
    tasks = [_task(name, activity) for name, activity in zip(names, activities, strict=True)]
    links = [_after(*pair) for pair in itertools.pairwise(names)]
    return _flow(flow_id, tasks, *links)


FLOWS = {
    flow["id"]: flow
    for flow in (
        _chain("two", "quick", "quick"),
        _chain("three", "quick", "slow", "in_thread"),
        _chain("six", "quick", "quick", "in_thread", "quick", "quick", "quick"),
        _chain("tidy", "quick", "tidy", "quick"),
        _chain("failing", "quick", "refuse"),
        _flow(
            "mended",
            [
                _task("a", "quick"),
                _task("b", "refuse"),
                _task("mend", "quick"),
                _task("c", "slow"),
            ],
            _after("a", "b"),
            _after("b", "end", "mend"),
            _after("mend", "c"),
        ),
        _flow(
            "once",
            [
                _task("a", "quick"),
                _task("once", "slow", at_most_once=True),
                _task("mend", "quick"),
                _task("c", "quick"),
            ],
            _after("a", "once"),
            _after("once", "c", "mend"),
        ),
        _flow(
            "asked",
            [
                _task("a", "quick"),
                {"name": ASK, "kind": "signal", "timeout": ASK_SECONDS},
                _task("c", "quick"),
            ],
            _after("a", ASK),
            _after(ASK, "c"),
        ),
        _flow(
            "loop",
            [_task("a", "quick"), _task("b", "last_round")],
            _after("a", "b"),
            _after("b", "end", "a"),
            max_visits=MAX_VISITS,
        ),
    )
}
"""By id."""

HOLD = _chain("hold", "hold", "quick")
POISON = _chain("poison", "quick", "poison")
POISON_ONCE = _chain("poison-once", "quick", "poison_once", "quick")


def target(flow: dict[str, Any], task: str, outcome: str) -> str:
    """Return where *task* leads when it ends with *outcome*: the rule, told once more."""
    for condition in flow["conditions"]:
        if condition["source_task"] == task:
            side = "success" if outcome == condition["outcome"] else "failure"
            return str(condition[f"target_task_{side}"])
    return "end"


def is_at_most_once(flow: dict[str, Any], task: str) -> bool:
    return any(each["name"] == task and each.get("at_most_once") for each in flow["tasks"])
