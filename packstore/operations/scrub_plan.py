"""Which packs a partial check reads: the least recently read first. Pure.

Read whole, one run after another, ceil(100 / P) runs of P % cover every byte that was there at the first:
a run reads P % of the largest total of the runs it takes, and a pack that appears later ranks behind all
that were there before it.
After: operations.check.
"""

import math
from typing import NamedTuple

from packstore.ids import PackId


class Candidate(NamedTuple):
    """A pack: its size in bytes, and the run that last read it; for a new one, the run before this."""

    pack_id: PackId
    size: int
    last_run: int


def plan_scrub(candidates: list[Candidate], percent: float, earlier_totals: list[int]) -> list[PackId]:
    """Return the packs to read, at least `percent` of the bytes, in the order of their ids.

    `earlier_totals` are the bytes there were at the runs before, the latest last.
    """
    runs = math.ceil(100 / percent)
    total = sum(candidate.size for candidate in candidates)
    largest = max([total, *(earlier_totals[-(runs - 1) :] if runs > 1 else [])])
    wanted = math.ceil(largest * percent / 100)
    chosen: list[PackId] = []
    for candidate in sorted(candidates, key=lambda candidate: (candidate.last_run, candidate.pack_id)):
        if wanted <= 0:
            break
        chosen.append(candidate.pack_id)
        wanted -= candidate.size
    return sorted(chosen)
