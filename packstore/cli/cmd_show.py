"""`packstore show`."""

import click

from packstore.cli.opening import open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import size
from packstore.cli.versions import local_date, summary


@click.command()
@click.argument("version")
@common_options
@pass_settings
def command(settings: Settings, version: str) -> None:
    """Show all there is to know about VERSION.

    VERSION is a uid, the beginning of one, VOLUME (its latest), VOLUME~1 (the one before) or VOLUME@2026-11-22
    (the latest at that time).

    \b
    Examples:
      packstore -r REPO show root
      packstore -r REPO show root~1
      packstore -r REPO --json show 3fa94c01
    """  # noqa: D301
    output = settings.output()
    with open_repository(settings, output) as repository:
        state = repository.find(version)
        found = state.version
        document = summary(repository, state) | {
            "counter": found.counter,
            "block_size": found.block_size,
            "base": found.base.hex() if found.base else None,
            "source": found.source,
            "statistics": found.statistics,
            "unreadable": [{"offset": offset, "length": length} for offset, length in found.unreadable],
            "trusted_runs": found.trusted_runs,
            "host": found.host,
            "program": found.program,
        }
    rows = [
        ("version", found.uid.hex()),
        ("volume", found.volume),
        ("date", local_date(state)),
        ("size", f"{size(found.size)} ({found.size} bytes)"),
        ("state", document["state"]),
        ("tags", ", ".join(document["tags"]) or "-"),
        ("source", f"{found.source.get('type', '?')} {found.source.get('path', '')}"),
        ("base", document["base"] or "-"),
        ("made by", f"{found.program} on {found.host}"),
        *((name.replace("_", " "), size(value)) for name, value in found.statistics.items() if "bytes" in name),
        *(("unreadable", f"{length} bytes at {offset}") for offset, length in found.unreadable),
    ]
    output.result({"version": document}, [f"{name:16} {value}" for name, value in rows])
