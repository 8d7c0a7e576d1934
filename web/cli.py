"""The command line, put together."""

from __future__ import annotations

import rich_click as click

from web.commands.executions import executions
from web.commands.flows import run, validate
from web.commands.journal import journal
from web.commands.schema import schema
from web.commands.serve import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="flowmgr", prog_name="flowmgr")
def main() -> None:
    """Flow orchestration with a REST API and clean cancellation."""


for command in (serve, run, validate, schema, executions, journal):
    main.add_command(command)
