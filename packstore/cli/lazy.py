"""Groups of commands that import a command's module only when it is used: `ls` must not pay for the others."""

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """A group whose commands are listed in `summaries`: command `x` is `command` in `packstore.cli.<prefix>_x`."""

    def __init__(self, *args: Any, summaries: Mapping[str, str], prefix: str, **attributes: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **attributes)
        self._summaries = summaries
        self._prefix = prefix

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of all commands."""
        return list(self._summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return the command called `cmd_name`."""
        if cmd_name not in self._summaries:
            return None
        command: click.Command = importlib.import_module(f"packstore.cli.{self._prefix}_{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._summaries.items()))
