"""A version's metadata as a JSON document, and back: export and import.

An import publishes the version's record again, under its own uid, and only if every object it needs is proven to be
in the repository. That undoes an `rm` whose garbage is not collected yet, and brings a version into a copy of the
repository that has its objects.
Before: repository.session. After: the command line.
"""

from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Final

from packstore.errors import (
    FormatError,
    ObjectMissing,
    RepositoryError,
    UnsupportedFormat,
    UsageError,
    VersionCondemned,
)
from packstore.format.page import decode_page
from packstore.format.record import Kind
from packstore.format.version import Event, EventType, Version, decode_version, encode_event, encode_version
from packstore.ids import HOLE, ObjectId, Uid
from packstore.operations.restate import MAX_COUNTER, state_events
from packstore.progress import StopRequest
from packstore.repository.history import VersionState
from packstore.repository.repository import Repository
from packstore.repository.session import Session
from packstore.repository.tree import check_shape, page_blocks, tree_levels

SCHEMA: Final = 1
WHAT: Final = "packstore version"
_IDS: Final = ("uid", "root", "base")


class Outcome(StrEnum):
    """What an import has done."""

    PRESENT = "present"
    UNDELETED = "undeleted"
    PUBLISHED = "published"


@dataclass(frozen=True)
class Exported:
    """A version out of a document, and the repository that it was exported from."""

    repository_id: bytes
    state: VersionState


def export_version(repository: Repository, state: VersionState) -> dict[str, Any]:
    """Return a version's record, what its events make of it, and the events themselves, for JSON."""
    uid = state.version.uid
    events = [event for event in repository.events() if uid in event.versions]
    return {
        "schema": SCHEMA,
        "what": WHAT,
        "repository": repository.file.id.hex(),
        "version": _jsonable(_with_hex(asdict(state.version))),
        "tags": sorted(state.tags),
        "protected": state.protected,
        "expires": state.expires,
        "events": [_event(event) for event in sorted(events, key=lambda event: (event.counter, event.id))],
    }


def _with_hex(record: dict[str, Any]) -> dict[str, Any]:
    return record | {name: record[name] and record[name].hex() for name in _IDS}


def _event(event: Event) -> dict[str, Any]:
    names = {name: [uid.hex() for uid in getattr(event, name)] for name in ("versions", "cancels")}
    return asdict(event) | names | {"id": event.id.hex()}


def _jsonable(value: Any) -> Any:  # noqa: ANN401
    """Return a value that JSON can hold: bytes as {"$hex": …}; a key that begins with $ gets another one."""
    if isinstance(value, bytes):
        return {"$hex": value.hex()}
    if isinstance(value, dict):
        return {("$" + key if key.startswith("$") else key): _jsonable(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(below) for below in value]
    return value


def _from_jsonable(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        if set(value) == {"$hex"}:
            return bytes.fromhex(value["$hex"])
        return {key.removeprefix("$"): _from_jsonable(below) for key, below in value.items()}
    return [_from_jsonable(below) for below in value] if isinstance(value, list) else value


def parse_export(document: Any) -> Exported:  # noqa: ANN401
    """Read what `export_version` has made.

    Raises:
        UnsupportedFormat: a later program has made it.
        UsageError: it is anything else, or was changed to something that no version can be.
    """
    if not isinstance(document, dict) or document.get("what") != WHAT:
        raise UsageError("this is no version exported by packstore", advice="`packstore export VERSION FILE` makes one")
    if document.get("schema") != SCHEMA:
        raise UnsupportedFormat(f"it has the unknown schema {document.get('schema')!r}", advice="use a newer packstore")
    try:
        version = _version(document["version"])
        state = VersionState(
            version=version,
            tags={str(tag) for tag in document["tags"]},
            protected=document["protected"] is True,
            expires=None if document["expires"] is None else str(document["expires"]),
        )
        return Exported(bytes.fromhex(document["repository"]), state)
    except FormatError as error:
        raise UsageError(f"it holds no version: {error.message}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"it holds no version: {type(error).__name__}: {error}") from None


def _version(record: dict[str, Any]) -> Version:
    known = {field.name for field in fields(Version)}
    if set(record) != known:
        raise ValueError(f"the keys {', '.join(sorted(set(record) ^ known))} are missing, or not those of a version")
    values = _from_jsonable(record) | {name: record[name] and bytes.fromhex(record[name]) for name in _IDS}
    version = decode_version(encode_version(Version(**values)))
    if version.counter > MAX_COUNTER:
        raise ValueError(f"counter {version.counter}")
    return version


def import_version(repository: Repository, exported: Exported, stop: StopRequest) -> Outcome:
    """Publish an exported version again, if it is not there.

    Raises:
        ObjectMissing: the repository has not all that the version needs; nothing was published.
        VersionCondemned: it is about to be collected.
        RepositoryError: its uid is that of another version, or it is another repository's and its objects are not here.
        DeclaredDead: somebody took this process for dead; the version was removed again.
        Interrupted: nothing was published.
    """
    version = exported.state.version
    with Session(repository, f"import {version.uid.hex()[:8]}") as session:
        now = next((state for state in repository.states() if state.version.uid == version.uid), None)
        if now is not None and now.version != version:
            raise RepositoryError(f"the repository has another version with the uid {version.uid.hex()}")
        if now is not None and not now.removed:
            return Outcome.PRESENT
        if version.uid in session.intent.condemned_versions:
            message = f"version {version.uid.hex()[:8]} is about to be collected as garbage"
            raise VersionCondemned(message, advice="run it again when gc is done: it says whether its objects are left")
        _Proof(repository, session, stop).prove(exported)
        events = _undeletes(repository, version.uid) + state_events(repository, version, now, exported.state)
        if now is not None:
            undo = repository.new_event(EventType.REMOVE, [version.uid], value="the writer had been declared dead")
            session.publish(events, [undo])
            return Outcome.UNDELETED
        for event in events:
            session.put_record(Kind.EVENT, encode_event(event))
        session.commit(version)
        return Outcome.PUBLISHED


def _undeletes(repository: Repository, uid: Uid) -> list[Event]:
    """Return what takes all removals of a version back, if there are any: also when its record is gone."""
    about = [event for event in repository.events() if uid in event.versions]
    removes = [event.id for event in about if event.type == EventType.REMOVE]
    if not removes and not any(event.type == EventType.GONE for event in about):
        return []
    return [repository.new_event(EventType.UNDELETE, [uid], cancels=removes)]


class _Proof:
    """Sees that everything a version needs is in packs that exist, by their own directories."""

    def __init__(self, repository: Repository, session: Session, stop: StopRequest) -> None:
        self._repository = repository
        self._session = session
        self._stop = stop
        self._seen: set[tuple[ObjectId, int, int]] = set()
        self._missing = {Kind.PAGE: 0, Kind.BLOCK: 0}

    def prove(self, exported: Exported) -> None:
        """Walk the tree.

        Raises:
            ObjectMissing: something is not there.
            RepositoryError: it is not, and cannot be: the version is another repository's.
        """
        version = exported.state.version
        count = -(-version.size // version.block_size)
        self._walk(version.root, tree_levels(count) - 1, count)
        pages, blocks = self._missing[Kind.PAGE], self._missing[Kind.BLOCK]
        if not pages and not blocks:
            return
        if exported.repository_id != self._repository.file.id:
            message = f"version {version.uid.hex()[:8]} is another repository's, and what it needs is not in this one"
            raise RepositoryError(message, advice="`packstore sync` copies versions between repositories")
        advice = "what gc has collected comes back only from a copy of the repository, or from the device"
        lost = [f"{n} {name}{'s' * (n > 1)}" for n, name in ((pages, "page"), (blocks, "block")) if n]
        message = f"version {version.uid.hex()[:8]} needs {' and '.join(lost)} that are not in this repository"
        raise ObjectMissing(message, advice=advice)

    def _walk(self, page_id: ObjectId, level: int, count: int) -> None:
        """Look at a page, and below it, with `count` blocks below it."""
        if page_id == HOLE or (page_id, level, count) in self._seen:
            return
        self._stop.check()
        self._seen.add((page_id, level, count))
        if not self._session.is_known(Kind.PAGE, page_id):
            self._missing[Kind.PAGE] += 1
            return
        page = decode_page(self._repository.read_object(Kind.PAGE, page_id))
        check_shape(page, level, 0, count)
        step = page_blocks(level - 1) if level else 1
        for at in range(len(page)):
            below = page.id_at(at)
            if level:
                self._walk(below, level - 1, min(step, count - at * step))
            elif below != HOLE and not self._session.is_known(Kind.BLOCK, below):
                self._missing[Kind.BLOCK] += 1
