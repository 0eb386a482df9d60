"""Tags, protection and expiry: what people say about a version after its commit. FORMAT.md section 10.

Each is an event, resolved once the writer's intent stands. What is so already is not said again.
Before: operations.events. After: the command line.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from packstore.errors import UsageError, VersionCondemned, quoted
from packstore.format.version import Event, EventType
from packstore.limits import MAX_TAG_BYTES, MAX_TAGS, MAX_TEXT_BYTES
from packstore.operations.events import publish_events
from packstore.repository.coordination import WriterIntent
from packstore.repository.history import VersionState, find_version, standing
from packstore.repository.repository import Repository

Events = tuple[list[Event], list[Event]]
"""Events, and those that take them back."""


@dataclass(frozen=True)
class Change:
    """A version before and after; `events` is empty if it was so already."""

    before: VersionState
    after: VersionState
    events: list[Event]


def tag_fault(text: str) -> str:
    """Say what makes `text` unfit for a tag; empty if nothing does."""
    if text.isprintable() and 1 <= len(text.encode(errors="surrogatepass")) <= MAX_TAG_BYTES:
        return ""
    return f"a tag has 1 to {MAX_TAG_BYTES} printable bytes"


def add_tags(repository: Repository, spec: str, tags: Sequence[str]) -> Change:
    """Give a version tags.

    Raises:
        UsageError: a tag is out of bounds, or they are too many for one version.
        VersionNotFound, AmbiguousVersion: `spec` names no single version.
    """
    for text in tags:
        if fault := tag_fault(text):
            raise UsageError(f"{quoted(text)} cannot be a tag: {fault}")

    def plan(state: VersionState, _: WriterIntent) -> Events:
        uid = state.version.uid
        if len(state.tags | set(tags)) > MAX_TAGS:
            raise UsageError(f"a version has at most {MAX_TAGS} tags")
        events = [repository.new_event(EventType.TAG, [uid], value=text) for text in _new(tags, state.tags)]
        undo = [_taken_back(repository, event, EventType.UNTAG) for event in events]
        return events, undo

    return _change(repository, "tag", spec, plan)


def remove_tags(repository: Repository, spec: str, tags: Sequence[str]) -> Change:
    """Take tags from a version, also those that were given with the backup.

    Raises:
        VersionNotFound, AmbiguousVersion: `spec` names no single version.
    """

    def plan(state: VersionState, _: WriterIntent) -> Events:
        uid = state.version.uid
        given = standing(repository.events(), uid, EventType.TAG)
        events = [
            repository.new_event(
                EventType.UNTAG, [uid], cancels=[event.id for event in given if event.value == text], value=text
            )
            for text in dict.fromkeys(tags)
            if text in state.tags
        ]
        undo = [repository.new_event(EventType.TAG, [uid], value=event.value) for event in events]
        return events, undo

    return _change(repository, "untag", spec, plan)


def protect(repository: Repository, spec: str, reason: str | None) -> Change:
    """Say that a version must not be removed; a reason that nobody has given yet is added to those there are.

    Raises:
        UsageError: the reason is too long, or cannot be printed.
        VersionCondemned: a collector has begun to collect the version.
        VersionNotFound, AmbiguousVersion: `spec` names no single version.
    """
    if reason and (not reason.isprintable() or len(reason.encode()) > MAX_TEXT_BYTES):
        raise UsageError(f"a reason has at most {MAX_TEXT_BYTES} printable bytes")

    def plan(state: VersionState, intent: WriterIntent) -> Events:
        refuse_condemned([state], intent)
        given = {event.value for event in standing(repository.events(), state.version.uid, EventType.PROTECT)}
        if state.protected and (not reason or reason in given):
            return [], []
        event = repository.new_event(EventType.PROTECT, [state.version.uid], value=reason or None)
        return [event], [_taken_back(repository, event, EventType.UNPROTECT, keep_value=False)]

    return _change(repository, "protect", spec, plan)


def unprotect(repository: Repository, spec: str) -> Change:
    """Take every protection of a version back; it is removed then if somebody removed it meanwhile.

    Raises:
        VersionNotFound, AmbiguousVersion: `spec` names no single version.
    """

    def plan(state: VersionState, _: WriterIntent) -> Events:
        uid = state.version.uid
        protections = standing(repository.events(), uid, EventType.PROTECT)
        if not protections:
            return [], []
        cancels = [event.id for event in protections]
        undo = repository.new_event(EventType.PROTECT, [uid], value=protections[-1].value)
        return [repository.new_event(EventType.UNPROTECT, [uid], cancels=cancels)], [undo]

    return _change(repository, "unprotect", spec, plan, frees=True)  # what is protected cannot be removed


def expire(repository: Repository, spec: str, value: str | None) -> Change:
    """Say when a version may be removed: an RFC 3339 date and time, or None for never.

    Raises:
        VersionNotFound, AmbiguousVersion: `spec` names no single version.
    """

    def plan(state: VersionState, _: WriterIntent) -> Events:
        if state.expires == value:
            return [], []
        event = repository.new_event(EventType.EXPIRE, [state.version.uid], value=value)
        # The highest counter wins, so what takes this back must have a higher one.
        before = repository.new_event(EventType.EXPIRE, [state.version.uid], value=state.expires)
        return [event], [replace(before, counter=event.counter + 1)]

    return _change(repository, "expire", spec, plan)


def refuse_condemned(states: Iterable[VersionState], intent: WriterIntent) -> None:
    """Refuse to rely on what a collector may be about to delete. FORMAT.md section 13.5.

    Raises:
        VersionCondemned: it is too late for one of the versions.
    """
    for state in states:
        name = name_of(state)
        if state.gone:
            raise VersionCondemned(f"{name} has been collected: what only it needed is deleted")
        if state.version.uid in intent.condemned_versions:
            message = f"{name} is being collected: what only it needs may be gone any moment"
            raise VersionCondemned(message, advice="it is too late to keep it; a new backup stores what is missing")


def name_of(state: VersionState) -> str:
    """Return a version as messages name it."""
    return f"version {state.version.uid.hex()[:8]} of {state.version.volume}"


def _new(tags: Iterable[str], have: set[str]) -> list[str]:
    return [text for text in dict.fromkeys(tags) if text not in have]


def _taken_back(repository: Repository, event: Event, by: EventType, *, keep_value: bool = True) -> Event:
    value = event.value if keep_value else None
    return repository.new_event(by, event.versions, cancels=[event.id], value=value)


def _change(
    repository: Repository,
    purpose: str,
    spec: str,
    plan: Callable[[VersionState, WriterIntent], Events],
    *,
    frees: bool = False,
) -> Change:
    """Find the version once the intent stands, publish what `plan` makes of it, and look at it again."""
    found: list[VersionState] = []

    def resolve(intent: WriterIntent) -> Events:
        found[:] = [find_version(spec, repository.states())]
        return plan(found[0], intent)

    events = publish_events(repository, purpose, resolve, frees=frees)
    before = found[0]
    after = next((state for state in repository.states() if state.version.uid == before.version.uid), before)
    return Change(before, after, events)
