"""`packstore show`."""

from datetime import datetime
from typing import Any

import click

from packstore.cli.opening import open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import size
from packstore.cli.versions import condition, expiry, iso_date, local_date, local_time, summary
from packstore.ids import Uid
from packstore.repository.history import moment_of
from packstore.repository.repository import Repository


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
            "history": _history(repository, found.uid),
        }
    rows = [
        ("version", found.uid.hex()),
        ("volume", found.volume),
        ("date", local_date(state)),
        ("size", f"{size(found.size)} ({found.size} bytes)"),
        ("state", condition(document) or "valid"),
        ("expires", expiry(state) or "never"),
        ("tags", ", ".join(document["tags"]) or "-"),
        ("source", f"{found.source.get('type', '?')} {found.source.get('path', '')}"),
        ("base", document["base"] or "-"),
        ("made by", f"{found.program} on {found.host}"),
        *((name.replace("_", " "), size(value)) for name, value in found.statistics.items() if "bytes" in name),
        *(("unreadable", f"{length} bytes at {offset}") for offset, length in found.unreadable),
        *(("history", _line(event)) for event in document["history"]),
    ]
    output.result({"version": document}, [f"{name:16} {value}" for name, value in rows])


def _history(repository: Repository, uid: Uid) -> list[dict[str, Any]]:
    """Return what was said about a version, in the order in which it counts."""
    events = sorted(
        (event for event in repository.events() if uid in event.versions), key=lambda event: (event.counter, event.id)
    )
    taken_back = {one for event in events for one in event.cancels}
    return [
        {
            "id": event.id.hex(),
            "date": iso_date(moment_of(event.date_ms)),
            "type": event.type,
            "value": event.value,
            "taken_back": event.id in taken_back,
            "host": event.host,
            "program": event.program,
        }
        for event in events
    ]


def _line(event: dict[str, Any]) -> str:
    date = local_time(datetime.fromisoformat(event["date"]))
    value = f" {event['value']}" if event["value"] else ""
    return f"{date} {event['type']}{value} on {event['host']}{', taken back' if event['taken_back'] else ''}"
