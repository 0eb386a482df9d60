"""`packstore check`."""

import math
from typing import Any

import click

from packstore.cli.live import LiveProgress
from packstore.cli.opening import find_storage, index_root, open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import Output, counted, size
from packstore.errors import DamageError, UsageError
from packstore.index.objectindex import ObjectIndex
from packstore.operations.check import CheckReport, check_repository, check_stored_bytes, check_versions
from packstore.operations.pipeline import default_threads
from packstore.packs.reader import Owner
from packstore.repository.opening import read_repository_file
from packstore.repository.repository import index_directory

_WHOLE = 100.0
_SHOWN = 50
_STOPPED = "what was checked is remembered: --percent goes on with the rest"


@click.command()
@click.argument("versions", nargs=-1, metavar="[VERSION]...")
@click.option(
    "--percent",
    type=click.FloatRange(0, 100, min_open=True),
    default=_WHOLE,
    show_default=True,
    metavar="P",
    help="Read only so much: the packs that were read longest ago.",
)
@click.option("--keyless", is_flag=True, help="Verify checksums only; needs no passphrase.")
@click.option(
    "--threads", type=click.IntRange(1, 64), metavar="N", help="Worker threads; the number of processors by default."
)
@common_options
@pass_settings
def command(settings: Settings, versions: tuple[str, ...], percent: float, keyless: bool, threads: int | None) -> None:
    """Verify what is stored: everything, or what each VERSION needs.

    Names damaged files, the versions that they hit and the byte ranges in them; exit code 40 if there is damage.
    Run ceil(100 / P) times one after another, --percent P has read everything.

    \b
    Examples:
      packstore -r REPO check
      packstore -r REPO check --percent 16
      packstore -r REPO check --keyless
    """  # noqa: D301
    output = settings.output()
    if math.isnan(percent):
        raise UsageError("--percent needs a number above 0 and up to 100")
    if versions and (keyless or percent < _WHOLE):
        raise UsageError("versions are checked whole and with keys: leave out --percent and --keyless")
    count = threads or default_threads()
    progress = LiveProgress(output)
    try:
        if keyless:
            report = _keyless(settings, progress, percent, count)
        else:
            report = _with_keys(settings, output, progress, versions, percent, count)
    finally:
        progress.finish()
    _report(output, report, percent, keyless=keyless)


def _keyless(settings: Settings, progress: LiveProgress, percent: float, threads: int) -> CheckReport:
    storage = find_storage(settings)
    file = read_repository_file(storage).file
    index = ObjectIndex(index_directory(index_root(settings), file, storage), file.id)
    try:
        owner = Owner(file.id, None, None)
        with settings.stoppable(_STOPPED) as stop:
            return check_stored_bytes(storage, owner, index, stop, progress, percent=percent, threads=threads)
    finally:
        index.close()


def _with_keys(
    settings: Settings,
    output: Output,
    progress: LiveProgress,
    versions: tuple[str, ...],
    percent: float,
    threads: int,
) -> CheckReport:
    with open_repository(settings, output) as repository, settings.stoppable(_STOPPED) as stop:
        if versions:
            found = [repository.find(version).version for version in versions]
            return check_versions(repository, found, stop, progress, threads=threads)
        return check_repository(repository, stop, progress, percent=percent, threads=threads)


def _report(output: Output, report: CheckReport, percent: float, *, keyless: bool) -> None:
    document: dict[str, Any] = {
        "clean": report.clean,
        "keyless": keyless,
        "percent": percent,
        "packs_total": report.packs_total,
        "packs_checked": report.packs_checked,
        "bytes_total": report.bytes_total,
        "bytes_checked": report.bytes_checked,
        "records": report.records,
        "versions_checked": report.versions_checked,
        "damage": [
            {"file": found.name, "offset": found.offset, "length": found.length, "reason": found.reason}
            for found in report.damage
        ],
        "versions": [
            {
                "uid": hit.version.uid.hex(),
                "volume": hit.version.volume,
                "bad_ranges": [{"offset": extent.offset, "length": extent.length} for extent in hit.ranges],
            }
            for hit in report.versions
        ],
    }
    output.result(document, _text(report, keyless=keyless))
    if not report.clean:
        advice = "delete nothing: restore brings back the rest, and a backup of an intact source mends what is lost"
        raise DamageError(_verdict(report, keyless=keyless), advice=advice)


def _verdict(report: CheckReport, *, keyless: bool) -> str:
    files = len({found.name for found in report.damage})
    where = f"in {counted(files, 'file')}" if files else "in what was read"
    if keyless:
        return f"damage {where}; a check with the key says which versions are hit"
    return f"damage {where}; it hits {counted(len(report.versions), 'version')}"


def _text(report: CheckReport, *, keyless: bool) -> list[str]:
    how = "by checksum" if keyless else "decrypted and compared"
    lines = []
    if report.packs_total:
        lines.append(
            f"{report.packs_checked} of {counted(report.packs_total, 'pack')}, {size(report.bytes_checked)}, {how}; "
            f"{counted(report.records, 'record')} good"
        )
    if report.versions_checked:
        lines.append(f"{counted(report.versions_checked, 'version')} checked")
    for found in report.damage[:_SHOWN]:
        where = f" at {found.offset}" if found.length else ""
        lines.append(f"DAMAGED {found.name}{where}: {found.reason}")
    for hit in report.versions[:_SHOWN]:
        lost = size(sum(extent.length for extent in hit.ranges))
        first = hit.ranges[0]
        lines.append(
            f"HIT     version {hit.version.uid.hex()[:8]} of {hit.version.volume}: {lost} in "
            f"{counted(len(hit.ranges), 'range')}, the first {first.length} bytes at {first.offset}"
        )
    if len(report.damage) > _SHOWN or len(report.versions) > _SHOWN:
        lines.append("and more (all of it with --json)")
    if keyless:
        lines.append("files that are missing altogether are found by a check with a key")
    return lines if not report.clean else [*lines, "no damage found"]
