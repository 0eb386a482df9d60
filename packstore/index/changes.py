"""Changes of the index: what one meta pack says goes in, or comes out, in one transaction.

Each meta pack claims the packs whose directories it carries; a pack without a claim is not there, whatever is
still said about its objects.
Before: index.tables. After: index.objectindex.
"""

from collections.abc import Sequence
from itertools import count

from packstore.format.pack import Entry, PackType
from packstore.format.record import HEADER_BYTES, Kind
from packstore.ids import ObjectId, PackId, Uid
from packstore.index.environment import Database, Transaction, unpack
from packstore.index.tables import DAMAGES, KEY_BYTES, NUMBER, PACK, ROW, UNCLAIMED


class MetaTransaction:
    """What one meta pack says, on its way into the index or out of it."""

    def __init__(self, tables: dict[str, Database], transaction: Transaction, meta_id: PackId) -> None:
        self._table = tables
        self._transaction = transaction
        self._meta_id = meta_id
        self.damaged = False

    def withdraw(self) -> None:
        """Forget what the meta pack has claimed."""
        transaction, meta_id = self._transaction, self._meta_id
        if transaction.get(meta_id, db=self._table["metas"]) is None:
            return
        cursor = transaction.cursor(self._table["claimed"])
        packs = list(cursor.iternext_dup()) if cursor.set_key(meta_id) else []
        for pack_id in packs:
            transaction.delete(pack_id, meta_id, db=self._table["claims"])
            if transaction.get(pack_id, db=self._table["claims"]) is None:
                first, records, _ = unpack(PACK, transaction.get(pack_id, db=self._table["packs"]))
                transaction.put(pack_id, PACK.pack(first, records, UNCLAIMED), db=self._table["packs"])
        transaction.delete(meta_id, db=self._table["claimed"])
        transaction.delete(meta_id, db=self._table["metas"])
        self._drop_records()

    def _drop_records(self) -> None:
        transaction, meta_id = self._transaction, self._meta_id
        cursor = transaction.cursor(self._table["recorded"])
        for key in list(cursor.iternext_dup()) if cursor.set_key(meta_id) else []:
            transaction.delete(key + meta_id, db=self._table["records"])
            self.note_change(key[0])
        transaction.delete(meta_id, db=self._table["recorded"])

    def claim(
        self, pack_type: PackType, pack_id: PackId, entries: Sequence[Entry], directory_id: ObjectId | None = None
    ) -> None:
        """Say that the meta pack carries this pack's directory, as the object `directory_id`."""
        known = self._transaction.get(pack_id, db=self._table["packs"])
        first, records, claimed_type = unpack(PACK, known) if known else (0, -1, UNCLAIMED)
        if claimed_type == UNCLAIMED and records != len(entries):
            # Claimed anew with another directory (after damage): what the old numbers say is out of range for ever.
            first = take_numbers(self._table, self._transaction, len(entries))
        if self.claim_numbered(pack_type, pack_id, first, len(entries), directory_id):
            rows = [(row[:KEY_BYTES], row[KEY_BYTES:]) for row in sorted(object_rows(entries, first))]
            self._transaction.cursor(self._table["objects"]).putmulti(rows)

    def claim_numbered(
        self, pack_type: PackType, pack_id: PackId, first: int, records: int, directory_id: ObjectId | None
    ) -> bool:
        """Do the same for a pack whose records have numbers; say whether nothing had claimed it before."""
        transaction = self._transaction
        if directory_id is not None:
            transaction.put(pack_id, directory_id, db=self._table["directories"])
        transaction.put(pack_id, self._meta_id, db=self._table["claims"])
        transaction.put(self._meta_id, pack_id, db=self._table["claimed"])
        if is_claimed(self._table, transaction, pack_id):
            return False
        transaction.put(pack_id, PACK.pack(first, records, pack_type), db=self._table["packs"])
        transaction.put(NUMBER.pack(first), pack_id, db=self._table["numbers"])
        return True

    def record(self, kind: Kind, uid: Uid, plain: bytes) -> None:
        """Keep the plaintext of a version, an event or the like that the meta pack holds."""
        self._transaction.put(bytes([kind]) + uid + self._meta_id, plain, db=self._table["records"])
        self._transaction.put(self._meta_id, bytes([kind]) + uid, db=self._table["recorded"])
        self.note_change(kind)

    def note_change(self, kind: int) -> None:
        """Have whoever has folded the damage records fold them again."""
        if kind == Kind.DAMAGE:
            count = int(self._transaction.get(DAMAGES, b"0", db=self._table["info"]))
            self._transaction.put(DAMAGES, str(count + 1).encode(), db=self._table["info"])


def is_claimed(tables: dict[str, Database], transaction: Transaction, pack_id: PackId) -> bool:
    """Say whether anything claims a pack."""
    known = transaction.get(pack_id, db=tables["packs"])
    return known is not None and unpack(PACK, known)[2] != UNCLAIMED


def take_numbers(tables: dict[str, Database], transaction: Transaction, count: int) -> int:
    """Return the first of as many new numbers as a pack has records; one at least, so that packs differ."""
    first = int(transaction.get(b"next", b"1", db=tables["info"]))
    transaction.put(b"next", str(first + max(count, 1)).encode(), db=tables["info"])
    return first


def object_rows(entries: Sequence[Entry], first: int) -> list[bytes]:
    """Return the rows of `objects` for a pack whose records have the numbers from `first` on: key and value together.

    Entries are in order of their offsets.
    """
    if not entries:
        return []
    kinds, ids, offsets, payloads, *_ = zip(*entries, strict=True)
    return list(map(ROW.pack, kinds, ids, count(first), offsets, map(HEADER_BYTES.__add__, payloads)))
