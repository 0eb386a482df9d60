"""Which packs a partial check reads: the least recently read first. Pure. FORMAT.md section 10.1.

With N = ceil(100 / P), N runs of P % read every byte that was there at the first of them, whatever came, went,
was merged, and whatever other checks ran in between: a run takes all that none of the last N runs like it has
read, and more, up to P % of the largest total of these runs, so that the work is spread evenly.
After: operations.scrub.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from packstore.format.ledger import ScrubRun
from packstore.ids import PackId

WHOLE: Final = 100.0


@dataclass(frozen=True)
class Amount:
    """How much a check reads: a percentage, a number of bytes, and at most so many seconds."""

    percent: float = WHOLE
    bytes: int | None = None
    seconds: float | None = None

    @property
    def round(self) -> int:
        """How many such runs read everything; 0 if nobody can tell."""
        return 0 if self.bytes is not None else math.ceil(WHOLE / self.percent)


class Candidate(NamedTuple):
    """A pack: its size in bytes, and its rank."""

    pack_id: PackId
    size: int
    rank: int


def plan_scrub(candidates: list[Candidate], amount: Amount, runs: Mapping[int, ScrubRun]) -> list[PackId]:
    """Return the packs to read, in the order in which to read them: the order of ids, which is that of writing.

    Where time may run out the rank comes first, or the same packs would be read at each run.
    """
    by_rank = sorted(candidates, key=lambda candidate: (candidate.rank, candidate.pack_id))
    chosen = by_rank if amount.round == 1 else by_rank[: _count(by_rank, amount, runs)]
    ids = [candidate.pack_id for candidate in chosen]
    return ids if amount.seconds is not None else sorted(ids)


def _count(by_rank: list[Candidate], amount: Amount, runs: Mapping[int, ScrubRun]) -> int:
    """Return how many packs to take."""
    if amount.bytes is not None:
        due, wanted = 0, amount.bytes
    else:
        alike = sorted(number for number, run in runs.items() if run.round == amount.round)[1 - amount.round :]
        first = alike[0] if len(alike) == amount.round - 1 else 0
        due = sum(candidate.rank < first for candidate in by_rank)
        totals = [sum(candidate.size for candidate in by_rank), *(runs[number].total for number in alike)]
        wanted = math.ceil(max(totals) * amount.percent / WHOLE)
    count = 0
    for candidate in by_rank:
        if count >= due and wanted <= 0:
            break
        wanted -= candidate.size
        count += 1
    return count
