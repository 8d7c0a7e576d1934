"""Executions on the terminal: for people as tables, for programs as JSON."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

WIDE: Final = 10_000
"""Columns of an output that is no terminal: nothing is cut off for a program that reads it."""

COLOURS: Final = {
    "running": "cyan",
    "paused": "yellow",
    "quarantined": "magenta",
    "cancelling": "yellow",
    "completed": "green",
    "success": "green",
    "failed": "red",
    "failure": "red",
    "cancelled": "bright_black",
}
MOST_DETAILS: Final = 200


def console() -> Console:
    """Return the standard output, as wide as it takes."""
    return Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)


def print_json(value: Any) -> None:
    """Write a value as JSON to the standard output."""
    encoded = msgspec.json.format(msgspec.json.encode(value), indent=2)
    sys.stdout.write(encoded.decode() + "\n")


def plain(text: Any, style: str = "") -> Text:
    """Return what a server has sent, without characters that a terminal would act upon."""
    shown = text if isinstance(text, str) else msgspec.json.encode(text).decode()
    return Text(
        "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in shown), style
    )


def status(name: str) -> Text:
    """Return a status, in its colour."""
    return plain(name, COLOURS.get(name, ""))


def execution_table(executions: Iterable[Mapping[str, Any]], caption: str | None = None) -> Table:
    """Return a list of executions."""
    table = _table(caption)
    table.add_column("EXECUTION", no_wrap=True, min_width=36)
    table.add_column("FLOW", no_wrap=True)
    table.add_column("STATUS", no_wrap=True)
    table.add_column("STARTED", no_wrap=True)
    table.add_column("SECONDS", no_wrap=True, justify="right")
    table.add_column("METADATA", no_wrap=True, overflow="ellipsis")
    for each in executions:
        version = f" v{each['flow_version']}" if each["flow_version"] else ""
        table.add_row(
            plain(each["execution_id"]),
            plain(f"{each['flow_id']}{version}"),
            status(each["status"]),
            local_time(each["start_time"]),
            _seconds(each),
            _pairs(each["metadata"]),
        )
    return table


def execution_view(
    execution: Mapping[str, Any], failures: Iterable[tuple[str, str]] = ()
) -> RenderableType:
    """Return everything about an execution.

    Args:
        execution: as the server has sent it.
        failures: what has failed of what belongs to its end, and how.
    """
    facts = _facts(execution)
    for part, why in failures:
        facts.add_row(part, plain(f"failed: {why}", "red"))
    parts: list[RenderableType] = [facts]
    if execution["task_results"]:
        results = _table()
        for name in ("TASK", "OUTCOME", "SECONDS", "RESULT"):
            results.add_column(name, justify="right" if name == "SECONDS" else "left")
        for task, result in execution["task_results"].items():
            shown = result["data"] if result["error"] is None else result["error"]
            results.add_row(
                plain(task),
                status(result["status"]),
                f"{result['execution_time']:.3f}",
                _cut(shown),
            )
        parts += [Text(), results]
    return Group(*parts)


def _facts(execution: Mapping[str, Any]) -> Table:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True, style="bold")
    facts.add_column()
    version = execution["flow_version"]
    facts.add_row("execution", plain(execution["execution_id"]))
    facts.add_row("flow", plain(f"{execution['flow_id']}{f' v{version}' if version else ''}"))
    facts.add_row("status", status(execution["status"]))
    facts.add_row("task", plain(execution["current_task"]))
    facts.add_row("started", local_time(execution["start_time"]))
    if execution["end_time"] is not None:
        facts.add_row("ended", local_time(execution["end_time"]))
    if (error := execution["error"]) is not None:
        facts.add_row(
            "error", plain(f"{error['task']}: {error['type']}: {error['message']}", "red")
        )
    if (cancellation := execution["cancellation"]) is not None:
        words = (cancellation[name] for name in ("by", "reason") if cancellation[name])
        facts.add_row("cancelled", plain(": ".join(words) or "somebody did not say why"))
        for line in cancellation["tasks"]:
            facts.add_row("", plain(f"{line['task']} {line['how']} after {line['seconds']:.3f} s"))
    if execution["metadata"]:
        facts.add_row("metadata", _pairs(execution["metadata"]))
    if execution["interruptions"]:
        facts.add_row("interrupted", f"{execution['interruptions']} times by the server's end")
    if execution["rerun_of"] is not None:
        facts.add_row("repeats", plain(execution["rerun_of"]))
    facts.add_row("context", _cut(execution["context"]))
    return facts


def event_table(events: Iterable[Mapping[str, Any]]) -> Table:
    """Return the history of an execution."""
    table = _table()
    table.add_column("SEQ", justify="right")
    table.add_column("AT", no_wrap=True)
    table.add_column("EVENT", no_wrap=True)
    table.add_column("DETAILS", no_wrap=True, overflow="ellipsis")
    for each in events:
        details = {
            name: value
            for name, value in each.items()
            if name not in {"seq", "at", "type"} and value not in (None, {})
        }
        table.add_row(
            str(each["seq"]), local_time(each["at"]), plain(each["type"]), _pairs(details)
        )
    return table


def _table(caption: str | None = None) -> Table:
    return Table(
        box=None, padding=(0, 2, 0, 0), header_style="bold", caption=caption, caption_justify="left"
    )


def _pairs(values: Mapping[str, Any]) -> Text:
    shown = (f"{name}={plain(value)}" for name, value in values.items())
    return plain(" ".join(shown)[: MOST_DETAILS * 2])


def _cut(value: Any) -> Text:
    shown = plain(value)
    if len(shown) > MOST_DETAILS:
        return Text.assemble(shown[:MOST_DETAILS], f"... ({len(shown)} characters, see --json)")
    return shown


def local_time(written: str) -> str:
    """Return a time that a server has sent, in the time zone of this machine."""
    at = datetime.fromisoformat(written)
    with contextlib.suppress(OverflowError):  # there are no years beyond these
        at = at.astimezone()
    return at.strftime("%Y-%m-%d %H:%M:%S")


def _seconds(execution: Mapping[str, Any]) -> str:
    start = datetime.fromisoformat(execution["start_time"])
    ended = execution["end_time"]
    end = datetime.now().astimezone() if ended is None else datetime.fromisoformat(ended)
    return f"{max(0.0, (end - start).total_seconds()):.1f}"
