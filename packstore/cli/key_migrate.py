"""`packstore key migrate`."""

import click

from packstore.cli.keys import epoch_document
from packstore.cli.live import LiveProgress
from packstore.cli.opening import open_repository
from packstore.cli.options import Settings, common_options, parse_duration, pass_settings
from packstore.cli.output import counted, size
from packstore.operations.gc import GcOptions
from packstore.operations.key_migrate import migrate
from packstore.operations.pipeline import default_threads


@click.command()
@click.option(
    "--max-duration", callback=parse_duration, metavar="T", help="Stop after 30m, 2h, …; the next run goes on."
)
@click.option(
    "--threads", type=click.IntRange(1, 64), metavar="N", help="Worker threads; the number of processors by default."
)
@common_options
@pass_settings
def command(settings: Settings, max_duration: float | None, threads: int | None) -> None:
    """Write what is stored under older epochs anew, under the keys of the newest.

    Runs beside backups and restores, and can be stopped and run again at any time: it is a collection of garbage (see
    `packstore gc`) that takes every pack with older records. What a backup under way might need goes at the next run
    after it. Nothing is read that is in the newest epoch already.

    \b
    Examples:
      packstore -r REPO key migrate
      packstore -r REPO key migrate --max-duration 2h
    """  # noqa: D301
    output = settings.output()
    options = GcOptions(max_seconds=max_duration, renew=True, threads=threads or default_threads())
    progress = LiveProgress(output)
    advice = "run it again: it goes on where it was"
    with open_repository(settings, output) as repository, settings.stoppable(advice) as stop:
        try:
            done = migrate(repository, options, stop, progress)
        finally:
            progress.finish()
    report = done.collected
    document = {
        "epoch": epoch_document(done.epoch),
        "packs_deleted": report.packs_deleted,
        "bytes_copied": report.bytes_copied,
        "packs_left": len(done.left),
        "bytes_left": sum(listed.size for listed in done.left),
        "waiting_for": report.waiting_for,
        "stopped": report.stopped,
        "kept": report.kept,
    }
    lines = [f"wrote {size(report.bytes_copied)} anew in epoch {done.epoch.number}"]
    if not done.left:
        lines.append("nothing is left under an older epoch")
    else:
        left = sum(listed.size for listed in done.left)
        lines.append(f"{counted(len(done.left), 'pack')} of {size(left)} are left under older epochs: run it again")
    if report.waiting_for:
        lines.append(f"waiting for these to end: {', '.join(report.waiting_for)}")
    for reason in report.kept:
        output.warn(f"kept {reason}; run `packstore repair`")
    output.result(document, lines)
