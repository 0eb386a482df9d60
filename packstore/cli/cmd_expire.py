"""`packstore expire`."""

from datetime import UTC, datetime

import click

from packstore.cli.changes import report_change
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.times import parse_expiry
from packstore.cli.versions import expiry
from packstore.operations.marks import Change, expire


@click.command()
@click.argument("version")
@click.argument("date")
@common_options
@pass_settings
def command(settings: Settings, version: str, date: str) -> None:
    """Say that VERSION may be removed after DATE: 2026-12-24, 2026-12-24T12:00, 30d from now, or never.

    Until then `prune` keeps the version; then `prune --expired` removes it. A date without a zone is local.

    \b
    Examples:
      packstore -r REPO expire root 2026-12-24
      packstore -r REPO expire 3fa94c01 30d
      packstore -r REPO expire root~1 never
    """  # noqa: D301
    value = parse_expiry(date, datetime.now(UTC))
    report_change(settings, lambda repository: expire(repository, version, value), _text)


def _text(change: Change) -> str:
    until = expiry(change.after)
    what = f"expires {until}" if until else "never expires"
    return what if change.events else f"{what}, as before"
