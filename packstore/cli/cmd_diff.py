"""`packstore diff`."""

import click

from packstore.blocks import Extent
from packstore.cli.opening import open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import Output, counted, size, table
from packstore.errors import DamageError
from packstore.format.version import Version
from packstore.operations.diff import DiffResult, diff
from packstore.repository.history import find_version

_SHOWN = 200


@click.command()
@click.argument("first", metavar="VERSION")
@click.argument("second", metavar="VERSION")
@common_options
@pass_settings
def command(settings: Settings, first: str, second: str) -> None:
    """Show which byte ranges differ between two versions, of one volume or of two.

    Reads no data, and takes time in proportion to what differs. Ranges are whole blocks. Where damage hides whether
    a range differs, it is listed apart and the exit code is 40.

    \b
    Examples:
      packstore -r REPO diff root~1 root
      packstore -r REPO --json diff root@2026-11-22 root
    """  # noqa: D301
    output = settings.output()
    with open_repository(settings, output) as repository, settings.stoppable() as stop:
        states = repository.states()
        versions = [find_version(spec, states).version for spec in (first, second)]
        found = diff(repository, versions[0], versions[1], stop)
    _report(output, versions, found)


def _report(output: Output, versions: list[Version], found: DiffResult) -> None:
    document = {
        "versions": [version.uid.hex() for version in versions],
        "sizes": [version.size for version in versions],
        "block_size": versions[0].block_size,
        "bytes_changed": found.bytes_changed,
        "ranges": _ranges(found.changed),
        "unknown_ranges": _ranges(found.unknown),
    }
    rows = [(str(extent.offset), str(extent.length)) for extent in found.changed[:_SHOWN]]
    lines = table(("OFFSET", "LENGTH"), rows, frozenset({0, 1})) if rows else []
    if len(found.changed) > _SHOWN:
        lines.append(f"and {len(found.changed) - _SHOWN} more (all of it with --json)")
    total = f"{size(found.bytes_changed)} in {counted(len(found.changed), 'range')}"
    lines.append(f"{total} differ" if found.changed else "no differences found")
    output.result(document, lines)
    if found.unknown:
        for extent in found.unknown[:_SHOWN]:
            output.warn(f"unknown: {extent.length} bytes at {extent.offset}")
        for reason in found.reasons[:10]:
            output.warn(reason)
        lost = size(sum(extent.length for extent in found.unknown))
        message = f"damage hides whether {lost} in {counted(len(found.unknown), 'range')} differ"
        raise DamageError(message, advice="`packstore check` says what is damaged")


def _ranges(extents: list[Extent]) -> list[dict[str, int]]:
    return [{"offset": extent.offset, "length": extent.length} for extent in extents]
