"""`packstore run`."""

from collections.abc import Sequence
from dataclasses import replace

import click

from packstore.cli.check_report import check_fault
from packstore.cli.config import read_config
from packstore.cli.config_model import Config, RepositoryEntry, VolumeEntry
from packstore.cli.live import LiveProgress
from packstore.cli.opening import open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import Output
from packstore.cli.priority import lower_priority
from packstore.cli.run_report import Summary
from packstore.errors import ConfigError, Interrupted, PackstoreError, RepositoryNotFound, UsageError
from packstore.operations.check import CheckReport
from packstore.operations.pipeline import default_threads
from packstore.operations.run import RunOptions, State, Step, VolumeTask, run_repository
from packstore.progress import StopRequest
from packstore.storage.limited import limited_storage
from packstore.throttle import TokenBucket

_STOPPED = "run it again: what was done stays done, and what is stored is not stored again"


@click.command()
@click.argument("volumes", nargs=-1, metavar="[VOLUME]...")
@click.option("--now", is_flag=True, help="Back up what is not due, too.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@common_options
@pass_settings
def command(settings: Settings, volumes: tuple[str, ...], now: bool, dry_run: bool) -> None:
    """Do what the configuration says is due, of each VOLUME or of all, in each repository or in that of -r.

    First backups, then, in repositories where one was due: prune by the retention of these volumes, a check of the
    configured percentage, and gc if it frees enough. What goes wrong in one step does not keep the others from being
    done; the exit code is then 90, and the summary says what it was. Volumes, repositories, limits and hooks stand in
    the configuration file: docs/CONFIGURATION.md.

    \b
    Examples:
      packstore run
      packstore run root home --dry-run
      packstore -r usb run --now
    """  # noqa: D301
    output = settings.output()
    config = read_config(settings.environment)
    chosen = _volumes(config, volumes)
    entries = _repositories(config, settings)
    for volume in chosen:
        if volume.snapshot_size is not None:
            output.warn(f"snapshot_size of {volume.name} is not used: packstore reads {volume.source} as it is")
    if not dry_run:
        lower_priority(config.limits.nice, config.limits.io_priority)
    summary = Summary(output, dry_run=dry_run)
    with settings.stoppable(_STOPPED) as stop:
        buckets = _bucket(config.limits.bandwidth_in, stop), _bucket(config.limits.bandwidth_out, stop)
        try:
            for entry in entries:
                tasks = [_task(one) for one in chosen if not one.repositories or entry.name in one.repositories]
                options = RunOptions(
                    entry.name,
                    config.schedules,
                    config.min_age,
                    config.limits.threads or default_threads(),
                    entry.min_free,
                    entry.check_percent,
                    entry.gc_percent,
                    dry_run=dry_run,
                    all_due=now,
                    incoming=buckets[0],
                )
                if tasks:
                    _run(settings, entry, tasks, options, summary, buckets[1])
        finally:
            summary.show()
    summary.require_success()


def _volumes(config: Config, names: Sequence[str]) -> list[VolumeEntry]:
    if not config.volumes:
        message = "no volumes are configured, so there is nothing to run"
        raise ConfigError(message, advice=f"write them into {config.file}; docs/CONFIGURATION.md shows how")
    for name in names:
        if name not in config.volumes:
            raise UsageError(
                f"no volume {name!r} is configured", advice=f"{config.file} has {', '.join(config.volumes)}"
            )
    return [volume for name, volume in config.volumes.items() if not names or name in names]


def _repositories(config: Config, settings: Settings) -> list[RepositoryEntry]:
    if not config.repositories:
        message = "no repositories are configured, so there is nothing to back up to"
        raise ConfigError(message, advice=f"write one into {config.file}; docs/CONFIGURATION.md shows how")
    entries = list(config.repositories.values())
    if settings.repo_id:
        entries = [one for one in entries if one.id.startswith(settings.repo_id.lower()) and one.id]
    elif settings.repo:
        entries = [one for one in entries if one.name == settings.repo]
    if not entries:
        have = f"{config.file} has {', '.join(config.repositories)}"
        raise UsageError(f"no repository {settings.repo_id or settings.repo!r} is configured", advice=have)
    return entries


def _bucket(rate: int | None, stop: StopRequest) -> TokenBucket | None:
    return None if rate is None else TokenBucket(rate, stop)


def _task(volume: VolumeEntry) -> VolumeTask:
    return VolumeTask(
        volume.name, volume.source, volume.tags, volume.retention, immutable=volume.immutable, hooks=volume.hooks
    )


def _run(
    settings: Settings,
    entry: RepositoryEntry,
    tasks: Sequence[VolumeTask],
    options: RunOptions,
    summary: Summary,
    outgoing: TokenBucket | None,
) -> None:
    """Do what is due in one repository. What keeps it from being opened is a step that failed."""
    own = replace(settings, repo=entry.name, repo_id=None)
    output: Output = settings.output()
    progress = LiveProgress(output)

    def report(step: Step) -> None:
        if isinstance(step.result, CheckReport) and step.error is None:
            step.error = check_fault(step.result)
        summary.add(entry.name, step)

    try:
        with open_repository(
            own,
            output,
            compression=entry.compression,
            wrap=lambda storage: limited_storage(storage, options.incoming, outgoing),
        ) as repository:
            run_repository(repository, tasks, options, settings.stop, progress, report)
    except Interrupted:
        raise
    except RepositoryNotFound as error:
        skipped = Step("open", decision=State.SKIPPED, reason="is not there, and need not be")
        summary.add(entry.name, skipped if entry.optional else Step("open", error=error))
    except PackstoreError as error:
        summary.add(entry.name, Step("open", error=error))
    finally:
        progress.finish()
    if own.rolled_back is not None:
        summary.add(entry.name, Step("open", error=own.rolled_back))
