"""`packstore check`."""

import math
from dataclasses import dataclass

import click

from packstore.cli.check_report import report_check, report_comparison, report_coverage
from packstore.cli.live import LiveProgress
from packstore.cli.opening import find_storage, index_root, open_repository
from packstore.cli.options import Settings, common_options, parse_duration, parse_size, pass_settings
from packstore.cli.output import Output
from packstore.cli.tuning import threads_option
from packstore.errors import UsageError
from packstore.index.objectindex import ObjectIndex
from packstore.operations.check import KEYLESS, CheckReport, check_repository, check_stored_bytes, check_versions
from packstore.operations.compare import compare_source
from packstore.operations.coverage import coverage
from packstore.operations.pipeline import default_threads
from packstore.operations.scrub import all_packs
from packstore.operations.scrub_plan import WHOLE, Amount
from packstore.packs.reader import Owner
from packstore.repository.opening import read_repository_file
from packstore.repository.repository import index_directory
from packstore.repository.runtime import Runtime
from packstore.repository.scrubs import notes_memory, scrub_memory
from packstore.sources.open import open_source

_STOPPED = "what was checked is remembered: --percent goes on with the rest"


@dataclass(frozen=True)
class _Asked:
    """What the command line asks for."""

    versions: tuple[str, ...]
    amount: Amount
    threads: int
    keyless: bool
    record: bool


@click.command()
@click.argument("versions", nargs=-1, metavar="[VERSION]...")
@click.option("--percent", type=float, metavar="P", help="Read P % of the repository: what was read longest ago.")
@click.option("--bytes", "size", callback=parse_size, metavar="N", help="Read so much of what was read longest ago.")
@click.option(
    "--max-duration", "seconds", callback=parse_duration, metavar="T", help="Read packs for at most T: 30s, 90m, 2h."
)
@click.option("--source", metavar="SOURCE", help="Compare VERSION with the file or device it was made from.")
@click.option("--status", is_flag=True, help="Read nothing; show what was checked so far, and when.")
@click.option("--keyless", is_flag=True, help="Verify checksums only; needs no passphrase.")
@click.option("--no-record", is_flag=True, help="Do not write to the repository what was read and found.")
@threads_option
@common_options
@pass_settings
def command(
    settings: Settings,
    versions: tuple[str, ...],
    percent: float | None,
    size: int | None,
    seconds: float | None,
    source: str | None,
    status: bool,
    keyless: bool,
    no_record: bool,
    threads: int | None,
) -> None:
    """Verify what is stored: everything, some of it, or what each VERSION needs.

    Names damaged files, the versions that they hit and the byte ranges in them; exit code 40 if there is damage, 44 if
    files that versions need have only not arrived. What was read is remembered in the repository, for all hosts: run
    ceil(100 / P) times one after another, --percent P has read everything. With --source, exit code 68 says that the
    stored version is good and the source has changed.

    \b
    Examples:
      packstore -r REPO check
      packstore -r REPO check --percent 16 --max-duration 2h
      packstore -r REPO check --status
      packstore -r REPO check root --source /dev/vg/root
      packstore -r REPO check --keyless
    """  # noqa: D301
    _refuse_nonsense(versions, (percent, size, seconds), source, status=status, keyless=keyless)
    output = settings.output()
    amount = Amount(WHOLE if percent is None else percent, size, seconds)
    asked = _Asked(versions, amount, threads or default_threads(), keyless, not no_record)
    if status:
        _status(settings, output, keyless=keyless)
    elif source is not None:
        _compare(settings, output, asked, source)
    else:
        _check(settings, output, asked)


def _refuse_nonsense(
    versions: tuple[str, ...],
    amount: tuple[float | None, int | None, float | None],
    source: str | None,
    *,
    status: bool,
    keyless: bool,
) -> None:
    percent, size, _ = amount
    partly = any(value is not None for value in amount)
    if percent is not None and not (math.isfinite(percent) and 0 < percent <= WHOLE):
        raise UsageError("--percent needs a number above 0 and up to 100")
    if percent is not None and size is not None:
        raise UsageError("--percent or --bytes, not both")
    if size is not None and not size:
        raise UsageError("--bytes needs at least one byte")
    if versions and (keyless or partly):
        raise UsageError("versions are checked whole and with keys: leave out --percent, --bytes and --keyless")
    if status and (versions or partly or source):
        raise UsageError("--status reads nothing: give it alone, or with --keyless")
    if source is not None and len(versions) != 1:
        raise UsageError("--source is compared with one VERSION: name it")


def _check(settings: Settings, output: Output, asked: _Asked) -> None:
    progress = LiveProgress(output)
    try:
        report = _keyless(settings, progress, asked) if asked.keyless else _with_keys(settings, output, progress, asked)
    finally:
        progress.finish()
    report_check(output, report, asked.amount, keyless=asked.keyless)


def _keyless(settings: Settings, progress: LiveProgress, asked: _Asked) -> CheckReport:
    storage = find_storage(settings)
    file = read_repository_file(storage).file
    index = ObjectIndex(index_directory(index_root(settings), file, storage), file.id)
    try:
        with settings.stoppable(_STOPPED) as stop:
            return check_stored_bytes(
                storage,
                Owner(file.id, None, None),
                index,
                stop,
                progress,
                amount=asked.amount,
                date_ms=Runtime().now_ms(),
                threads=asked.threads,
            )
    finally:
        index.close()


def _with_keys(settings: Settings, output: Output, progress: LiveProgress, asked: _Asked) -> CheckReport:
    with open_repository(settings, output) as repository, settings.stoppable(_STOPPED) as stop:
        if asked.versions:
            found = [repository.find(version).version for version in asked.versions]
            return check_versions(repository, found, stop, progress, threads=asked.threads, record=asked.record)
        return check_repository(
            repository, stop, progress, threads=asked.threads, amount=asked.amount, record=asked.record
        )


def _compare(settings: Settings, output: Output, asked: _Asked, source: str) -> None:
    opened = open_source(source)
    try:
        with open_repository(settings, output) as repository, settings.stoppable() as stop:
            version = repository.find(asked.versions[0]).version
            progress = LiveProgress(output)
            try:
                found = compare_source(repository, version, opened, stop, progress, threads=asked.threads)
            finally:
                progress.finish()
    finally:
        opened.close()
    report_comparison(output, version, source, found)


def _status(settings: Settings, output: Output, *, keyless: bool) -> None:
    if keyless:
        storage = find_storage(settings)
        file = read_repository_file(storage).file
        index = ObjectIndex(index_directory(index_root(settings), file, storage), file.id)
        try:
            found = coverage(all_packs(storage), notes_memory(index.notes, KEYLESS))
        finally:
            index.close()
        report_coverage(output, found, [], keyless=True)
        return
    with open_repository(settings, output) as repository:
        found = coverage(all_packs(repository.storage), scrub_memory(repository))
        bad = [state for state in repository.states() if not state.removed and not repository.is_readable(state)]
        report_coverage(output, found, [(state, repository.validity(state)) for state in bad], keyless=False)
