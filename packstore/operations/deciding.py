"""Read blocks and find out what becomes of each: what a backup's workers do.

Cheapest question first: zeros? the same fingerprint as in the base? known by id? Only then is a block compressed,
encrypted and verified.
Before: operations.reading, operations.resume. After: operations.backup.
"""

from dataclasses import dataclass, field
from enum import Enum, auto

from packstore.blocks import Extent, Geometry, is_zero
from packstore.codec.objectcodec import EncodedObject
from packstore.codec.stages import READ
from packstore.format.page import NO_FINGERPRINT
from packstore.format.record import Kind
from packstore.ids import HOLE, ObjectId
from packstore.operations.reading import ReadBlock, RunReader
from packstore.operations.resume import Known
from packstore.repository.repository import Repository
from packstore.repository.session import Session
from packstore.sources.base import Source


@dataclass(frozen=True, slots=True)
class Work:
    """Blocks to be decided on in one go, each with what is known of it; those of a stream have been read already."""

    known: list[Known | None]
    run: range = range(0)
    read: list[ReadBlock] = field(default_factory=list)


class Fate(Enum):
    """What became of a block."""

    HOLE = auto()
    UNCHANGED = auto()
    KNOWN = auto()
    NEW = auto()


@dataclass(frozen=True, slots=True)
class Outcome:
    """A block after the workers are done with it; `encoded` only if it is new."""

    length: int
    unreadable: list[Extent]
    fate: Fate
    object_id: ObjectId = HOLE
    fingerprint: bytes = NO_FINGERPRINT
    encoded: EncodedObject | None = None


class Decider:
    """Reads blocks and decides what becomes of them. Safe to use from many threads."""

    def __init__(self, repository: Repository, session: Session, source: Source, geometry: Geometry) -> None:
        self._session = session
        self._keyring = repository.keyring
        self._codec = repository.codec
        self._stages = repository.stages
        self._reader = RunReader(source, geometry)

    def decide(self, work: Work) -> list[Outcome]:
        """Return what becomes of each block.

        Raises:
            SourceError: the source is gone, or ended early.
            StorageError: the repository is out of reach.
        """
        blocks = work.read
        if not blocks:
            with self._stages.time(READ):
                blocks = self._reader.read(work.run)
        fingerprints = [self._fingerprint(block) for block in blocks]
        same = self._same(work.known, fingerprints)
        # The data of the blocks is gone with the thread's next run: nothing here may keep it.
        return [self._decide(*each) for each in zip(blocks, fingerprints, same, strict=True)]

    def _fingerprint(self, block: ReadBlock) -> bytes | None:
        """Return the fingerprint of a block; None of zeros."""
        if is_zero(block.data):
            return None
        with self._stages.time("fingerprint"):
            return self._keyring.fingerprint(block.data)

    def _same(self, known: list[Known | None], fingerprints: list[bytes | None]) -> list[ObjectId]:
        """Return for each block the id of the known one that it is equal to and that is there; `HOLE` for others."""
        equal = [
            each if each is not None and each.fingerprint == fingerprint else None
            for each, fingerprint in zip(known, fingerprints, strict=True)
        ]
        there = self._session.undamaged(Kind.BLOCK, [each.object_id for each in equal if each and each.committed])
        # What was never committed was never proven.
        there |= {each.object_id for each in equal if each and not each.committed and self._is_known(each.object_id)}
        return [each.object_id if each and each.object_id in there else HOLE for each in equal]

    def _is_known(self, object_id: ObjectId) -> bool:
        return self._session.is_known(Kind.BLOCK, object_id)

    def _decide(self, block: ReadBlock, fingerprint: bytes | None, same: ObjectId) -> Outcome:
        length, unreadable = len(block.data), block.unreadable
        if fingerprint is None:
            return Outcome(length, unreadable, Fate.HOLE)
        if same != HOLE:
            return Outcome(length, unreadable, Fate.UNCHANGED, same, fingerprint)
        with self._stages.time("hash"):
            object_id = self._keyring.object_id(block.data)
        if self._is_known(object_id):
            return Outcome(length, unreadable, Fate.KNOWN, object_id, fingerprint)
        encoded = self._codec.encode(Kind.BLOCK, object_id, block.data)
        return Outcome(length, unreadable, Fate.NEW, object_id, fingerprint, encoded)
