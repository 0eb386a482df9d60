"""Say whether collecting garbage is worth it now.

A collection reads the pages of all versions, and copies what is needed of packs that it deletes. So it is not even
considered unless versions were removed since the last one, and done only if it frees enough, by its own estimate.
Before: operations.gc. After: operations.run.
"""

from dataclasses import dataclass

from packstore.operations.gc import GcOptions, GcReport, preview
from packstore.progress import Progress, StopRequest
from packstore.repository.coordination import list_names
from packstore.repository.repository import Repository

_PERCENT = 100


@dataclass(frozen=True)
class Estimate:
    """What a collection would free, and whether that is enough; `report` is None if nobody had to look."""

    worth: bool
    reason: str
    report: GcReport | None = None


def estimate_gc(
    repository: Repository, percent: float, min_free: int, options: GcOptions, stop: StopRequest, progress: Progress
) -> Estimate:
    """Look whether a collection would free `percent` of the repository.

    Anything at all is worth it if less than twice `min_free` bytes are free: the next backup may not fit.

    Raises like `operations.gc.preview`.
    """
    if not percent:
        return Estimate(worth=False, reason="turned off")
    removed = any(state.removed and not state.gone for state in repository.states())
    if not removed and not list_names(repository.storage):
        return Estimate(worth=False, reason="nothing was removed since the last one")
    report = preview(repository, options, stop, progress)
    freed = report.plan.bytes_freed + report.bytes_ripe
    share = _PERCENT * freed / max(report.bytes_total, 1)
    available = repository.storage.available()
    if freed and share >= percent:
        return Estimate(worth=True, reason=f"frees {share:.1f} %", report=report)
    if freed and available is not None and available < 2 * min_free:
        return Estimate(worth=True, reason="space is short", report=report)
    return Estimate(worth=False, reason=f"would free {share:.1f} %, and {percent:g} % is worth it", report=report)
