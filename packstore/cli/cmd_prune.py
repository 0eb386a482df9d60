"""`packstore prune`."""

from typing import Any

import click

from packstore.cli.changes import after_removal, warn_kept
from packstore.cli.config import read_config
from packstore.cli.opening import open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import counted, table
from packstore.cli.times import parse_duration
from packstore.cli.versions import iso_date, local_date
from packstore.errors import UsageError
from packstore.operations.guards import AgeGuard
from packstore.operations.prune import Decided, PruneResult, prune
from packstore.operations.retention import KeepRules, PruneOptions

_COUNT = click.IntRange(1, 1_000_000)


@click.command()
@click.argument("volume", required=False)
@click.option("--keep-last", "last", type=_COUNT, metavar="N", help="Keep the last N versions.")
@click.option("--keep-hourly", "hourly", type=_COUNT, metavar="N", help="Keep one for each of the last N hours.")
@click.option("--keep-daily", "daily", type=_COUNT, metavar="N", help="Keep one for each of the last N days.")
@click.option("--keep-weekly", "weekly", type=_COUNT, metavar="N", help="Keep one for each of the last N weeks.")
@click.option("--keep-monthly", "monthly", type=_COUNT, metavar="N", help="Keep one for each of the last N months.")
@click.option("--keep-yearly", "yearly", type=_COUNT, metavar="N", help="Keep one for each of the last N years.")
@click.option("--keep-tag", "tags", multiple=True, metavar="T", help="Keep versions with this tag; several times.")
@click.option("--keep-within", "within", metavar="14d", help="Keep what is this much older than the latest, or less.")
@click.option("--expired", is_flag=True, help="Remove versions whose expire date has passed.")
@click.option("--force", is_flag=True, help="Remove young versions too, and the latest; never protected ones.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@common_options
@pass_settings
def command(
    settings: Settings,
    volume: str | None,
    last: int | None,
    hourly: int | None,
    daily: int | None,
    weekly: int | None,
    monthly: int | None,
    yearly: int | None,
    tags: tuple[str, ...],
    within: str | None,
    expired: bool,
    force: bool,
    dry_run: bool,
) -> None:
    """Remove the versions of VOLUME, or of each volume, that no --keep rule keeps.

    Only hours, days, … in which there is a version count; of each the latest stays. While there are fewer than N, the
    oldest version stays too. Kept whatever the rules say: protected versions; those younger than the configured
    minimum age, 6 days by default, and the latest valid one, unless --force is given; those that have not expired yet.
    `undelete` brings a version back until `gc` has collected it; only `gc` frees space.

    \b
    Examples:
      packstore -r REPO prune --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --dry-run
      packstore -r REPO prune root --keep-within 14d --keep-tag golden
      packstore -r REPO prune --expired
    """  # noqa: D301
    output = settings.output()
    rules = KeepRules(
        last=last or 0,
        hourly=hourly or 0,
        daily=daily or 0,
        weekly=weekly or 0,
        monthly=monthly or 0,
        yearly=yearly or 0,
        tags=frozenset(tags),
        within=None if within is None else parse_duration(within),
    )
    if not rules.any and not expired:
        message = "without a --keep rule every version would go"
        raise UsageError(message, advice="say what to keep, as --keep-daily 7; or --expired")
    min_age = read_config().min_age
    options = PruneOptions(rules, expired=expired, force=force)
    with open_repository(settings, output) as repository:
        result = prune(repository, volume, options, AgeGuard(repository, min_age), dry_run=dry_run)
    warn_kept(output, result.removal)
    output.result(_document(result, dry_run=dry_run), _text(result, dry_run=dry_run))


def _document(result: PruneResult, *, dry_run: bool) -> dict[str, Any]:
    kept = sum(one.decision.keep for one in result.decided)
    return {
        "dry_run": dry_run,
        "kept": kept + len(result.removal.kept),
        "removed": len(result.decided) - kept - len(result.removal.kept),
        "versions": [
            {
                "uid": one.state.version.uid.hex(),
                "volume": one.state.version.volume,
                "date": iso_date(one.state.date),
                "keep": one.decision.keep,
                "reasons": one.decision.reasons,
            }
            for one in result.decided
        ],
    }


def _text(result: PruneResult, *, dry_run: bool) -> list[str]:
    if not result.decided:
        return ["no versions yet"]
    lines = table(("", "VERSION", "DATE", "VOLUME", "WHY"), [_row(one) for one in result.decided])
    going = sum(not one.decision.keep for one in result.decided)
    if dry_run:
        return [*lines, f"{counted(going, 'version')} would be removed"]
    return [*lines, *(after_removal(result.removal, dry_run=False) or ["nothing to remove"])]


def _row(one: Decided) -> tuple[str, ...]:
    verb = "keep" if one.decision.keep else "remove"
    version = one.state.version
    return verb, version.uid.hex()[:8], local_date(one.state), version.volume, ", ".join(one.decision.reasons)
