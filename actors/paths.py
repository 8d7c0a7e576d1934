"""Paths of scopes: which body, inside of which task, inside of which body.

The scope of the execution itself has the path "". What a task opens is named by that scope's path,
the task and the branch (or the position of the item, from 0), as in "/fan/left" or
"/each/17/fan/left". The tokens are escaped as in a JSON Pointer (RFC 6901), so that "/" in a name
does no harm. Within one visit of a task its scopes keep their paths; the next visit's scopes take
their place.
"""

from __future__ import annotations

from typing import Final

ROOT: Final = ""
"""The scope of the execution itself."""

COMPENSATION: Final = "~compensate"
"""The scope in which tasks are compensated; its tasks are named by their task paths."""

FINALLY: Final = "~finally"
"""The scope of a flow's `finally`."""


def task_path(scope: str, task: str) -> str:
    """Return the path of a task in a scope, which says where it is in the whole execution."""
    return f"{scope}/{_escaped(task)}"


def child(scope: str, task: str, branch: str | int) -> str:
    """Return the path of the scope that *task* of *scope* opens for *branch*."""
    return f"{scope}/{_escaped(task)}/{_escaped(str(branch))}"


def tokens(path: str) -> list[str]:
    """Return the tokens of a path that begins with "/": tasks and branches by turns."""
    return [_unescaped(token) for token in path.split("/")[1:]]


def split(path: str) -> tuple[str, str, str]:
    """Return the scope around the scope *path*, the task that opened it, and its branch.

    Only for the path of a scope that a task has opened.
    """
    around, _, branch = path.rpartition("/")
    scope, _, task = around.rpartition("/")
    return scope, _unescaped(task), _unescaped(branch)


def split_task(path: str) -> tuple[str, str]:
    """Return the scope and the name of the task that has the task path *path*."""
    scope, _, task = path.rpartition("/")
    return scope, _unescaped(task)


def is_of_the_end(path: str) -> bool:
    """Whether the scope *path* belongs to the end of the execution, or is in one that does."""
    return path.startswith("~")


def opener(path: str) -> str:
    """Return the task path of the task that opened the scope *path*."""
    return path.rpartition("/")[0]


def is_opened_by_a_task(path: str) -> bool:
    """Whether a task has opened this scope: it is neither the execution's nor one of its end."""
    return "/" in path


def _escaped(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")


def _unescaped(token: str) -> str:
    return token.replace("~1", "/").replace("~0", "~")
