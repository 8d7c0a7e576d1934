"""The tree of an execution's scopes on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.text import Text
from rich.tree import Tree

from web.commands.showing import local_time, plain, status

ENDS: Final = ("compensation", "finally")
"""The scopes that belong to the end of an execution."""

STYLES: Final = {
    "running": "cyan",
    "waiting": "yellow",
    "completed": "green",
    "failed": "red",
}


def scope_tree(found: Mapping[str, Any]) -> Tree:
    """Return the scopes of an execution, each under the task that has opened it."""
    version = f" v{found['flow_version']}" if found["flow_version"] else ""
    parts = [plain(found["execution_id"]), plain(f" {found['flow_id']}{version} ")]
    parked = " (parked)" if found["is_parked"] else ""
    tree = Tree(Text.assemble(*parts, status(found["status"]), parked))
    _add_task(tree, found["scope"])
    for name in ENDS:
        if found[name] is not None:
            _add_scope(tree, found[name], name)
    return tree


def failure_of(scope: Mapping[str, Any] | None) -> str | None:
    """Return where and how a scope has failed; None if it has not."""
    if scope is None or scope["status"] != "failed" or scope["error"] is None:
        return None
    error, task = scope["error"], scope["task"]
    where = "" if task is None else f"{task['name']}: "
    return f"{where}{error['type']}: {error['message']}"


def _add_scope(tree: Tree, scope: Mapping[str, Any], name: str) -> None:
    error = scope["error"]
    why = Text() if error is None else plain(f" {error['type']}: {error['message']}", "red")
    shown = plain(scope["status"], STYLES.get(scope["status"], ""))
    _add_task(tree.add(Text.assemble(plain(name, "bold"), " ", shown, why)), scope)


def _add_task(tree: Tree, scope: Mapping[str, Any]) -> None:
    task = scope["task"]
    if task is None:
        return
    node = tree.add(_about(task))
    for inner in task["scopes"]:
        _add_scope(node, inner, inner["path"].rpartition("/")[2])
    if task["unlisted"]:
        node.add(f"and {task['unlisted']} more")


def _about(task: Mapping[str, Any]) -> Text:
    text = plain(task["name"], "bold")
    if (task["visit"] or 1) > 1:
        text.append(f", visit {task['visit']}")
    if (task["attempt"] or 1) > 1:
        text.append(f", attempt {task['attempt']}")
    if task["attempt"] is None:
        text.append(", not started")
    if task["since"] is not None:
        text.append(f", since {local_time(task['since'])}")
    if task["deadline"] is not None:
        text.append(f", until {local_time(task['deadline'])} at the latest")
    if task["waits_for"] is not None:
        text.append(", waits for ").append_text(_awaited(task["waits_for"]))
    return text


def _awaited(wait: Mapping[str, Any]) -> Text:
    match wait["kind"]:
        case "signal":
            return Text.assemble("signal ", plain(wait["name"]))
        case "flow":
            return Text.assemble("execution ", plain(wait["execution_id"]))
        case "timer":
            return Text(local_time(wait["due"]))
        case "retry":
            error = wait.get("error")
            why = Text() if error is None else plain(f" ({error['type']}: {error['message']})")
            return Text.assemble(f"its next attempt at {local_time(wait['due'])}", why)
    counts = [
        f"{wait[name]} {word}"
        for name, word in _COUNTS.items()
        if wait[name] or name in {"open", "succeeded"}
    ]
    return Text(f"{wait['total']} scopes: {', '.join(counts)}")


_COUNTS: Final = {
    "open": "open",
    "succeeded": "succeeded",
    "failed": "failed",
    "stopped": "stopped",
    "unopened": "still to be opened",
}
