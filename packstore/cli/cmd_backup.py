"""`packstore backup`."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from packstore.cli.live import LiveProgress
from packstore.cli.opening import open_repository
from packstore.cli.options import Settings, common_options, parse_size, pass_settings
from packstore.cli.output import rate, size
from packstore.cli.places import find_place
from packstore.cli.spent import spent_document, spent_lines
from packstore.cli.times import parse_expiry
from packstore.cli.tuning import compression_option, threads_option
from packstore.cli.versions import iso_date
from packstore.errors import UsageError
from packstore.operations.backup import BackupOptions, BackupResult, backup, check_options, unreadable_fault
from packstore.operations.checkpoints import CheckpointPolicy
from packstore.operations.hints import MAX_HINTS_BYTES, Change, Hints, parse_hints
from packstore.operations.pipeline import default_threads
from packstore.repository.history import VersionState, latest_of
from packstore.repository.repository import Repository
from packstore.sources.file import readable_path
from packstore.sources.null import SCHEME, NullDevice, NullSource
from packstore.sources.open import open_source

_STOPPED = "run it again: what is stored is not stored again"


@click.command()
@click.argument("source")
@click.argument("volume", required=False)
@click.option("--from", "base", metavar="VERSION", help="Compare with this version instead of the volume's latest.")
@click.option("--paranoid", is_flag=True, help="Hash every block; do not trust fingerprints.")
@compression_option
@threads_option
@click.option(
    "--hints",
    "hints_file",
    metavar="FILE",
    help="Read only the ranges listed there, as `rbd diff --format json` writes them.",
)
@click.option("--hints-from", metavar="VERSION", help="The version since which they changed, if not the latest.")
@click.option("--immutable", is_flag=True, help="You know that SOURCE does not change any more: it is a snapshot.")
@click.option(
    "--min-free",
    callback=parse_size,
    metavar="N",
    help="Stop before the repository's file system has less than N free; the configuration may say so too.",
)
@click.option("--checkpoint-every", callback=parse_size, hidden=True, help="Bytes newly stored between checkpoints.")
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="T",
    help="Tag the version, instead of automatically; may be given several times.",
)
@click.option(
    "--no-auto-tags", is_flag=True, help="Do not tag the version b_daily, b_weekly, b_monthly as they are due."
)
@click.option("--expire", metavar="DATE", help="The version may be removed after 2026-12-24, or in 30d.")
@common_options
@pass_settings
def command(
    settings: Settings,
    /,
    source: str,
    volume: str | None,
    compression: str,
    immutable: bool,
    min_free: int | None,
    **chosen: Any,  # noqa: ANN401  the options of `_options`, each of its own type
) -> None:
    """Store SOURCE, a file, a block device or - for standard input, as a new version of VOLUME.

    VOLUME is the last part of SOURCE unless it is given. Only what is not in the repository yet is stored. An
    interrupted backup is simply run again: what is stored is not stored again. What was covered is not read again
    either if SOURCE cannot have changed: a file with the immutable attribute or on a read-only file system, a
    read-only device mapper volume, or, with --immutable, anything that you know to be a snapshot.

    With --hints only what is listed is read, and some blocks more to see whether the list can be true. If it cannot,
    or is missing, or every block is due to be hashed, all is read as without it, with a warning.

    Without --tag the version is tagged b_daily, b_weekly and b_monthly if the volume's last version so tagged is at
    least a day, a week, a month old, or there is none.

    \b
    Examples:
      packstore -r REPO backup /dev/vg/root
      packstore -r REPO backup disk.img web1 --tag before-upgrade --expire 30d
      packstore -r REPO backup /dev/vg/root-snap root --immutable
      packstore -r REPO backup /dev/rbd0 web1 --hints diff.json --hints-from web1~1
      zcat old.img.gz | packstore -r REPO backup - old
    """  # noqa: D301
    output = settings.output()
    name = _default_volume(source) if volume is None else volume
    options = _options(name, **chosen)
    opened = open_source(source, immutable=immutable)
    if immutable and not opened.immutable_id:
        output.warn(f"nothing tells {source} from another device: if the backup is interrupted, it is read again")
    try:
        check_options(opened, options)
        options = replace(options, min_free=find_place(settings).min_free if min_free is None else min_free)
        with (
            open_repository(settings, output, compression=compression) as repository,
            settings.stoppable(_STOPPED) as stop,
        ):
            if volume is None:
                _check_default(repository, name, source)
            progress = LiveProgress(output)
            try:
                result = backup(repository, opened, options, stop, progress)
            finally:
                progress.finish()
    finally:
        opened.close()
    document = {**_document(result), **spent_document(repository.stages)}
    output.result(document, _text(result) + (spent_lines(repository.stages) if settings.verbose else []))
    if fault := unreadable_fault(result.version, source):
        raise fault


def _options(
    volume: str,
    *,
    base: str | None,
    hints_file: str | None,
    hints_from: str | None,
    paranoid: bool,
    threads: int | None,
    checkpoint_every: int | None,
    tags: tuple[str, ...],
    no_auto_tags: bool,
    expire: str | None,
) -> BackupOptions:
    if hints_from is not None and (hints_file is None or base is not None):
        raise UsageError("--hints-from goes with --hints, and is what --from would be: give one of the two")
    return BackupOptions(
        volume,
        hints_from or base,
        paranoid,
        threads or default_threads(),
        tags,
        CheckpointPolicy() if checkpoint_every is None else CheckpointPolicy(checkpoint_every),
        auto_tags=not tags and not no_auto_tags,
        hints=None if hints_file is None else _read_hints(hints_file),
        expires=None if expire is None else parse_expiry(expire, datetime.now(UTC)),
    )


def _read_hints(path: str) -> Hints:
    """Return what a file says; if it says nothing of use that is no error: everything is read then."""
    if path in {"", "-"}:
        raise UsageError("--hints is the name of a file", advice="save the list in one first")
    if path.startswith(SCHEME):
        written = NullSource(NullDevice.parse(path)).changed()
        return Hints(tuple(Change(extent, exists=True) for extent in written))
    try:
        with Path(path).open("rb") as file:
            return Hints(parse_hints(file.read(MAX_HINTS_BYTES + 1)))
    except OSError as error:
        return Hints(fault=f"{path} cannot be read: {error.strerror}")
    except UsageError as error:
        return Hints(fault=f"{path}: {error.message}")


def _default_volume(source: str) -> str:
    if source == "-":
        raise UsageError("standard input has no name: which volume is it?")
    if source.startswith(SCHEME):
        raise UsageError("a synthetic device has no name: which volume is it?")
    return Path(source).absolute().name


def _check_default(repository: Repository, volume: str, source: str) -> None:
    """Two devices may end in the same name; only a person can say that they are the same volume."""
    latest = latest_of(volume, repository.states())
    before = latest.version.source.get("path") if latest else None
    here = readable_path(Path(source))
    if before is not None and before != here:
        message = f"the last version of {volume} was made from {before}, not from {here}"
        raise UsageError(message, advice=f"name the volume: `packstore backup {source} VOLUME`")


def _document(result: BackupResult) -> dict[str, Any]:
    counters = result.counters
    return {
        "version": result.version.uid.hex(),
        "volume": result.version.volume,
        "date": iso_date(VersionState(result.version).date),
        "tags": result.version.tags,
        "base": result.base.uid.hex() if result.base else None,
        "bytes_total": result.version.size,
        "bytes_read": counters.read,
        "bytes_hole": counters.hole,
        "bytes_unchanged": counters.unchanged,
        "bytes_dedup": counters.dedup,
        "bytes_new": counters.new,
        "bytes_stored": result.bytes_stored,
        "bytes_resumed": counters.resumed,
        "bytes_skipped": counters.skipped,
        "resumed_at": result.resumed_at,
        "paranoid": result.paranoid,
        "hints_followed": None if result.hints_fault is None else not result.hints_fault,
        "unreadable": [{"offset": offset, "length": length} for offset, length in result.version.unreadable],
        "seconds": round(result.seconds, 3),
    }


def _text(result: BackupResult) -> list[str]:
    counters = result.counters
    lines = [
        f"version {result.version.uid.hex()[:8]} of {result.version.volume}: {size(result.version.size)} "
        f"in {result.seconds:.1f} s, {rate(counters.read, result.seconds)} read",
        f"  new {size(counters.new)}, known {size(counters.dedup)}, unchanged {size(counters.unchanged)}, "
        f"holes {size(counters.hole)}; stored {size(result.bytes_stored)}",
    ]
    if counters.skipped:
        lines.append(f"  not read because of the hints: {size(counters.skipped)}")
    if result.resumed_at:
        lines.append(
            f"  resumed at {size(result.resumed_at)}: what an interrupted backup had covered was not read again"
        )
    return lines
