"""`packstore import`."""

import json
import sys
from pathlib import Path
from typing import Any, Final

import click

from packstore.cli.opening import open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.errors import SourceError, SourceNotFound, UsageError
from packstore.limits import MIB
from packstore.operations.exchange import Outcome, import_version, parse_export

_MAX_BYTES: Final = 64 * MIB
"""Four times the largest version record."""
_TEXTS: Final = {
    Outcome.PRESENT: "is there already",
    Outcome.UNDELETED: "is there again: its removal is taken back",
    Outcome.PUBLISHED: "is published again",
}


@click.command()
@click.argument("file")
@common_options
@pass_settings
def command(settings: Settings, file: str) -> None:
    """Publish a version again from FILE, which `packstore export` has made; - is standard input.

    For a version that was removed and whose data are still there, and for a copy of the repository that has the data
    but not the version. Everything the version needs is proven to be there first. It keeps its uid, date and tags;
    one that is there already is left alone.

    \b
    Examples:
      packstore -r REPO import root.json
      packstore -r OLD export root | packstore -r COPY import -
    """  # noqa: D301
    output = settings.output()
    exported = parse_export(_read(file))
    with open_repository(settings, output) as repository, settings.stoppable("nothing was published") as stop:
        outcome = import_version(repository, exported, stop)
    version = exported.state.version
    document = {"version": version.uid.hex(), "volume": version.volume, "outcome": outcome.value}
    output.result(document, [f"version {version.uid.hex()[:8]} of {version.volume} {_TEXTS[outcome]}"])


def _read(file: str) -> Any:  # noqa: ANN401  whatever a file holds
    try:
        if file == "-":
            data = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            with Path(file).open("rb") as opened:
                data = opened.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise SourceNotFound(f"{file} does not exist") from None
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise UsageError(f"{file} is too large to be an exported version")
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise UsageError(f"{file} is not JSON", advice="`packstore export VERSION FILE` makes such a file") from None
