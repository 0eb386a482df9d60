"""`packstore du`."""

import click

from packstore.cli.opening import open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import Output, size, table
from packstore.cli.versions import iso_date, local_date
from packstore.errors import DamageError
from packstore.operations.usage import UsageReport, usage
from packstore.repository.history import VersionState, find_version


@click.command()
@click.argument("version", required=False)
@common_options
@pass_settings
def command(settings: Settings, version: str | None) -> None:
    """Show how much space versions take in the repository: all of them, or VERSION.

    OWN is what only this version refers to, SHARED what others refer to as well, FREED what gc frees once this version
    alone is removed. Versions that are removed already do not count. Two versions that share all with each other have
    nothing of their own: remove both, and more is freed than the sum.

    \b
    Examples:
      packstore -r REPO du
      packstore -r REPO du root~3
      packstore -r REPO --json du
    """  # noqa: D301
    output = settings.output()
    with open_repository(settings, output) as repository, settings.stoppable() as stop:
        states = repository.states()
        chosen = find_version(version, states) if version else None
        report = usage(repository, stop)
    _report(output, report, {state.version.uid: state for state in states}, chosen)


def _report(
    output: Output, report: UsageReport, states: dict[bytes, VersionState], chosen: VersionState | None
) -> None:
    rows = [row for row in report.rows if chosen is None or row.version.uid == chosen.version.uid]
    document = {
        "versions": [
            {
                "uid": row.version.uid.hex(),
                "volume": row.version.volume,
                "date": iso_date(states[row.version.uid].date),
                "size": row.version.size,
                "own": row.own,
                "shared": row.shared,
                "freed": row.freed,
            }
            for row in rows
        ],
        "bytes_needed": report.stored,
        "complete": not report.reasons,
    }
    lines = [
        (
            row.version.uid.hex()[:8],
            local_date(states[row.version.uid]),
            row.version.volume,
            *(size(count) for count in (row.version.size, row.own, row.shared, row.freed)),
        )
        for row in rows
    ]
    header = ("VERSION", "DATE", "VOLUME", "SIZE", "OWN", "SHARED", "FREED")
    text = table(header, lines, frozenset({3, 4, 5, 6})) if lines else ["no versions yet"]
    output.result(document, [*text, f"all versions together need {size(report.stored)}"])
    if report.reasons:
        for reason in report.reasons[:10]:
            output.warn(reason)
        message = "damage hides part of what versions refer to; the sizes are too small"
        raise DamageError(message, advice="`packstore check` says what is damaged")
