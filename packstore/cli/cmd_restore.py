"""`packstore restore`."""

from pathlib import Path
from typing import Any

import click

from packstore.blocks import Extent
from packstore.cli.live import LiveProgress
from packstore.cli.opening import open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import Output, counted, size
from packstore.errors import DamageError, TargetBusy
from packstore.format.version import Version
from packstore.operations.pipeline import default_threads
from packstore.operations.restore import RestoreResult, restore
from packstore.sources.open import open_target

_SHOWN_RANGES = 100
_STOPPED = "{} is incomplete: restore it again, with --force"


@click.command()
@click.argument("version")
@click.argument("target")
@click.option("--force", is_flag=True, help="Overwrite an existing file or a block device.")
@click.option("--no-sparse", is_flag=True, help="Write zeros where the version has holes.")
@click.option(
    "--threads", type=click.IntRange(1, 64), metavar="N", help="Worker threads; the number of processors by default."
)
@common_options
@pass_settings
def command(settings: Settings, version: str, target: str, force: bool, no_sparse: bool, threads: int | None) -> None:
    """Write VERSION to TARGET: a new file, a block device (with --force), or - for standard output.

    Every block is verified. Where the repository is damaged the restore goes on, writes zeros, lists the byte
    ranges, and ends with exit code 40.

    \b
    Examples:
      packstore -r REPO restore root root.img
      packstore -r REPO restore root@2026-11-22 /dev/vg/root --force
      packstore -r REPO restore web1~1 - | zcat > old
    """  # noqa: D301
    output = settings.output(stdout_is_data=target == "-")
    opened = open_target(target, force=force, sparse=not no_sparse)
    with open_repository(settings, output) as repository, settings.stoppable(_STOPPED.format(target)) as stop:
        if target != "-" and repository.storage.covers(Path(target)):
            raise TargetBusy(f"{target} lies inside the repository", advice="restore to another place")
        found = repository.find(version).version
        progress = LiveProgress(output)
        try:
            result = restore(repository, found, opened, stop, progress, threads=threads or default_threads())
        finally:
            progress.finish()
            opened.close()
    _report(output, found, target, result)


def _report(output: Output, version: Version, target: str, result: RestoreResult) -> None:
    bad = result.bad_ranges
    document: dict[str, Any] = {
        "version": version.uid.hex(),
        "volume": version.volume,
        "target": target,
        "bytes_total": result.bytes_total,
        "bytes_data": result.bytes_data,
        "bytes_hole": result.bytes_hole,
        "bad_ranges": _ranges(bad),
        "damaged_ranges": _ranges(result.damaged),
        "unreadable_ranges": _ranges(result.unreadable),
    }
    name = f"version {version.uid.hex()[:8]} of {version.volume}"
    text = f"restored {name} to {target}: {size(result.bytes_total)}, {size(result.bytes_data)} of it data"
    output.result(document, [text] if not bad else [])
    if bad:
        for extent in bad[:_SHOWN_RANGES]:
            output.warn(f"bad range: {extent.length} bytes at {extent.offset}")
        if len(bad) > _SHOWN_RANGES:
            output.warn(f"and {len(bad) - _SHOWN_RANGES} more (all with --json)")
        for reason in result.reasons[:10]:
            output.warn(reason)
        lost = size(sum(extent.length for extent in bad))
        message = f"{name} was restored to {target} but for {lost} in {counted(len(bad), 'range')}, zeros there"
        raise DamageError(message, advice="everything else was verified; `packstore check` says what is damaged")


def _ranges(extents: list[Extent]) -> list[dict[str, int]]:
    return [{"offset": extent.offset, "length": extent.length} for extent in extents]
