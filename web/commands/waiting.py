"""Waiting for the end of an execution, also for longer than a server waits for one answer."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, Final

import rich_click as click

from web.commands.client import AnswerError, Server, path_of
from web.commands.errors import NOT_ENDED
from web.commands.options import Seconds

INTERVAL: Final = 1.0
"""Seconds between two questions at least: a server does not wait for what cannot go on."""

Ask = Callable[[float | None], dict[str, Any]]
"""Asks a server for an execution, and to wait so many seconds for its end if that is not None."""

wait_option = click.option(
    "--wait",
    type=Seconds(0, 86400),
    help="Seconds to wait for the end of the execution; exits with 3 if it has not come by then.",
)


class NotEndedError(AnswerError):
    """An execution has not ended in the time that it was waited for."""

    exit_code = NOT_ENDED


def waited_for(server: Server, ask: Ask, wait: float | None) -> dict[str, Any]:
    """Return an execution as it is when it has ended, or when *wait* seconds are over.

    Args:
        server: where it is asked for again as long as it has not ended.
        ask: what is asked first.
        wait: how long to wait; None to return the first answer.
    """
    if wait is None:
        return ask(None)
    deadline = time.monotonic() + wait
    while True:
        asked = time.monotonic()
        execution = ask(max(0.0, deadline - asked))
        now = time.monotonic()
        if execution["end_time"] is not None or now >= deadline:
            return execution
        ask = functools.partial(server.get, path_of(execution["execution_id"]))
        time.sleep(max(0.0, min(asked + INTERVAL, deadline) - now))


def check_ended(execution: dict[str, Any], wait: float | None) -> None:
    """Check that an execution has ended, if it was waited for.

    Raises:
        NotEndedError: it has not.
    """
    if wait is not None and execution["end_time"] is None:
        msg = f"{execution['execution_id']} is still {execution['status']} after {wait:g} s"
        raise NotEndedError(msg)
