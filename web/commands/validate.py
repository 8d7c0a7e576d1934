"""`flowmgr validate`: what is wrong with flow files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import rich_click as click

from flowmgr import builtins
from flowmgr.activities.catalogue import ActivityCatalogue
from web.commands.errors import NOT_FINE, tells_errors
from web.commands.flow_files import flow_files, inspect_files, tell
from web.commands.options import FROM_ENVIRONMENT, activities_option


@click.command(context_settings=FROM_ENVIRONMENT)
@click.argument(
    "flows",
    metavar="FLOW...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
)
@activities_option
@tells_errors
def validate(flows: Sequence[Path], activities: Sequence[str]) -> None:
    """Say everything that is wrong with flow files, or with all in directories and below them.

    The names of activities are checked only if the modules that declare them are given.
    Exits with 0 if there is nothing wrong, 1 if there is.
    """
    known = None
    if activities:
        known = ActivityCatalogue.of(*activities, defaults=[builtins]).names()
    else:
        click.echo("The names of activities are not checked: give --activities", err=True)
    files = inspect_files(flow_files(flows), known)
    for file in files:
        tell(file.path, file.problems, file.warnings)
        if not file.problems:
            click.echo(f"{file.path}: valid")
    wrong = sum(bool(file.problems) for file in files)
    directories = [str(path) for path in flows if path.is_dir()]
    if directories:
        looked_at = f"in {', '.join(directories)} and below, hidden directories left out"
        click.echo(f"{len(files) - wrong} of {len(files)} files are valid ({looked_at})", err=True)
    sys.exit(NOT_FINE if wrong else 0)
