"""Back a source up: read, decide, store, commit.

For each block, cheapest question first: zeros? the same fingerprint as in the base? known by id? Only then
is it compressed, encrypted, verified and appended.
Before: operations.reading, operations.base. After: repository.session.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from enum import Enum, auto

from packstore.blocks import Extent, Geometry, is_zero
from packstore.codec.objectcodec import EncodedObject
from packstore.errors import DeclaredDead, FreeSpaceFloor, Interrupted, SourceReadFailed, UsageError
from packstore.format.page import NO_FINGERPRINT
from packstore.format.record import Kind
from packstore.format.version import EventType, Version, encode_event, volume_name_fault
from packstore.ids import HOLE, ObjectId
from packstore.limits import MAX_DEVICE_BYTES, MAX_TAG_BYTES, MAX_TAGS, MAX_UNREADABLE_RANGES
from packstore.operations.base import choose_base
from packstore.operations.checkpoints import CheckpointPolicy, CheckpointWriter
from packstore.operations.floor import Floor
from packstore.operations.marks import tag_fault
from packstore.operations.pipeline import default_threads, ordered_map, window_items
from packstore.operations.reading import HoleRun, ReadBlock, read_block, read_blocks, unreadable_ranges
from packstore.operations.resume import (
    CheckpointEntries,
    Known,
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
from packstore.repository.tree import TreeWriter
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
    expires: str | None = None
    """RFC 3339 date and time after which the version may be removed."""
    min_free: int = 0
    """Bytes of the repository's file system that are to stay free."""


@dataclass
class Counters:
    """Bytes of the device by what became of them; their sum without `read` is the device."""

    read: int = 0
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


Item = tuple[ReadBlock, Known | None] | HoleRun | TakenRun


class Fate(Enum):
    """What became of a block."""

    HOLE = auto()
    UNCHANGED = auto()
    KNOWN = auto()
    NEW = auto()


@dataclass(frozen=True, slots=True)
class Outcome:
    """A block after the workers are done with it; `encoded` only if it is new."""

    block: ReadBlock
    fate: Fate
    object_id: ObjectId = HOLE
    fingerprint: bytes = NO_FINGERPRINT
    encoded: EncodedObject | None = None


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
        UsageError: the volume's name, a tag, or the size is out of bounds.
    """
    if fault := volume_name_fault(options.volume):
        raise UsageError(f"{options.volume!r} cannot be the name of a volume: {fault}")
    if len(options.tags) > MAX_TAGS or any(map(tag_fault, options.tags)):
        raise UsageError(f"a tag has 1 to {MAX_TAG_BYTES} printable bytes, a version at most {MAX_TAGS} tags")
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
        self._counters = Counters()
        self._unreadable: list[Extent] = []
        self._size = 0
        self._date_ms = 0

    def run(self) -> BackupResult:
        """Do it."""
        begin = time.monotonic()
        self._date_ms = self._repository.runtime.now_ms()
        with Session(self._repository, f"backup {self._options.volume}") as session:
            # Only now: a version removed before the intent was published might be collected meanwhile.
            start = self._choose_start(session)
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
            session.flush()
            version = self._version(session, root, start, begin)
            if self._options.expires:
                # An event waits for its version: what is published before the commit counts from the commit on.
                event = self._repository.new_event(EventType.EXPIRE, [version.uid], value=self._options.expires)
                session.put_record(Kind.EVENT, encode_event(event))
            session.commit(version)
            self._progress.finish()
            seconds = time.monotonic() - begin
            resumed_at = start.covered if start.takes_over else 0
            paranoid = version.trusted_runs == 0
            return BackupResult(
                version, self._counters, session.bytes_stored, seconds, start.base, paranoid, resumed_at
            )

    def _choose_start(self, session: Session) -> StartingPoint:
        options = self._options
        base = choose_base(self._repository, session.intent, options.volume, options.base)
        checkpoint = choose_checkpoint(self._repository, options.volume, self._source)
        return StartingPoint(self._repository, self._source, base, checkpoint, paranoid=options.paranoid)

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

        def work(item: Item) -> Outcome | HoleRun | TakenRun:
            return self._decide(session, *item) if isinstance(item, tuple) else item

        threads = self._options.threads
        results = ordered_map(
            work, self._items(session, start), threads=threads, window=window_items(threads, self._block_size)
        )
        with closing(results):
            for result in results:
                if isinstance(result, HoleRun):
                    self._take_holes(tree, result)
                elif isinstance(result, TakenRun):
                    self._take_over(tree, result)
                else:
                    self._take_block(session, tree, result)
                checkpoints.consider(after_holes=isinstance(result, HoleRun))
                floor.check()

    def _items(self, session: Session, start: StartingPoint) -> Iterator[Item]:
        entries = start.entries(self._source, self._progress)
        first = 0
        if start.takes_over and start.checkpoint is not None:
            covered = CheckpointEntries(self._repository, start.checkpoint, self._progress)
            geometry = Geometry(start.checkpoint.size, self._block_size)
            for run in covered.runs(session, self._stop):
                if isinstance(run, TakenRun):
                    yield run
                else:
                    yield self._with_known(read_block(self._source, geometry, run), entries)
            first = start.checkpoint.covered // self._block_size
        for item in read_blocks(self._source, self._block_size, self._stop, first):
            yield item if isinstance(item, HoleRun) else self._with_known(item, entries)

    @staticmethod
    def _with_known(block: ReadBlock, entries: KnownEntries) -> tuple[ReadBlock, Known | None]:
        return block, entries.entry(block.index, len(block.data))

    def _decide(self, session: Session, block: ReadBlock, known: Known | None) -> Outcome:
        """Find out what a block is; runs in the workers."""
        stages, keyring = self._repository.stages, self._repository.keyring
        if is_zero(block.data):
            return Outcome(block, Fate.HOLE)
        with stages.time("fingerprint"):
            fingerprint = keyring.fingerprint(block.data)
        if known is not None and known.fingerprint == fingerprint and _is_there(session, known):
            return Outcome(block, Fate.UNCHANGED, known.object_id, fingerprint)
        with stages.time("hash"):
            object_id = keyring.object_id(block.data)
        if session.is_known(Kind.BLOCK, object_id):
            return Outcome(block, Fate.KNOWN, object_id, fingerprint)
        encoded = self._repository.codec.encode(Kind.BLOCK, object_id, block.data)
        return Outcome(block, Fate.NEW, object_id, fingerprint, encoded)

    def _take_holes(self, tree: TreeWriter, holes: HoleRun) -> None:
        span = Geometry(self._source.size or 0, self._block_size).span(holes.blocks)
        self._size = span.end
        self._counters.hole += span.length
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

    def _take_block(self, session: Session, tree: TreeWriter, outcome: Outcome) -> None:
        length = len(outcome.block.data)
        self._size += length
        self._counters.read += length
        self._unreadable += outcome.block.unreadable
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


def _is_there(session: Session, known: Known) -> bool:
    """Say whether a block can be relied on: what was never committed was never proven."""
    return (session.is_present if known.committed else session.is_known)(Kind.BLOCK, known.object_id)
