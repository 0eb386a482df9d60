"""How much of a repository checks have read, and when: what `check --status` shows.

Dates are for people: they are what the machines that checked took for the time.
Before: repository.scrubs. After: the command line.
"""

from dataclasses import dataclass

from packstore.ids import PackId
from packstore.operations.scrub import Packs
from packstore.packs.names import pack_name
from packstore.repository.scrubs import ScrubMemory


@dataclass(frozen=True)
class RunCoverage:
    """A run; `bytes_latest` were last read by it, `bytes_since` by it or a later one."""

    run: int
    date_ms: int
    complete: bool
    bytes_latest: int
    bytes_since: int


@dataclass(frozen=True)
class Coverage:
    """What is here, what of it was ever read, and which runs did that; dates in milliseconds since 1970.

    `runs` is the latest first. The oldest verification is the date of the run that last read the pack that was not
    read for longest; of what was never read, `oldest_unread_ms` is when the oldest pack was written, by its id.
    """

    packs: int
    bytes_total: int
    bytes_read: int
    runs: list[RunCoverage]
    never_read: list[str]
    oldest_read_ms: int | None
    oldest_unread_ms: int | None


def coverage(packs: Packs, memory: ScrubMemory) -> Coverage:
    """Say how much of these packs was read, by what is remembered of all checks."""
    sizes = {pack_id: listed.size for (_, pack_id), listed in packs.items()}
    by_run: dict[int, int] = {}
    for pack_id, size in sizes.items():
        if pack_id in memory.ranks:
            run = memory.ranks[pack_id]
            by_run[run] = by_run.get(run, 0) + size
    unread = sorted(key for key in packs if key[1] not in memory.ranks)
    runs = []
    since = 0
    for number in sorted({*memory.runs, *by_run}, reverse=True):
        since += by_run.get(number, 0)
        known = memory.runs.get(number)
        date_ms, complete = (known.date_ms, known.round > 0) if known else (0, False)
        runs.append(RunCoverage(number, date_ms, complete, by_run.get(number, 0), since))
    oldest = [run.date_ms for run in runs if run.bytes_latest and run.date_ms]
    return Coverage(
        packs=len(packs),
        bytes_total=sum(sizes.values()),
        bytes_read=since,
        runs=runs,
        never_read=[pack_name(*key) for key in unread],
        oldest_read_ms=oldest[-1] if oldest else None,
        oldest_unread_ms=min((_written_ms(pack_id) for _, pack_id in unread), default=None),
    )


def _written_ms(pack_id: PackId) -> int:
    return int.from_bytes(pack_id[:6], "big")
