"""Check a repository, or some versions of it, and say what damage means for each version.

What is found is recorded in the repository: which packs were read, where damage lies, what versions have lost.
Before: operations.scrub, operations.check_walk, operations.findings. After: the command line.
"""

from dataclasses import dataclass, field
from typing import Final

from packstore.codec.stages import Stages
from packstore.errors import Interrupted, VersionNotFound
from packstore.format.pack import PackType
from packstore.format.version import Version
from packstore.ids import Uid
from packstore.index.objectindex import ObjectIndex
from packstore.operations.check_documents import check_documents
from packstore.operations.check_packs import Damage, PackChecker, PackReport
from packstore.operations.check_walk import DamagedVersion, Walker
from packstore.operations.findings import record_findings
from packstore.operations.restore import explain, restore
from packstore.operations.scrub import Packs, Reading, Scrubber, all_packs
from packstore.operations.scrub_plan import Amount
from packstore.packs.reader import Owner
from packstore.progress import NullProgress, Progress, StopRequest
from packstore.repository.damages import known_entries
from packstore.repository.documents import require_reachable
from packstore.repository.history import forgotten_versions
from packstore.repository.repository import Repository
from packstore.repository.scrubs import METHOD, notes_memory, scrub_memory
from packstore.storage.base import Storage

KEYLESS = "k"
"""How the local notes call a check by checksums only."""


_ATTEMPTS: Final = 10
"""At finding something, while collectors move it: each time what is new in `meta/` is read first."""


@dataclass
class CheckReport:
    """What a check read and what it found; `missing` are names of packs that versions need and that are not here.

    `unrecorded` is why the repository could not be told of it.
    """

    packs_total: int = 0
    packs_checked: int = 0
    bytes_total: int = 0
    bytes_checked: int = 0
    records: int = 0
    versions_checked: int = 0
    complete: bool = True
    damage: list[Damage] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    versions: list[DamagedVersion] = field(default_factory=list)
    unrecorded: str = ""
    stages: Stages = field(default_factory=Stages)

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong, and nothing that is needed is missing."""
        return not self.damage and not self.versions

    @property
    def damaged(self) -> bool:
        """Whether more is wrong than that files have not come."""
        return bool(self.damage) or any(hit.is_damaged for hit in self.versions)

    def take(self, reading: Reading) -> None:
        """Take in what was read."""
        self.packs_checked = len(reading.bad)
        self.bytes_checked = reading.bytes_read
        self.records = reading.records
        self.complete = reading.complete
        self.damage += [damage for report in reading.reports.values() for damage in report.damage]


def check_stored_bytes(
    storage: Storage,
    owner: Owner,
    index: ObjectIndex,
    stop: StopRequest,
    progress: Progress,
    *,
    amount: Amount,
    date_ms: int,
    threads: int,
) -> CheckReport:
    """Verify every stored byte, or some, by checksum; needs no key, and is remembered on this machine only."""
    packs = all_packs(storage)
    report = _new_report(packs, check_documents(storage, None))
    checker = PackChecker(storage, owner, None, stop, progress, threads=threads)
    report.stages = checker.stages
    scrubber = Scrubber(checker, storage, index, KEYLESS)
    memory = notes_memory(index.notes, KEYLESS)
    reading = scrubber.begin(packs, memory, amount)
    try:
        scrubber.read(reading, packs, memory, progress)
    finally:
        reading.end(date_ms)
        index.notes.note_run(KEYLESS, reading.run, reading.news.runs[reading.run])
    report.take(reading)
    if not report.clean:
        require_reachable(storage)
    return report


def check_repository(
    repository: Repository,
    stop: StopRequest,
    progress: Progress,
    *,
    threads: int,
    amount: Amount | None = None,
    record: bool = True,
) -> CheckReport:
    """Decrypt, decompress and compare everything, or some of it, and walk every version; record what was found.

    Raises:
        StorageGone: the storage is out of reach.
        KeysUnreadable: the key does not open every epoch.
        Interrupted: what was read until then is recorded.
    """
    storage = repository.storage
    repository.require_every_epoch()
    repository.recover()  # what a lost meta pack named is found by the packs' own directories
    # Taken before the packs are listed: what others publish meanwhile is not this check's business.
    versions = [state.version for state in repository.states() if not state.removed]
    packs = all_packs(storage)
    report = _new_report(packs, check_documents(storage, repository.keyring))
    checker = PackChecker(storage, repository.owner, repository.codec, stop, progress, threads=threads)
    report.stages = repository.stages
    scrubber = Scrubber(checker, storage, repository.index, METHOD)
    scrubber.complete_reports(lambda found: _complete(repository, found))
    memory = scrub_memory(repository)
    reading = scrubber.begin(packs, memory, amount or Amount())
    try:
        scrubber.read(reading, packs, memory, progress)
        report.take(reading)
        if reading.complete or reading.reports:
            progress.start("walking versions", None)
            _walk(repository, versions, packs, reading, stop, report)
            progress.finish()
    except Interrupted:
        _record(repository, reading, report, progress, record=record)
        raise
    _record(repository, reading, report, progress, record=record)
    if not report.clean:
        require_reachable(storage)
    return report


def _new_report(packs: Packs, damage: list[Damage]) -> CheckReport:
    total = sum(listed.size for listed in packs.values())
    return CheckReport(packs_total=len(packs), bytes_total=total, damage=damage)


def _complete(repository: Repository, report: PackReport) -> None:
    """Name each record that a pack without a seal is said to hold, and does not hold whole."""
    if report.pack_type is PackType.BLOCKS:
        entries = known_entries(repository, report.pack_type, report.pack_id)
        report.bad |= {entry.offset for entry in entries if report.good.get(entry.offset) != entry}


def _walk(
    repository: Repository,
    versions: list[Version],
    packs: Packs,
    reading: Reading,
    stop: StopRequest,
    report: CheckReport,
) -> None:
    # A pack that cannot be made sense of may have held what nothing speaks of any more.
    any_damage = bool(reading.reports) or bool(repository.index.standing().places)
    suspects = versions
    for attempt in range(_ATTEMPTS):
        known = repository.index.stamp()
        walker = Walker(repository, packs, reading, stop, any_damage=any_damage)
        report.versions = [hit for hit in map(walker.walk, suspects) if hit.ranges]
        if not report.versions:
            break
        if not attempt:
            repository.relearn()  # the index may be what is wrong
        removed = _removed(repository)  # since they were listed: they may have been collected, and nothing is wrong
        versions = [version for version in versions if version.uid not in removed]
        report.versions = [hit for hit in report.versions if hit.version.uid not in removed]
        suspects = [hit.version for hit in report.versions]
        if repository.index.stamp() == known:
            break  # else a collector may have moved it while it was looked for
    wanted = {version.uid for version in suspects}
    report.missing = sorted(name for name, needing in walker.missing.items() if needing & wanted)
    report.versions_checked = len(versions)
    repository.index.notes.note_lacking({hit.version.uid: hit.lacking for hit in report.versions})
    repository.index.notes.note_hits({hit.version.uid: hit.damaged for hit in report.versions})


def _removed(repository: Repository) -> set[Uid]:
    """Return the versions that somebody has removed; one whose record is only lost is not among them."""
    repository.refresh(NullProgress())
    removed = {state.version.uid for state in repository.states() if state.removed}
    return removed | forgotten_versions(repository.events())


def _record(repository: Repository, reading: Reading, report: CheckReport, progress: Progress, *, record: bool) -> None:
    """Record a run, in the repository if that is possible and wanted, and in any case on this machine."""
    reading.end(repository.runtime.now_ms())
    repository.index.notes.note_run(METHOD, reading.run, reading.news.runs[reading.run])
    if not record:
        return
    hits = {hit.version.uid: hit.damaged for hit in report.versions if hit.damaged}
    report.unrecorded = record_findings(repository, reading, hits)
    _warn_unrecorded(report, progress)


def _warn_unrecorded(report: CheckReport, progress: Progress) -> None:
    if report.unrecorded:
        message = "what was found cannot be recorded in the repository, only on this machine"
        progress.warn(f"{message}: {report.unrecorded}")


def check_versions(
    repository: Repository,
    versions: list[Version],
    stop: StopRequest,
    progress: Progress,
    *,
    threads: int,
    record: bool = True,
) -> CheckReport:
    """Read everything that these versions need, as a restore would, and write it nowhere; record damage."""
    report = CheckReport(stages=repository.stages)
    for version in versions:
        try:
            result = restore(repository, version, _Nowhere(), stop, progress, threads=threads)
            explain(repository, version, result, stop, publish=record)
        except VersionNotFound as error:
            progress.warn(error.message)
            continue
        report.versions_checked += 1
        report.bytes_checked += result.bytes_data
        report.bytes_total += result.bytes_total
        report.missing = sorted({*report.missing, *result.missing})
        if result.hit:
            report.versions.append(result.hit)
        report.unrecorded = report.unrecorded or result.unrecorded
    _warn_unrecorded(report, progress)
    return report


class _Nowhere:
    """A target that takes everything and keeps nothing."""

    in_order = False

    def begin(self, size: int) -> None:
        """Take any size."""

    def write(self, offset: int, data: bytes) -> None:
        """Take it."""

    def zero(self, offset: int, length: int) -> None:
        """Take it."""

    def finish(self) -> None:
        """Keep nothing."""

    def close(self) -> None:
        """Keep nothing."""
