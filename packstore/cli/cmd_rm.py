"""`packstore rm`."""

import click

from packstore.cli.changes import after_removal, warn_kept
from packstore.cli.config import read_config
from packstore.cli.opening import open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.versions import local_date, summary
from packstore.operations.guards import AgeGuard
from packstore.operations.marks import name_of
from packstore.operations.removal import remove


@click.command()
@click.argument("versions", nargs=-1, required=True, metavar="VERSION...")
@click.option("--force", is_flag=True, help="Remove young versions too; never protected ones.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@common_options
@pass_settings
def command(settings: Settings, versions: tuple[str, ...], force: bool, dry_run: bool) -> None:
    """Remove each VERSION: all of them, or none.

    Protected versions are refused (exit code 61); those younger than the configured minimum age, 6 days by default,
    need --force (exit code 62). `undelete` brings a version back until `gc` has collected it; only `gc` frees space.

    \b
    Examples:
      packstore -r REPO rm root~3
      packstore -r REPO rm --dry-run 3fa94c01 77b0e2aa
      packstore -r REPO rm --force root
    """  # noqa: D301
    output = settings.output()
    min_age = read_config().min_age
    with open_repository(settings, output) as repository:
        removal = remove(repository, versions, AgeGuard(repository, min_age), force=force, dry_run=dry_run)
        document = {
            "dry_run": dry_run,
            "removed": [summary(repository, state) | {"removed": not dry_run} for state in removal.versions],
        }
    warn_kept(output, removal)
    verb = "would be removed" if dry_run else "is removed"
    lines = [f"{name_of(state)}, made {local_date(state)}, {verb}" for state in removal.versions]
    output.result(document, [*lines, *after_removal(removal, dry_run=dry_run)])
