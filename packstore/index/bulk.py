"""Many meta packs into the index at once: an index of millions of objects, made in order instead of at random.

The rows of objects are collected and sorted, then written from the first key to the last, before anything claims their
packs. So whatever ends this in between leaves rows that mean nothing, and the next run takes the same meta packs in.
Memory is bounded: by `MAX_ROWS` rows at a time.
Before: index.changes. After: index.objectindex.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from packstore.format.pack import Entry, PackType
from packstore.format.record import Kind
from packstore.ids import ObjectId, PackId, Uid
from packstore.index.changes import MetaTransaction, is_claimed, object_rows, take_numbers
from packstore.index.environment import Database, Environment, Transaction
from packstore.index.tables import KEY_BYTES, META, ROW

MAX_ROWS: Final = 10_000_000
"""33 bytes each, and what the packs take: half a GiB."""
_WRITTEN_BYTES: Final = 64 << 20
"""Of rows in one transaction: LMDB keeps in memory what one has changed."""
_NUMBERS: Final = 1 << 17
"""Taken at once, at least: more than any pack has records."""


class _Claim(NamedTuple):
    pack_type: PackType
    pack_id: PackId
    first: int | None
    """None: something had claimed it already."""
    records: int
    directory_id: ObjectId | None


@dataclass
class CollectedMeta:
    """What one meta pack says: the same as `MetaTransaction`, but kept until the load is written."""

    load: "BulkLoad"
    meta_id: PackId
    damaged: bool = False
    claims: list[_Claim] = field(default_factory=list)
    records: list[tuple[Kind, Uid, bytes]] = field(default_factory=list)

    def claim(
        self, pack_type: PackType, pack_id: PackId, entries: Sequence[Entry], directory_id: ObjectId | None = None
    ) -> None:
        """Say that the meta pack carries this pack's directory, as the object `directory_id`."""
        first = self.load.add_rows(pack_id, entries)
        self.claims.append(_Claim(pack_type, pack_id, first, len(entries), directory_id))

    def record(self, kind: Kind, uid: Uid, plain: bytes) -> None:
        """Keep the plaintext of a version, an event or the like that the meta pack holds."""
        self.records.append((kind, uid, plain))


class BulkLoad:
    """Collects what meta packs say, and writes it."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._metas: list[tuple[CollectedMeta, int]] = []
        with environment.reading() as transaction:
            self._was_empty = not transaction.stat(environment.tables["packs"])["entries"]
        self._clear()

    def _clear(self) -> None:
        self._metas.clear()
        self._buckets: defaultdict[int, bytearray] = defaultdict(bytearray)
        self._rows = 0
        self._packs: dict[tuple[PackId, int], int] = {}
        self._next = self._end = 0

    def meta(self, meta_id: PackId) -> CollectedMeta:
        """Begin a meta pack; it counts once it is `add`ed."""
        return CollectedMeta(self, meta_id)

    def add(self, meta: CollectedMeta, size: int) -> None:
        """Take a meta pack of so many bytes in, and write all there is if that is enough."""
        self._metas.append((meta, size))
        if self._rows >= MAX_ROWS:
            self.write()

    def add_rows(self, pack_id: PackId, entries: Sequence[Entry]) -> int | None:
        """Collect the rows of a pack, unless it is claimed already; return the number of its first record."""
        key = pack_id, len(entries)
        if key in self._packs:
            return self._packs[key]
        if not self._was_empty:
            with self._environment.reading() as transaction:
                if is_claimed(self._environment.tables, transaction, pack_id):
                    return None
        first = self._packs[key] = self._take(max(len(entries), 1))
        buckets = self._buckets
        for row in object_rows(entries, first):
            buckets[row[0] << 8 | row[1]] += row
        self._rows += len(entries)
        return first

    def _take(self, count: int) -> int:
        if self._next + count > self._end:
            wanted = max(count, _NUMBERS)
            tables = self._environment.tables
            self._next = self._environment.write(lambda transaction: take_numbers(tables, transaction, wanted))
            self._end = self._next + wanted
        first, self._next = self._next, self._next + count
        return first

    def write(self) -> None:
        """Write what was collected: rows first, then what makes them count."""
        if not self._metas:
            return
        group: list[bytearray] = []
        for bucket in sorted(self._buckets):
            group.append(self._buckets.pop(bucket))
            if sum(map(len, group)) >= _WRITTEN_BYTES:
                self._write_rows(group)
                group = []
        self._write_rows(group)
        self._environment.write(self._write_metas)
        self._was_empty = False
        self._clear()

    def _write_rows(self, group: list[bytearray]) -> None:
        def work(transaction: Transaction) -> None:
            objects = self._environment.tables["objects"]
            cursor = transaction.cursor(objects)
            for bucket in group:
                data = bytes(bucket)
                rows = sorted([data[at : at + ROW.size] for at in range(0, len(data), ROW.size)])
                # Behind all that is there each page is filled and never touched again.
                behind = not cursor.last() or cursor.key() < rows[0][:KEY_BYTES]
                cursor.putmulti([(row[:KEY_BYTES], row[KEY_BYTES:]) for row in rows], append=behind)

        self._environment.write(work)

    def _write_metas(self, transaction: Transaction) -> None:
        tables = self._environment.tables
        for collected, size in self._metas:
            if transaction.get(collected.meta_id, db=tables["metas"]) == META.pack(size, 0):
                continue  # another process has been quicker
            meta = MetaTransaction(tables, transaction, collected.meta_id)
            meta.withdraw()
            if not all(_may_claim(tables, transaction, claim) for claim in collected.claims):
                continue  # what had claimed a pack is gone since; the next run takes this meta pack in
            for claim in collected.claims:
                meta.claim_numbered(claim.pack_type, claim.pack_id, claim.first or 0, claim.records, claim.directory_id)
            for record in collected.records:
                meta.record(*record)
            transaction.put(collected.meta_id, META.pack(size, collected.damaged), db=tables["metas"])


def _may_claim(tables: dict[str, Database], transaction: Transaction, claim: _Claim) -> bool:
    return claim.first is not None or is_claimed(tables, transaction, claim.pack_id)
