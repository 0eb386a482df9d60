"""What was done and seen here: packs read, damage met, objects that were not here.

The repository's own records say the same for all hosts; these notes are for what could not be recorded there: by a
check without keys, by a reader, in a repository that is mounted read-only.

Kept in the same environment as the index, and lost with it; nothing but work is lost then.
Before: index.environment. After: index.objectindex.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from packstore.format.ledger import DAMAGE_OBJECT, LostObject, ScrubRun
from packstore.ids import PackId, Uid
from packstore.index.environment import Environment, Transaction, unpack

NOTES: Final = {
    "scrubbed": False,  # method, pack id -> number of the run that last read it
    "damaged": False,  # pack id, offset of a record that is not whole (0: no record of the pack is to be relied on)
    "met": False,  # method, pack id -> number of the run before the first that met it, of packs never read
    "runs": False,  # method, number of a run -> when it ended, bytes of packs there were, runs in its round
    "verdicts": False,  # pack id, offset -> counter of the latest record about the pack, is it bad here
    "lacking": False,  # uid -> kinds and ids of objects that the version needs and that are not here
    "hits": False,  # uid -> kinds and ids of objects that the version needs and that were found damaged
}
_OFFSET: Final = struct.Struct(">I")
_RANK: Final = struct.Struct(">Q")
_RUN: Final = struct.Struct(">QQI")
_VERDICT: Final = struct.Struct(">Q?")
_OBJECTS_KEPT: Final = 4096
"""Of the objects that a version lacks or has lost: enough to see that it still does, small enough for each version."""

ObjectsOf = Mapping[Uid, Sequence[LostObject]]


class LocalNotes:
    """Tables beside those that are made from the repository."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._table = environment.tables

    def is_damaged(self, pack_id: PackId, offset: int) -> bool:
        """Say whether a record is known not to be whole."""
        keys = [pack_id + _OFFSET.pack(number) for number in (0, offset)]
        with self._environment.reading() as transaction:
            return any(transaction.get(key, db=self._table["damaged"]) is not None for key in keys)

    def is_any_damaged(self) -> bool:
        """Say whether any record at all is known not to be whole."""
        with self._environment.reading() as transaction:
            return bool(transaction.stat(self._table["damaged"])["entries"])

    def is_noted(self, pack_id: PackId, offset: int) -> bool:
        """Say whether this very record is known not to be whole."""
        with self._environment.reading() as transaction:
            return transaction.get(pack_id + _OFFSET.pack(offset), db=self._table["damaged"]) is not None

    def note_damaged(self, pack_id: PackId, offsets: Iterable[int]) -> None:
        """Remember records that are not whole, so that nothing new relies on them."""

        def work(transaction: Transaction) -> None:
            for offset in offsets:
                transaction.put(pack_id + _OFFSET.pack(offset), b"", db=self._table["damaged"])

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

    def verdict(self, pack_id: PackId, offset: int, counter: int) -> bool | None:
        """Say whether a place was found bad here; None if it was not looked at since the record of that counter."""
        with self._environment.reading() as transaction:
            value = transaction.get(pack_id + _OFFSET.pack(offset), db=self._table["verdicts"])
        if value is None:
            return None
        seen, bad = unpack(_VERDICT, value)
        return bool(bad) if seen == counter else None

    def note_verdicts(self, verdicts: Mapping[tuple[PackId, int], tuple[int, bool]]) -> None:
        """Remember what places that records speak of are here, each with the counter of the latest such record."""

        def work(transaction: Transaction) -> None:
            for (pack_id, offset), verdict in verdicts.items():
                key = pack_id + _OFFSET.pack(offset)
                transaction.put(key, _VERDICT.pack(*verdict), db=self._table["verdicts"])

        self._environment.write(work)

    def damaged(self) -> dict[PackId, set[int]]:
        """Return all offsets of records that are known not to be whole, by pack."""
        found: dict[PackId, set[int]] = {}
        with self._environment.reading() as transaction:
            for key in transaction.cursor(self._table["damaged"]).iternext(keys=True, values=False):
                found.setdefault(PackId(key[: -_OFFSET.size]), set()).add(_OFFSET.unpack(key[-_OFFSET.size :])[0])
        return found

    def scrub_ranks(self, method: str) -> dict[PackId, int]:
        """Return the run in which each pack was last read by a check of this method."""
        return {PackId(key): run for key, (run,) in self._of("scrubbed", _RANK, method)}

    def scrub_seen(self, method: str) -> dict[PackId, int]:
        """Return the run before the one that first met each pack that was never read since."""
        return {PackId(key): run for key, (run,) in self._of("met", _RANK, method)}

    def scrub_runs(self, method: str) -> dict[int, ScrubRun]:
        """Return the runs of checks of this method."""
        return {_RANK.unpack(key)[0]: ScrubRun(*run) for key, run in self._of("runs", _RUN, method)}

    def _of(self, table: str, layout: struct.Struct, method: str) -> list[tuple[bytes, tuple[int, ...]]]:
        prefix = method.encode()
        return [(key[1:], value) for key, value in self._environment.items(table, layout) if key[:1] == prefix]

    def note_scrubbed(self, method: str, ranks: dict[PackId, int], seen: dict[PackId, int] | None = None) -> None:
        """Remember in which run a check of this method has last read, or first met, each of these packs."""
        prefix = method.encode()

        def work(transaction: Transaction) -> None:
            for pack_id, run in ranks.items():
                transaction.put(prefix + pack_id, _RANK.pack(run), db=self._table["scrubbed"])
                transaction.delete(prefix + pack_id, db=self._table["met"])
            for pack_id, run in (seen or {}).items():
                transaction.put(prefix + pack_id, _RANK.pack(run), db=self._table["met"])

        self._environment.write(work)

    def note_run(self, method: str, number: int, run: ScrubRun) -> None:
        """Remember a run of a check of this method."""
        key = method.encode() + _RANK.pack(number)
        self._environment.write(lambda transaction: transaction.put(key, _RUN.pack(*run), db=self._table["runs"]))

    def lacking(self) -> dict[Uid, list[LostObject]]:
        """Return, for each version that was found incomplete, objects that were not here."""
        return self._objects("lacking")

    def hits(self) -> dict[Uid, list[LostObject]]:
        """Return, for each version that was found damaged here, objects of which no copy was whole."""
        return self._objects("hits")

    def _objects(self, table: str) -> dict[Uid, list[LostObject]]:
        with self._environment.reading() as transaction:
            rows = list(transaction.cursor(self._table[table]))
        return {
            Uid(uid): [
                LostObject(*DAMAGE_OBJECT.unpack(value[at : at + DAMAGE_OBJECT.size]))
                for at in range(0, len(value), DAMAGE_OBJECT.size)
            ]
            for uid, value in rows
        }

    def note_lacking(self, versions: ObjectsOf) -> None:
        """Remember what these versions lack, and of the others that they lack nothing."""
        self._environment.write(lambda transaction: self._replace(transaction, "lacking", versions))

    def note_hits(self, versions: ObjectsOf) -> None:
        """Remember what these versions have lost, and of the others that they have lost nothing."""
        self._environment.write(lambda transaction: self._replace(transaction, "hits", versions))

    def note_version(self, uid: Uid, hits: Sequence[LostObject], lacking: Sequence[LostObject]) -> None:
        """Remember what one version has lost and what it lacks; nothing is said of the others."""

        def work(transaction: Transaction) -> None:
            for table, objects in (("hits", hits), ("lacking", lacking)):
                transaction.delete(uid, db=self._table[table])
                self._put(transaction, table, uid, objects)

        self._environment.write(work)

    def _replace(self, transaction: Transaction, table: str, versions: ObjectsOf) -> None:
        transaction.drop(self._table[table], delete=False)
        for uid, objects in versions.items():
            self._put(transaction, table, uid, objects)

    def _put(self, transaction: Transaction, table: str, uid: Uid, objects: Sequence[LostObject]) -> None:
        if objects:
            value = b"".join(DAMAGE_OBJECT.pack(*lost) for lost in objects[:_OBJECTS_KEPT])
            transaction.put(uid, value, db=self._table[table])
