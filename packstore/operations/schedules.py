"""When a backup is due, and whether backups are as promised. Pure: no repository, no clock.

A schedule is a tag, and how often, for how long and how punctually versions with this tag are to be there.
Versions dated in the future count for nothing here: a wrong clock must not put backups off.
After: operations.backup, the command line.
"""

import calendar
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Final

from packstore.repository.history import VersionState

AUTOMATIC_TAGS: Final = ("b_daily", "b_weekly", "b_monthly")
_WEEK: Final = 7
_EARLY: Final = timedelta(seconds=30)
"""A backup that will be due so soon is due: whoever asks by cron asks a little early each time."""
_SPARE_VERSIONS: Final = 2
"""So many more than `keep` are no breach: old ones are removed after new ones are made."""
_SPARE_TIME: Final = timedelta(days=1)
"""So much older than promised the oldest may be: it may be removed once a day."""
_GLOB: Final = frozenset("*?[")


@dataclass(frozen=True)
class Schedule:
    """Versions with a tag: one every `interval`, `keep` of them, each at most `sla` late."""

    name: str
    tag: str
    interval: timedelta
    keep: int
    sla: timedelta
    volumes: tuple[str, ...] = ("*",)

    def applies_to(self, volume: str) -> bool:
        """Say whether a volume is among those of this schedule."""
        return any(fnmatchcase(volume, pattern) for pattern in self.volumes)


@dataclass(frozen=True)
class Dated:
    """A version as far as schedules look at it."""

    uid: str
    date: datetime
    tags: frozenset[str]


@dataclass(frozen=True)
class Due:
    """A volume that is due for a schedule: since when, and the latest version with its tag; None: there is none."""

    volume: str
    schedule: Schedule
    last: Dated | None
    since: datetime | None


@dataclass(frozen=True)
class Breach:
    """What is not as promised: `kind` is never, late, few, many, gap or old."""

    volume: str
    schedule: Schedule
    kind: str
    message: str
    uid: str | None = None


def automatic_tags(volume: str, states: Iterable[VersionState], today: datetime) -> list[str]:
    """Return the automatic tags of a new version: those whose last version is a day, a week, a month ago, or more.

    Calendar days in the zone of `today` are counted, as in backy2, and calendar months: so a backup at noon is daily
    though yesterday's was a minute later. Incomplete versions do not count: the next complete one has the tag again.
    """
    day = today.date()
    dates: dict[str, date] = {}
    for state in states:
        made = state.date.astimezone(today.tzinfo).date()
        if state.version.volume == volume and not state.removed and state.complete and made <= day:
            for tag in state.tags.intersection(AUTOMATIC_TAGS):
                dates[tag] = max(made, dates.get(tag, made))
    return [tag for tag in AUTOMATIC_TAGS if tag not in dates or _is_over(tag, dates[tag], day)]


def _is_over(tag: str, last: date, day: date) -> bool:
    if tag == "b_monthly":
        return months_between(last, day) > 0
    return (day - last).days >= (_WEEK if tag == "b_weekly" else 1)


def months_between(first: date, second: date) -> int:
    """Return the number of whole months; the 28th of February is a month after the 31st of January."""
    months = 12 * (second.year - first.year) + second.month - first.month
    is_last = second.day == calendar.monthrange(second.year, second.month)[1]
    return months if second.day >= first.day or is_last else months - 1


def volumes_of(schedules: Iterable[Schedule], known: Iterable[str]) -> list[str]:
    """Return the volumes to look at: those that there are, and those that a schedule names without a wildcard."""
    named = {pattern for schedule in schedules for pattern in schedule.volumes if not _GLOB & set(pattern)}
    return sorted(named.union(known))


def find_due(volume: str, schedules: Iterable[Schedule], versions: Sequence[Dated], now: datetime) -> list[Due]:
    """Return the schedules for which a volume is due; `versions` are its valid ones, in any order."""
    found = []
    for schedule in schedules:
        if not schedule.applies_to(volume) or schedule.keep == 0:
            continue
        tagged = _tagged(schedule, versions, now)
        if not tagged:
            found.append(Due(volume, schedule, None, None))
        elif now > tagged[-1].date + schedule.interval - _EARLY:
            found.append(Due(volume, schedule, tagged[-1], tagged[-1].date + schedule.interval))
    return found


def _tagged(schedule: Schedule, versions: Iterable[Dated], now: datetime) -> list[Dated]:
    found = [version for version in versions if schedule.tag in version.tags and version.date <= now]
    return sorted(found, key=lambda version: version.date)


def find_breaches(
    volume: str, schedules: Iterable[Schedule], versions: Sequence[Dated], first: datetime | None, now: datetime
) -> list[Breach]:
    """Return what is not as promised; `first` is when the volume's first version was made, also if it is removed."""
    found = []
    for schedule in schedules:
        if schedule.applies_to(volume) and schedule.keep:
            for kind, message, uid in _breaches(schedule, _tagged(schedule, versions, now), first, now):
                found.append(Breach(volume, schedule, kind, message, uid))
    return found


def _breaches(
    schedule: Schedule, tagged: Sequence[Dated], first: datetime | None, now: datetime
) -> Iterable[tuple[str, str, str | None]]:
    late = schedule.interval + schedule.sla
    if not tagged:
        yield "never", f"no valid version is tagged {schedule.tag}", None
        return
    newest, oldest = tagged[-1], tagged[0]
    if newest.date + late < now:
        yield "late", f"the latest is of {_show(newest)}, the next was due by {_text(newest.date + late)}", newest.uid
    # A volume that is new cannot have them all yet.
    possible = 1 + max((now - (first or oldest.date) - schedule.sla) // schedule.interval, 0)
    wanted = min(schedule.keep, possible)
    if len(tagged) < wanted:
        yield "few", f"{len(tagged)} where {wanted} should be (keep {schedule.keep})", None
    if len(tagged) > schedule.keep + _SPARE_VERSIONS:
        yield "many", f"{len(tagged)} where {schedule.keep} should be", None
    for before, after in pairwise(tagged):
        if after.date - before.date > late:
            yield "gap", f"none between {_show(before)} and {_show(after)}", after.uid
    if oldest.date < now - schedule.keep * schedule.interval - schedule.sla - _SPARE_TIME:
        yield "old", f"the oldest is of {_show(oldest)}, and should be removed by now", oldest.uid


def _show(version: Dated) -> str:
    return f"{_text(version.date)} ({version.uid[:8]})"


def _text(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")
