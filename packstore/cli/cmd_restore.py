"""`packstore restore`."""

from pathlib import Path
from typing import Any

import click

from packstore.blocks import Extent
from packstore.cli.check_report import ARRIVING
from packstore.cli.live import LiveProgress
from packstore.cli.opening import open_repository, state_directory
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import Output, counted, size
from packstore.cli.spent import spent_document, spent_lines
from packstore.cli.tuning import threads_option
from packstore.codec.stages import Stages
from packstore.errors import DamageError, IncompleteHere, TargetBusy, UsageError
from packstore.format.version import Version
from packstore.operations.journal import RestoreJournal
from packstore.operations.pipeline import default_threads
from packstore.operations.restore import RestoreResult, explain, restore
from packstore.sources.open import is_output, open_output, open_target

_SHOWN_RANGES = 100
_STOPPED = "{} is incomplete: `restore --resume` goes on, --force begins anew"
_STOPPED_STREAM = "what was written is incomplete: restore it again"


@click.command()
@click.argument("version")
@click.argument("target")
@click.option("--force", is_flag=True, help="Overwrite an existing file or a block device.")
@click.option("--resume", is_flag=True, help="Go on with a restore to TARGET that was interrupted.")
@click.option("--no-sparse", is_flag=True, help="Write zeros where the version has holes.")
@threads_option
@common_options
@pass_settings
def command(
    settings: Settings,
    version: str,
    target: str,
    force: bool,
    resume: bool,
    no_sparse: bool,
    threads: int | None,
) -> None:
    """Write VERSION to TARGET: a new file, a block device (with --force), or - for standard output.

    Every block is verified, and with the target null:// nothing else is done. Where the repository is damaged the
    restore goes on, writes zeros, lists the byte ranges, and ends with exit code 40; with 44 if nothing is damaged
    and packs of the version have only not arrived.

    How far a restore has come is noted in TARGET.packstore-resume, or, for a device, below $XDG_STATE_HOME. After
    Ctrl-C, a crash or a power cut the same command with --resume goes on there.

    \b
    Examples:
      packstore -r REPO restore root root.img
      packstore -r REPO restore root@2026-11-22 /dev/vg/root --force
      packstore -r REPO restore root@2026-11-22 /dev/vg/root --resume
      packstore -r REPO restore web1~1 - | zcat > old
    """  # noqa: D301
    output = settings.output(stdout_is_data=target == "-")
    if is_output(target) and resume:
        raise UsageError(
            "a restore to standard output or null:// cannot be resumed", advice="restore to a file or a device"
        )
    resumable = None
    if not is_output(target):
        resumable = open_target(Path(target), force=force, sparse=not no_sparse, state_directory=state_directory())
    opened = resumable or open_output(target)
    stopped = (_STOPPED if resumable else _STOPPED_STREAM).format(target)
    with open_repository(settings, output) as repository, settings.stoppable(stopped) as stop:
        if resumable and repository.storage.covers(Path(target)):
            raise TargetBusy(f"{target} lies inside the repository", advice="restore to another place")
        found = repository.find(version).version
        progress = LiveProgress(output)
        journal = RestoreJournal(resumable, repository.file.id, found, progress) if resumable else None
        try:
            result = restore(
                repository,
                found,
                opened,
                stop,
                progress,
                threads=threads or default_threads(),
                journal=journal,
                resume=resume,
            )
            explain(repository, found, result, stop)
        finally:
            progress.finish()
            opened.close()
    _report(output, found, target, result, repository.stages, verbose=settings.verbose)


def _report(
    output: Output, version: Version, target: str, result: RestoreResult, stages: Stages, *, verbose: bool
) -> None:
    bad = result.bad_ranges
    document: dict[str, Any] = {
        "version": version.uid.hex(),
        "volume": version.volume,
        "target": target,
        "bytes_total": result.bytes_total,
        "bytes_data": result.bytes_data,
        "bytes_hole": result.bytes_hole,
        "bytes_skipped": result.bytes_skipped,
        "bad_ranges": _ranges(bad),
        "damaged_ranges": _ranges(result.damaged),
        "unreadable_ranges": _ranges(result.unreadable),
        "packs_not_arrived": result.missing,
        **spent_document(stages),
    }
    name = f"version {version.uid.hex()[:8]} of {version.volume}"
    text = f"restored {name} to {target}: {size(result.bytes_total)}, {size(result.bytes_data)} of it data"
    if result.bytes_skipped:
        text += f"; resumed, {size(result.bytes_skipped)} were there already"
    lines = [text] if not bad else []
    output.result(document, lines + (spent_lines(stages) if verbose else []))
    if bad:
        for extent in bad[:_SHOWN_RANGES]:
            output.warn(f"bad range: {extent.length} bytes at {extent.offset}")
        if len(bad) > _SHOWN_RANGES:
            output.warn(f"and {len(bad) - _SHOWN_RANGES} more (all with --json)")
        for reason in result.reasons[:10]:
            output.warn(reason)
        lost = size(sum(extent.length for extent in bad))
        message = f"{name} was restored to {target} but for {lost} in {counted(len(bad), 'range')}, zeros there"
        if result.hit and not result.hit.is_damaged and not result.unreadable:
            where = f": {counted(len(result.missing), 'pack')} of it not here" if result.missing else ""
            raise IncompleteHere(f"{message}; nothing is damaged{where}", advice=ARRIVING)
        raise DamageError(message, advice="everything else was verified; `packstore check` says what is damaged")


def _ranges(extents: list[Extent]) -> list[dict[str, int]]:
    return [{"offset": extent.offset, "length": extent.length} for extent in extents]
