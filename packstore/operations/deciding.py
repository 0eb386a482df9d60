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
        return [self._decide(block, known) for block, known in zip(blocks, work.known, strict=True)]

    def _decide(self, block: ReadBlock, known: Known | None) -> Outcome:
        """Decide on a block, whose data is gone with the thread's next run: nothing here may keep it."""
        length, unreadable = len(block.data), block.unreadable
        if is_zero(block.data):
            return Outcome(length, unreadable, Fate.HOLE)
        with self._stages.time("fingerprint"):
            fingerprint = self._keyring.fingerprint(block.data)
        if known is not None and known.fingerprint == fingerprint and self._is_there(known):
            return Outcome(length, unreadable, Fate.UNCHANGED, known.object_id, fingerprint)
        with self._stages.time("hash"):
            object_id = self._keyring.object_id(block.data)
        if self._session.is_known(Kind.BLOCK, object_id):
            return Outcome(length, unreadable, Fate.KNOWN, object_id, fingerprint)
        encoded = self._codec.encode(Kind.BLOCK, object_id, block.data)
        return Outcome(length, unreadable, Fate.NEW, object_id, fingerprint, encoded)

    def _is_there(self, known: Known) -> bool:
        """Say whether a block can be relied on: what was never committed was never proven."""
        look = self._session.is_present if known.committed else self._session.is_known
        return look(Kind.BLOCK, known.object_id)
