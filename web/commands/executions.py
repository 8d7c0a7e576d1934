"""`flowmgr executions`: what runs on a server, and what happened."""

from __future__ import annotations

import functools
import time
from typing import Any

import rich_click as click
from rich.live import Live

from web.commands.changes import CHANGES
from web.commands.client import Server, UnreachableError, asks_server, path_of
from web.commands.filters import Filters, as_parameters, filter_options
from web.commands.options import Seconds, json_option
from web.commands.showing import (
    console,
    event_table,
    execution_table,
    execution_view,
    print_json,
)
from web.commands.trees import ENDS, failure_of, scope_tree
from web.commands.waiting import check_ended, wait_option, waited_for

execution_argument = click.argument("execution_id", metavar="ID")


@click.group()
def executions() -> None:
    """Look at the executions of a server, and change them."""


@executions.command("list")
@filter_options
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="How many to show."
)
@click.option("--watch", is_flag=True, help="Show them anew until Ctrl-C.")
@click.option(
    "--interval",
    type=Seconds(0.1, 3600),
    default=1.0,
    show_default=True,
    help="Seconds between two looks of --watch.",
)
@json_option
@asks_server
def list_executions(
    server: Server, filters: Filters, *, limit: int, watch: bool, interval: float, as_json: bool
) -> None:
    """List executions, the newest first; those that match all that is given."""
    if watch and as_json:
        msg = "--watch is for people and --json for programs: give one of them"
        raise click.UsageError(msg)
    if watch:
        _watch(server, filters, limit, interval)
        return
    found = _found(server, filters, limit)
    if as_json:
        print_json(found)
    elif found:
        console().print(execution_table(found))
    else:
        click.echo("no execution matches", err=True)


def _found(server: Server, filters: Filters, limit: int) -> list[dict[str, Any]]:
    return list(server.items("/executions", limit, **as_parameters(filters)))


def _watch(server: Server, filters: Filters, limit: int, interval: float) -> None:
    found = _found(server, filters, limit)
    try:
        with Live(execution_table(found), console=console(), auto_refresh=False) as live:
            while True:
                time.sleep(interval)
                caption = None
                try:
                    found = _found(server, filters, limit)
                except UnreachableError:  # it may be started again
                    caption = "the server does not answer"
                live.update(execution_table(found, caption), refresh=True)
    except KeyboardInterrupt:
        return


@executions.command()
@execution_argument
@wait_option
@json_option
@asks_server
def show(server: Server, execution_id: str, *, wait: float | None, as_json: bool) -> None:
    """Show an execution."""
    execution = waited_for(server, functools.partial(server.get, path_of(execution_id)), wait)
    if as_json:
        print_json(execution)
    else:
        console().print(execution_view(execution, _failed_at_the_end(server, execution)))
    check_ended(execution, wait)


def _failed_at_the_end(server: Server, execution: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what has failed of what belongs to an end, which the execution does not say."""
    if execution["status"] not in {"failed", "cancelled"}:
        return []
    found = server.get(path_of(execution["execution_id"], "tree"))
    return [(part, why) for part in ENDS if (why := failure_of(found[part])) is not None]


@executions.command()
@execution_argument
@json_option
@asks_server
def events(server: Server, execution_id: str, *, as_json: bool) -> None:
    """Show what has happened in an execution."""
    happened = list(server.items(path_of(execution_id, "events"), None))
    if as_json:
        print_json(happened)
    else:
        console().print(event_table(happened))


@executions.command()
@execution_argument
@json_option
@asks_server
def tree(server: Server, execution_id: str, *, as_json: bool) -> None:
    """Show what an execution does, in each of its scopes, and what it waits for."""
    found = server.get(path_of(execution_id, "tree"))
    if as_json:
        print_json(found)
    else:
        console().print(scope_tree(found))


for change in CHANGES:
    executions.add_command(change)
