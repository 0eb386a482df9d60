"""`packstore untag`."""

import click

from packstore.cli.changes import report_change
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.operations.marks import Change, remove_tags


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
    report_change(
        settings, lambda repository: remove_tags(repository, version, tags), lambda change: _text(change, tags)
    )


def _text(change: Change, tags: tuple[str, ...]) -> str:
    taken = [event.value or "" for event in change.events]
    return f"is no longer tagged {', '.join(taken)}" if taken else f"was not tagged {', '.join(tags)}"
