"""`flowmgr run` and `flowmgr validate`: flows without a server."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import rich_click as click

from flowmgr import builtins
from flowmgr.activities import ActivityCatalogue
from flowmgr.settings import Settings
from web.commands.errors import NOT_FINE, tells_errors
from web.commands.flow_files import checked_flows, flow_files, inspect_files, tell
from web.commands.options import (
    FROM_ENVIRONMENT,
    activities_option,
    backend_option,
    grace_option,
    http_allow_option,
    http_max_bytes_option,
    http_timeout_option,
    read_json,
    simulate_option,
)
from web.run import run_flow


@click.command(context_settings=FROM_ENVIRONMENT)
@click.argument("flow", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--context", metavar="JSON|@FILE", help="The context to begin with; @FILE reads it from a file."
)
@activities_option
@backend_option
@grace_option
@http_allow_option
@http_timeout_option
@http_max_bytes_option
@simulate_option
@tells_errors
def run(flow: Path, context: str | None, **options: Any) -> None:
    """Run one flow here, without a server.

    Shows its progress on the standard error, and the execution as JSON on the standard output.
    Exits with 0 if it completed, 1 if it failed, 130 if Ctrl-C cancelled it.
    """
    settings = Settings(
        grace=options["grace"],
        http_allow=options["http_allow"],
        http_timeout=options["http_timeout"],
        http_max_bytes=options["http_max_bytes"],
        simulate_unknown_activities=options["simulate_unknown_activities"],
    ).checked()
    catalogue = ActivityCatalogue.of(*options["activities"], defaults=[builtins])
    known = None if options["simulate_unknown_activities"] else catalogue.names()
    (document,) = checked_flows([flow], known)
    code = anyio.run(
        functools.partial(
            run_flow,
            document,
            read_json(context, "context"),
            settings=settings,
            activities=catalogue,
        ),
        backend=options["backend"],
        backend_options={"use_uvloop": False} if options["backend"] == "asyncio" else {},
    )
    sys.exit(code)


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
