"""Object id to location, packs, versions and events: what `meta/` says, ready for looking up.

FORMAT.md section 12. The index is never believed about data: a location is where to look, and whoever
looks compares the record's own id. Each meta pack is applied in one transaction and claims the packs whose
directories it carries; a pack without a claim is not there, whatever is still said about its objects.
Before: packs.reader. After: index.sync.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from packstore.format.pack import Entry, PackType
from packstore.format.record import Kind
from packstore.ids import ObjectId, PackId, Uid
from packstore.index.environment import Environment, IndexBroken, Transaction, destroy, unpack
from packstore.index.notes import NOTES, LocalNotes
from packstore.index.standing import StandingDamage, fold_records

ORPHAN: Final = PackId(bytes(16))
"""Claims a pack that is known from its own directory only; no directory in `meta/` names it yet."""

_SCHEMA: Final = b"3"
_TABLES: Final = {
    "info": False,  # schema, repository id, next record number
    "objects": True,  # kind, first 16 bytes of the id -> record number, offset, record size
    "packs": False,  # pack id -> number of its first record, count, type
    "numbers": False,  # number of a pack's first record -> pack id
    "directories": True,  # pack id -> object ids of its directory
    "claims": True,  # pack id -> meta packs that carry its directory
    "claimed": True,  # meta pack id -> packs whose directories it carries
    "metas": False,  # meta pack id -> size, damaged
    "records": False,  # kind, uid, meta pack id -> plaintext of a version, an event and the like
    "recorded": True,  # meta pack id -> kind, uid of those it holds
} | NOTES
_LOCATION: Final = struct.Struct(">QII")
_NUMBER: Final = struct.Struct(">Q")
_PACK: Final = struct.Struct(">QIB")
_META: Final = struct.Struct(">QB")
_UNCLAIMED: Final = 0
"""Stands for the type of a pack that nothing claims any more; its number is kept, for it may be claimed again."""
_PREFIX_BYTES: Final = 16
_DAMAGES: Final = b"damages"
"""Under this key `info` counts the changes of damage records."""
_FROM_REPOSITORY: Final = (
    "objects",
    "packs",
    "numbers",
    "directories",
    "claims",
    "claimed",
    "metas",
    "records",
    "recorded",
)
"""Tables that are made anew from the repository; the others remember what was done here."""


class Location(NamedTuple):
    """Where a record is said to lie: pack, offset and size in bytes; and its number in this index."""

    pack_type: PackType
    pack_id: PackId
    offset: int
    record_size: int
    number: int = 0


class KnownPack(NamedTuple):
    """A pack that is claimed: its records have the numbers from `first`, in the order of their offsets."""

    pack_type: PackType
    pack_id: PackId
    first: int
    records: int


class MetaState(NamedTuple):
    """A meta pack that was applied: its size in bytes, and whether all of it could be read."""

    size: int
    damaged: bool


def _object_key(kind: int, object_id: ObjectId) -> bytes:
    return bytes([kind]) + object_id[:_PREFIX_BYTES]


class ObjectIndex:
    """The index of one repository at one place."""

    def __init__(self, directory: Path, repository_id: Uid) -> None:
        """Open the index, or begin an empty one where there is none or it is of no use."""
        self.directory = directory
        try:
            self._open(repository_id)
        except IndexBroken:
            destroy(directory)
            self._open(repository_id)

    def _open(self, repository_id: Uid) -> None:
        self._environment = Environment(self.directory, _TABLES)
        self._table = self._environment.tables
        self.notes = LocalNotes(self._environment)
        self._standing: tuple[bytes, StandingDamage] | None = None
        try:
            stamp = self._environment.write(lambda transaction: self._stamp(transaction, repository_id))
            _check_stamp(stamp, repository_id)
        except BaseException:
            self._environment.close()
            raise

    def _stamp(self, transaction: Transaction, repository_id: Uid) -> tuple[bytes, bytes]:
        info = self._table["info"]
        if transaction.stat(info)["entries"] == 0:
            transaction.put(b"schema", _SCHEMA, db=info)
            transaction.put(b"repository", repository_id, db=info)
        return transaction.get(b"schema", db=info), transaction.get(b"repository", db=info)

    def mark_broken(self) -> None:
        """Have the next run throw this index away."""
        self._environment.mark_broken()

    def clear(self) -> None:
        """Forget all that was read from the repository, in one transaction; readers go on undisturbed."""

        def work(transaction: Transaction) -> None:
            for name in _FROM_REPOSITORY:
                transaction.drop(self._table[name], delete=False)
            self._note_change(transaction, Kind.DAMAGE)

        self._environment.write(work)

    def close(self) -> None:
        """Close the index."""
        self._environment.close()

    def locate(self, kind: Kind, object_id: ObjectId) -> list[Location]:
        """Return where copies of an object are said to lie."""
        with self._environment.reading() as transaction:
            cursor = transaction.cursor(self._table["objects"])
            if not cursor.set_key(_object_key(kind, object_id)):
                return []
            found = [self._location(transaction, value) for value in cursor.iternext_dup()]
        return [location for location in found if location is not None]

    def usable(self, kind: Kind, object_id: ObjectId) -> list[Location]:
        """Return where copies of an object are said to lie, without those that are known to be damaged."""
        return [location for location in self.locate(kind, object_id) if not self.is_doubtful(location)]

    def is_doubtful(self, location: Location) -> bool:
        """Say whether nothing new may rely on a copy: it, or all of its pack, is known to be damaged."""
        if self.notes.is_damaged(location.pack_id, location.offset):
            return True
        return self.standing().covers(location.pack_id, location.offset)

    def is_damaged(self, location: Location) -> bool:
        """Say whether the record there, and not only its pack as a whole, is known not to be whole."""
        if location.offset in self.standing().of(location.pack_id):
            return True
        return self.notes.is_noted(location.pack_id, location.offset)

    def standing(self) -> StandingDamage:
        """Return the damage that the repository's records speak of; folded anew only when they have changed."""
        with self._environment.reading() as transaction:
            changes = transaction.get(_DAMAGES, b"", db=self._table["info"])
        known = self._standing
        if known is None or known[0] != changes:
            known = self._standing = changes, fold_records(self.records(Kind.DAMAGE))
        return known[1]

    def stamp(self) -> int:
        """Return a number that changes with whatever is written to this index, by any process."""
        return self._environment.last_write()

    def _location(self, transaction: Transaction, value: bytes) -> Location | None:
        number, offset, record_size = unpack(_LOCATION, value)
        cursor = transaction.cursor(self._table["numbers"])
        key = _NUMBER.pack(number)
        found = (cursor.key() == key or cursor.prev()) if cursor.set_range(key) else cursor.last()
        pack = found and transaction.get(cursor.value(), db=self._table["packs"])
        if not pack:
            return None
        first, count, pack_type = unpack(_PACK, pack)
        if pack_type == _UNCLAIMED or not first <= number < first + count:
            return None
        return Location(PackType(pack_type), PackId(cursor.value()), offset, record_size, number)

    def metas(self) -> dict[PackId, MetaState]:
        """Return the meta packs that were applied."""
        return {
            PackId(meta_id): MetaState(size, bool(damaged))
            for meta_id, (size, damaged) in self._environment.items("metas", _META)
        }

    def meta_state(self, meta_id: PackId) -> MetaState | None:
        """Return the state of one meta pack, None if it was not applied."""
        with self._environment.reading() as transaction:
            value = transaction.get(meta_id, db=self._table["metas"])
        if value is None:
            return None
        size, damaged = unpack(_META, value)
        return MetaState(size, bool(damaged))

    def pack_ids(self, pack_type: PackType) -> set[PackId]:
        """Return the packs of one type that are known."""
        return {pack.pack_id for pack in self.packs() if pack.pack_type is pack_type}

    def packs(self) -> list[KnownPack]:
        """Return the packs that are claimed."""
        return [
            KnownPack(PackType(pack_type), PackId(pack_id), first, count)
            for pack_id, (first, count, pack_type) in self._environment.items("packs", _PACK)
            if pack_type != _UNCLAIMED
        ]

    def record_numbers(self) -> int:
        """Return a number above those of all records."""
        with self._environment.reading() as transaction:
            return int(transaction.get(b"next", b"0", db=self._table["info"]))

    def directory_ids(self, pack_id: PackId) -> list[ObjectId]:
        """Return the ids of the directory objects in `meta/` that speak about a pack."""
        with self._environment.reading() as transaction:
            cursor = transaction.cursor(self._table["directories"])
            return [ObjectId(value) for value in cursor.iternext_dup()] if cursor.set_key(pack_id) else []

    def is_known(self, pack_id: PackId) -> bool:
        """Say whether a pack is claimed by anything."""
        with self._environment.reading() as transaction:
            pack = transaction.get(pack_id, db=self._table["packs"])
        return pack is not None and unpack(_PACK, pack)[2] != _UNCLAIMED

    def is_named(self, pack_id: PackId) -> bool:
        """Say whether a meta pack carries the directory of a pack."""
        with self._environment.reading() as transaction:
            cursor = transaction.cursor(self._table["claims"])
            return cursor.set_key(pack_id) and any(claim != ORPHAN for claim in cursor.iternext_dup())

    def orphans(self) -> list[PackId]:
        """Return the packs that no meta pack claims."""
        with self._environment.reading() as transaction:
            cursor = transaction.cursor(self._table["claims"])
            first = [(key, value) for key, value in cursor.iternext_nodup(keys=True, values=True) if value == ORPHAN]
            return [PackId(key) for key, _ in first if cursor.set_key(key) and cursor.count() == 1]

    def records(self, kind: Kind) -> Iterator[bytes]:
        """Yield the plaintext of every version, event or other record of a kind, once."""
        with self._environment.reading() as transaction:
            cursor = transaction.cursor(self._table["records"])
            prefix = bytes([kind])
            last = b""
            present = cursor.set_range(prefix)
            while present and cursor.key().startswith(prefix):
                uid = cursor.key()[1:17]
                if uid != last:
                    yield cursor.value()
                last = uid
                present = cursor.next()

    def add_orphan(self, pack_type: PackType, pack_id: PackId, entries: Iterable[Entry]) -> None:
        """Take in a pack by its own directory."""
        self._environment.write(lambda transaction: self._claim(transaction, ORPHAN, pack_type, pack_id, entries))

    def apply(self, meta_id: PackId, size: int, work: Callable[["MetaTransaction"], None]) -> None:
        """Take in one meta pack, whole or not at all; `work` says what is in it."""
        self._environment.write(lambda transaction: self._apply(transaction, meta_id, size, work))

    def _apply(
        self, transaction: Transaction, meta_id: PackId, size: int, work: Callable[["MetaTransaction"], None]
    ) -> None:
        if transaction.get(meta_id, db=self._table["metas"]) == _META.pack(size, 0):
            return  # another process has been quicker
        self._withdraw(transaction, meta_id)
        meta = MetaTransaction(self, transaction, meta_id)
        work(meta)
        transaction.put(meta_id, _META.pack(size, meta.damaged), db=self._table["metas"])

    def withdraw(self, meta_ids: Iterable[PackId]) -> None:
        """Forget what meta packs that are gone have claimed."""

        def work(transaction: Transaction) -> None:
            for meta_id in meta_ids:
                self._withdraw(transaction, meta_id)

        self._environment.write(work)

    def _withdraw(self, transaction: Transaction, meta_id: PackId) -> None:
        if transaction.get(meta_id, db=self._table["metas"]) is None:
            return
        cursor = transaction.cursor(self._table["claimed"])
        packs = list(cursor.iternext_dup()) if cursor.set_key(meta_id) else []
        for pack_id in packs:
            transaction.delete(pack_id, meta_id, db=self._table["claims"])
            if transaction.get(pack_id, db=self._table["claims"]) is None:
                first, count, _ = unpack(_PACK, transaction.get(pack_id, db=self._table["packs"]))
                transaction.put(pack_id, _PACK.pack(first, count, _UNCLAIMED), db=self._table["packs"])
        transaction.delete(meta_id, db=self._table["claimed"])
        transaction.delete(meta_id, db=self._table["metas"])
        self._drop_records(transaction, meta_id)

    def _drop_records(self, transaction: Transaction, meta_id: PackId) -> None:
        cursor = transaction.cursor(self._table["recorded"])
        for key in list(cursor.iternext_dup()) if cursor.set_key(meta_id) else []:
            transaction.delete(key + meta_id, db=self._table["records"])
            self._note_change(transaction, key[0])
        transaction.delete(meta_id, db=self._table["recorded"])

    def _claim(
        self,
        transaction: Transaction,
        meta_id: PackId,
        pack_type: PackType,
        pack_id: PackId,
        entries: Iterable[Entry],
        directory_id: ObjectId | None = None,
    ) -> None:
        if directory_id is not None:
            transaction.put(pack_id, directory_id, db=self._table["directories"])
        known = transaction.get(pack_id, db=self._table["packs"])
        transaction.put(pack_id, meta_id, db=self._table["claims"])
        transaction.put(meta_id, pack_id, db=self._table["claimed"])
        first, count, claimed_type = unpack(_PACK, known) if known else (0, -1, _UNCLAIMED)
        if claimed_type != _UNCLAIMED:
            return
        ordered = sorted(entries, key=lambda entry: entry.offset)
        if count != len(ordered):
            # Claimed anew with another directory (after damage): what the old numbers say is out of range for ever.
            first = self._take_numbers(transaction, len(ordered))
        transaction.put(pack_id, _PACK.pack(first, len(ordered), pack_type), db=self._table["packs"])
        transaction.put(_NUMBER.pack(first), pack_id, db=self._table["numbers"])
        rows = sorted(
            (_object_key(entry.kind, entry.object_id), _LOCATION.pack(number, entry.offset, entry.record_size))
            for number, entry in enumerate(ordered, first)
        )
        transaction.cursor(self._table["objects"]).putmulti(rows)

    def _take_numbers(self, transaction: Transaction, count: int) -> int:
        """Return the first of as many new numbers as a pack has records; one at least, so that packs differ."""
        info = self._table["info"]
        first = int(transaction.get(b"next", b"1", db=info))
        transaction.put(b"next", str(first + max(count, 1)).encode(), db=info)
        return first

    def put_record(self, transaction: Transaction, meta_id: PackId, kind: Kind, uid: Uid, plain: bytes) -> None:
        """Keep the plaintext of a version, an event or the like that a meta pack holds."""
        transaction.put(bytes([kind]) + uid + meta_id, plain, db=self._table["records"])
        transaction.put(meta_id, bytes([kind]) + uid, db=self._table["recorded"])
        self._note_change(transaction, kind)

    def _note_change(self, transaction: Transaction, kind: int) -> None:
        """Have whoever has folded the damage records fold them again."""
        if kind == Kind.DAMAGE:
            count = int(transaction.get(_DAMAGES, b"0", db=self._table["info"]))
            transaction.put(_DAMAGES, str(count + 1).encode(), db=self._table["info"])

    def statistics(self) -> dict[str, int]:
        """Return how many entries each table has, and the size of the file in bytes."""
        with self._environment.reading() as transaction:
            counts = {name: transaction.stat(table)["entries"] for name, table in self._table.items()}
        return {name: counts[name] for name in ("objects", "packs", "metas", "records")} | {
            "bytes": self._environment.bytes_used()
        }


class MetaTransaction:
    """What one meta pack says, on its way into the index."""

    def __init__(self, index: ObjectIndex, transaction: Transaction, meta_id: PackId) -> None:
        self._index = index
        self._transaction = transaction
        self._meta_id = meta_id
        self.damaged = False

    def claim(
        self, pack_type: PackType, pack_id: PackId, entries: Iterable[Entry], directory_id: ObjectId | None = None
    ) -> None:
        """Say that the meta pack carries this pack's directory, as the object `directory_id`."""
        self._index._claim(self._transaction, self._meta_id, pack_type, pack_id, entries, directory_id)  # noqa: SLF001

    def record(self, kind: Kind, uid: Uid, plain: bytes) -> None:
        """Say that the meta pack holds this version, event or the like."""
        self._index.put_record(self._transaction, self._meta_id, kind, uid, plain)


def _check_stamp(stamp: tuple[bytes, bytes], repository_id: Uid) -> None:
    if stamp != (_SCHEMA, repository_id):
        raise IndexBroken("it is another repository's, or of another packstore")
