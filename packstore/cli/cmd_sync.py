"""`packstore sync`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from packstore.cli.credentials import PASSPHRASE_SOURCES
from packstore.cli.live import LiveProgress
from packstore.cli.opening import find_storage, make_credentials, open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import Output, counted, rate, size
from packstore.cli.places import KEY_FILE, named_place
from packstore.cli.tuning import compression_option, threads_option
from packstore.cli.versions import iso_date, local_date
from packstore.errors import DamageError, UsageError
from packstore.operations.pipeline import default_threads
from packstore.operations.sync import SyncReport, plan_sync, sync
from packstore.repository.history import VersionState
from packstore.repository.repository import Repository

_STOPPED = "run it again: versions that are copied are passed over, and what is stored is not stored again"


@click.command()
@click.argument("source", metavar="SRC_REPO")
@click.argument("destination", metavar="DST_REPO")
@click.argument("versions", nargs=-1, metavar="[VERSION]...")
@click.option(
    "--src-key-file",
    type=click.Path(path_type=Path),
    metavar="F",
    help="A key file that opens SRC_REPO (also PACKSTORE_SRC_KEY_FILE).",
)
@click.option(
    "--dst-key-file",
    type=click.Path(path_type=Path),
    metavar="F",
    help="A key file that opens DST_REPO (also PACKSTORE_DST_KEY_FILE).",
)
@click.option("--dry-run", is_flag=True, help="Say which versions would be copied, and copy nothing.")
@compression_option
@threads_option
@common_options
@pass_settings
def command(
    settings: Settings,
    source: str,
    destination: str,
    versions: tuple[str, ...],
    src_key_file: Path | None,
    dst_key_file: Path | None,
    dry_run: bool,
    compression: str,
    threads: int | None,
) -> None:
    """Copy versions from SRC_REPO to DST_REPO, which has keys of its own: all of them, or each VERSION.

    Every block is read, verified, and stored with the keys of DST_REPO unless it is known there. Versions keep uid,
    date, tags, protection and expiry; those that DST_REPO has or had are passed over. One that is damaged is named and
    not copied, the others are, and the exit code is 40. To copy a repository with its keys, use rsync (docs/COPIES.md).

    What opens SRC_REPO is looked for in PACKSTORE_SRC_PASSPHRASE, PACKSTORE_SRC_PASSPHRASE_FILE,
    PACKSTORE_SRC_PASSPHRASE_COMMAND and PACKSTORE_SRC_PASSPHRASE_KEYRING (PACKSTORE_DST_… for DST_REPO), then where all
    commands look for it.

    \b
    Examples:
      packstore sync /mnt/usb/backup /mnt/nas/backup
      packstore sync /mnt/usb/backup /mnt/nas/backup root root~1 --src-key-file usb.key
      packstore sync --dry-run /mnt/usb/backup /mnt/nas/backup
    """  # noqa: D301
    output = settings.output()
    if settings.repo is not None or settings.repo_id is not None:
        raise UsageError("sync is given its two repositories as arguments", advice="leave out -r and --repo-id")
    with (
        _opened(settings, output, "SRC", source, src_key_file, compression) as first,
        _require_another(first, settings, destination),
        _opened(settings, output, "DST", destination, dst_key_file, compression) as second,
        settings.stoppable(_STOPPED) as stop,
    ):
        if dry_run:
            report = plan_sync(first, second, versions)
        else:
            progress = LiveProgress(output)
            try:
                report = sync(first, second, versions, stop, progress, threads=threads or default_threads())
            finally:
                progress.finish()
    _report(output, report, dry_run=dry_run)


@contextmanager
def _opened(
    settings: Settings, output: Output, side: str, location: str, key_file: Path | None, compression: str
) -> Iterator[Repository]:
    """Open one of the two repositories, with what is said of its credentials, else with what is said of both."""
    environment = side_environment(named_place(location).environment(settings.environment), side)
    named = key_file or settings.key_file or environment.get(KEY_FILE)
    credentials = make_credentials(settings, environment, Path(named) if named else None, location)
    own = replace(settings, repo=location)
    with open_repository(own, output, compression=compression, credentials=credentials) as repository:
        settings.rolled_back = settings.rolled_back or own.rolled_back
        yield repository


@contextmanager
def _require_another(repository: Repository, settings: Settings, location: str) -> Iterator[None]:
    """Refuse one place given twice, before its index is opened twice."""
    if find_storage(replace(settings, repo=location)).identity == repository.storage.identity:
        raise UsageError("source and destination are the same place", advice="name another repository to copy to")
    yield


def side_environment(environment: Mapping[str, str], side: str) -> dict[str, str]:
    """Return the variables that one side sees: what is said of it alone takes the place of what is said of both."""
    prefix = f"PACKSTORE_{side}_"
    own = {
        f"PACKSTORE_{name.removeprefix(prefix)}": value
        for name, value in environment.items()
        if name.startswith(prefix)
    }
    common = {
        name: value for name, value in environment.items() if not name.startswith(("PACKSTORE_SRC_", "PACKSTORE_DST_"))
    }
    if any(name in own for name in (*PASSPHRASE_SOURCES, KEY_FILE)):
        common = {name: value for name, value in common.items() if name not in (*PASSPHRASE_SOURCES, KEY_FILE)}
    return common | own


def _report(output: Output, report: SyncReport, *, dry_run: bool) -> None:
    document: dict[str, Any] = {
        "dry_run": dry_run,
        "copied": [_version(state) for state in report.copied],
        "skipped": [_version(state) for state in report.skipped],
        "refused": [_version(refused.state) | {"reason": refused.reason} for refused in report.refused],
        "bytes_read": report.bytes_read,
        "bytes_new": report.bytes_new,
        "bytes_stored": report.bytes_stored,
        "duration_ms": int(1000 * report.seconds),
    }
    word = "would copy" if dry_run else "copied"
    lines = [
        f"{word} {state.version.uid.hex()[:8]} {local_date(state)} {state.version.volume} {size(state.version.size)}"
        for state in report.copied
    ]
    skipped = f", {len(report.skipped)} there already" if report.skipped else ""
    lines.append(f"{counted(len(report.copied), 'version')} {'to copy' if dry_run else 'copied'}{skipped}")
    if not dry_run and report.copied:
        lines.append(
            f"read {size(report.bytes_read)} ({rate(report.bytes_read, report.seconds)}), "
            f"new {size(report.bytes_new)}, stored {size(report.bytes_stored)}"
        )
    output.result(document, lines)
    if report.refused:
        names = ", ".join(refused.state.version.uid.hex()[:8] for refused in report.refused[:8])
        message = f"{counted(len(report.refused), 'version')} damaged at the source and not copied: {names}"
        raise DamageError(message, advice="check the source; a backup of an intact device there mends what is lost")


def _version(state: VersionState) -> dict[str, Any]:
    version = state.version
    return {"uid": version.uid.hex(), "volume": version.volume, "date": iso_date(state.date), "size": version.size}
