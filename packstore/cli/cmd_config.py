"""`packstore config`: its subcommands are in `config_*.py`."""

from typing import Final

import click

from packstore.cli.lazy import LazyGroup
from packstore.cli.options import common_options

SUBCOMMANDS: Final = {"check": "Say what is wrong in the configuration file, line by line."}


@click.group(cls=LazyGroup, summaries=SUBCOMMANDS, prefix="config", no_args_is_help=False)
@common_options
def command() -> None:
    """Look at the configuration file: repositories, volumes, schedules, limits, guards.

    PACKSTORE_CONFIG names it; else it is ~/.config/packstore/config.toml, else /etc/packstore/config.toml: the first
    that exists counts, alone. docs/CONFIGURATION.md says what may stand there.

    \b
    Examples:
      packstore config check
      packstore config check --json
    """  # noqa: D301
