"""`packstore key import`."""

import sys
from pathlib import Path
from typing import Final

import click

from packstore.cli.opening import find_credentials, find_storage
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import counted
from packstore.errors import FormatError, SourceDenied, SourceNotFound
from packstore.format.export import from_lines
from packstore.limits import MAX_EXPORT_BYTES
from packstore.operations.key_export import import_keys

_MAX_BYTES: Final = 4 * MAX_EXPORT_BYTES
"""Text is longer than what it stands for, and a printed page has pictures too."""


@click.command()
@click.argument("file", metavar="FILE")
@common_options
@pass_settings
def command(settings: Settings, file: str) -> None:
    """Bring slots and epochs back from an export.

    FILE is what `key export` wrote, lines scanned or typed from paper, or - for standard input. Nothing is written
    before a slot in it has been opened and has proven to be of this repository. What is there and whole stays; what
    is missing or damaged is written; slots that were removed stay removed.

    \b
    Examples:
      packstore -r REPO key import /mnt/safe/backup-keys.txt
      packstore -r REPO key import keys.html
    """  # noqa: D301
    output = settings.output()
    storage = find_storage(settings)
    try:
        data = from_lines(_read(file))
    except FormatError as error:
        error.advice = (
            "scan or type them too: lines may come in any order"
            if error.failure == "truncated"
            else "look at that line again; O and 0, I, L and 1 are the same, all else counts"
        )
        raise
    written = import_keys(storage, data, find_credentials(settings).ask)
    lines = [f"wrote {name}" for name in written] or ["nothing was missing: all of it is there"]
    output.result(
        {"written": written}, [*lines[:20], *([f"… {counted(len(lines), 'file')} in all"] if lines[20:] else [])]
    )


def _read(file: str) -> str:
    try:
        if file == "-":
            data = sys.stdin.buffer.read(_MAX_BYTES)
        else:
            with Path(file).open("rb") as opened:
                data = opened.read(_MAX_BYTES)
    except FileNotFoundError:
        raise SourceNotFound(f"{file} does not exist") from None
    except OSError as error:
        raise SourceDenied(f"{file} cannot be read: {error.strerror}") from error
    return data.decode(errors="replace")
