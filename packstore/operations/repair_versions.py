"""Versions, and what was said about versions, that only another copy of the repository still knows of.

A lost file of `meta/` takes versions along without a trace. They come back with all that they need: what is not proven
to be here is copied. Nothing is taken away: no event comes along that removes a version, or a protection or a tag that
is here; and what was removed or collected here stays so.
Before: operations.repair_packs, operations.findings. After: operations.repair.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from packstore.errors import DamageError
from packstore.format.ledger import LostObject
from packstore.format.page import decode_page
from packstore.format.record import Kind
from packstore.format.version import Event, EventType, Version, encode_event
from packstore.ids import HOLE, ObjectId, PackId, Uid
from packstore.operations.check_walk import Walker
from packstore.operations.findings import put_damage
from packstore.operations.repair_packs import copy_object, has_good_copy
from packstore.progress import NullProgress, StopRequest
from packstore.repository.history import VersionState, fold, forgotten_versions
from packstore.repository.repository import Repository
from packstore.repository.session import Session
from packstore.repository.tree import check_shape, page_blocks, tree_levels
from packstore.repository.validity import Judge


@dataclass
class Returns:
    """What comes back; `objects` is how many are copied for it, `lost` are good in neither copy."""

    versions: list[VersionState] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    objects: int = 0
    lost: set[LostObject] = field(default_factory=set)

    def __bool__(self) -> bool:
        """Whether anything comes back."""
        return bool(self.versions or self.events)


class Returned(NamedTuple):
    """What came back: versions, and objects that were copied for them."""

    versions: int
    objects: int


def plan_returns(repository: Repository, other: Repository, coming: set[PackId], stop: StopRequest) -> Returns:
    """Say what only `other` knows of and what it needs; what is in the packs `coming` comes back with these.

    Raises:
        StorageGone: either storage is out of reach.
        Interrupted: before the end.
    """
    plan = Returns()
    mine = {state.version.uid for state in repository.states()}
    unwanted = _unwanted(repository, other)
    for state in other.states():
        uid = state.version.uid
        if uid not in mine | unwanted and not state.removed and not _is_coming(other, Kind.VERSION, uid, coming):
            plan.versions.append(state)
    plan.events = [
        event for event in _events(repository, other, plan) if not _is_coming(other, Kind.EVENT, event.id, coming)
    ]
    judge = Judge(repository.storage, repository.index)
    needs = _Needs(repository, other, judge.is_here, stop)
    for lost in needs.of(plan.versions):
        if has_good_copy(other, lost, ()):
            plan.objects += 1
        else:
            plan.lost.add(lost)
    return plan


def _is_coming(other: Repository, kind: Kind, uid: Uid, coming: set[PackId]) -> bool:
    return any(pack_id in coming for pack_id, _ in other.index.holders(kind, uid))


def _unwanted(repository: Repository, other: Repository) -> set[Uid]:
    """Return the versions that were removed or collected here, whether or not their records are here."""
    events = repository.events()
    states = fold((state.version for state in other.states()), events)
    return {state.version.uid for state in states if state.removed} | forgotten_versions(events)


def _events(repository: Repository, other: Repository, plan: Returns) -> list[Event]:
    """Return what `other` knows to have been said about versions that are here, or come back."""
    events = repository.events()
    mine = {event.id for event in events}
    uids = {state.version.uid for state in [*repository.states(), *plan.versions]}
    forgotten = forgotten_versions(events)
    return [
        event
        for event in other.events()
        if event.id not in mine
        and not uids.isdisjoint(event.versions)
        and forgotten.isdisjoint(event.versions)
        and not _takes_away(event, mine)
    ]


def _takes_away(event: Event, mine: set[Uid]) -> bool:
    """Say whether an event would remove something that is here; one that takes back what is lost as well does not."""
    if event.type in {EventType.UNPROTECT, EventType.UNTAG}:
        return not event.cancels or not mine.isdisjoint(event.cancels)
    return event.type in {EventType.REMOVE, EventType.GONE}


class _Needs:
    """Finds what versions of `other` need and this repository has not, each object once."""

    def __init__(
        self, repository: Repository, other: Repository, is_here: Callable[[LostObject], bool], stop: StopRequest
    ) -> None:
        self._repository = repository
        self._other = other
        self._is_here = is_here
        self._stop = stop
        self._seen: set[tuple[ObjectId, int, int]] = set()

    def of(self, states: list[VersionState]) -> Iterator[LostObject]:
        """Yield what is not here, a page before what is below it."""
        for state in states:
            count = -(-state.version.size // state.version.block_size)
            yield from self._below(state.version.root, tree_levels(count) - 1, count)

    def _below(self, page_id: ObjectId, level: int, count: int) -> Iterator[LostObject]:
        key = (page_id, level, count)
        if page_id == HOLE or key in self._seen:
            return
        self._stop.check()
        self._seen.add(key)
        page = LostObject(Kind.PAGE, page_id)
        if not self._is_here(page):
            yield page
        ids = self._ids(page_id, level, count)
        step = page_blocks(level - 1) if level else 1
        for at, below in enumerate(ids):
            if level:
                yield from self._below(below, level - 1, min(step, count - at * step))
            elif (
                below != HOLE and (below, -1, 1) not in self._seen and not self._is_here(LostObject(Kind.BLOCK, below))
            ):
                self._seen.add((below, -1, 1))
                yield LostObject(Kind.BLOCK, below)

    def _ids(self, page_id: ObjectId, level: int, count: int) -> list[ObjectId]:
        """Return what a page refers to; nothing if neither copy has it whole."""
        for repository in (self._other, self._repository):
            try:
                page = decode_page(repository.read_object(Kind.PAGE, page_id))
                check_shape(page, level, 0, count)
                return [page.id_at(at) for at in range(len(page))]
            except DamageError:
                continue
        return []


def bring_back(
    session: Session, repository: Repository, other: Repository, plan: Returns, stop: StopRequest
) -> Returned:
    """Copy what is not proven to be here, then publish events and versions, each whole.

    A version of which something is lost comes back too, and is recorded as damaged first.

    Raises:
        StorageError: what was brought back stays; run it again.
        DeclaredDead: somebody took this process for dead; the last version was taken back.
    """
    repository.refresh(NullProgress())
    left = {state.version.uid for state in repository.states()} | session.intent.condemned_versions
    needs = _Needs(repository, other, lambda lost: session.is_known(Kind(lost.kind), lost.object_id), stop)
    copied = sum(copy_object(session, repository, other, lost) for lost in needs.of(plan.versions))
    session.settle()
    versions = [state.version for state in plan.versions if state.version.uid not in left]
    if plan.lost:
        put_damage(session, repository, {}, _hits(repository, versions, stop))
    for event in plan.events:
        session.put_record(Kind.EVENT, encode_event(event))
    session.settle()
    for version in versions:
        session.commit(version, go_on=True)
    return Returned(len(versions), copied)


def _hits(repository: Repository, versions: list[Version], stop: StopRequest) -> dict[Uid, list[LostObject]]:
    """Return what versions have lost for good."""
    walker = Walker(repository, {}, None, stop, any_damage=True)
    found = {version.uid: walker.walk(version) for version in versions}
    return {uid: [*hit.damaged, *hit.lacking] for uid, hit in found.items() if hit.ranges}
