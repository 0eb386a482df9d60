"""Check a repository, or some versions of it, and say what damage means for each version.

Before: operations.check_packs, operations.check_documents. After: the command line.
"""

from dataclasses import dataclass, field

from packstore.blocks import Extent, Geometry, merge_extents
from packstore.errors import DamageError
from packstore.format.pack import PackType
from packstore.format.page import Page, decode_page
from packstore.format.record import Kind
from packstore.format.version import Version
from packstore.ids import HOLE, ObjectId, PackId
from packstore.index.objectindex import Location, ObjectIndex
from packstore.operations.check_documents import check_documents
from packstore.operations.check_packs import Damage, PackChecker, PackReport
from packstore.operations.restore import restore
from packstore.operations.scrub_plan import Candidate, plan_scrub
from packstore.packs.names import list_packs, pack_name
from packstore.packs.reader import Owner
from packstore.progress import Progress, StopRequest
from packstore.repository.documents import require_reachable
from packstore.repository.repository import Repository
from packstore.repository.tree import check_shape, page_blocks, tree_levels
from packstore.storage.base import Listed, Storage

_WHOLE = 100.0


@dataclass(frozen=True, slots=True)
class DamagedVersion:
    """A version and the byte ranges of it that cannot be restored."""

    version: Version
    ranges: list[Extent]


@dataclass
class CheckReport:
    """What a check read and what it found."""

    packs_total: int = 0
    packs_checked: int = 0
    bytes_total: int = 0
    bytes_checked: int = 0
    records: int = 0
    versions_checked: int = 0
    damage: list[Damage] = field(default_factory=list)
    versions: list[DamagedVersion] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damage and not self.versions


Packs = dict[tuple[PackType, PackId], Listed]


def check_stored_bytes(
    storage: Storage,
    owner: Owner,
    index: ObjectIndex,
    stop: StopRequest,
    progress: Progress,
    *,
    percent: float,
    threads: int,
) -> CheckReport:
    """Verify every stored byte, or `percent` of them, by checksum; needs no key."""
    report = CheckReport(damage=check_documents(storage, None))
    checker = PackChecker(storage, owner, None, stop, progress, threads=threads)
    _check_packs(storage, checker, _all_packs(storage), index, report, progress, method="k", percent=percent)
    if not report.clean:
        require_reachable(storage)
    return report


def check_repository(
    repository: Repository, stop: StopRequest, progress: Progress, *, percent: float, threads: int
) -> CheckReport:
    """Decrypt, decompress and compare everything, or `percent` of it, and walk every version."""
    storage = repository.storage
    repository.recover()  # what a lost meta pack named is found by the packs' own directories
    # Taken before the packs are listed: what others publish meanwhile is not this check's business.
    versions = [state.version for state in repository.states() if not state.removed]
    named = repository.index.pack_ids(PackType.BLOCKS) - set(repository.index.orphans())
    report = CheckReport(damage=check_documents(storage, repository.keyring))
    packs = _all_packs(storage)
    checker = PackChecker(storage, repository.owner, repository.codec, stop, progress, threads=threads)
    reports = _check_packs(storage, checker, packs, repository.index, report, progress, method="d", percent=percent)
    # What only the index remembers, and nothing in `meta/` names, is missed by nobody.
    missing = [pack_name(PackType.BLOCKS, pack_id) for pack_id in named if (PackType.BLOCKS, pack_id) not in packs]
    report.damage += [Damage(name, 0, 0, "is missing") for name in missing]
    progress.start("walking versions", None)
    report.versions = _walk_versions(repository, versions, packs, reports, stop)
    if report.versions:  # the index may be what is wrong
        repository.relearn()
        report.versions = _walk_versions(repository, versions, packs, reports, stop)
    report.versions_checked = len(versions)
    progress.finish()
    if not report.clean:
        require_reachable(storage)
    return report


def _walk_versions(
    repository: Repository,
    versions: list[Version],
    packs: Packs,
    reports: dict[PackId, PackReport],
    stop: StopRequest,
) -> list[DamagedVersion]:
    walker = _Walker(repository, packs, reports, stop)
    found = [DamagedVersion(version, walker.bad_ranges(version)) for version in versions]
    return [damaged for damaged in found if damaged.ranges]


def check_versions(
    repository: Repository, versions: list[Version], stop: StopRequest, progress: Progress, *, threads: int
) -> CheckReport:
    """Read everything that these versions need, as a restore would, and write it nowhere."""
    report = CheckReport()
    for version in versions:
        result = restore(repository, version, _Nowhere(), stop, progress, threads=threads)
        report.versions_checked += 1
        report.bytes_checked += result.bytes_data
        report.bytes_total += result.bytes_total
        if result.damaged:
            report.versions.append(DamagedVersion(version, result.damaged))
    return report


def _all_packs(storage: Storage) -> Packs:
    return {
        (pack_type, pack_id): listed
        for pack_type in (PackType.META, PackType.BLOCKS)
        for pack_id, listed in list_packs(storage, pack_type).items()
    }


def _check_packs(
    storage: Storage,
    checker: PackChecker,
    packs: Packs,
    index: ObjectIndex,
    report: CheckReport,
    progress: Progress,
    *,
    method: str,
    percent: float,
) -> dict[PackId, PackReport]:
    by_id = {pack_id: (pack_type, listed) for (pack_type, pack_id), listed in packs.items()}
    report.packs_total = len(by_id)
    report.bytes_total = sum(listed.size for _, listed in by_id.values())
    ledger = index.notes.scrub_runs(method)
    totals = index.notes.scrub_totals(method)
    run = 1 + len(totals)
    appeared = {pack_id: run - 1 for pack_id in by_id if pack_id not in ledger}
    candidates = [
        Candidate(pack_id, listed.size, ledger.get(pack_id, run - 1)) for pack_id, (_, listed) in by_id.items()
    ]
    chosen = sorted(by_id) if percent >= _WHOLE else plan_scrub(candidates, percent, totals)
    index.notes.note_scrubbed(method, appeared)
    progress.start("checking packs", sum(by_id[pack_id][1].size for pack_id in chosen))
    reports: dict[PackId, PackReport] = {}
    for pack_id in chosen:
        pack_type, listed = by_id[pack_id]
        found = checker.check(pack_type, pack_id, listed)
        if found.damage:
            require_reachable(storage)
        index.notes.forget_damaged(pack_id)
        index.notes.note_damaged(pack_id, found.bad)
        report.packs_checked += 1
        report.bytes_checked += found.bytes_read
        report.records += found.records
        report.damage += found.damage
        if found.damage:
            reports[pack_id] = found
        index.notes.note_scrubbed(method, {pack_id: run})
    index.notes.note_scrub_total(method, run, report.bytes_total)
    progress.finish()
    return reports


class _Walker:
    """Walks the trees of versions, each shared page once, and says which ranges are lost."""

    def __init__(
        self, repository: Repository, packs: Packs, reports: dict[PackId, PackReport], stop: StopRequest
    ) -> None:
        self._repository = repository
        self._packs = packs
        self._reports = reports
        self._stop = stop
        self._known: dict[tuple[ObjectId, int, int], list[range]] = {}

    def bad_ranges(self, version: Version) -> list[Extent]:
        """Return the byte ranges of a version that cannot be restored."""
        geometry = Geometry(version.size, version.block_size)
        level = tree_levels(geometry.count) - 1
        return merge_extents(geometry.span(blocks) for blocks in self._bad_below(version.root, level, geometry.count))

    def _bad_below(self, page_id: ObjectId, level: int, count: int) -> list[range]:
        """Return the lost blocks, counted from the first of the `count` blocks below a page."""
        if page_id == HOLE:
            return []
        key = (page_id, level, count)
        if key not in self._known:
            self._stop.check()
            try:
                page = decode_page(self._repository.read_object(Kind.PAGE, page_id))
                check_shape(page, level, 0, count)
            except DamageError:
                return [range(count)]
            self._known[key] = self._bad_entries(page, level, count)
        return self._known[key]

    def _bad_entries(self, page: Page, level: int, count: int) -> list[range]:
        ids = [page.id_at(at) for at in range(len(page))]
        if level == 0:
            return [range(at, at + 1) for at, found in enumerate(ids) if found != HOLE and not self._is_good(found)]
        step = page_blocks(level - 1)
        return [
            range(at * step + blocks.start, at * step + blocks.stop)
            for at, page_id in enumerate(ids)
            for blocks in self._bad_below(page_id, level - 1, min(step, count - at * step))
        ]

    def _is_good(self, object_id: ObjectId) -> bool:
        for location in self._repository.index.locate(Kind.BLOCK, object_id):
            if not self._exists(location):
                continue
            report = self._reports.get(location.pack_id)
            found = report and report.good.get(location.offset)
            if report is None or (found and (found.kind, found.object_id) == (Kind.BLOCK, object_id)):
                return True
        return False

    def _exists(self, location: Location) -> bool:
        """Say whether a pack was listed, or has come since."""
        key = (location.pack_type, location.pack_id)
        return key in self._packs or self._repository.storage.exists(pack_name(*key))


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
