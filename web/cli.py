"""The command line, put together."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any, Final

import rich_click as click

from web.entry import INTERRUPTED

COMMANDS: Final = ("serve", "run", "validate", "schema", "executions", "journal")
"""Each is in a module of its name, which is loaded when the command is used: most have no use for
the engine, or for the REST surface, which take longer to load than what they do.
"""


class Commands(click.RichGroup):
    """The group of all commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - it is click's
        """Return the names of the commands, in the order in which they are shown."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; None if there is none of this name, and all are to be suggested."""
        for name in [cmd_name] if cmd_name in COMMANDS else COMMANDS:
            if name not in self.commands:
                self.add_command(getattr(_module(name), name))
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a Ctrl-C that it does not take itself is no answer that it could give."""
        try:
            return super().invoke(ctx)
        except* KeyboardInterrupt:  # in a group if it comes out of the tasks of trio
            pass
        sys.exit(INTERRUPTED)


def _module(command: str) -> ModuleType:
    """Load the module of a command; a Ctrl-C meanwhile ends the process as one before it does."""
    try:
        return importlib.import_module(f"web.commands.{command}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="flowmgr", prog_name="flowmgr")
def main() -> None:
    """Flow orchestration with a REST API and clean cancellation."""
