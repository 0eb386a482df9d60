"""Back a source up: read, decide, store, commit.

For each block, cheapest question first: zeros? the same fingerprint as in the base? known by id? Only then
is it compressed, encrypted, verified and appended.
Before: operations.reading, operations.base. After: repository.session.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

from packstore.blocks import Extent, Geometry
from packstore.codec.stages import STORE
from packstore.errors import DeclaredDead, FreeSpaceFloor, Interrupted, SourceReadFailed, UsageError
from packstore.format.record import Kind
from packstore.format.version import EventType, Version, encode_event, volume_name_fault
from packstore.ids import HOLE, ObjectId
from packstore.limits import MAX_DEVICE_BYTES, MAX_TAG_BYTES, MAX_TAGS, MAX_UNREADABLE_RANGES
from packstore.operations.base import choose_base
from packstore.operations.checkpoints import CheckpointPolicy, CheckpointWriter
from packstore.operations.deciding import Decider, Fate, Outcome, Work
from packstore.operations.floor import Floor
from packstore.operations.hints import Hints
from packstore.operations.incremental import Incremental, incremental
from packstore.operations.marks import tag_fault
from packstore.operations.pipeline import default_threads, ordered_map, window_items
from packstore.operations.reading import (
    RUN_BYTES,
    DataRun,
    HoleRun,
    read_stream,
    runs_of,
    unreadable_ranges,
)
from packstore.operations.resume import (
    CheckpointEntries,
    KnownEntries,
    StartingPoint,
    TakenRun,
    choose_checkpoint,
)
from packstore.operations.schedules import automatic_tags
from packstore.progress import Progress, StopRequest
from packstore.repository.history import moment_of
from packstore.repository.repository import Repository
from packstore.repository.session import Session
from packstore.repository.tree import Kept, TreeWriter
from packstore.sources.base import Source

_ATTEMPTS = 3


@dataclass(frozen=True)
class BackupOptions:
    """What a backup is asked for."""

    volume: str
    base: str | None = None
    paranoid: bool = False
    threads: int = field(default_factory=default_threads)
    tags: tuple[str, ...] = ()
    checkpoints: CheckpointPolicy = field(default_factory=CheckpointPolicy)
    auto_tags: bool = False
    """Add b_daily, b_weekly, b_monthly as they are due."""
    run_bytes: int = RUN_BYTES
    """So much is read at once."""
    hints: Hints | None = None
    """What has changed since the base, if somebody knows."""
    expires: str | None = None
    """RFC 3339 date and time after which the version may be removed."""
    min_free: int = 0
    """Bytes of the repository's file system that are to stay free."""


@dataclass
class Counters:
    """Bytes of the device by what became of them; their sum without `read` and `skipped` is the device."""

    read: int = 0
    skipped: int = 0
    """Not read because of hints: part of `unchanged` and of `hole`."""
    hole: int = 0
    unchanged: int = 0
    dedup: int = 0
    new: int = 0
    resumed: int = 0


@dataclass(frozen=True)
class BackupResult:
    """The committed version, and what it took; `resumed_at`: so many bytes had been covered, and were taken over."""

    version: Version
    counters: Counters
    bytes_stored: int
    seconds: float
    base: Version | None
    paranoid: bool
    resumed_at: int = 0
    hints_fault: str | None = None
    """Why hints were not followed; empty if they were, None if there were none."""


Item = Work | HoleRun | TakenRun | Kept


def backup(
    repository: Repository, source: Source, options: BackupOptions, stop: StopRequest, progress: Progress
) -> BackupResult:
    """Store the source as a new version of a volume.

    Raises:
        SourceError: the source is gone or changed its size; nothing was committed.
        StorageError: the storage failed; nothing was committed.
        FreeSpaceFloor, Interrupted: nothing was committed; what was stored is found again.
    """
    check_options(source, options)
    for attempt in range(_ATTEMPTS):
        try:
            return _Backup(repository, source, options, stop, progress).run()
        except DeclaredDead as error:
            if attempt == _ATTEMPTS - 1 or source.size is None:
                raise
            progress.warn(error.message)
    raise AssertionError("unreachable")


def check_options(source: Source, options: BackupOptions) -> None:
    """Refuse what no version can hold, before anybody is asked for a passphrase.

    Raises:
        UsageError: the volume's name, a tag, or the size is out of bounds, or hints are about a stream.
    """
    if fault := volume_name_fault(options.volume):
        raise UsageError(f"{options.volume!r} cannot be the name of a volume: {fault}")
    if len(options.tags) > MAX_TAGS or any(map(tag_fault, options.tags)):
        raise UsageError(f"a tag has 1 to {MAX_TAG_BYTES} printable bytes, a version at most {MAX_TAGS} tags")
    if source.size is None and options.hints is not None:
        raise UsageError("of a stream nothing can be skipped: it is read whole, with hints or without")
    if source.size is not None and source.size > MAX_DEVICE_BYTES:
        raise UsageError(f"a device of {source.size} bytes is beyond what a version can hold")


def unreadable_fault(version: Version, source: str) -> SourceReadFailed | None:
    """Return what to say of a version if parts of its source could not be read."""
    count = len(version.unreadable)
    if not count:
        return None
    ranges = "1 range" if count == 1 else f"{count} ranges"
    message = f"{ranges} of {source} could not be read; version {version.uid.hex()[:8]} has zeros there"
    return SourceReadFailed(message, advice="`packstore show` lists them; the next backup tries them again")


class _Backup:
    """One attempt, from the intent to the commit."""

    def __init__(
        self, repository: Repository, source: Source, options: BackupOptions, stop: StopRequest, progress: Progress
    ) -> None:
        self._repository = repository
        self._source = source
        self._options = options
        self._stop = stop
        self._progress = progress
        self._block_size = repository.file.block_size
        self._geometry = Geometry(source.size or 0, self._block_size)
        self._counters = Counters()
        self._unreadable: list[Extent] = []
        self._incremental: Incremental | None = None
        self._hints_fault: str | None = None
        self._size = 0
        self._date_ms = 0

    def run(self) -> BackupResult:
        """Do it."""
        begin = time.monotonic()
        self._date_ms = self._repository.runtime.now_ms()
        with Session(self._repository, f"backup {self._options.volume}") as session:
            # Only now: a version removed before the intent was published might be collected meanwhile.
            start = self._choose_start(session)
            self._follow_hints(start)
            tree = TreeWriter(session.put_page)
            checkpoints = self._checkpoint_writer(session, tree, start)
            try:
                self._store_all(session, tree, start, checkpoints)
                warnings = self._source.finish() + start.doubts(self._source)
                self._stop.check()
            except (Interrupted, FreeSpaceFloor):
                checkpoints.publish()
                session.keep()
                raise
            for warning in warnings:
                self._progress.warn(warning)
            root = tree.finish()
            with self._repository.stages.time(STORE):
                session.flush()
            version = self._version(session, root, start, begin)
            if self._options.expires:
                # An event waits for its version: what is published before the commit counts from the commit on.
                event = self._repository.new_event(EventType.EXPIRE, [version.uid], value=self._options.expires)
                session.put_record(Kind.EVENT, encode_event(event))
            with self._repository.stages.time(STORE):
                session.commit(version)
            self._progress.finish()
            seconds = time.monotonic() - begin
            resumed_at = start.covered if start.takes_over else 0
            paranoid = version.trusted_runs == 0
            stored, fault = session.bytes_stored, self._hints_fault
            return BackupResult(version, self._counters, stored, seconds, start.base, paranoid, resumed_at, fault)

    def _choose_start(self, session: Session) -> StartingPoint:
        options = self._options
        base = choose_base(self._repository, session.intent, options.volume, options.base)
        checkpoint = choose_checkpoint(self._repository, options.volume, self._source)
        return StartingPoint(self._repository, self._source, base, checkpoint, paranoid=options.paranoid)

    def _follow_hints(self, start: StartingPoint) -> None:
        options = self._options
        if options.hints is None:
            return
        chosen_for = options.volume if options.base is None else None
        try:
            self._incremental = incremental(
                self._repository, self._source, start, options.hints, volume=chosen_for, run_bytes=options.run_bytes
            )
        except UsageError as error:
            self._hints_fault = error.message
            self._progress.warn(f"the hints are not followed, and everything is read: {error.message}")
        else:
            self._hints_fault = ""
            self._counters.read += self._incremental.compared
            start.leave_checkpoint()

    def _checkpoint_writer(self, session: Session, tree: TreeWriter, start: StartingPoint) -> CheckpointWriter:
        options = self._options
        writer = CheckpointWriter(
            self._repository, session, self._source, tree, start, volume=options.volume, policy=options.checkpoints
        )
        writer.unreadable = self._unreadable
        return writer

    def _store_all(
        self, session: Session, tree: TreeWriter, start: StartingPoint, checkpoints: CheckpointWriter
    ) -> None:
        floor = Floor(self._repository, session, self._options.min_free)
        floor.check()
        self._progress.start(f"backing up {self._options.volume}", self._source.size)

        decider = Decider(self._repository, session, self._source, self._geometry)

        def work(item: Item) -> list[Outcome] | HoleRun | TakenRun | Kept:
            return decider.decide(item) if isinstance(item, Work) else item

        threads = self._options.threads
        window = window_items(threads, max(self._block_size, self._options.run_bytes))
        results = ordered_map(work, self._items(session, start), threads=threads, window=window)
        with closing(results):
            for result in results:
                if isinstance(result, HoleRun):
                    self._take_holes(tree, result)
                elif isinstance(result, TakenRun):
                    self._take_over(tree, result)
                elif isinstance(result, Kept):
                    self._take_kept(tree, result)
                else:
                    with self._repository.stages.time(STORE):
                        for outcome in result:
                            self._take_block(session, tree, outcome)
                            floor.check()
                checkpoints.consider(after_holes=isinstance(result, HoleRun))
                floor.check()
                self._stop.check()

    def _items(self, session: Session, start: StartingPoint) -> Iterator[Item]:
        entries = start.entries(self._source, self._progress)
        if self._source.size is None:
            for block in read_stream(self._source, self._block_size, self._stop):
                yield Work([entries.entry(block.index, len(block.data))], read=[block])
            return
        if self._incremental is not None:
            for piece in self._incremental.pieces(session, self._stop, self._progress):
                yield self._to_read(piece.blocks, entries) if isinstance(piece, DataRun) else piece
            return
        first = 0
        if start.takes_over and start.checkpoint is not None:
            covered = CheckpointEntries(self._repository, start.checkpoint, self._progress)
            for run in covered.runs(session, self._stop):
                yield run if isinstance(run, TakenRun) else self._to_read(range(run, run + 1), entries)
            first = start.checkpoint.covered // self._block_size
        for item in runs_of(self._source, self._geometry, self._stop, first, run_bytes=self._options.run_bytes):
            yield self._to_read(item.blocks, entries) if isinstance(item, DataRun) else item

    def _to_read(self, blocks: range, entries: KnownEntries) -> Work:
        return Work([entries.entry(index, self._geometry.length(index)) for index in blocks], blocks)

    def _take_holes(self, tree: TreeWriter, holes: HoleRun) -> None:
        span = self._geometry.span(holes.blocks)
        self._size = span.end
        self._counters.hole += span.length
        self._counters.skipped += 0 if self._incremental is None else span.length
        tree.add_holes(len(holes.blocks))
        self._progress.advance(span.length)

    def _take_over(self, tree: TreeWriter, run: TakenRun) -> None:
        self._size = run.blocks.stop * self._block_size
        for object_id, fingerprint in run.entries:
            if object_id == HOLE:
                self._counters.hole += self._block_size
                tree.add_holes(1)
            else:
                self._counters.resumed += self._block_size
                tree.add(object_id, fingerprint)
        self._progress.advance(len(run.blocks) * self._block_size)

    def _take_kept(self, tree: TreeWriter, kept: Kept) -> None:
        span = self._geometry.span(kept.blocks)
        self._size = span.end
        self._counters.unchanged += span.length
        self._counters.skipped += span.length
        tree.take(kept)
        self._progress.advance(span.length)

    def _take_block(self, session: Session, tree: TreeWriter, outcome: Outcome) -> None:
        length = outcome.length
        self._size += length
        self._counters.read += length
        self._unreadable += outcome.unreadable
        if outcome.fate is Fate.HOLE:
            self._counters.hole += length
        elif outcome.fate is Fate.UNCHANGED:
            self._counters.unchanged += length
        elif outcome.encoded is not None and session.put_block(outcome.encoded):
            self._counters.new += length
        else:
            self._counters.dedup += length
        if outcome.fate is Fate.HOLE:
            tree.add_holes(1)
        else:
            tree.add(outcome.object_id, outcome.fingerprint)
        self._progress.advance(length)

    def _version(self, session: Session, root: ObjectId, start: StartingPoint, begin: float) -> Version:
        runtime = self._repository.runtime
        counters = self._counters
        return Version(
            uid=runtime.new_uid(),
            volume=self._options.volume,
            date_ms=self._date_ms,
            counter=self._repository.next_counter(),
            size=self._size,
            block_size=self._block_size,
            root=root,
            source=dict(self._source.description),
            unreadable=unreadable_ranges(self._unreadable, self._block_size, MAX_UNREADABLE_RANGES),
            trusted_runs=start.trusted_runs,
            statistics={
                "bytes_total": self._size,
                "bytes_read": counters.read,
                "bytes_hole": counters.hole,
                "bytes_unchanged": counters.unchanged,
                "bytes_dedup": counters.dedup,
                "bytes_new": counters.new,
                "bytes_stored": session.bytes_stored,
                "bytes_resumed": counters.resumed,
                "bytes_skipped": counters.skipped,
                "duration_ms": int(1000 * (time.monotonic() - begin)),
            },
            tags=self._tags(),
            base=None if start.base is None else start.base.uid,
            program=runtime.program,
            host=runtime.hostname,
        )

    def _tags(self) -> list[str]:
        tags = set(self._options.tags)
        if self._options.auto_tags:
            made = moment_of(self._date_ms).astimezone()
            tags.update(automatic_tags(self._options.volume, self._repository.states(), made))
        return sorted(tags)
