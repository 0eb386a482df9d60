"""`packstore stats`."""

from typing import Any, Final

import click

from packstore.cli.opening import open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import Output, counted, size, table
from packstore.cli.versions import iso_date, local_date
from packstore.repository.history import VersionState, find_version

_COLUMNS: Final = ("total", "read", "new", "dedup", "hole", "unchanged", "stored")


@click.command()
@click.argument("what", required=False, metavar="[VERSION|VOLUME]")
@common_options
@pass_settings
def command(settings: Settings, what: str | None) -> None:
    """Show what each backup took: of one version, of all versions of a volume, or of all there are.

    READ was read from the source, NEW stored for the first time, DEDUP known already, HOLE zeros, UNCHANGED
    taken over from the version before; STORED is what the repository grew by, compressed and with metadata.

    \b
    Examples:
      packstore -r REPO stats
      packstore -r REPO stats root
      packstore -r REPO --json stats root~1
    """  # noqa: D301
    output = settings.output()
    with open_repository(settings, output) as repository:
        states = [state for state in repository.states() if not state.removed]
    if what is not None:
        of_volume = [state for state in states if state.version.volume == what]
        states = of_volume or [find_version(what, states)]
    _report(output, states)


def _report(output: Output, states: list[VersionState]) -> None:
    rows = [_row(state) for state in states]
    names = [*(f"bytes_{column}" for column in _COLUMNS), "duration_ms"]
    totals = {name: sum(row[name] for row in rows) for name in names}
    header = ("VERSION", "DATE", "VOLUME", *(column.upper() for column in _COLUMNS), "SECONDS")
    lines = [
        (row["uid"][:8], local_date(state), row["volume"], *_cells(row))
        for row, state in zip(rows, states, strict=True)
    ]
    lines.append(("total", counted(len(rows), "version"), "", *_cells(totals)))
    text = table(header, lines, frozenset(range(3, len(header)))) if rows else ["no versions yet"]
    output.result({"versions": rows, "totals": {"versions": len(rows)} | totals}, text)


def _row(state: VersionState) -> dict[str, Any]:
    """Return the statistics of a version; what its program did not record counts as 0."""
    version = state.version
    statistics = {f"bytes_{column}": version.statistics.get(f"bytes_{column}", 0) for column in _COLUMNS}
    return {
        "uid": version.uid.hex(),
        "volume": version.volume,
        "date": iso_date(state.date),
        **statistics,
        "duration_ms": version.statistics.get("duration_ms", 0),
    }


def _cells(row: dict[str, Any]) -> list[str]:
    return [*(size(row[f"bytes_{column}"]) for column in _COLUMNS), f"{row['duration_ms'] / 1000:.1f}"]
