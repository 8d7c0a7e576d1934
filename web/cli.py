"""The command line: serve, run, validate."""

from __future__ import annotations

import functools
import logging
import math
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import anyio
import rich_click as click

from flowmgr import builtins
from flowmgr.activities import ActivityCatalogue
from flowmgr.errors import FlowmgrError, InputError, Problem
from flowmgr.flows import new_flow_id
from flowmgr.language.documents import parse_json
from flowmgr.language.validation import inspect
from flowmgr.settings import Settings
from web.app import AppLifecycle, create_app
from web.run import run_flow
from web.servers import ServerOptions, describe_server
from web.servers import serve as serve_app
from web.settings import WebSettings

FOUND_PROBLEMS = 1
REFUSED = 2
"""Exit codes: a flow has problems; what was asked for cannot be done."""

FROM_ENVIRONMENT = {"auto_envvar_prefix": "FLOWMGR"}


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


def _tells_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Have *command* tell what it was refused in one line, without a traceback."""

    @functools.wraps(command)
    def told(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except FlowmgrError as error:
            _refuse(str(error))

    return told


def _refuse(message: str, code: int = REFUSED) -> NoReturn:
    click.echo(f"flowmgr: {message}", err=True)
    sys.exit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="flowmgr", prog_name="flowmgr")
def main() -> None:
    """Flow orchestration with a REST API and clean cancellation."""


@main.command(context_settings=FROM_ENVIRONMENT)
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
    default="sqlite:flowmgr.db",
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
    help="A flow file, or a directory of *.json, to register. May be given several times.",
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
@simulate_option
@click.option("--access-log", is_flag=True, show_envvar=True, help="Log every request.")
@_tells_errors
def serve(**options: Any) -> None:
    """Serve the REST API until SIGTERM or SIGINT."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    server = ServerOptions(
        host=options["host"],
        port=options["port"],
        backend=options["backend"],
        grace=options["grace"],
        access_log=options["access_log"],
    )
    simulate = options["simulate_unknown_activities"]
    settings = Settings(
        journal=options["journal"],
        durability=options["durability"],
        grace=options["grace"],
        keep_ended=options["keep_ended"],
        keep=options["keep"],
        key_seconds=options["key_ttl"],
        simulate_unknown_activities=simulate,
    ).checked()
    catalogue = ActivityCatalogue.of(*options["activities"], defaults=[builtins])
    known = None if simulate else catalogue.names()
    flows = [_checked_flow(path, known) for path in _flow_files(options["flows"])]
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
        click.echo("\n".join([line, *_hints(line, lifecycle.registered)]))
        sys.stdout.flush()

    sys.exit(serve_app(app, server, lifecycle, announce))


@main.command(context_settings=FROM_ENVIRONMENT)
@click.argument("flow", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--context", metavar="JSON|@FILE", help="The context to begin with; @FILE reads it from a file."
)
@activities_option
@backend_option
@grace_option
@simulate_option
@_tells_errors
def run(flow: Path, context: str | None, **options: Any) -> None:
    """Run one flow here, without a server.

    Shows its progress on the standard error, and the execution as JSON on the standard output.
    Exits with 0 if it completed, 1 if it failed, 130 if Ctrl-C cancelled it.
    """
    settings = Settings(
        grace=options["grace"], simulate_unknown_activities=options["simulate_unknown_activities"]
    )
    catalogue = ActivityCatalogue.of(*options["activities"], defaults=[builtins])
    known = None if options["simulate_unknown_activities"] else catalogue.names()
    document = _checked_flow(flow, known)
    code = anyio.run(
        functools.partial(
            run_flow, document, _read_context(context), settings=settings, activities=catalogue
        ),
        backend=options["backend"],
        backend_options={"use_uvloop": False} if options["backend"] == "asyncio" else {},
    )
    sys.exit(code)


@main.command(context_settings=FROM_ENVIRONMENT)
@click.argument(
    "flows",
    metavar="FLOW...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
)
@activities_option
@_tells_errors
def validate(flows: Sequence[Path], activities: Sequence[str]) -> None:
    """Say everything that is wrong with flow files, or with all *.json in directories.

    The names of activities are checked only if the modules that declare them are given.
    Exits with 0 if there is nothing wrong, 1 if there is.
    """
    known = None
    if activities:
        known = ActivityCatalogue.of(*activities, defaults=[builtins]).names()
    else:
        click.echo("The names of activities are not checked: give --activities", err=True)
    is_wrong = False
    for path in _flow_files(flows):
        _, problems, warnings = _inspect(path, known)
        is_wrong = is_wrong or bool(problems)
        _tell(path, problems, warnings)
        if not problems:
            click.echo(f"{path}: valid")
    sys.exit(FOUND_PROBLEMS if is_wrong else 0)


def _flow_files(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        found = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not found:
            _refuse(f"there is no *.json in the directory {path}")
        files.extend(found)
    return files


def _inspect(
    path: Path, known: Sequence[str] | None
) -> tuple[Any, Sequence[Problem], Sequence[Problem]]:
    try:
        document = parse_json(path.read_bytes())
    except InputError as error:
        return None, error.problems or [Problem("", "not_json", str(error))], []
    except OSError as error:
        return None, [Problem("", "unreadable", str(error))], []
    _, problems, warnings = inspect(document, activities=known, new_id=new_flow_id)
    return document, problems, warnings


def _checked_flow(path: Path, known: Sequence[str] | None) -> Any:
    document, problems, _ = _inspect(path, known)
    if problems:
        _tell(path, problems, [])
        _refuse(f"{path} is not a flow that can be run here")
    return document


def _tell(path: Path, problems: Sequence[Problem], warnings: Sequence[Problem]) -> None:
    for kind, listed in (("error", problems), ("warning", warnings)):
        for problem in listed:
            hint = f" ({problem.hint})" if problem.hint else ""
            place = problem.pointer or "/"
            click.echo(f"{path}: {kind}: {place}: {problem.message}{hint}", err=True)


def _read_context(given: str | None) -> Any:
    if given is None:
        return None
    if not given.startswith("@"):
        return parse_json(given.encode())
    try:
        return parse_json(Path(given[1:]).read_bytes())
    except OSError as error:
        _refuse(f"the context cannot be read: {error}")


def _hints(line: str, registered: Sequence[str]) -> list[str]:
    url = re.search(r"https?://\S+", line)
    if url is None or not registered:
        return []
    body = f'{{"flow_id": "{registered[0]}", "context": {{"user_id": "tester"}}}}'
    return [
        "Try:",
        f"  curl -X POST {url[0]}/flows/execute -H 'Content-Type: application/json' -d '{body}'",
        f"  open {url[0]}/docs",
    ]
