"""The options by which executions are chosen, for lists and for what is done to many."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import rich_click as click

from web.commands.options import Duration
from web.limits import METADATA, STATUSES

Filters = dict[str, Any]
"""Filters as the REST surface has them in a body, metadata as an object of text."""


class Moment(click.ParamType):  # type: ignore[type-arg] # generic in newer versions only
    """A time for the server to read, or so long ago, such as 30d."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return *value* as the server reads it."""
        given = str(value).strip()
        if not given[-1:].isalpha() or given[-1:] == "Z":
            return given
        ago = Duration().convert(given, param, ctx)
        return datetime.fromtimestamp(time.time() - ago, UTC).isoformat()


class NameValue(click.ParamType):  # type: ignore[type-arg]
    """A name and a value, as NAME=VALUE."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return the name and the value."""
        name, separator, text = str(value).partition("=")
        if not separator:
            self.fail(f"{value!r} is not NAME=VALUE", param, ctx)
        return name, text


def _the_one(context: click.Context, option: click.Parameter, values: tuple[Any, ...]) -> Any:
    """Return the value of an option; None if it is not given. Which of several is meant?"""
    if len(values) > 1:
        rule = "may be given once only: what is chosen matches all that is given"
        raise click.BadParameter(rule, context, option)
    return values[0] if values else None


def _by_name(
    context: click.Context, option: click.Parameter, values: tuple[tuple[str, str], ...]
) -> dict[str, str]:
    """Return the values by their names, each of which is given once."""
    found = dict(values)
    if len(found) < len(values):
        rule = "may be given once only for each NAME: what is chosen matches all that is given"
        raise click.BadParameter(rule, context, option)
    return found


_once = functools.partial(click.option, multiple=True, callback=_the_one)

_OPTIONS = [
    _once("--status", type=click.Choice(STATUSES), help="How they stand."),
    _once("--flow", "flow_id", metavar="ID", help="The flow that they run."),
    _once("--flow-version", type=click.IntRange(0), help="The version of it."),
    _once(
        "--started-after",
        type=Moment(),
        help="Started since: a time with its offset, or 2h for two hours ago.",
    ),
    _once("--started-before", type=Moment(), help="Started before."),
    _once("--ended-before", type=Moment(), help="Ended before."),
    click.option(
        "--failures/--no-failures",
        "had_failures",
        default=None,
        help="With a task that failed on the way, or without any.",
    ),
    click.option(
        "--metadata",
        type=NameValue(),
        multiple=True,
        callback=_by_name,
        help="With this value in their metadata. May be given several times.",
    ),
]

_FIELDS = {
    "status": "status",
    "flow_id": "flow_id",
    "flow_version": "version",
    "started_after": "started_after",
    "started_before": "started_before",
    "ended_before": "ended_before",
    "had_failures": "had_failures",
}
"""The fields of a filter, by the options that give them."""


def filter_options(command: Callable[..., None]) -> Callable[..., None]:
    """Have *command* take the options by which executions are chosen, as one argument *filters*."""

    @functools.wraps(command)
    def filtered(*args: Any, **options: Any) -> None:
        given = {field: options.pop(name) for name, field in _FIELDS.items()}
        filters = {field: value for field, value in given.items() if value is not None}
        metadata = options.pop("metadata")
        command(*args, filters=filters | ({"metadata": metadata} if metadata else {}), **options)

    for option in reversed(_OPTIONS):
        filtered = option(filtered)
    return filtered


def as_parameters(filters: Filters) -> dict[str, Any]:
    """Return *filters* as the parameters of a query."""
    metadata = {f"{METADATA}{name}": value for name, value in filters.get("metadata", {}).items()}
    return {name: value for name, value in filters.items() if name != "metadata"} | metadata
