"""`packstore due`."""

from typing import Any

import click

from packstore.cli.config import read_schedules
from packstore.cli.opening import open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import counted, table
from packstore.cli.versions import iso_date, local_time
from packstore.errors import BackupDue
from packstore.operations.monitor import look_for_due
from packstore.operations.schedules import Due


@click.command()
@click.argument("volume", required=False)
@click.option("--schedule", "names", multiple=True, metavar="S", help="Only this schedule; may be given several times.")
@common_options
@pass_settings
def command(settings: Settings, volume: str | None, names: tuple[str, ...]) -> None:
    """Say for which schedules a backup of VOLUME, or of any volume, is due; exit code 66 if there is one, else 0.

    A backup is due if the volume's last valid version with the schedule's tag is older than the schedule's interval, or
    there is none. Schedules stand in the configuration file: docs/RETENTION.md.

    \b
    Examples:
      packstore -r REPO due
      packstore -r REPO due root --schedule daily
      packstore -r REPO --json due
    """  # noqa: D301
    output = settings.output()
    schedules = read_schedules(names)
    with open_repository(settings, output) as repository:
        found = look_for_due(repository, schedules, volume)
    rows = [(due.volume, due.schedule.name, due.schedule.tag, *_dates(due)) for due in found]
    lines = table(("VOLUME", "SCHEDULE", "TAG", "LAST", "DUE SINCE"), rows) if found else ["nothing is due"]
    output.result({"due": [_document(due) for due in found]}, lines)
    if found:
        volumes = counted(len({due.volume for due in found}), "volume")
        verb = "is" if len(found) == 1 else "are"
        raise BackupDue(f"{counted(len(found), 'backup')} of {volumes} {verb} due")


def _dates(due: Due) -> tuple[str, str]:
    last = local_time(due.last.date) if due.last else "never"
    return last, local_time(due.since) if due.since else "always"


def _document(due: Due) -> dict[str, Any]:
    return {
        "volume": due.volume,
        "schedule": due.schedule.name,
        "tag": due.schedule.tag,
        "last_version": due.last.uid if due.last else None,
        "last_date": iso_date(due.last.date) if due.last else None,
        "due_since": iso_date(due.since) if due.since else None,
    }
