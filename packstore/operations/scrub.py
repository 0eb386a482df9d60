"""Read packs, all of them or those that were read longest ago, and remember which. FORMAT.md section 10.1.

Each pack is remembered on this machine as soon as it is read, so whatever ends the run, what was read counts;
the repository learns of it at the end.
Before: operations.scrub_plan, operations.check_packs. After: operations.check, operations.findings.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from packstore.format.ledger import ScrubRun
from packstore.format.pack import PackType
from packstore.ids import PackId
from packstore.index.objectindex import ObjectIndex
from packstore.operations.check_packs import PackChecker, PackReport
from packstore.operations.scrub_plan import Amount, Candidate, plan_scrub
from packstore.packs.names import list_packs
from packstore.progress import Progress
from packstore.repository.documents import require_reachable
from packstore.repository.scrubs import ScrubMemory
from packstore.storage.base import Listed, Storage

Packs = dict[tuple[PackType, PackId], Listed]


@dataclass
class Reading:
    """What one run has read: `news` is what it adds to the memory of all runs.

    `bad` has every pack that was read, with the offsets of its records that are not whole; `reports` only those
    with damage. `complete`: nothing that was to be read was left out.
    """

    run: int
    total: int
    amount: Amount
    news: ScrubMemory
    complete: bool = False
    bad: dict[PackId, set[int]] = field(default_factory=dict)
    reports: dict[PackId, PackReport] = field(default_factory=dict)
    bytes_read: int = 0
    records: int = 0

    def end(self, date_ms: int) -> None:
        """Note that the run is over, complete or not."""
        rounds = self.amount.round if self.complete else 0
        self.news.runs[self.run] = ScrubRun(date_ms, self.total, rounds)


def all_packs(storage: Storage) -> Packs:
    """Return all packs that are here."""
    return {
        (pack_type, pack_id): listed
        for pack_type in (PackType.META, PackType.BLOCKS)
        for pack_id, listed in list_packs(storage, pack_type).items()
    }


class Scrubber:
    """Reads packs by one method, and remembers it in the notes of this machine."""

    def __init__(self, checker: PackChecker, storage: Storage, index: ObjectIndex, method: str) -> None:
        self._checker = checker
        self._storage = storage
        self._index = index
        self._method = method
        self._complete_report: Callable[[PackReport], None] = lambda _: None

    def complete_reports(self, complete: Callable[[PackReport], None]) -> None:
        """Have `complete` add what only somebody with keys knows to the report of each pack without a seal."""
        self._complete_report = complete

    def begin(self, packs: Packs, memory: ScrubMemory, amount: Amount) -> Reading:
        """Return a new run, in which nothing has been read yet."""
        run = 1 + memory.last_run
        seen = {pack_id: run - 1 for _, pack_id in packs if memory.rank(pack_id) is None}
        total = sum(listed.size for listed in packs.values())
        self._index.notes.note_scrubbed(self._method, {}, seen)
        return Reading(run, total, amount, ScrubMemory(seen=seen))

    def read(self, reading: Reading, packs: Packs, memory: ScrubMemory, progress: Progress) -> None:
        """Read what is due of these packs.

        Raises:
            StorageGone: the storage is out of reach.
            Interrupted: `reading` has what was read until then.
        """
        by_id = {pack_id: (pack_type, listed) for (pack_type, pack_id), listed in packs.items()}
        candidates = [
            Candidate(pack_id, listed.size, _rank(memory, reading, pack_id)) for pack_id, (_, listed) in by_id.items()
        ]
        chosen = plan_scrub(candidates, reading.amount, memory.runs)
        progress.start("checking packs", sum(by_id[pack_id][1].size for pack_id in chosen))
        seconds = reading.amount.seconds
        end = None if seconds is None else time.monotonic() + seconds
        for pack_id in chosen:
            if end is not None and time.monotonic() >= end:
                break
            self._take(reading, self._checker.check(by_id[pack_id][0], pack_id, by_id[pack_id][1]))
        else:
            reading.complete = True
        progress.finish()

    def _take(self, reading: Reading, report: PackReport) -> None:
        if report.vanished:
            return
        if report.damage:
            require_reachable(self._storage)
            reading.reports[report.pack_id] = report
        if 0 in report.bad:
            self._complete_report(report)
        self._index.notes.forget_damaged(report.pack_id)
        self._index.notes.note_damaged(report.pack_id, report.bad)
        self._index.notes.note_scrubbed(self._method, {report.pack_id: reading.run})
        reading.news.ranks[report.pack_id] = reading.run
        reading.news.seen.pop(report.pack_id, None)
        reading.bad[report.pack_id] = report.bad
        reading.bytes_read += report.bytes_read
        reading.records += report.records


def _rank(memory: ScrubMemory, reading: Reading, pack_id: PackId) -> int:
    rank = memory.rank(pack_id)
    return reading.run - 1 if rank is None else rank
