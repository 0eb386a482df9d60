"""Which records in `meta/` are still needed, besides pages: versions, events, directories and the like.

FORMAT.md sections 10 and 13.5. Needed or not is decided about the bytes as they are stored: what this program
would encode again might lack keys that it does not know.
Before: operations.gc_mark. After: operations.gc.
"""

from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from packstore.errors import CollectionRefused, DamageError, FormatError, ObjectMissing
from packstore.format.checkpoint import Checkpoint, decode_checkpoint
from packstore.format.ledger import Damage, Scrub, decode_damage, decode_scrub
from packstore.format.pack import PackType, decode_directory
from packstore.format.record import Kind
from packstore.format.version import Event, EventType, Version, decode_event, decode_version
from packstore.ids import ObjectId, PackId, Uid
from packstore.operations.gc_mark import Marker
from packstore.repository.checkpoints import open_checkpoints
from packstore.repository.history import VersionState, fold, forgotten_versions
from packstore.repository.repository import Repository
from packstore.repository.scrubs import ScrubMemory, fold_scrubs

Record = TypeVar("Record", Version, Event, Scrub, Damage, Checkpoint)

_MAX_SCRUBS: Final = 64
"""Of more scrub records than this one is made."""
_MAX_GONE: Final = 50_000
"""Uids in one event: 18 bytes each stay below the largest event."""


@dataclass
class Knowledge:
    """All that `meta/` says at one moment; `ids` has the object id of each record by kind and identity."""

    states: list[VersionState] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    scrubs: list[Scrub] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    forgotten: set[Uid] = field(default_factory=set)
    ids: dict[tuple[Kind, Uid], ObjectId] = field(default_factory=dict)

    def undeletes(self, uids: set[Uid]) -> list[Uid]:
        """Return the ids of all undelete events about any of these versions."""
        found = (event for event in self.events if event.type == EventType.UNDELETE)
        return sorted(event.id for event in found if not uids.isdisjoint(event.versions))


def read_knowledge(repository: Repository) -> Knowledge:
    """Read all records but pages and directories from the index.

    Raises:
        CollectionRefused: there is one that this program does not understand: it might need anything.
    """
    known = Knowledge()

    def take(kind: Kind, decode: Callable[[bytes], Record], identity: Callable[[Record], Uid]) -> Iterator[Record]:
        for plain in repository.index.records(kind):
            try:
                record = decode(plain)
            except FormatError as error:
                raise _not_understood(f"one {kind.name.lower()} is not understood: {error.message}") from error
            known.ids[kind, identity(record)] = repository.keyring.object_id(plain)
            yield record

    versions = list(take(Kind.VERSION, decode_version, lambda version: version.uid))
    known.events = list(take(Kind.EVENT, decode_event, lambda event: event.id))
    known.scrubs = list(take(Kind.SCRUB, decode_scrub, lambda scrub: scrub.id))
    known.damages = list(take(Kind.DAMAGE, decode_damage, lambda damage: damage.id))
    checkpoints = list(take(Kind.CHECKPOINT, decode_checkpoint, lambda checkpoint: checkpoint.id))
    for event in known.events:
        if event.type not in tuple(EventType):
            raise _not_understood(f"an event has the unknown type {event.type!r}")
    known.states = fold(versions, known.events)
    known.forgotten = forgotten_versions(known.events)
    known.checkpoints = open_checkpoints(versions, checkpoints)
    return known


def _not_understood(reason: str) -> CollectionRefused:
    message = f"garbage cannot be told from what is needed: {reason}"
    return CollectionRefused(message, advice="use the newest packstore; nothing was deleted")


def mark_records(repository: Repository, marker: Marker, known: Knowledge, dead: set[Uid], packs: set[PackId]) -> None:
    """Mark every record in `meta/` that is needed, if the versions `dead` are not; `packs` are those that exist.

    Raises:
        DamageError: a directory is damaged.
    """
    for kind, identity in _needed(known, dead, packs):
        marker.mark(kind, known.ids[kind, identity])
    for pack in repository.index.packs():
        if pack.pack_type is not PackType.BLOCKS:
            continue
        if pack.pack_id not in packs:
            in_use = marker.bits.count(pack.first, pack.records)
            if not in_use or not _is_awaited(repository, marker, pack.pack_id):
                continue
        for directory_id in repository.index.directory_ids(pack.pack_id):
            marker.mark(Kind.DIRECTORY, directory_id)


def _needed(known: Knowledge, dead: set[Uid], packs: set[PackId]) -> Iterator[tuple[Kind, Uid]]:
    forgotten = dead | known.forgotten
    live = {state.version.uid for state in known.states} - forgotten
    yield from ((Kind.VERSION, state.version.uid) for state in known.states if state.version.uid not in dead)
    for event in known.events:
        if event.type == EventType.GONE or not forgotten.issuperset(event.versions):
            yield Kind.EVENT, event.id
    yield from ((Kind.SCRUB, scrub.id) for scrub in needed_scrubs(known.scrubs, packs))
    for damage in known.damages:
        spoken_of = {place.pack_id for place in damage.places} | set(damage.packs)
        if not packs.isdisjoint(spoken_of) or not live.isdisjoint(damage.hits):
            yield Kind.DAMAGE, damage.id
    yield from ((Kind.CHECKPOINT, checkpoint.id) for checkpoint in known.checkpoints)


def needed_scrubs(scrubs: list[Scrub], packs: set[PackId]) -> list[Scrub]:
    """Return the scrub records that say something about these packs, or of a run, which those before do not say."""
    memory = ScrubMemory()
    needed = []
    for scrub in sorted(scrubs, key=lambda found: (-len(found.ranks) - len(found.runs), found.id)):
        before = deepcopy(memory)
        memory.add(replace(scrub, ranks=_of(scrub.ranks, packs), seen=_of(scrub.seen, packs)))
        if memory != before:
            needed.append(scrub)
    return needed


def _of(ranks: dict[PackId, int], packs: set[PackId]) -> dict[PackId, int]:
    return {pack_id: rank for pack_id, rank in ranks.items() if pack_id in packs}


def folded_memory(known: Knowledge, packs: set[PackId]) -> Scrub | None:
    """Return one record for all scrub records, if there are many; they are garbage at the next collection."""
    return fold_scrubs(known.scrubs, packs) if len(known.scrubs) > _MAX_SCRUBS else None


def _is_awaited(repository: Repository, marker: Marker, pack_id: PackId) -> bool:
    """Say whether a pack that is not here holds something needed that is nowhere else: it may still arrive."""
    for directory_id in repository.index.directory_ids(pack_id):
        try:
            _, entries = decode_directory(repository.read_object(Kind.DIRECTORY, directory_id))
        except ObjectMissing:
            return True  # another collector has moved it since `meta/` was read: the next collection looks again
        for entry in entries:
            found = repository.index.locate(Kind.BLOCK, entry.object_id)
            if any(place.number in marker.bits for place in found) and not any(map(marker.is_place, found)):
                return True
    return False


def gone_events(repository: Repository, known: Knowledge, dead: set[Uid]) -> list[Event]:
    """Return the events that say of every version that is gone that it is; none if all of `dead` are known to be.

    They replace all earlier ones: the ids of removed versions are kept for ever, as one compact list.
    """
    if dead <= known.forgotten:
        return []
    uids = sorted(dead | known.forgotten)
    parts = [uids[at : at + _MAX_GONE] for at in range(0, len(uids), _MAX_GONE)]
    return [repository.new_event(EventType.GONE, part, cancels=known.undeletes(set(part))) for part in parts]


def require_known_kinds(kinds: Iterable[int]) -> None:
    """Refuse to collect where a later program has stored something of which nobody here knows what it needs.

    Raises:
        CollectionRefused: there is a record of an unknown kind.
    """
    unknown = sorted(set(kinds) - set(Kind))
    if unknown:
        raise _not_understood(f"there are records of the unknown kind {unknown[0]}")


def unreadable(error: DamageError, what: str) -> CollectionRefused:
    """Return what to say where something cannot be read that may lead to more."""
    return CollectionRefused(
        f"{what} cannot be read ({error.message}); nothing was deleted",
        advice="`packstore check` says what is damaged; `packstore repair`, or `rm` of that version, clears the way",
    )
