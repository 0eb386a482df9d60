"""`packstore gc`."""

import math
from typing import Any

import click

from packstore.cli.live import LiveProgress
from packstore.cli.opening import open_repository
from packstore.cli.options import Settings, common_options, parse_duration, pass_settings
from packstore.cli.output import counted, size
from packstore.cli.tuning import threads_option
from packstore.errors import UsageError
from packstore.operations.gc import GcOptions, GcReport, collect, preview
from packstore.operations.gc_plan import DEFAULT_THRESHOLD
from packstore.operations.pipeline import default_threads

_STOPPED = "run it again: it goes on where it was"


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 100, min_open=True),
    default=DEFAULT_THRESHOLD,
    show_default=True,
    metavar="P",
    help="Copy from packs of which at least so many percent are garbage.",
)
@click.option(
    "--max-duration", callback=parse_duration, metavar="T", help="Stop after 30m, 2h, …; the next run goes on."
)
@click.option("--beside", is_flag=True, help="Run although another collection does: safe, and work done twice.")
@threads_option
@common_options
@pass_settings
def command(
    settings: Settings,
    dry_run: bool,
    threshold: float,
    max_duration: float | None,
    beside: bool,
    threads: int | None,
) -> None:
    """Free the space that only removed versions need.

    Runs beside backups, restores and checks. What a backup under way might still need is only listed, and goes at the
    next run after it. Small packs are merged on the way. Exit code 81: something cannot be read, and nothing was
    deleted.

    \b
    Examples:
      packstore -r REPO gc
      packstore -r REPO gc --dry-run
      packstore -r REPO gc --threshold 10 --max-duration 2h
    """  # noqa: D301
    output = settings.output()
    if math.isnan(threshold):
        raise UsageError("--threshold needs a number above 0 and up to 100")
    options = GcOptions(threshold, max_duration, beside, threads=threads or default_threads())
    progress = LiveProgress(output)
    with open_repository(settings, output) as repository, settings.stoppable(_STOPPED) as stop:
        try:
            report = (preview if dry_run else collect)(repository, options, stop, progress)
        finally:
            progress.finish()
    for reason in report.kept:
        output.warn(f"kept {reason}; run `packstore repair`")
    output.result(_document(report, dry_run=dry_run), _text(report, dry_run=dry_run))


def _document(report: GcReport, *, dry_run: bool) -> dict[str, Any]:
    plan = report.plan
    return {
        "dry_run": dry_run,
        "versions": report.versions,
        "versions_removed": report.removed,
        "pages_read": report.pages_read,
        "packs_total": report.packs_total,
        "bytes_total": report.bytes_total,
        "plan": {
            "delete": len(plan.delete),
            "repack": len(plan.repack),
            "merge": len(plan.merge),
            "bytes_freed": plan.bytes_freed,
            "bytes_copied": plan.bytes_copied,
        },
        "packs_ripe": report.packs_ripe,
        "bytes_ripe": report.bytes_ripe,
        "packs_deleted": report.packs_deleted,
        "bytes_deleted": report.bytes_deleted,
        "bytes_copied": report.bytes_copied,
        "bytes_freed": report.bytes_deleted - report.bytes_copied,
        "lists_finished": report.lists_finished,
        "kept": report.kept,
        "waiting_for": report.waiting_for,
        "stopped": report.stopped,
    }


def _text(report: GcReport, *, dry_run: bool) -> list[str]:
    plan = report.plan
    would = "would delete" if dry_run else "planned to delete"
    lines = [
        f"{counted(report.versions, 'version')}, {report.removed} removed; "
        f"{counted(report.packs_total, 'pack')}, {size(report.bytes_total)}",
        f"{would} {counted(len(plan.delete), 'pack')}, copy out of {len(plan.repack)}, merge {len(plan.merge)}: "
        f"frees {size(plan.bytes_freed)}, copies {size(plan.bytes_copied)}",
    ]
    if report.packs_ripe:
        lines.append(
            f"{counted(report.packs_ripe, 'pack')} listed earlier, {size(report.bytes_ripe)}: all writers know of them"
        )
    if dry_run:
        return lines
    lines.append(
        f"deleted {counted(report.packs_deleted, 'pack')}, {size(report.bytes_deleted)}; "
        f"copied {size(report.bytes_copied)}"
    )
    if report.waiting_for:
        lines.append(f"the rest goes at the next gc after this has ended: {', '.join(report.waiting_for)}")
    if report.stopped:
        lines.append(f"stopped early: {report.stopped}; the next gc goes on")
    return lines
