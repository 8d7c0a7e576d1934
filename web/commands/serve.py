"""`flowmgr serve`."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path
from typing import Any

import rich_click as click

from flowmgr import builtins
from flowmgr.activities.catalogue import ActivityCatalogue
from web.app import AppLifecycle, create_app
from web.commands.errors import tells_errors
from web.commands.flow_files import (
    checked_flows,
    flow_files,
    refuse_files,
    warn_about_missing_ids,
)
from web.commands.options import (
    DEFAULT_JOURNAL,
    FROM_ENVIRONMENT,
    Duration,
    Seconds,
    activities_option,
    backend_option,
    grace_option,
    http_allow_option,
    http_max_bytes_option,
    http_timeout_option,
    settings_from,
    simulate_option,
)
from web.commands.trying import things_to_try
from web.servers import ServerOptions, describe_server
from web.servers import serve as serve_app
from web.settings import WebSettings


@click.command(context_settings=FROM_ENVIRONMENT)
@click.option("--host", default="127.0.0.1", show_default=True, show_envvar=True, help="Address.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    show_envvar=True,
    help="TCP port; 0 for any free one.",
)
@backend_option
@click.option(
    "--journal",
    default=DEFAULT_JOURNAL,
    metavar="sqlite:PATH|memory",
    show_default=True,
    show_envvar=True,
    help="Where executions are recorded. In memory they end with the process.",
)
@click.option(
    "--durability",
    type=click.Choice(["full", "relaxed"]),
    default="full",
    show_default=True,
    show_envvar=True,
    help="What is recorded survives a power loss (full), or only the end of the process (relaxed).",
)
@activities_option
@click.option(
    "--flows",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    show_envvar=True,
    help="A flow file, or a directory with *.json and *.yaml in it and below, to register; several "
    "times if need be.",
)
@grace_option
@click.option(
    "--wait-limit",
    type=Seconds(0, 86400),
    default=300.0,
    show_default=True,
    show_envvar=True,
    help="Seconds that a request may wait for an execution to end.",
)
@click.option(
    "--keep-ended",
    type=click.IntRange(0),
    default=10_000,
    show_default=True,
    show_envvar=True,
    help="Ended executions that the journal in memory keeps; the oldest are forgotten.",
)
@click.option(
    "--keep",
    type=Duration(),
    show_envvar=True,
    help="How long ended executions are kept, such as 30d. For ever if it is not given.",
)
@click.option(
    "--key-ttl",
    type=Duration(),
    default="24h",
    show_default=True,
    show_envvar=True,
    help="How long an idempotency key stands for its request.",
)
@http_allow_option
@http_timeout_option
@http_max_bytes_option
@simulate_option
@click.option("--access-log", is_flag=True, show_envvar=True, help="Log every request.")
@tells_errors
def serve(**options: Any) -> None:
    """Serve the REST API until SIGTERM or SIGINT."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("flowmgr").setLevel(logging.INFO)  # who has deleted what
    server = ServerOptions(
        host=options["host"],
        port=options["port"],
        backend=options["backend"],
        grace=options["grace"],
        access_log=options["access_log"],
    )
    settings = settings_from(
        options,
        journal=options["journal"],
        durability=options["durability"],
        keep_ended=options["keep_ended"],
        keep=options["keep"],
        key_seconds=options["key_ttl"],
    )
    catalogue = ActivityCatalogue.of(*options["activities"], defaults=[builtins])
    known = None if settings.simulate_unknown_activities else catalogue.names()
    files = flow_files(options["flows"])
    flows = checked_flows(files, known)
    warn_about_missing_ids(files, flows)
    described = describe_server(server)
    lifecycle = AppLifecycle()
    app = create_app(
        settings,
        web_settings=WebSettings(
            backend=described.backend, server=described.server, wait_limit=options["wait_limit"]
        ),
        activities=list(catalogue),
        flows=flows,
        lifecycle=lifecycle,
    )

    def announce(line: str) -> None:
        url = re.search(r"https?://\S+", line)
        hints = things_to_try(url[0], lifecycle.registered) if url else []
        click.echo("\n".join([line, *hints]))
        sys.stdout.flush()

    code = serve_app(app, server, lifecycle, announce)
    if lifecycle.refused is not None:
        refuse_files({files[n]: each.problems for n, each in lifecycle.refused.refused.items()})
    sys.exit(code)
