"""What was done and seen here, and is not in the repository: packs read, damage met.

Kept in the same environment as the index, and lost with it; nothing but work is lost then.
Before: index.environment. After: index.objectindex.
"""

import struct
from collections.abc import Iterable
from typing import Final

from packstore.ids import PackId
from packstore.index.environment import Environment, Transaction

NOTES: Final = {
    "scrubbed": False,  # method, pack id -> number of the run that last read it
    "damaged": False,  # pack id, offset of a record that is not whole (0: no record of the pack is to be relied on)
    "totals": False,  # method, number of a run -> bytes of packs there were
}
_OFFSET: Final = struct.Struct(">I")
_RUN: Final = struct.Struct(">Q")


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

    def scrub_runs(self, method: str) -> dict[PackId, int]:
        """Return the run in which each pack was last read by a check of this method."""
        prefix = method.encode()
        return {PackId(key[1:]): run for key, (run,) in self._environment.items("scrubbed", _RUN) if key[:1] == prefix}

    def note_scrubbed(self, method: str, runs: dict[PackId, int]) -> None:
        """Remember in which run a check of this method has last read each of these packs."""

        def work(transaction: Transaction) -> None:
            for pack_id, run in runs.items():
                transaction.put(method.encode() + pack_id, _RUN.pack(run), db=self._table["scrubbed"])

        self._environment.write(work)

    def scrub_totals(self, method: str) -> list[int]:
        """Return how many bytes of packs there were at each check of this method, the latest last."""
        prefix = method.encode()
        return [total for key, (total,) in self._environment.items("totals", _RUN) if key[:1] == prefix]

    def note_scrub_total(self, method: str, run: int, total: int) -> None:
        """Remember how many bytes of packs there were at run number `run`, counted from 1."""
        key = method.encode() + _RUN.pack(run)
        self._environment.write(lambda transaction: transaction.put(key, _RUN.pack(total), db=self._table["totals"]))
