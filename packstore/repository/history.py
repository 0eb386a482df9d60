"""Versions and what was said about them since: folding events, finding a version by name.

FORMAT.md section 10. Pure: no storage, no clock. An event that takes something back names what it takes
back; where only one value can hold, the highest counter wins, then the event id.
Before: format.version. After: repository.repository.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

from packstore.errors import AmbiguousVersion, UsageError, VersionNotFound, quoted
from packstore.format.version import Event, EventType, Version
from packstore.ids import Uid

_UID: Final = re.compile(r"[0-9a-f]{4,32}")
_PARTS: Final = re.compile(r"(?P<volume>[^@~]+)(?:~(?P<back>[0-9]{1,9})|@(?P<date>.+))?")
_TAKEN_BACK_BY: Final = {
    EventType.REMOVE: EventType.UNDELETE,
    EventType.PROTECT: EventType.UNPROTECT,
    EventType.TAG: EventType.UNTAG,
}


@dataclass
class VersionState:
    """A version and what its events make of it."""

    version: Version
    tags: set[str] = field(default_factory=set)
    removed: bool = False
    protected: bool = False
    gone: bool = False
    removed_at: datetime | None = None
    expires: str | None = None

    @property
    def date(self) -> datetime:
        """When the version was made, by its writer's clock."""
        return moment_of(self.version.date_ms)

    @property
    def expires_at(self) -> datetime | None:
        """The moment after which the version may be removed; None: never, and also where nobody can read it."""
        if self.expires is None:
            return None
        try:
            moment = datetime.fromisoformat(self.expires or "")
            if _is_day(self.expires or ""):
                moment += timedelta(days=1)
            return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
        except (ValueError, OverflowError):
            return None

    @property
    def complete(self) -> bool:
        """Whether the source could be read in full."""
        return not self.version.unreadable


_MAX_MS: Final = 253_402_127_999_000
"""Two days before the year 9999 ends, which is as far as a `datetime` goes in any time zone."""


def moment_of(date_ms: int) -> datetime:
    """Return a time of a record; what is beyond any calendar becomes the last moment there is."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=min(date_ms, _MAX_MS))


def fold(versions: Iterable[Version], events: Iterable[Event]) -> list[VersionState]:
    """Return the state of every version, the oldest first."""
    by_version: defaultdict[Uid, list[Event]] = defaultdict(list)
    for event in events:
        for uid in event.versions:
            by_version[uid].append(event)
    states = [_state(version, by_version[version.uid]) for version in versions]
    return sorted(states, key=lambda state: (state.version.counter, state.version.uid))


def _state(version: Version, events: list[Event]) -> VersionState:
    """Fold the events that name this version: one that takes back does so for the versions it names itself."""
    if not events:
        return VersionState(version, set(version.tags))
    protected = bool(_standing(events, EventType.PROTECT))
    undeletes = {event.id for event in events if event.type == EventType.UNDELETE}
    # Collected somewhere; but not by whoever had heard of an undelete that was published elsewhere.
    gone = any(event.type == EventType.GONE and undeletes <= set(event.cancels) for event in events)
    taken = {event.value for event in events if event.type == EventType.UNTAG and event.value}
    given = {event.value for event in _standing(events, EventType.TAG) if event.value}
    removes = [*_standing(events, EventType.REMOVE), *(event for event in events if event.type == EventType.GONE)]
    expires = [(event.counter, event.id, event.value) for event in events if event.type == EventType.EXPIRE]
    return VersionState(
        version=version,
        tags=set(version.tags) - taken | given,
        removed=(gone or bool(_standing(events, EventType.REMOVE))) and not protected,
        removed_at=moment_of(min(event.date_ms for event in removes)) if removes else None,
        protected=protected,
        gone=gone and not protected,
        expires=max(expires)[2] if expires else None,
    )


def forgotten_versions(events: Iterable[Event]) -> set[Uid]:
    """Return the versions that are gone and stay so, whether or not their records are still there."""
    by_version: defaultdict[Uid, list[Event]] = defaultdict(list)
    gone: set[Uid] = set()
    for event in events:
        for uid in event.versions:
            if event.type == EventType.GONE:
                gone.add(uid)
            if event.type in _REVIVING:
                by_version[uid].append(event)
    return {uid for uid in gone if _stays_gone(by_version[uid])}


_REVIVING: Final = {EventType.GONE, EventType.UNDELETE, EventType.PROTECT, EventType.UNPROTECT}


def _stays_gone(events: list[Event]) -> bool:
    unprotected = {uid for event in events if event.type == EventType.UNPROTECT for uid in event.cancels}
    if any(event.type == EventType.PROTECT and event.id not in unprotected for event in events):
        return False
    undeletes = {event.id for event in events if event.type == EventType.UNDELETE}
    return any(event.type == EventType.GONE and undeletes <= set(event.cancels) for event in events)


def _standing(events: list[Event], given: EventType) -> list[Event]:
    taken_back = _TAKEN_BACK_BY[given]
    cancelled = {uid for event in events if event.type == taken_back for uid in event.cancels}
    return [event for event in events if event.type == given and event.id not in cancelled]


def standing(events: Iterable[Event], uid: Uid, given: EventType) -> list[Event]:
    """Return the events of a type that stand for a version: those that whoever takes them back must name."""
    return _standing([event for event in events if uid in event.versions], given)


def find_version(spec: str, states: list[VersionState]) -> VersionState:
    """Find a version: a uid, a unique prefix of one, VOLUME, VOLUME~N or VOLUME@DATE.

    Raises:
        VersionNotFound: none matches.
        AmbiguousVersion: several do.
    """
    present = [state for state in states if not state.removed]
    by_uid, by_prefix = _by_uid(spec, present)
    if by_uid is not None:
        return by_uid
    of_volume = _of_volume(spec, present)
    if by_prefix and of_volume is not None:
        raise AmbiguousVersion(
            f"{spec} is both a volume and the beginning of a uid", advice=f"give the whole uid, or {spec}~0"
        )
    found = of_volume or _only(spec, by_prefix)
    if found is None:
        raise _not_found(spec, states)
    return found


def find_removed(spec: str, states: list[VersionState]) -> VersionState:
    """Find a removed version: a uid, a unique prefix of one, or VOLUME if only one of its versions can come back.

    Raises:
        VersionNotFound: none matches.
        AmbiguousVersion: several do.
    """
    removed = [state for state in states if state.removed]
    by_uid, by_prefix = _by_uid(spec, removed)
    if by_uid is not None:
        return by_uid
    of_volume = [state for state in removed if state.version.volume == spec]
    of_volume = [state for state in of_volume if not state.gone] or of_volume[-1:]
    if len(of_volume) > 1:
        message = f"{len(of_volume)} versions of {spec} are removed"
        raise AmbiguousVersion(message, advice=f"give the uid: `packstore ls --removed {spec}` shows them")
    if of_volume and by_prefix:
        raise AmbiguousVersion(f"{spec} is both a volume and the beginning of a uid", advice="give the whole uid")
    found = of_volume[0] if of_volume else _only(spec, by_prefix)
    if found is None:
        raise VersionNotFound(
            f"no removed version matches {quoted(spec)}", advice="`packstore ls --removed` shows them"
        )
    return found


def _by_uid(spec: str, states: list[VersionState]) -> tuple[VersionState | None, list[VersionState]]:
    """Return the version of this uid, or else those whose uids begin so."""
    by_prefix = [state for state in states if _UID.fullmatch(spec) and state.version.uid.hex().startswith(spec)]
    whole = [state for state in by_prefix if state.version.uid.hex() == spec]
    return (whole[0], []) if whole else (None, by_prefix)


def _only(spec: str, by_prefix: list[VersionState]) -> VersionState | None:
    if len(by_prefix) > 1:
        uids = ", ".join(state.version.uid.hex() for state in by_prefix[:4])
        raise AmbiguousVersion(f"{spec} is the beginning of several uids: {uids}", advice="give more of it")
    return by_prefix[0] if by_prefix else None


def _of_volume(spec: str, present: list[VersionState]) -> VersionState | None:
    match = _PARTS.fullmatch(spec)
    if not match:
        return None
    versions = [state for state in present if state.version.volume == match["volume"]]
    if not versions:
        return None
    if match["back"] is not None:
        back = int(match["back"])
        if back >= len(versions):
            have = "one version" if len(versions) == 1 else f"{len(versions)} versions"
            raise VersionNotFound(f"{match['volume']} has only {have}", advice="~0 is the latest, ~1 the one before")
        return versions[-1 - back]
    if match["date"] is not None:
        end = _end_of(match["date"])
        versions = [state for state in versions if state.date < end]
        if not versions:
            raise VersionNotFound(f"{match['volume']} has no version as old as {match['date']}")
    return versions[-1]


def _end_of(text: str) -> datetime:
    """Return the first moment that is later than `text`: the next day for a date, else the next second."""
    try:
        step = timedelta(days=1) if _is_day(text) else timedelta(seconds=1)
        return (datetime.fromisoformat(text) + step).astimezone(UTC)
    except (ValueError, OverflowError):
        advice = "write 2026-11-22 or 2026-11-22T18:30"
        raise UsageError(f"not a date: {text!r}", advice=advice) from None


def _is_day(text: str) -> bool:
    """Say whether a date has no time of day: then all of that day is meant."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _not_found(spec: str, states: list[VersionState]) -> VersionNotFound:
    """Return what to say where no version matches; one that was removed is named."""
    whole, prefixed = _by_uid(spec, [state for state in states if state.removed])
    found = whole or (prefixed[0] if len(prefixed) == 1 else None)
    if found is None:
        return VersionNotFound(f"no version matches {quoted(spec)}", advice=_advice(spec, states))
    uid = found.version.uid.hex()[:8]
    date = f" on {found.removed_at.astimezone():%Y-%m-%d}" if found.removed_at else ""
    message = f"version {uid} of {found.version.volume} was removed{date}"
    if found.gone:
        return VersionNotFound(f"{message}, and is collected", advice="`packstore ls` shows what there is")
    advice = f"`packstore undelete {uid}` brings it back, unless `packstore gc` has begun with it"
    return VersionNotFound(message, advice=advice)


def _advice(spec: str, states: list[VersionState]) -> str:
    removed = [state for state in states if state.removed]
    if any(spec == state.version.volume for state in removed):
        return f"it is removed: `packstore undelete {spec}` brings it back, unless `packstore gc` has begun with it"
    volumes = sorted({state.version.volume for state in states if not state.removed})
    if not volumes:
        return "every version is removed: `packstore ls --removed`" if removed else "the repository is empty"
    return f"`packstore ls` shows what there is: {', '.join(volumes[:8])}"


def latest_of(volume: str, states: list[VersionState]) -> VersionState | None:
    """Return the latest version of a volume that is not removed, by counter and not by date."""
    found = [state for state in states if state.version.volume == volume and not state.removed]
    return found[-1] if found else None
