"""The commands that change executions: one that is named, or with filters all that match."""

from __future__ import annotations

import functools
import getpass
import sys
from collections.abc import Callable
from typing import Any, Final

import rich_click as click

from web.commands.client import AnswerError, Server, asks_server, path_of
from web.commands.errors import NOT_FINE
from web.commands.filters import Filters, filter_options
from web.commands.options import json_option, read_json
from web.commands.showing import print_json
from web.commands.waiting import Ask, check_ended, wait_option, waited_for
from web.limits import MAX_BY, MAX_ITEMS

BULK: Final = "/executions/bulk"
BULK_PATIENCE: Final = 600.0
"""Seconds that a server may take to change as many executions as it does at once."""

DONE: Final = {"cancel": "cancelled", "retry": "retried", "delete": "deleted"}
"""What becomes of executions by what can be done to many."""


def _user() -> str | None:
    try:
        return getpass.getuser()[:MAX_BY]
    except (OSError, KeyError, ImportError):  # nobody has this number
        return None


_Command = Callable[..., None]
_Decorator = Callable[[_Command], _Command]

by_option = click.option("--by", default=_user, help="Who asks. [default: your login name]")
reason_option = click.option("--reason", help="Why; recorded with the change.")
version_option = click.option(
    "--version", type=click.IntRange(1), help="The version of the flow to run."
)


def _changes_one(command: _Command) -> _Command:
    """Have *command* take the id of an execution, and the options of all that change one."""
    options: list[_Decorator] = [
        click.argument("execution_id", metavar="ID"),
        by_option,
        reason_option,
        json_option,
        asks_server,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _changes_many(command: _Command) -> _Command:
    """Have *command* take an id or filters, and the options for many; with an id it is called."""

    @functools.wraps(command)
    def chosen(server: Server, execution_id: str | None, filters: Filters, **options: Any) -> None:
        dry_run, yes = options.pop("dry_run"), options.pop("yes")
        if (execution_id is None) == (not filters):
            msg = "say which: either the ID of an execution, or filters such as --status"
            raise click.UsageError(msg)
        if execution_id is None:
            asked = {"action": command.__name__, "filter": filters, "dry_run": dry_run}
            _change_many(server, asked, yes=yes, **options)
        elif dry_run:
            msg = "--dry-run goes with filters, not with an ID"
            raise click.UsageError(msg)
        else:
            command(server, execution_id, **options)

    options: list[_Decorator] = [
        click.argument("execution_id", metavar="[ID]", required=False),
        filter_options,
        click.option("--dry-run", is_flag=True, help="Only say which ones would be changed."),
        click.option("--yes", is_flag=True, help="Do not ask first whether it is meant."),
        by_option,
        reason_option,
        json_option,
        asks_server,
    ]
    decorated: _Command = chosen
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


@click.command()
@wait_option
@_changes_many
def cancel(server: Server, execution_id: str, **options: Any) -> None:
    """Cancel an execution, or with filters all that match and have not ended."""
    _change(server, execution_id, "cancel", **options)


@click.command()
@_changes_one
def pause(server: Server, execution_id: str, **options: Any) -> None:
    """Start no further task of an execution; what runs goes on."""
    _change(server, execution_id, "pause", **options)


@click.command()
@wait_option
@_changes_one
def resume(server: Server, execution_id: str, **options: Any) -> None:
    """Have a paused or quarantined execution go on."""
    _change(server, execution_id, "resume", **options)


@click.command()
@version_option
@wait_option
@_changes_many
def retry(server: Server, execution_id: str, **options: Any) -> None:
    """Have a failed or cancelled execution go on, or with filters all that match."""
    _change(server, execution_id, "retry", **options)


@click.command()
@click.option("--task", help="The task's name, or its path such as /fan/left/charge.")
@click.option("--result", metavar="JSON|@FILE", help="What it is to have returned.")
@wait_option
@_changes_one
def skip(server: Server, execution_id: str, *, result: str | None, **options: Any) -> None:
    """Give a task a result by hand, instead of running it or waiting for it.

    It can be a task that has failed, or that waits for a signal, a time or its next attempt; in a
    paused execution also the one that is next.
    """
    _change(server, execution_id, "skip", result=read_json(result, "result"), **options)


@click.command()
@click.option("--task", help="The task's name, or its path such as /each/17/send.")
@click.option("--context", metavar="JSON|@FILE", help="Values instead of those it had.")
@version_option
@click.option("--key", help="Makes it unique: the same again with this key starts nothing.")
@wait_option
@_changes_one
def rerun(server: Server, execution_id: str, *, context: str | None, **options: Any) -> None:
    """Start a new execution that repeats one."""
    _change(server, execution_id, "rerun", context=read_json(context, "context"), **options)


@click.command()
@click.argument("execution_id", metavar="ID")
@click.argument("name")
@click.argument("value", metavar="[JSON|@FILE]", required=False)
@click.option("--key", help="Makes it unique: another signal with this key changes nothing.")
@by_option
@reason_option
@wait_option
@json_option
@asks_server
def signal(
    server: Server,
    execution_id: str,
    name: str,
    value: str | None,
    *,
    wait: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Send a signal with a value, or with null, to an execution that waits for it, or will."""
    path = path_of(execution_id, "signals", name)
    ask = functools.partial(server.post, path, read_json(value, "value"), **options)
    _change_one(server, ask, wait, as_json=as_json)


@click.command()
@_changes_many
def delete(
    server: Server, execution_id: str, *, by: str | None, reason: str | None, as_json: bool
) -> None:
    """Delete an ended execution with its history, or with filters all that match."""
    server.delete(path_of(execution_id), by=by, reason=reason)
    if not as_json:
        click.echo(f"{execution_id} is deleted")


def _change(
    server: Server,
    execution_id: str,
    verb: str,
    *,
    wait: float | None = None,
    key: str | None = None,
    as_json: bool,
    **fields: Any,
) -> None:
    body = {name: value for name, value in fields.items() if value is not None}
    ask = functools.partial(server.post, path_of(execution_id, verb), body, key=key)
    again = f" repeats {execution_id} and" if verb == "rerun" else ""
    _change_one(server, ask, wait, again, as_json=as_json)


def _change_one(
    server: Server, ask: Ask, wait: float | None, again: str = "", *, as_json: bool
) -> None:
    execution = waited_for(server, ask, wait)
    if as_json:
        print_json(execution)
    else:
        where = f", at task {execution['current_task']}" if execution["end_time"] is None else ""
        click.echo(f"{execution['execution_id']}{again} is {execution['status']}{where}")
    check_ended(execution, wait)


def _change_many(
    server: Server, asked: dict[str, Any], *, yes: bool, as_json: bool, **options: Any
) -> None:
    for name, value in options.items():
        if name in {"by", "reason"}:
            asked[name] = value
        elif value is not None:
            msg = f"--{name} goes with an ID, not with filters"
            raise click.UsageError(msg)
    if not asked["dry_run"] and not yes:
        _confirm(server.post(BULK, asked | {"dry_run": True}, patience=BULK_PATIENCE))
    report = server.post(BULK, asked, patience=BULK_PATIENCE)
    if as_json:
        print_json(report)
    else:
        _tell(report)
    if report["failed"]:
        sys.exit(NOT_FINE)


def _confirm(report: dict[str, Any]) -> None:
    newest = "the newest " if report["has_more"] else ""
    try:
        is_meant = report["matched"] == 0 or click.confirm(
            f"{report['action'].capitalize()} {newest}{_count(report['matched'])}?", err=True
        )
    except click.Abort as abort:
        if isinstance(abort.__context__, KeyboardInterrupt):  # not the end of what is typed
            raise KeyboardInterrupt from abort
        is_meant = False
    if not is_meant:
        msg = "nothing was done; --yes does it without asking"
        raise AnswerError(msg)


def _tell(report: dict[str, Any]) -> None:
    if report["dry_run"]:
        for execution_id in report["items"]:
            click.echo(execution_id)
        rest = report["matched"] - len(report["items"])
        more = f" ({rest} more than the {MAX_ITEMS} listed)" if rest else ""
        click.echo(f"{_count(report['matched'])} would be {DONE[report['action']]}{more}")
    else:
        for failure in report["failed"]:
            click.echo(f"{failure['execution_id']}: {failure['detail']}", err=True)
        click.echo(f"{report['done']} of {_count(report['matched'])} {DONE[report['action']]}")
    if report["has_more"]:
        click.echo("More match than can be changed at once: run it again", err=True)


def _count(number: int) -> str:
    return f"{number} execution{'s'[: number != 1]}"


CHANGES: Final = (cancel, pause, resume, retry, skip, rerun, signal, delete)
