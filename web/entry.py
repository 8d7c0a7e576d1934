"""Where the command `flowmgr` begins."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C, as shells have it."""


def main() -> None:
    """Load the command line and run it; a Ctrl-C while it is loaded is no traceback."""
    try:
        cli = import_module("web.cli")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    cli.main(prog_name="flowmgr")
