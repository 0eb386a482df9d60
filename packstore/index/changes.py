"""Changes of the index: what one meta pack says goes in, or comes out, in one transaction.

Each meta pack claims the packs whose directories it carries; a pack without a claim is not there, whatever is
still said about its objects.
Before: index.tables. After: index.objectindex.
"""

from collections.abc import Iterable

from packstore.format.pack import Entry, PackType
from packstore.format.record import Kind
from packstore.ids import ObjectId, PackId, Uid
from packstore.index.environment import Database, Transaction, unpack
from packstore.index.tables import DAMAGES, LOCATION, NUMBER, PACK, UNCLAIMED, object_key


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
                first, count, _ = unpack(PACK, transaction.get(pack_id, db=self._table["packs"]))
                transaction.put(pack_id, PACK.pack(first, count, UNCLAIMED), db=self._table["packs"])
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
        self, pack_type: PackType, pack_id: PackId, entries: Iterable[Entry], directory_id: ObjectId | None = None
    ) -> None:
        """Say that the meta pack carries this pack's directory, as the object `directory_id`."""
        transaction = self._transaction
        if directory_id is not None:
            transaction.put(pack_id, directory_id, db=self._table["directories"])
        known = transaction.get(pack_id, db=self._table["packs"])
        transaction.put(pack_id, self._meta_id, db=self._table["claims"])
        transaction.put(self._meta_id, pack_id, db=self._table["claimed"])
        first, count, claimed_type = unpack(PACK, known) if known else (0, -1, UNCLAIMED)
        if claimed_type != UNCLAIMED:
            return
        ordered = sorted(entries, key=lambda entry: entry.offset)
        if count != len(ordered):
            # Claimed anew with another directory (after damage): what the old numbers say is out of range for ever.
            first = self._take_numbers(len(ordered))
        transaction.put(pack_id, PACK.pack(first, len(ordered), pack_type), db=self._table["packs"])
        transaction.put(NUMBER.pack(first), pack_id, db=self._table["numbers"])
        rows = sorted(
            (object_key(entry.kind, entry.object_id), LOCATION.pack(number, entry.offset, entry.record_size))
            for number, entry in enumerate(ordered, first)
        )
        transaction.cursor(self._table["objects"]).putmulti(rows)

    def _take_numbers(self, count: int) -> int:
        """Return the first of as many new numbers as a pack has records; one at least, so that packs differ."""
        info = self._table["info"]
        first = int(self._transaction.get(b"next", b"1", db=info))
        self._transaction.put(b"next", str(first + max(count, 1)).encode(), db=info)
        return first

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
