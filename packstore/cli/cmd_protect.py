"""`packstore protect`."""

import click

from packstore.cli.changes import report_change
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.operations.marks import Change, protect


@click.command()
@click.argument("version")
@click.option("--reason", metavar="R", help="Why; shown by `show` and to whoever tries to remove it.")
@common_options
@pass_settings
def command(settings: Settings, version: str, reason: str | None) -> None:
    """Protect VERSION: neither `rm` nor `prune` removes it, not even with --force, until `unprotect`.

    \b
    Examples:
      packstore -r REPO protect root
      packstore -r REPO protect 3fa94c01 --reason "evidence, ask legal"
    """  # noqa: D301
    report_change(settings, lambda repository: protect(repository, version, reason), _text)


def _text(change: Change) -> str:
    if change.before.protected:
        return "was protected already" + ("; the reason is added" if change.events else "")
    return "is protected now"
