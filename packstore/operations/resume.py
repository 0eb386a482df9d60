"""Go on from where an unfinished backup of a volume came to. FORMAT.md section 10.2.

A checkpoint was never committed: whatever is taken from it is proven in the packs first, and what cannot be proven
counts as changed. Only of a source that is provably in the same state as then is the covered part not read again.
Before: repository.checkpoints, operations.base. After: operations.backup.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from packstore.blocks import Extent, Geometry
from packstore.errors import DamageError
from packstore.format.checkpoint import Checkpoint
from packstore.format.page import NO_FINGERPRINT, Page
from packstore.format.record import Kind
from packstore.format.version import Version
from packstore.ids import HOLE, ObjectId
from packstore.limits import PAGE_ENTRIES, PARANOID_EVERY
from packstore.operations.base import BaseEntries
from packstore.progress import Progress, StopRequest
from packstore.repository.checkpoints import open_checkpoints
from packstore.repository.repository import Repository
from packstore.repository.session import Session
from packstore.repository.tree import leaf_spans
from packstore.sources.base import Source


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a block before it is hashed; `committed`: a version has it, so that it was proven then."""

    object_id: ObjectId
    fingerprint: bytes
    committed: bool


@dataclass(frozen=True, slots=True)
class TakenRun:
    """Consecutive blocks with the entries that a checkpoint has for them; they were not read."""

    blocks: range
    entries: list[tuple[ObjectId, bytes]]


def choose_checkpoint(repository: Repository, volume: str, source: Source) -> Checkpoint | None:
    """Return the open checkpoint of a volume, if its tree can be read and has the repository's blocks.

    To be called once the intent stands: what an open checkpoint refers to is then kept until the intent is gone.
    """
    if source.size is None:
        return None
    versions = [state.version for state in repository.states()]
    for checkpoint in open_checkpoints(versions, repository.checkpoints()):
        if checkpoint.volume == volume and checkpoint.block_size == repository.file.block_size:
            return checkpoint if _is_readable(repository, checkpoint) else None
    return None


def _is_readable(repository: Repository, checkpoint: Checkpoint) -> bool:
    if checkpoint.root != HOLE:
        try:
            repository.read_object(Kind.PAGE, checkpoint.root)
        except DamageError:
            return False
    return True


class StartingPoint:
    """What a backup starts from: a base, a checkpoint, both or neither, and how far either is trusted."""

    def __init__(
        self,
        repository: Repository,
        source: Source,
        base: Version | None,
        checkpoint: Checkpoint | None,
        *,
        paranoid: bool,
    ) -> None:
        self.base = base
        self.checkpoint = checkpoint
        self.takes_over = False
        self.compares = False
        self._repository = repository
        hash_all = paranoid or (base is not None and base.trusted_runs + 1 >= PARANOID_EVERY)
        self.trusts_base = base is not None and not hash_all
        if checkpoint is not None:
            may_trust = not hash_all or checkpoint.trusted_runs == 0
            same = bool(checkpoint.immutable_id) and source.immutable_id == checkpoint.immutable_id
            self.takes_over = same and may_trust and self.is_of_size(source.size)
            self.compares = not self.takes_over and not hash_all and checkpoint.trusted_runs + 1 < PARANOID_EVERY

    def leave_checkpoint(self) -> None:
        """Neither take over nor compare what the checkpoint covers: what it has of the little that is read is found."""
        self.takes_over = self.compares = False

    def is_of_size(self, size: int | None) -> bool:
        """Say whether there is a checkpoint, of a source of this size."""
        return self.checkpoint is not None and self.checkpoint.size == size

    def doubts(self, source: Source) -> list[str]:
        """Return what is to be said of the source at the end: what was taken over is of the state at the beginning."""
        if not self.takes_over or source.immutable_id:
            return []
        return ["the source changed although it was said not to: the version may mix old and new; back it up again"]

    @property
    def covered(self) -> int:
        """Bytes from the device's begin that an earlier backup came to, whether they are read again or not."""
        return self.checkpoint.covered if self.checkpoint else 0

    @property
    def trusted_runs(self) -> int:
        """What the new version's record says: 0 if every block of it was hashed."""
        runs = [0]
        if self.base is not None and self.trusts_base:
            runs.append(self.base.trusted_runs + 1)
        if self.checkpoint is not None and (self.takes_over or self.compares):
            runs.append(self.checkpoint.trusted_runs + int(self.compares))
        return max(runs)

    def entries(self, source: Source, progress: Progress) -> "KnownEntries":
        """Return what is known of each block."""
        base = self.base if self.trusts_base else None
        checkpoint = self.checkpoint if self.compares else None
        of_checkpoint = CheckpointEntries(self._repository, checkpoint, progress) if checkpoint else None
        return KnownEntries(BaseEntries(self._repository, base, source.size, progress), of_checkpoint)


class KnownEntries:
    """Looks a block up in the checkpoint, which is newer, and then in the base."""

    def __init__(self, base: BaseEntries, checkpoint: "CheckpointEntries | None") -> None:
        self._base = base
        self._checkpoint = checkpoint

    def entry(self, index: int, length: int) -> Known | None:
        """Return what is known of a block of this length; None where there is nothing to compare with."""
        found = self._checkpoint.entry(index, length) if self._checkpoint else None
        if found is not None:
            return Known(*found, committed=False)
        found = self._base.entry(index, length)
        return Known(*found, committed=True) if found else None


class CheckpointEntries:
    """The entries of a checkpoint: one by one to compare with, or in runs to take over."""

    def __init__(self, repository: Repository, checkpoint: Checkpoint, progress: Progress) -> None:
        self._progress = progress
        self._block_size = checkpoint.block_size
        self._count = checkpoint.covered // checkpoint.block_size
        self._tree = repository.tree_of(checkpoint.root, self._count)
        self._damaged: set[int] = set()
        geometry = Geometry(checkpoint.covered, checkpoint.block_size)
        self._unreadable = {index for extent in checkpoint.unreadable for index in geometry.blocks_of(Extent(*extent))}

    def entry(self, index: int, length: int) -> tuple[ObjectId, bytes] | None:
        """Return object id and fingerprint of a covered block; None for a hole, and for what could not be read."""
        if index >= self._count or length != self._block_size or index in self._unreadable:
            return None
        leaf = self._leaf(index // PAGE_ENTRIES)
        if leaf is None or leaf.id_at(index % PAGE_ENTRIES) == HOLE:
            return None
        return leaf.id_at(index % PAGE_ENTRIES), leaf.fingerprint_at(index % PAGE_ENTRIES)

    def _leaf(self, number: int) -> Page | None:
        """Return a leaf; None for a hole, and for what cannot be read, which `_damaged` then names."""
        if number in self._damaged:
            return None
        try:
            return self._tree.leaf(number)
        except DamageError as error:
            self._damaged.add(number)
            self._progress.warn(f"part of the checkpoint cannot be read, and is read from the source: {error.message}")
            return None

    def runs(self, session: Session, stop: StopRequest) -> Iterator[TakenRun | int]:
        """Yield in order what can be taken over, and the index of each block that is to be read again."""
        for number, blocks in leaf_spans(self._count):
            stop.check()
            leaf = self._leaf(number)
            if number in self._damaged:
                yield from blocks
                continue
            start, entries = blocks.start, list[tuple[ObjectId, bytes]]()
            for index in blocks:
                entry = _entry_of(leaf, index - blocks.start)
                if index not in self._unreadable and _is_proven(session, entry[0]):
                    entries.append(entry)
                    continue
                if entries:
                    yield TakenRun(range(start, index), entries)
                yield index
                start, entries = index + 1, []
            if entries:
                yield TakenRun(range(start, blocks.stop), entries)


def _entry_of(leaf: Page | None, at: int) -> tuple[ObjectId, bytes]:
    return (HOLE, NO_FINGERPRINT) if leaf is None else (leaf.id_at(at), leaf.fingerprint_at(at))


def _is_proven(session: Session, object_id: ObjectId) -> bool:
    return object_id == HOLE or session.is_known(Kind.BLOCK, object_id)
