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

from packstore.blocks import Extent, Geometry, is_zero, merge_extents
from packstore.codec.objectcodec import EncodedObject
from packstore.errors import DeclaredDead, Interrupted, UsageError
from packstore.format.page import NO_FINGERPRINT
from packstore.format.record import Kind
from packstore.format.version import EventType, Version, encode_event, volume_name_fault
from packstore.ids import HOLE, ObjectId
from packstore.limits import MAX_DEVICE_BYTES, MAX_TAG_BYTES, MAX_TAGS, MAX_UNREADABLE_RANGES, PARANOID_EVERY
from packstore.operations.base import BaseEntries, choose_base
from packstore.operations.marks import tag_fault
from packstore.operations.pipeline import default_threads, ordered_map, window_items
from packstore.operations.reading import HoleRun, ReadBlock, read_blocks
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
    auto_tags: bool = False
    """Add b_daily, b_weekly, b_monthly as they are due."""
    expires: str | None = None
    """RFC 3339 date and time after which the version may be removed."""


@dataclass
class Counters:
    """Bytes of the device by what became of them; their sum without `read` is the device."""

    read: int = 0
    hole: int = 0
    unchanged: int = 0
    dedup: int = 0
    new: int = 0


@dataclass(frozen=True)
class BackupResult:
    """The committed version, and what it took."""

    version: Version
    counters: Counters
    bytes_stored: int
    seconds: float
    base: Version | None
    paranoid: bool


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
        Interrupted: nothing was committed; what was stored is found again.
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
            base = choose_base(self._repository, session.intent, self._options.volume, self._options.base)
            paranoid = self._options.paranoid or base is None or base.trusted_runs + 1 >= PARANOID_EVERY
            entries = BaseEntries(self._repository, base, self._source.size, self._progress)
            tree = TreeWriter(session.put_page)
            try:
                self._store_all(session, tree, entries, paranoid=paranoid)
                warnings = self._source.finish()
                self._stop.check()
            except Interrupted:
                session.keep()
                raise
            for warning in warnings:
                self._progress.warn(warning)
            root = tree.finish()
            session.flush()
            version = self._version(session, root, base, begin, paranoid=paranoid)
            if self._options.expires:
                # An event waits for its version: what is published before the commit counts from the commit on.
                event = self._repository.new_event(EventType.EXPIRE, [version.uid], value=self._options.expires)
                session.put_record(Kind.EVENT, encode_event(event))
            session.commit(version)
            self._progress.finish()
            seconds = time.monotonic() - begin
            return BackupResult(version, self._counters, session.bytes_stored, seconds, base, paranoid)

    def _store_all(self, session: Session, tree: TreeWriter, entries: BaseEntries, *, paranoid: bool) -> None:
        self._progress.start(f"backing up {self._options.volume}", self._source.size)
        trusted = None if paranoid else entries

        def work(item: tuple[ReadBlock, tuple[ObjectId, bytes] | None] | HoleRun) -> Outcome | HoleRun:
            return item if isinstance(item, HoleRun) else self._decide(session, *item)

        threads = self._options.threads
        results = ordered_map(
            work, self._items(trusted), threads=threads, window=window_items(threads, self._block_size)
        )
        with closing(results):
            for result in results:
                if isinstance(result, HoleRun):
                    self._take_holes(tree, result)
                else:
                    self._take_block(session, tree, result)

    def _items(
        self, trusted: BaseEntries | None
    ) -> Iterator[tuple[ReadBlock, tuple[ObjectId, bytes] | None] | HoleRun]:
        for item in read_blocks(self._source, self._block_size, self._stop):
            if isinstance(item, HoleRun):
                yield item
            else:
                yield item, trusted.entry(item.index, len(item.data)) if trusted else None

    def _decide(self, session: Session, block: ReadBlock, base: tuple[ObjectId, bytes] | None) -> Outcome:
        """Find out what a block is; runs in the workers."""
        stages, keyring = self._repository.stages, self._repository.keyring
        if is_zero(block.data):
            return Outcome(block, Fate.HOLE)
        with stages.time("fingerprint"):
            fingerprint = keyring.fingerprint(block.data)
        if base is not None and base[1] == fingerprint and session.is_present(Kind.BLOCK, base[0]):
            return Outcome(block, Fate.UNCHANGED, base[0], fingerprint)
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

    def _version(
        self, session: Session, root: ObjectId, base: Version | None, begin: float, *, paranoid: bool
    ) -> Version:
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
            unreadable=_unreadable_ranges(self._unreadable, self._block_size),
            trusted_runs=0 if paranoid or base is None else base.trusted_runs + 1,
            statistics={
                "bytes_total": self._size,
                "bytes_read": counters.read,
                "bytes_hole": counters.hole,
                "bytes_unchanged": counters.unchanged,
                "bytes_dedup": counters.dedup,
                "bytes_new": counters.new,
                "bytes_stored": session.bytes_stored,
                "duration_ms": int(1000 * (time.monotonic() - begin)),
            },
            tags=self._tags(),
            base=None if base is None else base.uid,
            program=runtime.program,
            host=runtime.hostname,
        )

    def _tags(self) -> list[str]:
        tags = set(self._options.tags)
        if self._options.auto_tags:
            made = moment_of(self._date_ms).astimezone()
            tags.update(automatic_tags(self._options.volume, self._repository.states(), made))
        return sorted(tags)


def _unreadable_ranges(extents: list[Extent], block_size: int) -> list[tuple[int, int]]:
    """Return the ranges as a version records them; with small gaps closed where there are too many to record."""
    merged = merge_extents(extents)
    gap = block_size
    while len(merged) > MAX_UNREADABLE_RANGES:
        merged = _close_gaps(merged, gap)
        gap *= 2
    return [(extent.offset, extent.length) for extent in merged]


def _close_gaps(extents: list[Extent], gap: int) -> list[Extent]:
    closed = [extents[0]]
    for extent in extents[1:]:
        if extent.offset - closed[-1].end <= gap:
            closed[-1] = Extent(closed[-1].offset, extent.end - closed[-1].offset)
        else:
            closed.append(extent)
    return closed
