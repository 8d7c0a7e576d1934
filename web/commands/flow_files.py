"""Flow files: found, read, and looked at for problems."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec
import rich_click as click
from msgspec.structs import replace

from flowmgr.errors import InputError, Problem
from flowmgr.language.findings import join, quote
from flowmgr.language.rules import KnownFlows
from flowmgr.language.validation import Inspection, OpenedFlow, known_together, new_flow_id
from web.commands.documents import SUFFIXES, parse_file
from web.commands.errors import refuse

IN_NO_FILE: Final = "It is in none of the files that are given, so it has to be registered before"
OWN_ID: Final = "Give each flow its own id, or leave one of the files out"


def flow_files(paths: Sequence[Path]) -> list[Path]:
    """Return the flow files that are meant: those given, and all in and below directories given.

    Hidden directories below those given are not looked into. A file counts once, however often and
    by whatever path it is given.
    """
    files: dict[str, Path] = {}  # by their real paths, as they were given first
    for path in paths:
        found = _files_below(path) if path.is_dir() else [path]
        if not found:
            refuse(f"there is no *.json and no *.yaml in the directory {path} and below it")
        for each in found:
            files.setdefault(os.path.realpath(each), each)
    return list(files.values())


def _files_below(directory: Path) -> list[Path]:
    found: list[Path] = []
    for parent, inside, names in os.walk(directory):
        inside[:] = [name for name in inside if not name.startswith(".")]
        found += [Path(parent, name) for name in names if Path(name).suffix in SUFFIXES]
    return sorted(found)


class FlowFile(msgspec.Struct, frozen=True):
    """A flow file, and what there is to say about it.

    Attributes:
        path: where it is.
        document: what is in it; None if it cannot be read.
        problems: why it is not a flow.
        warnings: what is allowed but worth a look.
    """

    path: Path
    document: Any
    problems: Sequence[Problem] = ()
    warnings: Sequence[Problem] = ()


def inspect_files(paths: Sequence[Path], known: Sequence[str] | None) -> list[FlowFile]:
    """Read flow files and look at them together.

    Activities have to be *known*, unless that is None. That a flow which a task runs is in none of
    the files is a warning: it may be registered already. That two have one id is a problem of the
    second: each start of a server would register versions of it that take turns.
    """
    files = [_read(path) for path in paths]
    together = known_together([file.document for file in files if not file.problems])
    ids = {flow.flow_id for flow in together}
    inspected = (
        file if file.problems else _inspected(file, known, together, ids) for file in files
    )
    return list(_with_ids_of_their_own(inspected))


def _read(path: Path) -> FlowFile:
    try:
        return FlowFile(path, parse_file(path))
    except InputError as error:
        return FlowFile(path, None, error.problems or [Problem("", "not_json", str(error))])
    except OSError as error:
        return FlowFile(path, None, [Problem("", "unreadable", str(error))])


def _inspected(
    file: FlowFile, known: Sequence[str] | None, together: KnownFlows, ids: Collection[str]
) -> FlowFile:
    # What it runs that is in none of the files is only warned about, as it may be registered: so it
    # is looked at twice, the second time without those flows. Of a flow that is in the files every
    # version counts as known: which ones there will be is for the server to say.
    named = OpenedFlow(file.document).flows
    elsewhere = {each: () for each in named if each.flow_id not in ids}
    versions = {each: () for each in named if each.flow_id in ids}

    def look(flows: KnownFlows) -> Inspection:
        opened = OpenedFlow(file.document)
        return opened.inspect(activities=known, flows=flows, new_id=new_flow_id)

    _, problems, warnings = look({**elsewhere, **versions, **together})
    if elsewhere:
        _, with_unknown, _ = look({**versions, **together})
        unknown = [each for each in with_unknown if each.code == "unknown_flow"]
        warnings += [replace(each, hint=IN_NO_FILE) for each in unknown]
    return FlowFile(file.path, file.document, problems, warnings)


def _with_ids_of_their_own(files: Iterable[FlowFile]) -> Iterator[FlowFile]:
    """Yield *files*, those with a problem more whose flows have the id of one before them."""
    first: dict[str, Path] = {}
    for file in files:
        opened = OpenedFlow(file.document)
        if opened.id is None or first.setdefault(opened.id, file.path) is file.path:
            yield file
            continue
        message = f"The flow in {first[opened.id]} has the id {quote(opened.id)} as well"
        problem = Problem(join(opened.pointer, "id"), "duplicate_id", message, OWN_ID)
        yield replace(file, problems=[problem, *file.problems])


def checked_flows(paths: Sequence[Path], known: Sequence[str] | None) -> list[Any]:
    """Return the documents in files; if any has problems, say which and end the command."""
    files = inspect_files(paths, known)
    refused = {file.path: file.problems for file in files if file.problems}
    if refused:
        refuse_files(refused)
    return [file.document for file in files]


def warn_about_missing_ids(files: Sequence[Path], documents: Sequence[Any]) -> None:
    """Say of which files, whose *documents* have no problems, each start registers another flow."""
    for path, document in zip(files, documents, strict=True):
        opened = OpenedFlow(document)
        if opened.id is None:
            message = "The flow has no id, so each start of the server registers it as a new one"
            hint = f'Give it one, as in "id": "{path.stem}"'
            tell(path, [], [Problem(join(opened.pointer, "id"), "missing_field", message, hint)])


def refuse_files(refused: Mapping[Path, Sequence[Problem]]) -> NoReturn:
    """Say what problems files have, and end the command."""
    for path, problems in refused.items():
        tell(path, problems, [])
    first, *others = refused
    more = f" (and {len(others)} more)" if others else ""
    refuse(f"{first} is not a flow that can be run here{more}")


def tell(path: Path, problems: Sequence[Problem], warnings: Sequence[Problem]) -> None:
    """Write what there is to say about a file to the standard error."""
    for kind, listed in (("error", problems), ("warning", warnings)):
        for problem in listed:
            hint = f" ({problem.hint})" if problem.hint else ""
            place = problem.pointer or "/"
            click.echo(f"{path}: {kind}: {place}: {problem.message}{hint}", err=True)
