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
from packstore.index.environment import Environment, IndexBroken, Transaction, destroy

ORPHAN: Final = PackId(bytes(16))
"""Claims a pack that is known from its own directory only; no directory in `meta/` names it yet."""

_SCHEMA: Final = b"2"
_TABLES: Final = {
    "info": False,  # schema, repository id, next pack number
    "objects": True,  # kind, first 16 bytes of the id -> pack number, offset, record size
    "packs": False,  # pack id -> pack number, type
    "numbers": False,  # pack number -> pack id
    "claims": True,  # pack id -> meta packs that carry its directory
    "claimed": True,  # meta pack id -> packs whose directories it carries
    "metas": False,  # meta pack id -> size, damaged
    "records": False,  # kind, uid, meta pack id -> plaintext of a version or event
    "scrubbed": False,  # method, pack id -> number of the run that last read it
    "damaged": False,  # pack id, offset of a record that is not whole (0: no record of the pack is to be relied on)
    "totals": False,  # method, number of a run -> bytes of packs there were
}
_LOCATION: Final = struct.Struct(">III")
_NUMBER: Final = struct.Struct(">I")
_PACK: Final = struct.Struct(">IB")
_META: Final = struct.Struct(">QB")
_RUN: Final = struct.Struct(">Q")
_UNCLAIMED: Final = 0
"""Stands for the type of a pack that nothing claims any more; its number is kept, for it may be claimed again."""
_PREFIX_BYTES: Final = 16


class Location(NamedTuple):
    """Where a record is said to lie: pack, offset and size in bytes."""

    pack_type: PackType
    pack_id: PackId
    offset: int
    record_size: int


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
            for name in ("objects", "packs", "numbers", "claims", "claimed", "metas", "records"):
                transaction.drop(self._table[name], delete=False)

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
        return [location for location in self.locate(kind, object_id) if not self._is_damaged(location)]

    def _is_damaged(self, location: Location) -> bool:
        keys = [location.pack_id + _NUMBER.pack(offset) for offset in (0, location.offset)]
        with self._environment.reading() as transaction:
            return any(transaction.get(key, db=self._table["damaged"]) is not None for key in keys)

    def note_damaged(self, pack_id: PackId, offsets: Iterable[int]) -> None:
        """Remember records that are not whole, so that nothing new relies on them."""

        def work(transaction: Transaction) -> None:
            for offset in offsets:
                transaction.put(pack_id + _NUMBER.pack(offset), b"", db=self._table["damaged"])

        self._environment.write(work)

    def forget_damaged(self, pack_id: PackId) -> None:
        """Forget what was known of a pack's damage: it is about to be read again."""

        def work(transaction: Transaction) -> None:
            cursor = transaction.cursor(self._table["damaged"])
            present = cursor.set_range(pack_id)
            while present and cursor.key().startswith(pack_id):
                present = cursor.delete()

        with self._environment.reading() as transaction:
            cursor = transaction.cursor(self._table["damaged"])
            if not cursor.set_range(pack_id) or not cursor.key().startswith(pack_id):
                return
        self._environment.write(work)

    def _location(self, transaction: Transaction, value: bytes) -> Location | None:
        number, offset, record_size = _unpack(_LOCATION, value)
        pack_id = transaction.get(_NUMBER.pack(number), db=self._table["numbers"])
        pack = pack_id and transaction.get(pack_id, db=self._table["packs"])
        if not pack:
            return None
        _, pack_type = _unpack(_PACK, pack)
        if pack_type == _UNCLAIMED:
            return None
        return Location(PackType(pack_type), PackId(pack_id), offset, record_size)

    def metas(self) -> dict[PackId, MetaState]:
        """Return the meta packs that were applied."""
        return {
            PackId(meta_id): MetaState(size, bool(damaged)) for meta_id, (size, damaged) in self._items("metas", _META)
        }

    def meta_state(self, meta_id: PackId) -> MetaState | None:
        """Return the state of one meta pack, None if it was not applied."""
        with self._environment.reading() as transaction:
            value = transaction.get(meta_id, db=self._table["metas"])
        if value is None:
            return None
        size, damaged = _unpack(_META, value)
        return MetaState(size, bool(damaged))

    def pack_ids(self, pack_type: PackType) -> set[PackId]:
        """Return the packs of one type that are known."""
        return {PackId(pack_id) for pack_id, (_, found) in self._items("packs", _PACK) if found == pack_type}

    def is_known(self, pack_id: PackId) -> bool:
        """Say whether a pack is claimed by anything."""
        with self._environment.reading() as transaction:
            pack = transaction.get(pack_id, db=self._table["packs"])
        return pack is not None and _unpack(_PACK, pack)[1] != _UNCLAIMED

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
        """Yield the plaintext of every version or event, once."""
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
                number, _ = _unpack(_PACK, transaction.get(pack_id, db=self._table["packs"]))
                transaction.put(pack_id, _PACK.pack(number, _UNCLAIMED), db=self._table["packs"])
        transaction.delete(meta_id, db=self._table["claimed"])
        transaction.delete(meta_id, db=self._table["metas"])
        self._drop_records(transaction, meta_id)

    def _drop_records(self, transaction: Transaction, meta_id: PackId) -> None:
        cursor = transaction.cursor(self._table["records"])
        for key in [key for key in cursor.iternext(values=False) if key.endswith(meta_id)]:
            transaction.delete(key, db=self._table["records"])

    def _claim(
        self,
        transaction: Transaction,
        meta_id: PackId,
        pack_type: PackType,
        pack_id: PackId,
        entries: Iterable[Entry],
    ) -> None:
        known = transaction.get(pack_id, db=self._table["packs"])
        transaction.put(pack_id, meta_id, db=self._table["claims"])
        transaction.put(meta_id, pack_id, db=self._table["claimed"])
        number, claimed_type = _unpack(_PACK, known) if known else (self._next_number(transaction), _UNCLAIMED)
        if claimed_type != _UNCLAIMED:
            return
        transaction.put(pack_id, _PACK.pack(number, pack_type), db=self._table["packs"])
        transaction.put(_NUMBER.pack(number), pack_id, db=self._table["numbers"])
        rows = sorted(
            (_object_key(entry.kind, entry.object_id), _LOCATION.pack(number, entry.offset, entry.record_size))
            for entry in entries
        )
        transaction.cursor(self._table["objects"]).putmulti(rows)

    def _next_number(self, transaction: Transaction) -> int:
        info = self._table["info"]
        number = int(transaction.get(b"next", b"1", db=info))
        transaction.put(b"next", str(number + 1).encode(), db=info)
        return number

    def put_record(self, transaction: Transaction, meta_id: PackId, kind: Kind, uid: Uid, plain: bytes) -> None:
        """Keep the plaintext of a version or event that a meta pack holds."""
        transaction.put(bytes([kind]) + uid + meta_id, plain, db=self._table["records"])

    def scrub_runs(self, method: str) -> dict[PackId, int]:
        """Return the run in which each pack was last read by a check of this method."""
        prefix = method.encode()
        return {PackId(key[1:]): run for key, (run,) in self._items("scrubbed", _RUN) if key[:1] == prefix}

    def note_scrubbed(self, method: str, runs: dict[PackId, int]) -> None:
        """Remember in which run a check of this method has last read each of these packs."""

        def work(transaction: Transaction) -> None:
            for pack_id, run in runs.items():
                transaction.put(method.encode() + pack_id, _RUN.pack(run), db=self._table["scrubbed"])

        self._environment.write(work)

    def scrub_totals(self, method: str) -> list[int]:
        """Return how many bytes of packs there were at each check of this method, the latest last."""
        prefix = method.encode()
        return [total for key, (total,) in self._items("totals", _RUN) if key[:1] == prefix]

    def note_scrub_total(self, method: str, run: int, total: int) -> None:
        """Remember how many bytes of packs there were at run number `run`, counted from 1."""
        key = method.encode() + _RUN.pack(run)
        self._environment.write(lambda transaction: transaction.put(key, _RUN.pack(total), db=self._table["totals"]))

    def statistics(self) -> dict[str, int]:
        """Return how many entries each table has, and the size of the file in bytes."""
        with self._environment.reading() as transaction:
            counts = {name: transaction.stat(table)["entries"] for name, table in self._table.items()}
        return {name: counts[name] for name in ("objects", "packs", "metas", "records")} | {
            "bytes": self._environment.bytes_used()
        }

    def _items(self, table: str, layout: struct.Struct) -> list[tuple[bytes, tuple[int, ...]]]:
        with self._environment.reading() as transaction:
            return [(key, _unpack(layout, value)) for key, value in transaction.cursor(self._table[table])]


class MetaTransaction:
    """What one meta pack says, on its way into the index."""

    def __init__(self, index: ObjectIndex, transaction: Transaction, meta_id: PackId) -> None:
        self._index = index
        self._transaction = transaction
        self._meta_id = meta_id
        self.damaged = False

    def claim(self, pack_type: PackType, pack_id: PackId, entries: Iterable[Entry]) -> None:
        """Say that the meta pack carries this pack's directory."""
        self._index._claim(self._transaction, self._meta_id, pack_type, pack_id, entries)  # noqa: SLF001

    def record(self, kind: Kind, uid: Uid, plain: bytes) -> None:
        """Say that the meta pack holds this version or event."""
        self._index.put_record(self._transaction, self._meta_id, kind, uid, plain)


def _check_stamp(stamp: tuple[bytes, bytes], repository_id: Uid) -> None:
    if stamp != (_SCHEMA, repository_id):
        raise IndexBroken("it is another repository's, or of another packstore")


def _unpack(layout: struct.Struct, value: bytes) -> tuple[int, ...]:
    if len(value) != layout.size:
        raise IndexBroken("an entry has the wrong length")
    return layout.unpack(value)
