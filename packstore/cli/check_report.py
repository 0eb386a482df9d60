"""What `packstore check` says, to people and to programs, and which exit code it ends with."""

from datetime import datetime
from typing import Any

from packstore.blocks import Extent
from packstore.cli.output import Output, counted, size
from packstore.cli.spent import spent_document, spent_lines
from packstore.cli.versions import iso_date, local_time
from packstore.errors import DamageError, IncompleteHere, SourceDiffers, SourceReadFailed
from packstore.format.version import Version
from packstore.operations.check import CheckReport
from packstore.operations.check_walk import DamagedVersion
from packstore.operations.compare import Comparison
from packstore.operations.coverage import Coverage
from packstore.operations.scrub_plan import Amount
from packstore.repository.history import VersionState, moment_of
from packstore.repository.validity import Validity

_SHOWN = 50
_RUNS_SHOWN = 10
_MENDING = "delete nothing: restore brings back the rest, and a backup of an intact source mends what is lost"
_REPAIRING = "; `packstore repair` shows what can be saved"
ARRIVING = "if a copy is still under way, let it finish; else `packstore repair --from` fetches them from another copy"


def report_check(output: Output, report: CheckReport, amount: Amount, *, keyless: bool) -> None:
    """Print what a check found.

    Raises:
        DamageError: there is damage.
        IncompleteHere: there is none, but versions need what is not here.
    """
    document: dict[str, Any] = {
        "clean": report.clean,
        "complete": report.complete,
        "keyless": keyless,
        "percent": amount.percent,
        "bytes": amount.bytes,
        "max_seconds": amount.seconds,
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
        "missing": report.missing,
        "versions": [_hit(hit) for hit in report.versions],
        "not_recorded": report.unrecorded or None,
        **spent_document(report.stages),
    }
    spent = spent_lines(report.stages) if output.verbosity > 0 else []
    output.result(document, _text(report, keyless=keyless) + spent)
    if fault := check_fault(report, keyless=keyless):
        raise fault


def check_fault(report: CheckReport, *, keyless: bool = False) -> DamageError | None:
    """Return the error that a check ends with, None if all is well."""
    if report.damaged:
        return DamageError(_verdict(report, keyless=keyless), advice=_MENDING + ("" if keyless else _REPAIRING))
    if not report.clean:
        count = counted(len(report.versions), "version")
        message = f"{count} cannot be restored in full for want of {counted(len(report.missing), 'pack')} not here"
        return IncompleteHere(f"{message}; nothing is damaged", advice=ARRIVING)
    return None


def _hit(hit: DamagedVersion) -> dict[str, Any]:
    return {
        "uid": hit.version.uid.hex(),
        "volume": hit.version.volume,
        "state": (Validity.INVALID if hit.is_damaged else Validity.INCOMPLETE).value,
        "bad_ranges": ranges(hit.ranges),
    }


def ranges(extents: list[Extent]) -> list[dict[str, int]]:
    """Return byte ranges for a document."""
    return [{"offset": extent.offset, "length": extent.length} for extent in extents]


def _verdict(report: CheckReport, *, keyless: bool) -> str:
    files = len({found.name for found in report.damage})
    where = f"in {counted(files, 'file')}" if files else "in what was read"
    if keyless:
        return f"damage {where}; a check with the key says which versions are hit"
    return f"damage {where}; it hits {counted(sum(hit.is_damaged for hit in report.versions), 'version')}"


def _text(report: CheckReport, *, keyless: bool) -> list[str]:
    how = "by checksum" if keyless else "decrypted and compared"
    lines = []
    if report.packs_total:
        lines.append(
            f"{report.packs_checked} of {counted(report.packs_total, 'pack')}, {size(report.bytes_checked)}, {how}; "
            f"{counted(report.records, 'record')} good"
        )
    if not report.complete:
        lines.append("the time was over before everything was read; the next run goes on with the rest")
    if report.versions_checked:
        lines.append(f"{counted(report.versions_checked, 'version')} checked")
    for found in report.damage[:_SHOWN]:
        where = f" at {found.offset}" if found.length else ""
        lines.append(f"DAMAGED {found.name}{where}: {found.reason}")
    lines += [f"MISSING {name}: is not here" for name in report.missing[:_SHOWN]]
    for hit in report.versions[:_SHOWN]:
        lost = size(sum(extent.length for extent in hit.ranges))
        first = hit.ranges[0]
        lines.append(
            f"{'HIT    ' if hit.is_damaged else 'LACKING'} version {hit.version.uid.hex()[:8]} of "
            f"{hit.version.volume}: {lost} in {counted(len(hit.ranges), 'range')}, "
            f"the first {first.length} bytes at {first.offset}"
        )
    if max(len(report.damage), len(report.versions), len(report.missing)) > _SHOWN:
        lines.append("and more (all of it with --json)")
    if keyless:
        lines.append("files that are missing altogether are found by a check with a key")
    return lines if not report.clean else [*lines, "no damage found"]


def report_comparison(output: Output, version: Version, source: str, found: Comparison) -> None:
    """Print how a version and its source compare.

    Raises:
        DamageError: some of the version cannot be had.
        SourceReadFailed: all of it can, but some of the source cannot be read.
        SourceDiffers: all of both can be read, and they differ.
    """
    groups = {
        "damaged": found.damaged,
        "mendable": found.mendable,
        "changed": found.changed,
        "unreadable": found.unreadable,
    }
    document: dict[str, Any] = {
        "version": version.uid.hex(),
        "volume": version.volume,
        "source": source,
        "bytes_total": found.bytes_total,
        "bytes_equal": found.bytes_equal,
    }
    document |= {f"{name}_ranges": ranges(extents) for name, extents in groups.items()}
    name = f"version {version.uid.hex()[:8]} of {version.volume}"
    words = {"damaged": "DAMAGED ", "changed": "DIFFERS ", "unreadable": "UNKNOWN "}
    lines = [f"{size(found.bytes_equal)} of {name} are as in {source}"]
    for group, word in words.items():
        lines += [f"{word}{extent.length} bytes at {extent.offset}" for extent in groups[group][:_SHOWN]]
        if len(groups[group]) > _SHOWN:
            lines.append(f"{word}and {len(groups[group]) - _SHOWN} ranges more (all with --json)")
    lines += found.reasons[:10]
    output.result(document, lines)
    if found.damaged:
        advice = "a backup of this source stores what it still has again: " + size(_sum(found.mendable))
        raise DamageError(f"{size(_sum(found.damaged))} of {name} are damaged in the repository", advice=advice)
    if len(found.unreadable) > len(version.unreadable):
        raise SourceReadFailed(f"parts of {source} could not be read; the stored version is good")
    if found.changed:
        message = f"{source} differs from {name} in {size(_sum(found.changed))}; what is stored is good"
        raise SourceDiffers(message, advice="a source that is in use changes: compare a snapshot of that time")


def _sum(extents: list[Extent]) -> int:
    return sum(extent.length for extent in extents)


def report_coverage(
    output: Output, found: Coverage, bad: list[tuple[VersionState, Validity]], *, keyless: bool
) -> None:
    """Print what was checked so far."""
    share = 100.0 * found.bytes_read / found.bytes_total if found.bytes_total else 100.0
    document: dict[str, Any] = {
        "keyless": keyless,
        "packs_total": found.packs,
        "bytes_total": found.bytes_total,
        "bytes_read": found.bytes_read,
        "percent_read": round(share, 3),
        "oldest_read": _date(found.oldest_read_ms),
        "oldest_unread_written": _date(found.oldest_unread_ms),
        "never_read": found.never_read,
        "runs": [
            {
                "run": run.run,
                "date": _date(run.date_ms or None),
                "complete": run.complete,
                "bytes_latest": run.bytes_latest,
                "bytes_since": run.bytes_since,
            }
            for run in found.runs
        ],
        "versions": [
            {"uid": state.version.uid.hex(), "volume": state.version.volume, "state": validity.value}
            for state, validity in bad
        ],
    }
    output.result(document, _coverage_text(found, share, bad))


def _coverage_text(found: Coverage, share: float, bad: list[tuple[VersionState, Validity]]) -> list[str]:
    lines = [f"{share:.1f} % of {size(found.bytes_total)} in {counted(found.packs, 'pack')} were read by checks"]
    lines += [f"the part that was read longest ago: {_local(found.oldest_read_ms)}"] if found.oldest_read_ms else []
    if found.never_read:
        unread = counted(len(found.never_read), "pack")
        lines.append(f"{unread} never read, the oldest written {_local(found.oldest_unread_ms)}")
    for run in found.runs[:_RUNS_SHOWN]:
        since = 100.0 * run.bytes_since / found.bytes_total if found.bytes_total else 100.0
        cut = "" if run.complete else " (cut short, or by --bytes)"
        lines.append(f"run {run.run} of {_local(run.date_ms or None) or 'some day'}{cut}: {since:.1f} % since then")
    lines += [
        f"{validity.value.upper()} version {state.version.uid.hex()[:8]} of {state.version.volume}"
        for state, validity in bad[:_SHOWN]
    ]
    return lines


def _date(milliseconds: int | None) -> str | None:
    moment = _moment(milliseconds)
    return None if moment is None else iso_date(moment)


def _local(milliseconds: int | None) -> str | None:
    moment = _moment(milliseconds)
    return None if moment is None else local_time(moment)


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else moment_of(milliseconds)
