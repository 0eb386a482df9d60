"""`packstore tag`."""

import click

from packstore.cli.changes import report_change
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.operations.marks import Change, add_tags


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
    report_change(settings, lambda repository: add_tags(repository, version, tags), lambda change: _text(change, tags))


def _text(change: Change, tags: tuple[str, ...]) -> str:
    new = [event.value or "" for event in change.events]
    return f"is tagged {', '.join(new)} now" if new else f"was tagged {', '.join(tags)} already"
