"""`flowmgr journal`: what an operator does with a database, also while a server has it open."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import rich_click as click

from flowmgr.journal.sqlite import tools
from flowmgr.settings import SQLITE
from web.commands.errors import NOT_FINE, tells_errors
from web.commands.options import DEFAULT_JOURNAL, json_option
from web.commands.showing import plain, print_json


class Database(click.ParamType):  # type: ignore[type-arg] # generic in newer versions only
    """The file of a journal: a path, or as `flowmgr serve --journal` has it."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path."""
        if value == "memory":
            self.fail("a journal in memory has no file: give the path of a database", param, ctx)
        return Path(str(value).removeprefix(SQLITE))


journal_option = click.option(
    "--journal",
    type=Database(),
    default=DEFAULT_JOURNAL,
    envvar="FLOWMGR_JOURNAL",
    show_default=True,
    show_envvar=True,
    metavar="PATH",
    help="The database.",
)


@click.group()
def journal() -> None:
    """Check, copy and read a journal; also while a server has it open."""


@journal.command()
@click.argument(
    "path", type=Database(), default=DEFAULT_JOURNAL, envvar="FLOWMGR_JOURNAL", required=False
)
@json_option
@tells_errors
def check(path: Path, *, as_json: bool) -> None:
    """Verify every row of the journal at PATH; nothing is changed.

    Names what is damaged. Exits with 0 if nothing is, 1 if something is, 2 if it cannot be read.
    """
    report = tools.check(path)
    if as_json:
        print_json(report)
    else:
        for problem in report.problems:
            click.echo(f"damaged: {plain(problem)}")
        for known in report.quarantined:
            click.echo(f"quarantined already: {plain(known)}")
        found = len(report.problems) + len(report.quarantined)
        verdict = f"{found} problem{'s'[: found != 1]}" if found else "all is well"
        click.echo(f"{path}: executions: {report.executions}, batches: {report.batches}; {verdict}")
    if not report.is_ok:
        sys.exit(NOT_FINE)


@journal.command()
@click.argument("target", type=click.Path(path_type=Path))
@journal_option
@tells_errors
def backup(target: Path, *, journal: Path) -> None:
    """Copy the journal to TARGET, as it is at one moment; nothing is overwritten."""
    tools.backup(journal, target)
    click.echo(f"{journal} was copied to {target}")


@journal.command()
@click.argument("execution_id", metavar="ID")
@journal_option
@tells_errors
def export(execution_id: str, *, journal: Path) -> None:
    """Write everything about an execution as JSON: how it stands, its flow, its history."""
    print_json(msgspec.Raw(tools.export(journal, execution_id)))
