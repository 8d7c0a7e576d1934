"""`flowmgr run`: one flow, without a server."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import anyio
import rich_click as click

from flowmgr import builtins
from flowmgr.activities.catalogue import ActivityCatalogue
from web.commands.errors import tells_errors
from web.commands.flow_files import checked_flows
from web.commands.options import (
    FROM_ENVIRONMENT,
    activities_option,
    backend_option,
    grace_option,
    http_allow_option,
    http_max_bytes_option,
    http_timeout_option,
    read_json,
    settings_from,
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
    settings = settings_from(options)
    catalogue = ActivityCatalogue.of(*options["activities"], defaults=[builtins])
    known = None if settings.simulate_unknown_activities else catalogue.names()
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
