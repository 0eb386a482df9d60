"""`packstore unprotect`."""

import click

from packstore.cli.changes import report_change
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.operations.marks import Change, name_of, unprotect


@click.command()
@click.argument("version")
@common_options
@pass_settings
def command(settings: Settings, version: str) -> None:
    """Take the protection of VERSION back, so that it can be removed.

    \b
    Examples:
      packstore -r REPO unprotect root
      packstore -r REPO unprotect 3fa94c01
    """  # noqa: D301
    report_change(settings, lambda repository: unprotect(repository, version), _text, _note)


def _text(change: Change) -> str:
    return "is no longer protected" if change.events else "was not protected"


def _note(change: Change) -> str:
    """A removal that lost against the protection counts again without it."""
    if not change.after.removed:
        return ""
    uid = change.before.version.uid.hex()[:8]
    name = name_of(change.before)
    return f"somebody removed {name} while it was protected, so it is removed now; `packstore undelete {uid}` keeps it"
