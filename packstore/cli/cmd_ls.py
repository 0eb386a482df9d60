"""`packstore ls`."""

import click

from packstore.cli.opening import open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import size, table
from packstore.cli.versions import local_date, summary


@click.command()
@click.argument("volume", required=False)
@common_options
@pass_settings
def command(settings: Settings, volume: str | None) -> None:
    """List the versions of VOLUME, or of all volumes, the oldest first.

    \b
    Examples:
      packstore -r REPO ls
      packstore -r REPO ls root
      packstore -r REPO --json ls root
    """  # noqa: D301
    output = settings.output()
    with open_repository(settings, output) as repository:
        states = [
            state
            for state in repository.states()
            if not state.removed and (volume is None or state.version.volume == volume)
        ]
        versions = [summary(repository, state) for state in states]
    rows = [
        (
            found["uid"][:8],
            local_date(state),
            found["volume"],
            size(found["size"]),
            "" if found["valid"] else found["state"],
            ", ".join(found["tags"]),
        )
        for state, found in zip(states, versions, strict=True)
    ]
    header = ("VERSION", "DATE", "VOLUME", "SIZE", "STATE", "TAGS")
    empty = [f"no versions of {volume}" if volume else "no versions yet"]
    output.result({"versions": versions}, table(header, rows, frozenset({3})) if rows else empty)
