"""`packstore sla`."""

import click

from packstore.cli.config import read_schedules
from packstore.cli.opening import open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import counted, table
from packstore.errors import SlaBreached
from packstore.operations.monitor import look_for_breaches


@click.command()
@click.argument("volume", required=False)
@click.option("--schedule", "names", multiple=True, metavar="S", help="Only this schedule; may be given several times.")
@common_options
@pass_settings
def command(settings: Settings, volume: str | None, names: tuple[str, ...]) -> None:
    """Say where the versions of VOLUME, or of any volume, are not as promised; exit code 67 if so, else 0.

    For each schedule: is there a valid version with its tag (never), the latest not older than interval and sla
    together (late), as many as keep says (few, many), none missing between them (gap), none too old (old)? Schedules
    stand in the configuration file: docs/RETENTION.md.

    \b
    Examples:
      packstore -r REPO sla
      packstore -r REPO sla root
      packstore -r REPO --json sla --schedule daily
    """  # noqa: D301
    output = settings.output()
    schedules = read_schedules(names)
    with open_repository(settings, output) as repository:
        found = look_for_breaches(repository, schedules, volume)
    rows = [(breach.volume, breach.schedule.name, breach.kind, breach.message) for breach in found]
    lines = table(("VOLUME", "SCHEDULE", "BREACH", "WHAT"), rows) if found else ["all is as promised"]
    documents = [
        {
            "volume": breach.volume,
            "schedule": breach.schedule.name,
            "tag": breach.schedule.tag,
            "kind": breach.kind,
            "message": breach.message,
            "version": breach.uid,
        }
        for breach in found
    ]
    output.result({"breaches": documents}, lines)
    if found:
        volumes = counted(len({breach.volume for breach in found}), "volume")
        raise SlaBreached(f"{volumes} not as promised: {counted(len(found), 'breach', 'breaches')}")
