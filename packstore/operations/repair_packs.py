"""What repair knows of one damaged pack, and the good records that it copies out of it.

Before: operations.check_packs, packs.reader. After: operations.repair.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from packstore.checksum import Buffer
from packstore.codec.objectcodec import EncodedObject
from packstore.errors import FormatError, StorageError
from packstore.format.ledger import LostObject
from packstore.format.pack import Entry, PackType
from packstore.format.record import Kind, RecordHeader
from packstore.ids import PackId
from packstore.limits import MIB
from packstore.operations.check_packs import PackChecker, PackReport
from packstore.packs.names import pack_name
from packstore.packs.reader import read_record
from packstore.progress import Progress, StopRequest
from packstore.repository.documents import QUARANTINE_PREFIX, move_aside
from packstore.repository.repository import Repository
from packstore.repository.session import Session
from packstore.storage.base import Listed, Storage

_CHUNK = 8 * MIB


@dataclass(frozen=True)
class PackFix:
    """What is to become of a pack.

    fetch: it is copied whole from the other repository; what is here moves aside. salvage: its `copies`, good records
    that are good nowhere else, go into new packs; then it moves aside. stay: it has records that this packstore does
    not know. good: it is whole again.
    """

    pack_type: PackType
    pack_id: PackId
    action: str
    faults: list[str] = field(default_factory=list)
    good: int = 0
    copies: list[Entry] = field(default_factory=list)
    bad: set[int] = field(default_factory=set)
    present: bool = True

    @property
    def name(self) -> str:
        """The pack's name in the storage."""
        return pack_name(self.pack_type, self.pack_id)


def read_pack(
    repository: Repository,
    storage: Storage,
    key: tuple[PackType, PackId],
    stop: StopRequest,
    progress: Progress,
    *,
    threads: int,
) -> PackReport:
    """Read a pack whole, in this repository or in a copy of it, with the keys of this one.

    Raises:
        NameNotFound: it is not there.
        Interrupted: between two records.
    """
    listed = Listed(pack_name(*key), storage.size(pack_name(*key)))
    checker = PackChecker(storage, repository.owner, repository.codec, stop, progress, threads=threads)
    return checker.check(*key, listed)


def has_good_copy(repository: Repository, lost: LostObject, without: Collection[PackId]) -> bool:
    """Say whether an object can be read, now, from a pack that is not one of these."""
    return any(True for _ in good_records(repository, lost, without))


def good_records(
    repository: Repository, lost: LostObject, without: Collection[PackId] = ()
) -> Iterator[tuple[RecordHeader, Buffer, bytes]]:
    """Yield header, payload and plaintext of each copy of an object that is good now, read from the storage."""
    kind = Kind(lost.kind)
    for place in repository.index.locate(kind, lost.object_id):
        if place.pack_id in without:
            continue
        name = pack_name(place.pack_type, place.pack_id)
        wanted = (lost.kind, lost.object_id)
        try:
            header, payload = read_record(repository.storage, name, place.offset, place.record_size, wanted)
            yield header, payload, repository.codec.decode(header, payload)
        except (FormatError, StorageError):
            continue


def copied(repository: Repository, header: RecordHeader, payload: Buffer) -> EncodedObject:
    """Return a record for another pack, once more verified; encrypted anew if it is of an older epoch.

    Raises:
        FormatError: it is not good.
    """
    repository.codec.decode(header, payload)
    return repository.codec.renew(header, bytes(payload))


def copy_object(session: Session, repository: Repository, other: Repository, lost: LostObject) -> int:
    """Copy an object: as it stands there, or encoded anew if it was under a key that only `other` has; return how many.

    Raises:
        StorageError: this storage failed.
    """
    for header, payload, plain in good_records(other, lost):
        try:
            session.put_copy(copied(repository, header, payload))
        except FormatError:
            session.put_copy(repository.codec.encode(header.kind, header.object_id, plain))
        return 1
    return 0


def copy_entry(repository: Repository, name: str, entry: Entry) -> EncodedObject:
    """Return the record at a place of a damaged pack, verified.

    Raises:
        FormatError: it is not good any more.
        StorageError: it cannot be read any more.
    """
    wanted = (entry.kind, entry.object_id)
    return copied(repository, *read_record(repository.storage, name, entry.offset, entry.record_size, wanted))


def replace_file(source: Storage, target: Storage, name: str) -> str:
    """Publish a file of one storage under the same name in another; return where what stood there is now.

    It is written under another name first: readers must not wait for it, nor find half of it.

    Raises:
        StorageError: what stood there is there, or aside.
    """
    target.prepare([QUARANTINE_PREFIX])
    incoming = f"{QUARANTINE_PREFIX}/incoming-{name.replace('/', '-')}"
    target.delete(incoming)  # of a repair that was cut short
    _copy(source, name, target, incoming)
    moved = move_aside(target, name) if target.exists(name) else ""
    target.move(incoming, name)
    return moved


def _copy(source: Storage, name: str, target: Storage, new_name: str) -> None:
    size = source.size(name)
    new = target.create(new_name)
    try:
        for offset in range(0, size, _CHUNK):
            new.write(source.read(name, offset, min(_CHUNK, size - offset)))
        if new.size != size:
            raise StorageError(f"{name} ended early while it was copied")
        new.publish()
    finally:
        new.discard()
