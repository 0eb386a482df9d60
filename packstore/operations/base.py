"""The version a backup starts from, and what it says of each block. FORMAT.md section 13.

A base saves work and is never trusted further than its fingerprints: an entry that cannot be read, that
points at what the source could not deliver, or at a block of another length, counts as changed.
Before: repository.tree. After: operations.backup.
"""

from packstore.blocks import Extent, Geometry, merge_runs
from packstore.errors import DamageError
from packstore.format.record import Kind
from packstore.format.version import Version
from packstore.ids import HOLE, ObjectId
from packstore.limits import PAGE_ENTRIES
from packstore.progress import Progress
from packstore.repository.coordination import WriterIntent
from packstore.repository.damages import lost_objects
from packstore.repository.history import VersionState, find_version
from packstore.repository.repository import Repository
from packstore.repository.tree import leaf_spans


def choose_base(repository: Repository, intent: WriterIntent, volume: str, asked: str | None) -> Version | None:
    """Return the newest version of the volume that is not removed, is readable, and that no list names.

    Raises:
        VersionNotFound: the version that was asked for is not there.
    """
    states = repository.states()
    if asked is not None:
        candidates = [find_version(asked, states)]
    else:
        candidates = [state for state in reversed(states) if state.version.volume == volume and not state.removed]
    for state in candidates:
        if state.version.uid not in intent.condemned_versions and _is_usable(repository, state):
            return state.version
    return None


def _is_usable(repository: Repository, state: VersionState) -> bool:
    if state.version.block_size != repository.file.block_size:
        return False
    if state.version.root == HOLE:
        return True
    try:
        repository.read_object(Kind.PAGE, state.version.root)
    except DamageError:
        return False
    return True


class BaseEntries:
    """Looks up the base's entry for a block; None where there is nothing to compare with."""

    def __init__(self, repository: Repository, base: Version | None, size: int | None, progress: Progress) -> None:
        self._base = base
        self._progress = progress
        self._geometry = Geometry(base.size if base else 0, repository.file.block_size)
        self._tree = repository.tree(base) if base else None
        self._skip: set[int] = set()
        self._damaged: set[int] = set()
        for offset, length in base.unreadable if base else []:
            self._skip.update(self._geometry.blocks_of(Extent(offset, length)))
        if base and size is not None and size != base.size:
            self._skip_from_tail(min(size, base.size))

    def _skip_from_tail(self, smaller: int) -> None:
        """After a change of size nothing is said about the smaller size's last block."""
        if smaller:
            self._skip.add((smaller - 1) // self._geometry.block_size)

    def entry(self, index: int, length: int) -> tuple[ObjectId, bytes] | None:
        """Return object id and fingerprint that the base has for a block of this length."""
        if self._tree is None or index in self._skip or self._geometry.length(index) != length:
            return None
        leaf = index // PAGE_ENTRIES
        if leaf in self._damaged:
            return None
        try:
            object_id, fingerprint = self._tree.entry(index)
        except DamageError as error:
            self._damaged.add(leaf)
            self._progress.warn(f"part of the previous version cannot be read, and is stored again: {error.message}")
            return None
        return None if object_id == HOLE else (object_id, fingerprint)


def changed_by_damage(repository: Repository, version: Version) -> list[range]:
    """Return the blocks of a base that count as changed, whatever anybody says about the source.

    Those that the source could not deliver, and, while damage is known, those whose object, or whose page, has no
    good copy here: in ascending order, not touching. Reads the version's pages once if anything is known to be lost.
    """
    geometry = Geometry(version.size, version.block_size)
    changed = {index for offset, length in version.unreadable for index in geometry.blocks_of(Extent(offset, length))}
    lost = {found.object_id for found in lost_objects(repository)}
    if lost or any(state.damaged for state in repository.index.metas().values()):
        tree = repository.tree(version)
        for number, blocks in leaf_spans(geometry.count):
            try:
                leaf = tree.leaf(number)
            except DamageError:
                changed.update(blocks)
                continue
            if leaf is not None:
                changed.update(index for at, index in enumerate(blocks) if leaf.id_at(at) in lost)
    return merge_runs(range(index, index + 1) for index in sorted(changed))
