"""Which versions of a volume to keep, and why. Pure: no repository, no clock.

The rules are those of restic: each `keep` rule picks versions, and what no rule picks goes. A period (an
hour, a day, …) counts if there is a version in it, so weeks without backups cost nothing.
After: operations.prune.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from packstore.ids import Uid


@dataclass(frozen=True)
class KeepRules:
    """What to keep; `within` counts from the volume's latest version, for backups may have ended."""

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    tags: frozenset[str] = frozenset()
    within: timedelta | None = None

    @property
    def any(self) -> bool:
        """Whether there is a rule at all; without one, everything would go."""
        return bool(self.tags or self.within is not None or self.last or any(self.counts.values()))

    @property
    def counts(self) -> dict[str, int]:
        """How many periods of each length to keep."""
        return {
            "hourly": self.hourly,
            "daily": self.daily,
            "weekly": self.weekly,
            "monthly": self.monthly,
            "yearly": self.yearly,
        }


@dataclass(frozen=True)
class Candidate:
    """A version as far as retention looks at it; `date` is in the zone whose days and weeks count."""

    uid: Uid
    date: datetime
    tags: frozenset[str] = frozenset()
    valid: bool = True
    protected: bool = False
    expires: datetime | None = None


@dataclass
class Decision:
    """What becomes of a version; `reasons` says why it is kept, or the one reason why it goes."""

    candidate: Candidate
    reasons: list[str] = field(default_factory=list)
    keep: bool = True


@dataclass(frozen=True)
class PruneOptions:
    """Rules, and whether versions go because their date has passed; `force`: the young and the last one too."""

    rules: KeepRules
    expired: bool = False
    force: bool = False


_PERIODS: Final[dict[str, Callable[[datetime], str]]] = {
    "hourly": lambda moment: f"{moment:%Y-%m-%d %H}h",
    "daily": lambda moment: f"{moment:%Y-%m-%d}",
    "weekly": lambda moment: "{}-W{:02}".format(*moment.isocalendar()[:2]),
    "monthly": lambda moment: f"{moment:%Y-%m}",
    "yearly": lambda moment: f"{moment:%Y}",
}


def plan_prune(
    candidates: Sequence[Candidate], options: PruneOptions, now: datetime, is_young: Callable[[Candidate], bool]
) -> list[Decision]:
    """Decide about all versions of one volume, given and returned the oldest first.

    Never removes a protected version or one that a rule keeps by its tag. Removes a young one, or the latest valid
    one, only by force. `is_young` is asked only about versions that would go otherwise.
    """
    decisions = {candidate.uid: Decision(candidate) for candidate in candidates}
    if options.rules.any:
        for candidate, reason in _picks(candidates, options.rules, now):
            decisions[candidate.uid].reasons.append(reason)
    latest = next((one for one in reversed(candidates) if one.valid), candidates[-1] if candidates else None)
    for decision in decisions.values():
        _decide(decision, options, now, is_latest=decision.candidate is latest)
        if not decision.keep and not options.force and is_young(decision.candidate):
            decision.keep, decision.reasons = True, ["too young"]
    return list(decisions.values())


def _decide(decision: Decision, options: PruneOptions, now: datetime, *, is_latest: bool) -> None:
    """Say what becomes of a version, whatever its age; `reasons` has what the rules say."""
    candidate = decision.candidate
    pinned = ["protected"] if candidate.protected else []
    pinned += [f"tag {tag}" for tag in sorted(candidate.tags & options.rules.tags)]
    if pinned:
        decision.reasons = pinned + decision.reasons
        return
    has_expired = candidate.expires is not None and candidate.expires < now
    goes = options.expired and has_expired
    if options.rules.any and not decision.reasons:
        if candidate.expires is not None and not has_expired:
            decision.reasons = ["has not expired yet"]
        else:
            goes = True
    if not goes:
        decision.reasons = decision.reasons or ["not expired"]
    elif is_latest and not options.force:
        decision.reasons = ["the latest"]
    else:
        decision.keep = False
        decision.reasons = ["expired" if options.expired and has_expired else "no rule keeps it"]


def _picks(candidates: Sequence[Candidate], rules: KeepRules, now: datetime) -> Iterator[tuple[Candidate, str]]:
    """Yield what each rule picks, and why."""
    newest_first = list(reversed(candidates))
    for candidate in newest_first[: rules.last]:
        yield candidate, "last"
    # What is dated in the future takes no place from others: it would push them out.
    dated = [candidate for candidate in newest_first if candidate.date <= now]
    if rules.within is not None and dated:
        begin = max(candidate.date for candidate in dated) - rules.within
        for candidate in dated:
            if candidate.date >= begin:
                yield candidate, "within"
    for name, count in rules.counts.items():
        yield from _pick_periods(dated, name, count)


def _pick_periods(newest_first: Sequence[Candidate], name: str, count: int) -> Iterator[tuple[Candidate, str]]:
    """Pick the latest of each of the last `count` periods, a valid one if there is one.

    While there are fewer periods than that, the oldest of all stays too, so that history is as long as it can be.
    """
    periods: dict[str, list[Candidate]] = {}
    for candidate in newest_first:
        periods.setdefault(_PERIODS[name](candidate.date), []).append(candidate)
    for period, group in list(periods.items())[:count]:
        yield next((one for one in group if one.valid), group[0]), f"{name} {period}"
    if newest_first and len(periods) < count:
        yield newest_first[-1], f"oldest for {name}"
