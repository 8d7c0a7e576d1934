"""How commands end: with an exit code, and a line that says what was refused."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn

import rich_click as click

from flowmgr.errors import FlowmgrError

NOT_FINE: Final = 1
"""Exit code: what was looked at is not as it should be, or a server has refused what was asked."""

REFUSED: Final = 2
"""Exit code: what was asked for cannot be done, or no server answers."""

NOT_ENDED: Final = 3
"""Exit code: what was waited for has not ended in time."""


def tells_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Have *command* say in one line, without a traceback, why it was refused."""

    @functools.wraps(command)
    def told(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except FlowmgrError as error:
            refuse(str(error))

    return told


def refuse(message: str, code: int = REFUSED) -> NoReturn:
    """Say why nothing was done, and end with an exit code."""
    click.echo(f"flowmgr: {message}", err=True)
    sys.exit(code)
