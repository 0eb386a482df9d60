"""Remove versions, and bring removed ones back. FORMAT.md sections 10 and 13.5.

To remove is to say so, by an event; the space comes back when garbage is collected. Until then it can be
taken back. A protection that somebody else publishes meanwhile beats the removal, wherever the two meet.
Before: operations.events, operations.guards. After: operations.prune, the command line.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from packstore.errors import VersionNotFound
from packstore.format.version import Event, EventType
from packstore.ids import Uid
from packstore.operations.events import publish_events
from packstore.operations.guards import AgeGuard, refuse_protected, refuse_young
from packstore.operations.marks import Events, refuse_condemned
from packstore.repository.coordination import WriterIntent
from packstore.repository.history import VersionState, find_removed, find_version, standing
from packstore.repository.repository import Repository

_EVENT_VERSIONS: Final = 10_000
"""Versions in one event: 16 bytes each, and an event has at most 1 MiB."""
_MIN_PREFIX: Final = 4


@dataclass(frozen=True)
class Removal:
    """Versions that were removed, or would be; `kept` are those that somebody protected at the same moment."""

    versions: list[VersionState]
    kept: list[VersionState]


@dataclass(frozen=True)
class Restoration:
    """Versions that were brought back, and those that were not removed."""

    versions: list[VersionState]
    present: list[VersionState]


def remove(
    repository: Repository, specs: Sequence[str], guard: AgeGuard, *, force: bool = False, dry_run: bool = False
) -> Removal:
    """Remove versions: all of them, or none.

    `force` removes young ones too, never protected ones.

    Raises:
        VersionNotFound, AmbiguousVersion: one is not there.
        VersionProtected, VersionTooYoung: a guard refuses one.
    """
    found: list[VersionState] = []

    def resolve() -> None:
        states = repository.states()
        chosen = {state.version.uid: state for state in (find_version(spec, states) for spec in specs)}
        found[:] = chosen.values()
        refuse_protected(repository, found)
        if not force:
            refuse_young(guard, found)

    def plan(_: WriterIntent) -> Events:
        resolve()
        return removal_events(repository, [state.version.uid for state in found])

    if dry_run:
        resolve()
        return Removal(found, [])
    publish_events(repository, "rm", plan, frees=True)
    return removed_now(repository, found)


def removal_events(repository: Repository, uids: list[Uid]) -> Events:
    """Return the events that remove versions, and those that take them back."""
    events = [repository.new_event(EventType.REMOVE, part) for part in _parts(uids)]
    undo = [repository.new_event(EventType.UNDELETE, event.versions, cancels=[event.id]) for event in events]
    return events, undo


def removed_now(repository: Repository, found: list[VersionState]) -> Removal:
    """Look again at versions that were to be removed."""
    after = {state.version.uid: state for state in repository.states()}
    kept = [state for state in found if state.version.uid in after and not after[state.version.uid].removed]
    return Removal([state for state in found if state not in kept], kept)


def _parts(uids: list[Uid]) -> Iterator[list[Uid]]:
    for begin in range(0, len(uids), _EVENT_VERSIONS):
        yield uids[begin : begin + _EVENT_VERSIONS]


def undelete(repository: Repository, specs: Sequence[str]) -> Restoration:
    """Bring removed versions back: all of them, or none.

    Raises:
        VersionNotFound, AmbiguousVersion: one is not there.
        VersionCondemned: what only one of them needs has been collected, or is about to be.
    """
    found: dict[Uid, VersionState] = {}

    def plan(intent: WriterIntent) -> Events:
        states = repository.states()
        found.clear()
        found.update((state.version.uid, state) for state in (_find(spec, states) for spec in specs))
        removed = [state for state in found.values() if state.removed]
        refuse_condemned(removed, intent)
        if not removed:
            return [], []
        uids = [state.version.uid for state in removed]
        return _undelete_events(repository, uids)

    publish_events(repository, "undelete", plan)
    return Restoration(
        [state for state in found.values() if state.removed], [state for state in found.values() if not state.removed]
    )


def _undelete_events(repository: Repository, uids: list[Uid]) -> Events:
    events = repository.events()
    undeletes: list[Event] = []
    for part in _parts(uids):
        cancels = {event.id: None for uid in part for event in standing(events, uid, EventType.REMOVE)}
        undeletes.append(repository.new_event(EventType.UNDELETE, part, cancels=list(cancels)))
    return undeletes, [repository.new_event(EventType.REMOVE, part) for part in _parts(uids)]


def _find(spec: str, states: list[VersionState]) -> VersionState:
    """Find a removed version, or by its uid one that is not removed: then there is nothing to do."""
    try:
        return find_removed(spec, states)
    except VersionNotFound:
        present = [state for state in states if not state.removed and state.version.uid.hex().startswith(spec)]
        if len(present) == 1 and len(spec) >= _MIN_PREFIX and spec != present[0].version.volume:
            return present[0]
        raise
