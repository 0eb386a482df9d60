"""Which objects are known to be lost: what a backup must not take over, and what repair looks for.

Before: repository.validity. After: operations.base, operations.repair.
"""

from collections.abc import Iterator

from packstore.errors import DamageError, FormatError, StorageError
from packstore.format.ledger import LostObject
from packstore.format.pack import Entry, PackType, decode_directory
from packstore.format.record import Kind
from packstore.ids import PackId
from packstore.packs.reader import read_seal
from packstore.repository.repository import Repository
from packstore.repository.validity import Judge


def known_entries(repository: Repository, pack_type: PackType, pack_id: PackId) -> list[Entry]:
    """Return what a pack is said to hold, by a directory in `meta/`, or else by its own; nothing without either."""
    for object_id in repository.index.directory_ids(pack_id):
        try:
            return decode_directory(repository.read_object(Kind.DIRECTORY, object_id))[1]
        except DamageError:
            continue
    try:
        return read_seal(repository.storage, pack_type, pack_id, repository.owner).entries
    except (FormatError, StorageError):
        return []


def lost_objects(repository: Repository) -> set[LostObject]:
    """Return the objects that are known to have no good copy here, needed by a version or not."""
    index = repository.index
    candidates = {lost for objects in index.standing().hits.values() for lost in objects}
    for noted in (index.notes.hits(), index.notes.lacking()):
        candidates |= {lost for objects in noted.values() for lost in objects}
    candidates |= set(_in_damaged_packs(repository))
    judge = Judge(repository.storage, index)
    return {lost for lost in candidates if not judge.is_here(lost)}


def known_damage(repository: Repository) -> dict[PackId, set[int]]:
    """Return the places that are known to be damaged, by the repository's records and by this machine's notes."""
    damaged = {pack_id: set(offsets) for pack_id, offsets in repository.index.standing().places.items()}
    for pack_id, offsets in repository.index.notes.damaged().items():
        damaged.setdefault(pack_id, set()).update(offsets)
    return damaged


def _in_damaged_packs(repository: Repository) -> Iterator[LostObject]:
    for pack_id, offsets in known_damage(repository).items():
        for entry in known_entries(repository, _type_of(repository, pack_id), pack_id):
            if 0 in offsets or entry.offset in offsets:
                yield LostObject(entry.kind, entry.object_id)


def _type_of(repository: Repository, pack_id: PackId) -> PackType:
    return PackType.META if repository.index.meta_state(pack_id) else PackType.BLOCKS
