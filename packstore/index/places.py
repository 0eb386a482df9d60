"""From a row of the index to the pack that it means. FORMAT.md section 12.

Before: index.tables. After: index.objectindex.
"""

from collections.abc import Iterable

from packstore.format.pack import PackType
from packstore.ids import PackId
from packstore.index.environment import Database, Transaction, unpack
from packstore.index.tables import LOCATION, NUMBER, PACK, UNCLAIMED, KnownPack, Location

_NOWHERE = KnownPack(PackType.META, PackId(b""), 0, 0)


class Places:
    """Looks for the packs of records, within one transaction; neighbours are looked for once."""

    def __init__(self, tables: dict[str, Database], transaction: Transaction) -> None:
        self._packs = tables["packs"]
        self._transaction = transaction
        self._numbers = transaction.cursor(tables["numbers"])
        self._last = _NOWHERE

    def of(self, values: Iterable[bytes]) -> list[Location]:
        """Return the places that these rows mean, without those in packs that nothing claims."""
        found = []
        for value in values:
            number, offset, record_size = unpack(LOCATION, value)
            pack = self._last
            if not pack.first <= number < pack.first + pack.records:
                pack = self._last = self._pack(number)
            if pack.records:
                found.append(Location(pack.pack_type, pack.pack_id, offset, record_size, number))
        return found

    def _pack(self, number: int) -> KnownPack:
        """Return the pack that has a record of this number; one of no records if there is none."""
        cursor, key = self._numbers, NUMBER.pack(number)
        found = (cursor.key() == key or cursor.prev()) if cursor.set_range(key) else cursor.last()
        pack = found and self._transaction.get(cursor.value(), db=self._packs)
        if not pack:
            return _NOWHERE
        first, count, pack_type = unpack(PACK, pack)
        if pack_type == UNCLAIMED or not first <= number < first + count:
            return _NOWHERE
        return KnownPack(PackType(pack_type), PackId(cursor.value()), first, count)
