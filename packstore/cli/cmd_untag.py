"""`packstore untag`."""

import click

from packstore.cli.changes import report_tags
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.operations.marks import remove_tags


@click.command()
@click.argument("version")
@click.argument("tags", nargs=-1, required=True, metavar="T...")
@common_options
@pass_settings
def command(settings: Settings, version: str, tags: tuple[str, ...]) -> None:
    """Take one or more tags from VERSION, also those that it was given by `backup`.

    \b
    Examples:
      packstore -r REPO untag root before-upgrade
      packstore -r REPO untag 3fa94c01 b_daily b_weekly
    """  # noqa: D301
    report_tags(settings, remove_tags, version, tags, ("is no longer tagged {}", "was not tagged {}"))
