"""How commands end: with an exit code, and a line that says what was refused."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn

import rich_click as click

from flowmgr.errors import FlowmgrError

NOT_FINE: Final = 1
REFUSED: Final = 2
"""Exit codes: what was looked at is not as it should be, or was refused by a server; what was asked
for cannot be done.
"""


def tells_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Have *command* tell what it was refused in one line, without a traceback."""

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
