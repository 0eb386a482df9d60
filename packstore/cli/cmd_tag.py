"""`packstore tag`."""

import click

from packstore.cli.changes import report_tags
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.operations.marks import add_tags


@click.command()
@click.argument("version")
@click.argument("tags", nargs=-1, required=True, metavar="T...")
@common_options
@pass_settings
def command(settings: Settings, version: str, tags: tuple[str, ...]) -> None:
    """Give VERSION one or more tags.

    \b
    Examples:
      packstore -r REPO tag root before-upgrade
      packstore -r REPO tag 3fa94c01 golden audited
    """  # noqa: D301
    report_tags(settings, add_tags, version, tags, ("is tagged {} now", "was tagged {} already"))
