"""Save what can be saved: twins of small files, good records of damaged packs, what another copy still has.

Nothing is deleted: what is damaged moves into `quarantine/`, and only when everything good in it is good elsewhere.
Before: operations.repair_packs, operations.repair_documents, operations.repair_versions. After: the command line.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from packstore.errors import NameNotFound, StorageError
from packstore.format.ledger import LostObject
from packstore.format.pack import PackType
from packstore.format.record import Kind
from packstore.ids import PackId
from packstore.operations.check_packs import Damage, PackReport
from packstore.operations.findings import put_damage
from packstore.operations.repair_documents import DocumentFix, apply_documents, plan_documents
from packstore.operations.repair_packs import (
    PackFix,
    copy_entry,
    copy_object,
    has_good_copy,
    read_pack,
    replace_file,
)
from packstore.operations.repair_versions import Returns, bring_back, plan_returns
from packstore.operations.scrub import all_packs
from packstore.packs.names import pack_name
from packstore.progress import NullProgress, Progress, StopRequest
from packstore.repository.absence import Absence
from packstore.repository.coordination import other_writers
from packstore.repository.damages import known_damage, known_entries, lost_objects
from packstore.repository.documents import move_aside
from packstore.repository.repository import Repository
from packstore.repository.session import Session
from packstore.repository.validity import Judge

PackKey = tuple[PackType, PackId]


@dataclass
class RepairPlan:
    """What a repair would do; `fetched` are objects that the other copy has, `lost` those that nobody has.

    `absent` are those that may still arrive, with the packs `missing`; `returns` what only the other copy knows of.
    """

    documents: list[DocumentFix] = field(default_factory=list)
    packs: list[PackFix] = field(default_factory=list)
    returns: Returns = field(default_factory=Returns)
    fetched: list[LostObject] = field(default_factory=list)
    absent: list[LostObject] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    lost: list[LostObject] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        todo = any(fix.action != "stay" for fix in self.packs) or any(fix.source for fix in self.documents)
        return not (todo or self.fetched or self.returns)


@dataclass
class RepairResult:
    """What a repair has done; `faults` are what of its own writing did not read back."""

    moved: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    records_copied: int = 0
    packs_fetched: int = 0
    versions_returned: int = 0
    faults: list[Damage] = field(default_factory=list)


class Repair:
    """Plans and applies the repair of one repository, perhaps by another copy of it."""

    def __init__(
        self,
        repository: Repository,
        other: Repository | None,
        stop: StopRequest,
        progress: Progress,
        *,
        threads: int,
    ) -> None:
        self._repository = repository
        self._storage = repository.storage
        self._other = other
        self._other_storage = other.storage if other else None
        self._stop = stop
        self._progress = progress
        self._threads = threads

    def plan(self) -> RepairPlan:
        """Look at what is known to be damaged or missing, and say what can be done about it.

        Raises:
            StorageGone: the storage is out of reach.
            Interrupted: nothing was changed.
        """
        repository = self._repository
        repository.require_every_epoch()
        repository.recover()
        plan = RepairPlan(plan_documents(self._storage, repository.keyring, self._other_storage))
        lost = lost_objects(repository)
        suspects = self._suspects()
        self._progress.start("reading damaged packs", None)
        for key in sorted(suspects):
            self._stop.check()
            plan.packs.append(self._plan_pack(key, {pack_id for _, pack_id in suspects}))
        for key in sorted(self._missing(lost)):
            if self._is_good_there(key):
                plan.packs.append(PackFix(*key, "fetch", ["is not here"], present=False))
        coming = {fix.pack_id for fix in plan.packs if fix.action in {"fetch", "good"}}
        saved = {LostObject(entry.kind, entry.object_id) for fix in plan.packs for entry in fix.copies}
        self._sort(plan, sorted((lost & self._wanted(plan.packs)) - saved), coming)
        if self._other is not None:
            plan.returns = plan_returns(repository, self._other, coming, self._stop)
        self._progress.finish()
        return plan

    def _sort(self, plan: RepairPlan, lost: list[LostObject], coming: set[PackId]) -> None:
        """Say of each lost object whether the other copy has it, whether it may still arrive, or neither."""
        absence = Absence(self._repository, any_damage=bool(plan.packs or known_damage(self._repository)))
        for each in lost:
            if self._is_in(each, coming):
                continue
            if self._is_there(each):
                plan.fetched.append(each)
            elif absence.is_lacking(each):
                plan.absent.append(each)
            else:
                plan.lost.append(each)
        plan.missing = sorted({name for each in plan.absent for name in absence.missing_packs(each)})

    def _wanted(self, fixes: list[PackFix]) -> set[LostObject]:
        """Return what versions are known to need, and what the damaged packs that are here should have held."""
        index = self._repository.index
        needed = (index.standing().hits, index.notes.hits(), index.notes.lacking())
        wanted: set[LostObject] = set()
        for state in self._repository.states():
            if not state.removed:
                wanted.update(*(objects.get(state.version.uid, ()) for objects in needed))
        for fix in fixes:
            entries = known_entries(self._repository, fix.pack_type, fix.pack_id) if fix.bad else []
            wanted |= {LostObject(entry.kind, entry.object_id) for entry in entries if entry.offset in fix.bad}
        return wanted

    def _suspects(self) -> set[PackKey]:
        """Return the packs that are here and known to be damaged."""
        index = self._repository.index
        metas = {meta_id for meta_id, state in index.metas().items() if state.damaged}
        known = {*known_damage(self._repository), *metas}
        return {key for key in all_packs(self._storage) if key[1] in known}

    def _missing(self, lost: Iterable[LostObject]) -> set[PackKey]:
        """Return the packs that are not here and are said to hold what is lost."""
        keys = {
            (place.pack_type, place.pack_id)
            for each in lost
            if each.kind in set(Kind)
            for place in self._repository.index.locate(Kind(each.kind), each.object_id)
        }
        return {key for key in keys if not self._storage.exists(pack_name(*key))}

    def _plan_pack(self, key: PackKey, suspects: set[PackId]) -> PackFix:
        report = self._read(self._repository, key)
        if 0 in report.bad:
            entries = known_entries(self._repository, *key)
            report.bad |= {entry.offset for entry in entries if report.good.get(entry.offset) != entry}
        faults = [damage.reason for damage in report.damage]
        if not faults:
            return PackFix(*key, "good")
        if self._is_good_there(key):
            return PackFix(*key, "fetch", faults, len(report.good), bad=report.bad)
        if report.foreign:
            return PackFix(*key, "stay", faults, len(report.good), bad=report.bad)
        copies = [
            entry
            for entry in report.good.values()
            if not has_good_copy(self._repository, LostObject(entry.kind, entry.object_id), suspects)
        ]
        return PackFix(*key, "salvage", faults, len(report.good), copies, report.bad)

    def _read(self, repository: Repository, key: PackKey) -> PackReport:
        return read_pack(self._repository, repository.storage, key, self._stop, NullProgress(), threads=self._threads)

    def _is_good_there(self, key: PackKey) -> bool:
        if self._other is None:
            return False
        try:
            report = self._read(self._other, key)
        except (NameNotFound, StorageError):
            return False
        return not report.damage and not report.vanished

    def _is_in(self, lost: LostObject, packs: set[PackId]) -> bool:
        if lost.kind not in set(Kind):
            return False
        places = self._repository.index.locate(Kind(lost.kind), lost.object_id)
        return any(place.pack_id in packs for place in places)

    def _is_there(self, lost: LostObject) -> bool:
        if self._other is None or lost.kind not in set(Kind):
            return False
        return has_good_copy(self._other, lost, ())

    def apply(self, plan: RepairPlan) -> RepairResult:
        """Do it.

        Raises:
            StorageError: what is missing then is missing still; run it again.
            Interrupted: between two packs.
        """
        result = RepairResult()
        before = set(all_packs(self._storage))
        with Session(self._repository, "repair") as session:
            apply_documents(self._storage, self._other_storage, plan.documents)
            places: dict[PackId, set[int]] = {}
            for fix in plan.packs:
                self._stop.check()
                if fix.action == "fetch":
                    self._fetch(fix, result)
                if fix.action in {"fetch", "good"}:
                    places[fix.pack_id] = set()
                elif fix.action == "salvage":
                    result.records_copied += self._salvage(session, fix)
                    places[fix.pack_id] = fix.bad | {0}
            for lost in plan.fetched:
                assert self._other is not None, "planned without another copy"
                self._stop.check()
                result.records_copied += copy_object(session, self._repository, self._other, lost)
            session.adopt(self._repository.index.orphans())
            put_damage(session, self._repository, places, {})
            session.settle()
            if self._other is not None and plan.returns:
                came = bring_back(session, self._repository, self._other, plan.returns, self._stop)
                result.versions_returned = came.versions
                result.records_copied += came.objects
            self._move(session, [fix for fix in plan.packs if fix.action == "salvage"], result)
            session.publish([], [])
        self._settle_notes(plan)
        self._check_again(before, plan, result)
        return result

    def _fetch(self, fix: PackFix, result: RepairResult) -> None:
        """Take a pack whole from the other copy; what is here keeps its bytes under another name."""
        assert self._other is not None, "planned without another copy"
        moved = replace_file(self._other.storage, self._storage, fix.name)
        result.moved += [moved] if moved else []
        result.packs_fetched += 1

    def _salvage(self, session: Session, fix: PackFix) -> int:
        for entry in fix.copies:
            session.put_copy(copy_entry(self._repository, fix.name, entry))
        return len(fix.copies)

    def _move(self, session: Session, fixes: list[PackFix], result: RepairResult) -> None:
        """Move damaged packs aside, now that what is good of them is published elsewhere."""
        writers = other_writers(self._storage, session.intent, self._repository.runtime.process)
        for fix in fixes:
            if writers.alive:
                # Another writer may be about to rely on a record of it that is good.
                result.kept.append(fix.name)
            elif all(self._is_saved(fix, LostObject(entry.kind, entry.object_id)) for entry in fix.copies):
                result.moved.append(move_aside(self._storage, fix.name))
            else:
                result.kept.append(fix.name)

    def _is_saved(self, fix: PackFix, lost: LostObject) -> bool:
        return has_good_copy(self._repository, lost, {fix.pack_id})

    def _settle_notes(self, plan: RepairPlan) -> None:
        """Forget what this machine has noted of packs that are good now, and what has come since."""
        repository = self._repository
        repository.refresh(NullProgress())
        for fix in plan.packs:
            if fix.action in {"fetch", "good"}:
                repository.index.notes.forget_damaged(fix.pack_id)
        judge = Judge(self._storage, repository.index)
        lacking = {
            uid: [lost for lost in objects if not judge.is_here(lost)]
            for uid, objects in repository.index.notes.lacking().items()
        }
        repository.index.notes.note_lacking({uid: objects for uid, objects in lacking.items() if objects})

    def _check_again(self, before: set[PackKey], plan: RepairPlan, result: RepairResult) -> None:
        """Read back what was written."""
        fetched = {(fix.pack_type, fix.pack_id) for fix in plan.packs if fix.action == "fetch"}
        for key in sorted((set(all_packs(self._storage)) - before) | fetched):
            result.faults += self._read(self._repository, key).damage
