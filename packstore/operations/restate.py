"""Say of a version in another place what was said of it where it comes from: by events of its own.

The events themselves are not taken over: one may speak of several versions.
Before: repository.history. After: operations.sync, operations.exchange.
"""

from typing import Final

from packstore.format.version import Event, EventType, Version
from packstore.repository.history import VersionState
from packstore.repository.repository import Repository

MAX_COUNTER: Final = 1 << 62
"""What comes from elsewhere may not have a higher one: all later records count on, and must stay below 2^64."""


def state_events(
    repository: Repository, version: Version, now: VersionState | None, wanted: VersionState
) -> list[Event]:
    """Return events that give a version the tags, the protection and the expiry of `wanted`.

    `now` is its state in `repository`, None where it is new. Nothing is taken from a version but tags: protection and a
    later expiry that somebody has given it there stay.
    """
    tags = now.tags if now else set(version.tags)
    uids = [version.uid]
    events = [repository.new_event(EventType.TAG, uids, value=tag) for tag in sorted(wanted.tags - tags)]
    if now is None:
        events += [repository.new_event(EventType.UNTAG, uids, value=tag) for tag in sorted(tags - wanted.tags)]
    if wanted.protected and not (now and now.protected):
        events.append(repository.new_event(EventType.PROTECT, uids))
    if wanted.expires is not None and not (now and now.expires):
        events.append(repository.new_event(EventType.EXPIRE, uids, value=wanted.expires))
    return events
