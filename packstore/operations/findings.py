"""Record in the repository what a check has found, or a reader met: scrub and damage records. FORMAT.md section 10.1.

Only news: a check that finds the same damage again says nothing about it. Where the repository cannot be
written, this machine's notes keep it.
Before: operations.check_walk, repository.session. After: operations.check, operations.repair, operations.restore.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from packstore.errors import DeclaredDead, FormatError, KeysUnreadable, StorageError, UnsupportedFormat
from packstore.format.ledger import (
    DAMAGE_OBJECT,
    DAMAGE_PLACE,
    Damage,
    LostObject,
    Place,
    encode_damage,
)
from packstore.format.record import Kind
from packstore.format.version import Version
from packstore.ids import PackId, Uid
from packstore.limits import KIB, MAX_LEDGER_BYTES, PACK_ID_BYTES
from packstore.operations.check_walk import DamagedVersion, Walker
from packstore.operations.scrub import Reading
from packstore.progress import NullProgress, StopRequest
from packstore.repository.damages import known_damage
from packstore.repository.history import forgotten_versions
from packstore.repository.repository import Repository
from packstore.repository.scrubs import new_scrub, put_scrub
from packstore.repository.session import Session

_ROWS_BYTES: Final = MAX_LEDGER_BYTES - 64 * KIB
"""What rows may take of a record; the rest is for its other keys."""
_UID_ROW_BYTES: Final = 32
_NUMBER_BYTES: Final = 4

Hits = Mapping[Uid, Iterable[LostObject]]


def record_findings(repository: Repository, reading: Reading, hits: Hits) -> str:
    """Publish what a run has read and found, `hits` being what versions have lost; return why not, if that fails."""
    standing = repository.index.standing()
    places = {pack_id: bad for pack_id, bad in reading.bad.items() if bad != standing.of(pack_id)}
    news = {uid: set(objects) - standing.hits.get(uid, frozenset()) for uid, objects in hits.items()}
    if not (reading.news.ranks or any(news.values())):
        return ""

    def put(session: Session) -> None:
        put_scrub(session, new_scrub(repository, reading.news))
        put_damage(session, repository, places, {uid: objects for uid, objects in news.items() if objects})

    return _publish(repository, "recording a check", put)


def is_collected(repository: Repository, version: Version) -> bool:
    """Say whether somebody has removed a version meanwhile: from then on it may be collected while it is read."""
    repository.refresh(NullProgress())
    if version.uid in forgotten_versions(repository.events()):
        return True
    return any(state.removed for state in repository.states() if state.version.uid == version.uid)


class Met(NamedTuple):
    """Why a version could not be read in full, names of packs that have not arrived, and why that is not recorded."""

    hit: DamagedVersion
    missing: list[str]
    unrecorded: str


def record_met(repository: Repository, version: Version, stop: StopRequest, *, publish: bool = True) -> Met:
    """Say why a version could not be read in full.

    Reading has noted which records are damaged. It is kept on this machine, and published if that is possible: readers
    need no right to write. They do not read packs whole, so what they met is all that is said.
    """
    walker = Walker(repository, {}, None, stop, any_damage=bool(known_damage(repository)))
    hit = walker.walk(version)
    repository.index.notes.note_version(version.uid, hit.damaged, hit.lacking)
    return Met(hit, sorted(walker.missing), _publish_met(repository, hit) if publish else "")


def _publish_met(repository: Repository, hit: DamagedVersion) -> str:
    index, uid = repository.index, hit.version.uid
    standing = index.standing()
    news = set(hit.damaged) - standing.hits.get(uid, frozenset())
    if not news:
        return ""
    places: dict[PackId, set[int]] = {}
    for lost in news:
        for place in index.locate(Kind(lost.kind), lost.object_id):
            if index.notes.is_noted(place.pack_id, place.offset) and place.offset not in standing.of(place.pack_id):
                places.setdefault(place.pack_id, set()).add(place.offset)
    return _publish(
        repository,
        "recording damage",
        lambda session: put_damage(session, repository, places, {uid: news}, whole=False),
    )


def _publish(repository: Repository, purpose: str, put: Callable[[Session], None]) -> str:
    """Publish what `put` appends; return why not, if that fails."""
    try:
        with Session(repository, purpose) as session:
            put(session)
            session.publish([], [])
    except DeclaredDead:
        return ""  # it is published, and relies on nothing
    except (StorageError, UnsupportedFormat, FormatError, KeysUnreadable) as error:
        return error.message
    return ""


def put_damage(
    session: Session, repository: Repository, places: Mapping[PackId, set[int]], hits: Hits, *, whole: bool = True
) -> None:
    """Append damage records; if packs were read `whole`, `places` has all there is to say of them."""
    counters = itertools.count(repository.next_counter())
    for packs, rows in _split_places(places):
        damage = _new(repository, next(counters), packs=packs if whole else [], places=rows)
        session.put_record(Kind.DAMAGE, encode_damage(damage))
    for objects, numbers in split_hits(hits, _ROWS_BYTES):
        damage = _new(repository, next(counters), objects=objects, hits=numbers)
        session.put_record(Kind.DAMAGE, encode_damage(damage))


def _new(
    repository: Repository,
    counter: int,
    *,
    packs: list[PackId] | None = None,
    places: list[Place] | None = None,
    objects: list[LostObject] | None = None,
    hits: dict[Uid, list[int]] | None = None,
) -> Damage:
    runtime = repository.runtime
    return Damage(
        id=runtime.new_uid(),
        counter=counter,
        date_ms=runtime.now_ms(),
        packs=packs or [],
        places=places or [],
        objects=objects or [],
        hits=hits or {},
        program=runtime.program,
        host=runtime.hostname,
    )


def _split_places(places: Mapping[PackId, set[int]]) -> Iterator[tuple[list[PackId], list[Place]]]:
    """Yield packs and their places, each pack whole in one record: a pack has at most 65,536 records."""
    packs: list[PackId] = []
    rows: list[Place] = []
    for pack_id, offsets in sorted(places.items()):
        size = (len(packs) + 1) * PACK_ID_BYTES + (len(rows) + len(offsets)) * DAMAGE_PLACE.size
        if packs and size > _ROWS_BYTES:
            yield packs, rows
            packs, rows = [], []
        packs.append(pack_id)
        rows += [Place(pack_id, offset) for offset in sorted(offsets)]
    if packs:
        yield packs, rows


def split_hits(hits: Hits, limit_bytes: int) -> Iterator[tuple[list[LostObject], dict[Uid, list[int]]]]:
    """Yield objects and, for each version, the numbers of those it needs; none with more than `limit_bytes` of rows."""
    most = limit_bytes // 2 // (_UID_ROW_BYTES + _NUMBER_BYTES)
    needed_by: dict[LostObject, list[Uid]] = {}
    for uid, lost in hits.items():
        for each in lost:
            needed_by.setdefault(each, []).append(uid)
    objects: list[LostObject] = []
    numbers: dict[Uid, list[int]] = {}
    size = 0
    for each, uids in sorted(needed_by.items()):
        for at in range(0, len(uids), most):
            some = uids[at : at + most]
            new = sum(uid not in numbers for uid in some)
            cost = DAMAGE_OBJECT.size + new * _UID_ROW_BYTES + len(some) * _NUMBER_BYTES
            if objects and size + cost > limit_bytes:
                yield objects, numbers
                objects, numbers, size = [], {}, 0
                cost = DAMAGE_OBJECT.size + len(some) * (_UID_ROW_BYTES + _NUMBER_BYTES)
            for uid in some:
                numbers.setdefault(uid, []).append(len(objects))
            objects.append(each)
            size += cost
    if objects:
        yield objects, numbers
