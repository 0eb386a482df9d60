"""Bring the index up to date with `meta/`, and take in packs that nothing in `meta/` names.

FORMAT.md sections 12 and 14. Damage in a meta pack costs what is lost of it and nothing else: its records
are walked one by one, and the directories it carried are read from the packs themselves.
Before: index.objectindex. After: repository.repository.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from packstore.codec.objectcodec import ObjectCodec
from packstore.errors import FormatError, NameNotFound, StorageError
from packstore.format.checkpoint import decode_checkpoint
from packstore.format.ledger import decode_damage, decode_scrub
from packstore.format.pack import PACK_HEADER, Entry, PackType, decode_directory, entry_of
from packstore.format.record import Kind, RecordHeader
from packstore.format.version import decode_event, decode_version
from packstore.ids import PackId, Uid
from packstore.index.bulk import BulkLoad, CollectedMeta
from packstore.index.changes import MetaTransaction
from packstore.index.objectindex import ObjectIndex
from packstore.index.tables import MetaState
from packstore.limits import MIB
from packstore.packs.names import META_PREFIX, list_packs
from packstore.packs.reader import Owner, check_place, is_strange, read_record, read_seal
from packstore.packs.scanner import PackWindow, Scanned, scan_records
from packstore.progress import Progress
from packstore.storage.base import Listed, Storage

_IDENTITIES: Final[dict[Kind, Callable[[bytes], Uid]]] = {
    Kind.VERSION: lambda plain: decode_version(plain).uid,
    Kind.EVENT: lambda plain: decode_event(plain).id,
    Kind.SCRUB: lambda plain: decode_scrub(plain).id,
    Kind.DAMAGE: lambda plain: decode_damage(plain).id,
    Kind.CHECKPOINT: lambda plain: decode_checkpoint(plain).id,
}
"""How to decode the records that the index keeps whole, each to its identity."""
_READ: Final = frozenset({Kind.DIRECTORY, *_IDENTITIES})
"""What is read of a meta pack; pages are found by their place, and what is unknown is passed over."""


BULK_BYTES: Final = 16 * MIB
"""Of new meta packs, from which on they are taken in together: some hundred thousand objects."""
Claimant = MetaTransaction | CollectedMeta
"""What takes in what a meta pack says, at once or in bulk."""


@dataclass
class SyncResult:
    """What a synchronisation found; `damage` has one line for each thing that could not be read."""

    applied: int = 0
    withdrawn: int = 0
    orphans: int = 0
    damage: list[str] = field(default_factory=list)


class IndexSync:
    """Reads packs into the index of one repository."""

    def __init__(self, storage: Storage, index: ObjectIndex, owner: Owner, codec: ObjectCodec) -> None:
        self._storage = storage
        self._index = index
        self._owner = owner
        self._codec = codec

    def synchronise(self, progress: Progress) -> SyncResult:
        """Apply what is new in `meta/`, withdraw what is gone; after damage, look into the packs themselves.

        Raises:
            StorageError: the storage cannot be read.
        """
        listed = list_packs(self._storage, PackType.META)
        known = self._index.metas()
        result = SyncResult()
        # What could not be read is tried again each time: it may have been repaired.
        new = [meta_id for meta_id in listed if known.get(meta_id) != MetaState(listed[meta_id].size, damaged=False)]
        if new:
            self._take_in({meta_id: listed[meta_id] for meta_id in sorted(new)}, progress, result)
        # Last: what a collector has moved must never be in neither place for those who read meanwhile.
        gone = [meta_id for meta_id in known if meta_id not in listed]
        if gone:
            self._index.withdraw(gone)
        result.withdrawn = len(gone)
        if result.damage:
            self.adopt_orphans(result)
        return result

    def _take_in(self, new: dict[PackId, Listed], progress: Progress, result: SyncResult) -> None:
        total = sum(listed.size for listed in new.values())
        load = self._index.bulk_load() if total >= BULK_BYTES else None
        progress.start("reading metadata", total)
        for meta_id, listed in new.items():
            if load is None:
                self._apply(meta_id, listed, result)
            else:
                self._collect(load, meta_id, listed, result)
            progress.advance(listed.size)
        if load is not None:
            load.write()
        progress.finish()

    def _collect(self, load: BulkLoad, meta_id: PackId, listed: Listed, result: SyncResult) -> None:
        meta = load.meta(meta_id)
        try:
            self._read_meta(meta, meta_id, listed, result)
        except NameNotFound:
            return  # collected since it was listed; what is live of it is in another
        load.add(meta, listed.size)
        result.applied += 1

    def _apply(self, meta_id: PackId, listed: Listed, result: SyncResult) -> None:
        def work(meta: MetaTransaction) -> None:
            self._read_meta(meta, meta_id, listed, result)

        try:
            self._index.apply(meta_id, listed.size, work)
            result.applied += 1
        except NameNotFound:
            return  # collected since it was listed; what is live of it is in another

    def _read_meta(self, meta: Claimant, meta_id: PackId, listed: Listed, result: SyncResult) -> None:
        try:
            seal = read_seal(self._storage, PackType.META, meta_id, self._owner, listed.size)
        except NameNotFound:
            raise
        except (FormatError, StorageError) as error:
            self._note(error, listed, result)
            meta.damaged = True
            if not self._is_strange(PackType.META, meta_id):
                self._salvage(meta, meta_id, listed, result)
            return
        meta.claim(PackType.META, meta_id, seal.entries)
        for entry in seal.entries:
            if entry.kind not in _READ:
                continue
            try:
                wanted = (entry.kind, entry.object_id)
                header, payload = read_record(self._storage, listed.name, entry.offset, entry.record_size, wanted)
                self._take(meta, header, payload)
            except NameNotFound:
                raise
            except (FormatError, StorageError) as error:
                self._note(error, listed, result)
                meta.damaged = True

    def _note(self, error: FormatError | StorageError, listed: Listed, result: SyncResult) -> None:
        """Take a bad sector for damage, but not a disk that is gone: its directory cannot be listed either."""
        if isinstance(error, StorageError):
            self._storage.list_files(META_PREFIX)
        if not any(line.startswith(listed.name) for line in result.damage):  # one line a file says enough
            result.damage.append(f"{listed.name}: {error.message}")

    def _is_strange(self, pack_type: PackType, pack_id: PackId) -> bool:
        try:
            return is_strange(self._storage, pack_type, pack_id, self._owner)
        except StorageError:
            return False  # a bad sector: what can be read of it may be ours

    def _scan(self, listed: Listed, result: SyncResult) -> Iterator[Scanned]:
        """Yield the whole records of a pack, as far as it can be read."""
        try:
            for found in scan_records(PackWindow(self._storage, listed.name), listed.size):
                if isinstance(found, Scanned):
                    yield found
        except StorageError as error:
            self._note(error, listed, result)

    def _salvage(self, meta: Claimant, meta_id: PackId, listed: Listed, result: SyncResult) -> None:
        entries: list[Entry] = []
        for found in self._scan(listed, result):
            try:
                check_place(found.header.kind, PackType.META)
                self._take(meta, found.header, found.payload)
            except FormatError as error:
                result.damage.append(f"{listed.name}: {error.message}")
            else:
                entries.append(entry_of(found.header, found.offset))
        meta.claim(PackType.META, meta_id, entries)

    def _take(self, meta: Claimant, header: RecordHeader, payload: bytes | memoryview) -> None:
        plain = self._codec.decode(header, payload)
        if header.kind is Kind.DIRECTORY:
            pack_id, entries = decode_directory(plain)
            meta.claim(PackType.BLOCKS, pack_id, entries, header.object_id)
        elif header.kind in _IDENTITIES:
            meta.record(header.kind, _IDENTITIES[header.kind](plain), plain)

    def adopt_orphans(self, result: SyncResult, skip: Callable[[PackId], bool] = lambda _: False) -> None:
        """Take in, by their own directories, the block packs that nothing in `meta/` names."""
        for pack_id, listed in list_packs(self._storage, PackType.BLOCKS).items():
            if self._index.is_known(pack_id) or skip(pack_id):
                continue
            try:
                entries = read_seal(self._storage, PackType.BLOCKS, pack_id, self._owner, listed.size).entries
            except NameNotFound:
                continue
            except (FormatError, StorageError) as error:
                self._note(error, listed, result)
                entries = [] if self._is_strange(PackType.BLOCKS, pack_id) else self._walk(listed, result)
            self._index.add_orphan(PackType.BLOCKS, pack_id, entries)
            result.orphans += 1

    def _walk(self, listed: Listed, result: SyncResult) -> list[Entry]:
        """Return the records of a pack whose directory is lost: each counts only if it decodes."""
        entries = []
        if listed.size <= PACK_HEADER.size:
            return []
        for found in self._scan(listed, result):
            try:
                check_place(found.header.kind, PackType.BLOCKS)
                self._codec.decode(found.header, found.payload)
            except FormatError:
                continue
            entries.append(entry_of(found.header, found.offset))
        return entries
