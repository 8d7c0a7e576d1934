"""Flow files: found, read, and looked at for problems."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rich_click as click

from flowmgr.errors import InputError, Problem
from flowmgr.flows import new_flow_id
from flowmgr.language.validation import inspect
from web.commands.documents import SUFFIXES, parse_file
from web.commands.errors import refuse


def flow_files(paths: Sequence[Path]) -> list[Path]:
    """Return the flow files that are meant: those given, and all in and below directories given.

    Hidden directories below those given are not looked into.
    """
    files: list[Path] = []
    for path in paths:
        found = _files_below(path) if path.is_dir() else [path]
        if not found:
            refuse(f"there is no *.json and no *.yaml in the directory {path} and below it")
        files.extend(found)
    return files


def _files_below(directory: Path) -> list[Path]:
    found: list[Path] = []
    for parent, inside, names in os.walk(directory):
        inside[:] = [name for name in inside if not name.startswith(".")]
        found += [Path(parent, name) for name in names if Path(name).suffix in SUFFIXES]
    return sorted(found)


def inspect_file(
    path: Path, known: Sequence[str] | None
) -> tuple[Any, Sequence[Problem], Sequence[Problem]]:
    """Return the document in a file, its problems and its warnings.

    Activities have to be *known*, unless that is None.
    """
    try:
        document = parse_file(path)
    except InputError as error:
        return None, error.problems or [Problem("", "not_json", str(error))], []
    except OSError as error:
        return None, [Problem("", "unreadable", str(error))], []
    _, problems, warnings = inspect(document, activities=known, new_id=new_flow_id)
    return document, problems, warnings


def checked_flow(path: Path, known: Sequence[str] | None) -> Any:
    """Return the document in a file; if it has problems, say which and end the command."""
    document, problems, _ = inspect_file(path, known)
    if problems:
        tell(path, problems, [])
        refuse(f"{path} is not a flow that can be run here")
    return document


def tell(path: Path, problems: Sequence[Problem], warnings: Sequence[Problem]) -> None:
    """Write what there is to say about a file to the standard error."""
    for kind, listed in (("error", problems), ("warning", warnings)):
        for problem in listed:
            hint = f" ({problem.hint})" if problem.hint else ""
            place = problem.pointer or "/"
            click.echo(f"{path}: {kind}: {place}: {problem.message}{hint}", err=True)
