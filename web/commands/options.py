"""The kinds of values that options have, and the options that several commands have."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rich_click as click

from flowmgr.language.documents import parse_json
from flowmgr.settings import Settings
from web.commands.documents import parse_file
from web.commands.errors import refuse

FROM_ENVIRONMENT = {"auto_envvar_prefix": "FLOWMGR"}
DEFAULT_JOURNAL = "sqlite:flowmgr.db"


class Seconds(click.FloatRange):
    """A number of seconds in a range, and no NaN, which is in every range."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return *value* as a number."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return number


class Duration(click.ParamType):  # type: ignore[type-arg] # generic in newer versions only
    """A time such as 30d, 12h, 15m or 90s; a number alone is seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return *value* in seconds."""
        match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhdw]?)", str(value).strip())
        if match is None or float(match[1]) == 0:
            self.fail(f"{value!r} is no time such as 30d, 12h, 15m or 90s", param, ctx)
        return float(match[1]) * UNITS[match[2] or "s"]


UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
"""Seconds in the units of a duration."""

backend_option = click.option(
    "--backend",
    type=click.Choice(["asyncio", "trio"]),
    default="asyncio",
    show_default=True,
    show_envvar=True,
    help="The library that runs the executions and the REST surface.",
)
activities_option = click.option(
    "--activities",
    multiple=True,
    metavar="MODULE",
    show_envvar=True,
    help="A module that declares activities, as package.module. May be given several times.",
)
simulate_option = click.option(
    "--simulate-unknown-activities",
    is_flag=True,
    show_envvar=True,
    help="Run tasks whose activity is unknown as a pause of 0.1 s that succeeds.",
)
grace_option = click.option(
    "--grace",
    type=Seconds(0, 3600),
    default=10.0,
    show_default=True,
    show_envvar=True,
    help="Seconds that cancelled tasks, and all work when the server stops, have to end.",
)
http_allow_option = click.option(
    "--http-allow",
    multiple=True,
    metavar="HOST|NETWORK",
    show_envvar=True,
    help="What HTTP tasks may connect to although it is not public, such as localhost or "
    "10.0.0.0/8; * for everything. May be given several times.",
)
http_timeout_option = click.option(
    "--http-timeout",
    type=Seconds(0, 3600, min_open=True),
    default=30.0,
    show_default=True,
    show_envvar=True,
    help="Seconds that an attempt of an HTTP task may take.",
)
http_max_bytes_option = click.option(
    "--http-max-bytes",
    type=click.IntRange(1, 67_108_864),
    default=1_048_576,
    show_default=True,
    show_envvar=True,
    help="Size that the body of an answer to an HTTP task may have.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Write JSON, for programs that read it."
)


def settings_from(options: Mapping[str, Any], **more: Any) -> Settings:
    """Return the engine's settings that several commands have as *options*, and *more*.

    Raises:
        InputError: one is not acceptable.
    """
    return Settings(
        grace=options["grace"],
        http_allow=options["http_allow"],
        http_timeout=options["http_timeout"],
        http_max_bytes=options["http_max_bytes"],
        simulate_unknown_activities=options["simulate_unknown_activities"],
        **more,
    ).checked()


def read_json(given: str | None, name: str) -> Any:
    """Return the value of an option: JSON, or with an @ before it the file that has it.

    Raises:
        DocumentError: it is not JSON, or cannot be read exactly.
    """
    if given is None:
        return None
    if not given.startswith("@"):
        # What is not UTF-8 has become surrogates in an argument: these are its bytes again.
        return parse_json(given.encode(errors="surrogateescape"))
    try:
        return parse_file(Path(given[1:]))
    except OSError as error:
        refuse(f"the {name} cannot be read: {error}")
