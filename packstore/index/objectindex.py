"""Object id to location, packs, versions and events: what `meta/` says, ready for looking up.

FORMAT.md section 12. The index is never believed about data: a location is where to look, and whoever
looks compares the record's own id. Each meta pack is applied in one transaction (many at once: index.bulk) and claims
the packs whose directories it carries; a pack without a claim is not there, whatever is still said about its objects.
Before: packs.reader. After: index.sync.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from packstore.format.pack import Entry, PackType
from packstore.format.record import Kind
from packstore.ids import ObjectId, PackId, Uid
from packstore.index.bulk import BulkLoad
from packstore.index.changes import MetaTransaction, is_claimed
from packstore.index.environment import Environment, IndexBroken, Transaction, destroy, unpack
from packstore.index.notes import LocalNotes
from packstore.index.places import Places
from packstore.index.standing import StandingDamage, fold_records
from packstore.index.tables import (
    DAMAGES,
    MAX_KIND,
    META,
    ORPHAN,
    PACK,
    SCHEMA,
    TABLES,
    UNCLAIMED,
    KnownPack,
    Location,
    MetaState,
    object_key,
)

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


class ObjectIndex:
    """The index of one repository at one place."""

    def __init__(self, directory: Path, repository_id: Uid, *, durable: bool = True) -> None:
        """Open the index, or begin an empty one where there is none or it is of no use."""
        self.directory = directory
        self._durable = durable
        try:
            self._open(repository_id)
        except IndexBroken:
            destroy(directory)
            self._open(repository_id)

    def _open(self, repository_id: Uid) -> None:
        self._environment = Environment(self.directory, TABLES, durable=self._durable)
        self._table = self._environment.tables
        self.notes = LocalNotes(self._environment)
        self.look: Callable[[PackId, int], bool | None] = lambda _pack_id, _offset: None
        """Says whether a place is bad here, by reading it; None: nobody can tell now, so it counts as bad."""
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
            transaction.put(b"schema", SCHEMA, db=info)
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
            MetaTransaction(self._table, transaction, ORPHAN).note_change(Kind.DAMAGE)

        self._environment.write(work)

    def close(self) -> None:
        """Close the index."""
        self._environment.close()

    def locate(self, kind: Kind, object_id: ObjectId) -> list[Location]:
        """Return where copies of an object are said to lie."""
        with self._environment.reading() as transaction:
            cursor = transaction.cursor(self._table["objects"])
            if not cursor.set_key(object_key(kind, object_id)):
                return []
            return Places(self._table, transaction).of(cursor.iternext_dup())

    def locate_many(self, kind: Kind, ids: Iterable[ObjectId]) -> list[tuple[ObjectId, list[Location]]]:
        """Return each id with where copies of the object are said to lie."""
        with self._environment.reading() as transaction:
            cursor, places = transaction.cursor(self._table["objects"]), Places(self._table, transaction)
            found = []
            for object_id in ids:
                values = cursor.iternext_dup() if cursor.set_key(object_key(kind, object_id)) else ()
                found.append((object_id, places.of(values)))
        return found

    def usable(self, kind: Kind, object_id: ObjectId) -> list[Location]:
        """Return where copies of an object are said to lie, without those that are known to be damaged."""
        return [location for location in self.locate(kind, object_id) if not self.is_doubtful(location)]

    def usable_many(self, kind: Kind, ids: Iterable[ObjectId]) -> list[tuple[ObjectId, list[Location]]]:
        """Return each id with where copies are said to lie, without those that are known to be damaged."""
        found = self.locate_many(kind, ids)
        if not self.notes.is_any_damaged() and not self.standing().places:
            return found
        return [(each, [place for place in places if not self.is_doubtful(place)]) for each, places in found]

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
        """Return the damage that records speak of and that is here; looked at anew only when they have changed."""
        with self._environment.reading() as transaction:
            changes = transaction.get(DAMAGES, b"", db=self._table["info"])
        known = self._standing
        if known is None or known[0] != changes:
            known = self._standing = changes, self._only_here(fold_records(self.records(Kind.DAMAGE)))
        return known[1]

    def _only_here(self, recorded: StandingDamage) -> StandingDamage:
        """Leave out what is whole here: a record may have come from a copy of the repository, without its damage."""
        places: dict[PackId, frozenset[int]] = {}
        verdicts: dict[tuple[PackId, int], tuple[int, bool]] = {}
        for pack_id, offsets in recorded.places.items():
            counter = recorded.spoken[pack_id]
            bad = set()
            for offset in offsets:
                verdict = self.notes.verdict(pack_id, offset, counter)
                if verdict is None:
                    verdict = self.look(pack_id, offset)
                    if verdict is not None:
                        verdicts[pack_id, offset] = counter, verdict
                if verdict is not False:
                    bad.add(offset)
            if bad:
                places[pack_id] = frozenset(bad)
        if verdicts:
            self.notes.note_verdicts(verdicts)
        return replace(recorded, places=places)

    def stamp(self) -> int:
        """Return a number that changes with whatever is written to this index, by any process."""
        return self._environment.last_write()

    def metas(self) -> dict[PackId, MetaState]:
        """Return the meta packs that were applied."""
        return {
            PackId(meta_id): MetaState(size, bool(damaged))
            for meta_id, (size, damaged) in self._environment.items("metas", META)
        }

    def meta_state(self, meta_id: PackId) -> MetaState | None:
        """Return the state of one meta pack, None if it was not applied."""
        with self._environment.reading() as transaction:
            value = transaction.get(meta_id, db=self._table["metas"])
        if value is None:
            return None
        size, damaged = unpack(META, value)
        return MetaState(size, bool(damaged))

    def pack_ids(self, pack_type: PackType) -> set[PackId]:
        """Return the packs of one type that are known."""
        return {pack.pack_id for pack in self.packs() if pack.pack_type is pack_type}

    def packs(self) -> list[KnownPack]:
        """Return the packs that are claimed."""
        return [
            KnownPack(PackType(pack_type), PackId(pack_id), first, count)
            for pack_id, (first, count, pack_type) in self._environment.items("packs", PACK)
            if pack_type != UNCLAIMED
        ]

    def record_numbers(self) -> int:
        """Return a number above those of all records."""
        with self._environment.reading() as transaction:
            return int(transaction.get(b"next", b"0", db=self._table["info"]))

    def kinds(self) -> set[int]:
        """Return the kinds of all records, unknown ones too."""
        with self._environment.reading() as transaction:
            cursor = transaction.cursor(self._table["objects"])
            found: set[int] = set()
            present = cursor.first()
            while present:
                kind = cursor.key()[0]
                found.add(kind)
                present = cursor.set_range(bytes([kind + 1])) if kind < MAX_KIND else False
        return found

    def directory_ids(self, pack_id: PackId) -> list[ObjectId]:
        """Return the ids of the directory objects in `meta/` that speak about a pack."""
        with self._environment.reading() as transaction:
            cursor = transaction.cursor(self._table["directories"])
            return [ObjectId(value) for value in cursor.iternext_dup()] if cursor.set_key(pack_id) else []

    def is_known(self, pack_id: PackId) -> bool:
        """Say whether a pack is claimed by anything."""
        with self._environment.reading() as transaction:
            return is_claimed(self._table, transaction, pack_id)

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

    def uids(self, kind: Kind) -> set[Uid]:
        """Return the uids of all versions, events or other records of a kind."""
        found = set()
        with self._environment.reading() as transaction:
            cursor = transaction.cursor(self._table["records"])
            present = cursor.set_range(bytes([kind]))
            while present and cursor.key()[0] == kind:
                found.add(Uid(bytes(cursor.key()[1:17])))
                present = cursor.next()
        return found

    def holders(self, kind: Kind, uid: Uid) -> list[tuple[PackId, bytes]]:
        """Return the meta packs that hold a version, an event or the like, each with its plaintext."""
        prefix = bytes([kind]) + uid
        found = []
        with self._environment.reading() as transaction:
            cursor = transaction.cursor(self._table["records"])
            present = cursor.set_range(prefix)
            while present and cursor.key().startswith(prefix):
                found.append((PackId(cursor.key()[len(prefix) :]), bytes(cursor.value())))
                present = cursor.next()
        return found

    def add_orphan(self, pack_type: PackType, pack_id: PackId, entries: Sequence[Entry]) -> None:
        """Take in a pack by its own directory."""
        self._environment.write(
            lambda transaction: MetaTransaction(self._table, transaction, ORPHAN).claim(pack_type, pack_id, entries)
        )

    def apply(self, meta_id: PackId, size: int, work: Callable[[MetaTransaction], None]) -> None:
        """Take in one meta pack, whole or not at all; `work` says what is in it."""

        def change(transaction: Transaction) -> None:
            if transaction.get(meta_id, db=self._table["metas"]) == META.pack(size, 0):
                return  # another process has been quicker
            meta = MetaTransaction(self._table, transaction, meta_id)
            meta.withdraw()
            work(meta)
            transaction.put(meta_id, META.pack(size, meta.damaged), db=self._table["metas"])

        self._environment.write(change)

    def bulk_load(self) -> BulkLoad:
        """Return what takes many meta packs in at once."""
        return BulkLoad(self._environment)

    def withdraw(self, meta_ids: Iterable[PackId]) -> None:
        """Forget what meta packs that are gone have claimed."""

        def work(transaction: Transaction) -> None:
            for meta_id in meta_ids:
                MetaTransaction(self._table, transaction, meta_id).withdraw()

        self._environment.write(work)

    def statistics(self) -> dict[str, int]:
        """Return how many entries each table has, and the size of the file in bytes."""
        with self._environment.reading() as transaction:
            counts = {name: transaction.stat(table)["entries"] for name, table in self._table.items()}
        return {name: counts[name] for name in ("objects", "packs", "metas", "records")} | {
            "bytes": self._environment.bytes_used()
        }


def _check_stamp(stamp: tuple[bytes, bytes], repository_id: Uid) -> None:
    if stamp != (SCHEMA, repository_id):
        raise IndexBroken("it is another repository's, or of another packstore")
