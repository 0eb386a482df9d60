"""Collect garbage: delete packs that nothing needs, after copying out what is needed of others.

FORMAT.md section 13.5 and docs/decisions/0017 say why it is safe beside writers, readers and other collectors.
In short: a list names packs and versions that nothing new may build on. Once every writer honours it, what is
needed is found out anew, copied out of the listed packs, and they are deleted. Nothing here waits for anybody,
and nothing goes by a clock. Killed at any step, it leaves copies too many, or a list that the next run finishes.
Before: operations.gc_plan, operations.gc_copy. After: the command line.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

from packstore.errors import CollectorBusy, DamageError, FormatError, NameNotFound, StorageFull, UnsupportedFormat
from packstore.format.intent import CondemnedList, IntentRole
from packstore.format.pack import PackType
from packstore.format.record import Kind
from packstore.format.version import EventType
from packstore.ids import ObjectId, PackId, Uid
from packstore.index.environment import destroy
from packstore.index.tables import KnownPack, Location
from packstore.operations.gc_epochs import is_outdated
from packstore.operations.gc_finish import Finisher, ListedPack
from packstore.operations.gc_mark import Marker, places_in
from packstore.operations.gc_plan import DEFAULT_THRESHOLD, GcPlan, PackUse, plan_collection
from packstore.operations.gc_records import (
    Knowledge,
    folded_memory,
    gone_events,
    mark_records,
    read_knowledge,
    require_known_kinds,
    unreadable,
)
from packstore.operations.hold import describe
from packstore.operations.neighbours import read_neighbours
from packstore.operations.pipeline import default_threads
from packstore.packs.names import list_packs
from packstore.packs.reader import read_seal
from packstore.progress import Progress, StopRequest
from packstore.repository.coordination import list_names, publish_notice
from packstore.repository.history import VersionState
from packstore.repository.notices import Survey, drop_unreadable_lists, publish_list, read_lists, survey
from packstore.repository.repository import Repository
from packstore.repository.reserve import refill, with_reserve
from packstore.repository.session import Session

_CLOCK_SLACK_MS: Final = 3_600_000
"""Packs that a living writer may have written are left out of a plan; by the time in their names, so generously."""


@dataclass(frozen=True)
class GcOptions:
    """What a collection is asked for; `threshold` in percent of a pack; `renew`: bring all into the newest epoch."""

    threshold: float = DEFAULT_THRESHOLD
    max_seconds: float | None = None
    beside: bool = False
    renew: bool = False
    threads: int = field(default_factory=default_threads)
    merge_blocks: int | None = None
    merge_metas: int | None = None


@dataclass
class GcReport:
    """What was found and done; sizes in bytes."""

    versions: int = 0
    removed: int = 0
    pages_read: int = 0
    packs_total: int = 0
    bytes_total: int = 0
    plan: GcPlan = field(default_factory=GcPlan)
    packs_ripe: int = 0
    bytes_ripe: int = 0
    lists_finished: int = 0
    packs_deleted: int = 0
    bytes_deleted: int = 0
    bytes_copied: int = 0
    kept: list[str] = field(default_factory=list)
    waiting_for: list[str] = field(default_factory=list)
    stopped: str = ""


def require_deletable(repository: Repository) -> None:
    """Refuse to delete where a feature unknown here would be ignored, or where an older state was put back.

    Raises:
        UnsupportedFormat: there is such a feature.
        RolledBack: something is missing that nobody has removed.
    """
    if repository.missing.anything_missing:
        raise repository.missing.error(repository.storage.location)
    if repository.file.features["delete"]:
        message = f"deleting from this repository needs the unknown feature {repository.file.features['delete'][0]!r}"
        raise UnsupportedFormat(message, advice="use a newer packstore")


def collect(repository: Repository, options: GcOptions, stop: StopRequest, progress: Progress) -> GcReport:
    """Collect garbage.

    Raises:
        CollectorBusy: another process does, and `options.beside` is not set.
        CollectionRefused: something could not be read or understood; nothing was deleted.
        StorageError: the storage failed; what was done stays done.
        Interrupted: between two steps.
    """
    require_deletable(repository)
    storage = repository.storage
    spare = storage.available()
    try:
        report = _collect(repository, options, stop, progress, only_dead=False)
    except StorageFull:
        progress.warn("the storage is full: only packs that nobody needs are deleted, nothing is copied")
        report = with_reserve(storage, lambda: _collect(repository, options, stop, progress, only_dead=True))
    refill(storage, repository.runtime, spare)
    return report


def preview(repository: Repository, options: GcOptions, stop: StopRequest, progress: Progress) -> GcReport:
    """Say what a collection would begin with, and change nothing. Raises like `collect`."""
    require_deletable(repository)
    with closing(_Collection(repository, options, stop, progress, own="")) as collection:
        collection.look()
        return collection.report


def _collect(
    repository: Repository, options: GcOptions, stop: StopRequest, progress: Progress, *, only_dead: bool
) -> GcReport:
    for name in drop_unreadable_lists(repository.storage, repository.keyring, repository.runtime.process):
        progress.warn(f"{name} could not be read, and is dropped: what it named is listed anew")
    _require_alone(repository, options)
    with Session(repository, "gc, taking over") as session:
        session.take_in_orphans()
    notice = publish_notice(repository.storage, repository.keyring, repository.runtime, "gc", IntentRole.COLLECTOR)
    try:
        collection = _Collection(repository, options, stop, progress, own=notice.name)
        with closing(collection):
            collection.run(only_dead=only_dead)
            return collection.report
    finally:
        notice.withdraw()


def _require_alone(repository: Repository, options: GcOptions) -> None:
    found = survey(repository.storage, repository.keyring, repository.runtime.process)
    others = [notice for notice in found.notices if notice.collects and not notice.dead]
    if others and not options.beside:
        advice = "it is safe to run two at once: --beside; `packstore status` shows who is at work"
        raise CollectorBusy(f"garbage is being collected already: {describe(others[0])}", advice=advice)


class _Collection:
    """One run: one or two rounds over an index of its own."""

    def __init__(
        self, repository: Repository, options: GcOptions, stop: StopRequest, progress: Progress, *, own: str
    ) -> None:
        """`own` is the name of this run's notice."""
        unique = repository.runtime.random(8).hex()
        directory = repository.index.directory
        self._repository = repository.with_new_index(directory.with_name(f"{directory.name}-gc-{unique}"))
        self._storage = repository.storage
        self._options = options
        self._progress = progress
        self._stop = stop
        self._own = own
        self._begun = time.monotonic()
        self._marker = Marker(self._repository.index, self._read_pages, stop)
        self._listed: dict[PackId, ListedPack] = {}
        self.report = GcReport()

    def close(self) -> None:
        """Throw the index away."""
        self._repository.close()
        destroy(self._repository.index.directory)

    def run(self, *, only_dead: bool) -> None:
        """Finish the lists that are ripe; list what is to go next; if that is ripe already, finish it too."""
        first = self.look(only_dead=only_dead)
        if first.ripe:
            planned = self._marker.bits.copy()
            self._mark(first, first.dead)
            self._finish(first, copying=not only_dead)
            self._marker.bits = planned
        if self.report.stopped:
            return
        condemned = self._condemn(first)
        if condemned is None:
            return
        second = self._moment()
        if condemned.id not in second.ripe:
            self.report.waiting_for = second.holding()
            return
        self._mark(second, second.dead)
        self._finish(second, copying=not only_dead)

    def look(self, *, only_dead: bool = False) -> "_Moment":
        """Mark, and plan what to list next."""
        moment = self._moment()
        ripe = {pack_id for list_id in moment.ripe for pack_id in moment.lists[list_id].packs} & self._listed.keys()
        self.report.packs_ripe = len(ripe)
        self.report.bytes_ripe = sum(self._listed[pack_id].size for pack_id in ripe)
        if moment.lists.keys() - moment.ripe:
            self.report.waiting_for = moment.holding()
        # Of what nobody needs once everything that is removed is gone.
        self._mark(moment, moment.removed)
        self.report.plan = plan_collection(
            self._uses(moment),
            self._repository.file.pack_size,
            threshold=self._options.threshold,
            only_dead=only_dead,
            merge_blocks=self._options.merge_blocks,
            merge_metas=self._options.merge_metas,
        )
        return moment

    def _moment(self) -> "_Moment":
        """Note which lists are ripe; then read `gc/`, then `meta/`, then list the packs. The order is what is safe.

        Raises:
            CollectionRefused: something in `meta/` cannot be read or understood.
        """
        repository = self._repository
        found = survey(self._storage, repository.keyring, repository.runtime.process, self._own)
        lists = read_lists(self._storage, repository.keyring, list_names(self._storage))
        result = repository.synchronise(self._progress)
        if result.damage:
            raise unreadable(DamageError(result.damage[0]), "a pack in meta/")
        require_known_kinds(repository.index.kinds())
        known = read_knowledge(repository)
        self._listed = {
            pack_id: ListedPack(pack_type, pack_id, listed.size)
            for pack_type in (PackType.META, PackType.BLOCKS)
            for pack_id, listed in list_packs(self._storage, pack_type).items()
        }
        moment = _Moment(found, lists, found.ripe() & set(lists), known)
        self.report.versions = len(known.states) - len(moment.removed)
        self.report.removed = len(moment.removed)
        self.report.packs_total = len(self._listed)
        self.report.bytes_total = sum(listed.size for listed in self._listed.values())
        return moment

    def _mark(self, moment: "_Moment", dead: set[Uid]) -> None:
        """Mark what is needed if the versions `dead` are not; what is marked already is not looked at again."""
        self._marker.begin(places_in(self._listed, moment.condemned, self._repository.index))
        self._progress.start("looking for what is needed", None)
        self._mark_versions(state for state in moment.known.states if state.version.uid not in dead)
        for checkpoint in moment.known.checkpoints:
            try:
                self._marker.mark_tree(checkpoint.root)
            except DamageError as error:
                # No version needs it: the backup that goes on from it reads those blocks again.
                self._progress.warn(f"part of an unfinished backup of {checkpoint.volume} is lost: {error.message}")
        mark_records(self._repository, self._marker, moment.known, dead, set(self._listed))
        self.report.pages_read = self._marker.pages_read
        self._progress.finish()

    def _mark_versions(self, states: Iterable[VersionState]) -> None:
        # Versions that follow each other in one volume share most of each page.
        for state in sorted(states, key=lambda found: (found.version.volume, found.version.counter)):
            version = state.version
            removed = ", removed" if state.removed else ""
            what = f"version {version.uid.hex()[:8]} of {version.volume} ({state.date.date()}{removed})"
            try:
                self._marker.mark_tree(version.root)
            except DamageError as error:
                raise unreadable(error, what) from error

    def _read_pages(self, places: Mapping[ObjectId, Location]) -> Iterator[tuple[ObjectId, bytes]]:
        for page_id, plain in read_neighbours(self._repository, Kind.PAGE, places, threads=self._options.threads):
            yield page_id, self._read_page(page_id) if plain is None else plain

    def _read_page(self, page_id: ObjectId) -> bytes:
        """Read a page from whichever copy is good."""
        try:
            return self._repository.read_object(Kind.PAGE, page_id)
        except DamageError:
            # Another collector may have moved it since `meta/` was read.
            self._repository.refresh(self._progress)
            self._marker.bits.extend(self._repository.index.record_numbers())
            return self._repository.read_object(Kind.PAGE, page_id)

    def _uses(self, moment: "_Moment") -> Iterator[PackUse]:
        newest = self._newest_settled(moment)
        for pack in self._repository.index.packs():
            listed = self._listed.get(pack.pack_id)
            if listed is None or pack.pack_id in moment.condemned:
                continue
            if int.from_bytes(pack.pack_id[:6], "big") > newest:
                continue
            marked = self._marker.bits.count(pack.first, pack.records)
            needed = listed.size if marked == pack.records else self._needed_bytes(pack) if marked else 0
            if needed is not None:
                outdated = self._options.renew and is_outdated(self._repository, pack.pack_type, pack.pack_id)
                yield PackUse(pack.pack_type, pack.pack_id, listed.size, needed, not marked, outdated)

    def _newest_settled(self, moment: "_Moment") -> int:
        """Return the time up to which packs are surely no unfinished backup's, which would be copied for nothing."""
        writers = [
            notice.intent.date_ms if notice.intent else 0
            for notice in moment.notices.notices
            if not notice.dead and (notice.intent is None or notice.intent.role is IntentRole.WRITER)
        ]
        return min(writers, default=1 << 62) - _CLOCK_SLACK_MS

    def _needed_bytes(self, pack: KnownPack) -> int | None:
        try:
            entries = read_seal(self._storage, pack.pack_type, pack.pack_id, self._repository.owner).entries
        except (FormatError, NameNotFound):
            return None  # damaged: nothing is moved before `repair` has looked at it
        numbers = range(pack.first, pack.first + pack.records)
        return sum(
            entry.record_size for number, entry in zip(numbers, entries, strict=False) if number in self._marker.bits
        )

    def _condemn(self, moment: "_Moment") -> CondemnedList | None:
        """Publish the list of what is to go; None if there is nothing."""
        packs = self.report.plan.packs()
        if not packs:
            return None
        list_id = self._repository.runtime.new_uid()
        condemned = CondemnedList(list_id, packs, sorted(moment.removed))
        publish_list(self._storage, self._repository.keyring, condemned)
        return condemned

    def _finish(self, moment: "_Moment", *, copying: bool) -> None:
        packs = {pack_id for list_id in moment.ripe for pack_id in moment.lists[list_id].packs}
        if not moment.ripe:
            return
        gone = gone_events(self._repository, moment.known, moment.dead)
        earlier = (event.id for event in moment.known.events if event.type == EventType.GONE)
        replaced = {moment.known.ids[Kind.EVENT, event_id] for event_id in earlier}
        finisher = Finisher(
            self._repository,
            self._marker,
            own=self._own,
            threads=self._options.threads,
            copying=copying,
            expired=self._is_expired,
        )
        listed = [self._listed[pack_id] for pack_id in packs if pack_id in self._listed]
        self._progress.start("deleting", sum(pack.size for pack in listed))
        try:
            finisher.finish(
                listed,
                moment.ripe,
                gone=gone,
                memory=folded_memory(moment.known, set(self._listed)),
                replaced=replaced if gone else set(),
            )
        finally:
            self._progress.finish()
            result = finisher.result
            self.report.lists_finished += result.lists
            self.report.packs_deleted += result.packs_deleted
            self.report.bytes_deleted += result.bytes_deleted
            self.report.bytes_copied += result.bytes_copied
            self.report.kept += result.kept
            self.report.stopped = result.stopped

    def _is_expired(self) -> bool:
        limit = self._options.max_seconds
        return limit is not None and time.monotonic() - self._begun > limit


@dataclass(frozen=True)
class _Moment:
    """What was there at one moment: notices, lists, which of them were ripe, and what `meta/` said after that."""

    notices: Survey
    lists: dict[Uid, CondemnedList]
    ripe: set[Uid]
    known: Knowledge

    def holding(self) -> list[str]:
        """Return whom unripe lists wait for."""
        return [describe(notice) for notice in self.notices.notices if not notice.collects]

    @property
    def condemned(self) -> set[PackId]:
        """The packs that any list names."""
        return {pack_id for condemned in self.lists.values() for pack_id in condemned.packs}

    @property
    def removed(self) -> set[Uid]:
        """The versions that are removed and that nobody reads."""
        kept = self.notices.kept_versions()
        return {state.version.uid for state in self.known.states if state.removed} - kept

    @property
    def dead(self) -> set[Uid]:
        """The versions that nothing can bring back: removed, and named by a ripe list, or gone."""
        named = {uid for list_id in self.ripe for uid in self.lists[list_id].versions} | self.known.forgotten
        return self.removed & named
