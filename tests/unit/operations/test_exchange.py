"""A version's metadata out of a repository and back into it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from packstore.errors import (
    ObjectMissing,
    PackstoreError,
    RepositoryError,
    UnsupportedFormat,
    UsageError,
    VersionCondemned,
)
from packstore.format.document import DocumentType, encode_document
from packstore.format.intent import CondemnedList, encode_list
from packstore.format.version import EventType
from packstore.ids import Uid
from packstore.operations.events import publish_events
from packstore.operations.exchange import Outcome, export_version, import_version, parse_export
from packstore.progress import StopRequest
from packstore.repository.history import VersionState
from tests.support.devices import BLOCK, noise_blocks
from tests.support.worlds import PlaceStorage, World

CONTENT = noise_blocks("exchange", 300)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A repository with one version."""
    world = World(PlaceStorage(), tmp_path / "index").create()
    world.backup(CONTENT)
    return world


def exported(world: World) -> dict[str, Any]:
    """The only version as it comes out of a file."""
    with world.open() as repository:
        (state,) = repository.states()
        document: dict[str, Any] = json.loads(json.dumps(export_version(repository, state)))
        return document


def imported(world: World, document: dict[str, Any]) -> Outcome:
    """Put a document in."""
    with world.open() as repository:
        return import_version(repository, parse_export(document), StopRequest())


def say(world: World, *types: EventType, value: str | None = None) -> None:
    """Publish events about the only version."""
    with world.open() as repository:
        (state,) = repository.states()
        events = [repository.new_event(each, [state.version.uid], value=value) for each in types]
        publish_events(repository, "test", lambda _: (events, []))


def only(world: World) -> VersionState:
    """The only version."""
    (state,) = world.states()
    return state


def copy_of(world: World, tmp_path: Path) -> World:
    """A copy of the repository as rsync would make it."""
    files = world.storage.files  # type: ignore[attr-defined]
    return replace(
        world, storage=PlaceStorage(files, "copy"), index_root=tmp_path / "copy", expected=dict(world.expected)
    )


def test_there_and_back_is_the_same(world: World) -> None:
    """What was exported would not be what is imported: a bit of a version lost for ever."""
    with world.open() as repository:
        (state,) = repository.states()
        odd = replace(
            state.version,
            source={"type": "device", "raw": b"\x00\xff", "$hex": {"$hex": "00", "list": [1, b"x", None]}},
            unreadable=[(0, 4096)],
            base=Uid(bytes(range(16))),
        )
        document = json.loads(json.dumps(export_version(repository, replace(state, version=odd))))
    assert parse_export(document).state.version == odd


def test_what_is_there_is_left_alone(world: World) -> None:
    """An import that was not needed would change something."""
    before = dict(world.storage.files)  # type: ignore[attr-defined]
    assert imported(world, exported(world)) is Outcome.PRESENT
    assert world.storage.files == before  # type: ignore[attr-defined]


@pytest.mark.parametrize("types", [(EventType.REMOVE,), (EventType.REMOVE, EventType.REMOVE, EventType.GONE)])
def test_a_removed_version_comes_back(world: World, types: tuple[EventType, ...]) -> None:
    """A version that was removed by mistake would be lost though all of it is there."""
    document = exported(world)
    say(world, *types)
    assert only(world).removed
    assert imported(world, document) is Outcome.UNDELETED
    assert not only(world).removed
    world.verify()
    assert world.check().clean


def test_protection_tags_and_expiry_come_back(world: World) -> None:
    """A version would come back and be removed again by the next run of retention."""
    say(world, EventType.TAG, value="keep")
    say(world, EventType.PROTECT)
    say(world, EventType.EXPIRE, value="2031-01-01T00:00:00Z")
    document = exported(world)
    (_, protect, _) = document["events"]
    with world.open() as repository:
        uid = only_uid(document)
        events = [
            repository.new_event(EventType.UNPROTECT, [uid], cancels=[Uid(bytes.fromhex(protect["id"]))]),
            repository.new_event(EventType.REMOVE, [uid]),
        ]
        publish_events(repository, "test", lambda _: (events, []))
    assert only(world).removed
    imported(world, document)
    state = only(world)
    assert (state.removed, state.protected, state.tags) == (False, True, {"keep"})
    assert state.expires == "2031-01-01T00:00:00Z"


def only_uid(document: dict[str, Any]) -> Uid:
    """The uid in a document."""
    return Uid(bytes.fromhex(document["version"]["uid"]))


def test_into_a_copy_that_has_the_objects_but_not_the_version(world: World, tmp_path: Path) -> None:
    """A copy that has all the data could not be told of a version."""
    other = copy_of(world, tmp_path)
    # The same content under another name: all objects are there, the version is not.
    document = exported(world)
    document["version"]["uid"] = bytes(range(16)).hex()
    document["version"]["volume"] = "other"
    assert imported(other, document) is Outcome.PUBLISHED
    other.expected[bytes(range(16))] = CONTENT
    assert other.verify() == {only_uid(exported(world)), bytes(range(16))}
    assert other.check().clean


@pytest.mark.parametrize("count", [1, 1000])
def test_without_its_blocks_it_is_refused(world: World, tmp_path: Path, count: int) -> None:
    """A version would be listed that does not restore."""
    document = exported(world)
    say(world, EventType.REMOVE)
    other = copy_of(world, tmp_path)
    files = other.storage.files  # type: ignore[attr-defined]
    for name in sorted(name for name in files if name.startswith("packs/"))[:count]:
        del files[name]
    with pytest.raises(ObjectMissing, match="blocks that are not in this repository"):
        imported(other, document)
    assert only(other).removed


def test_into_a_foreign_repository_it_is_refused(world: World, tmp_path: Path) -> None:
    """A version would point at objects that only another repository has."""
    foreign = World(PlaceStorage(place="foreign"), tmp_path / "foreign").create()
    with pytest.raises(RepositoryError, match="another repository's") as caught:
        imported(foreign, exported(world))
    assert "packstore sync" in caught.value.advice
    assert not foreign.states()


def test_a_version_that_a_list_names_is_refused(world: World) -> None:
    """A collector would delete what the version that came back needs."""
    document = exported(world)
    say(world, EventType.REMOVE)
    with world.open() as repository:
        condemned = CondemnedList(Uid(bytes(range(16))), [], [only_uid(document)])
        data = encode_document(DocumentType.LIST, encode_list(condemned), repository.keyring.pack_mac)
    world.storage.put(f"gc/list-{bytes(range(16)).hex()}", data)
    with pytest.raises(VersionCondemned, match="about to be collected"):
        imported(world, document)
    assert only(world).removed


def test_packs_that_a_list_names_do_not_count(world: World) -> None:
    """A version would be published on packs that are deleted a moment later."""
    document = exported(world)
    say(world, EventType.REMOVE)
    with world.open() as repository:
        packs = sorted(pack.pack_id for pack in repository.index.packs() if pack.pack_type.name == "BLOCKS")
        condemned = CondemnedList(Uid(bytes(range(16))), packs[:1], [])
        data = encode_document(DocumentType.LIST, encode_list(condemned), repository.keyring.pack_mac)
    world.storage.put(f"gc/list-{bytes(range(16)).hex()}", data)
    with pytest.raises(ObjectMissing):
        imported(world, document)


def test_another_version_with_its_uid_is_refused(world: World) -> None:
    """Two versions with one uid: nobody could say which is restored."""
    document = exported(world)
    document["version"]["volume"] = "other"
    with pytest.raises(RepositoryError, match="another version"):
        imported(world, document)


def _change(document: dict[str, Any], path: str, value: object) -> None:
    *names, last = path.split(".")
    for name in names:
        document = document[name]
    document[last] = value


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        ("schema", 2, UnsupportedFormat),
        ("what", "something", UsageError),
        ("version", [], UsageError),
        ("version.uid", "zz", UsageError),
        ("version.uid", 7, UsageError),
        ("version.root", "00", UsageError),
        ("version.size", -1, UsageError),
        ("version.size", "big", UsageError),
        ("version.block_size", 3, UsageError),
        ("version.volume", "a/b", UsageError),
        ("version.counter", (1 << 64) - 1, UsageError),
        ("version.more", 1, UsageError),
        ("version.source", {"$hex": "x"}, UsageError),
        ("version.unreadable", [[1]], UsageError),
        ("version.unreadable", 5, UsageError),
        ("version.features", ["new"], PackstoreError),
        ("tags", 5, UsageError),
        ("repository", None, UsageError),
    ],
)
def test_what_is_no_version_is_refused(world: World, path: str, value: object, error: type[Exception]) -> None:
    """A file that was edited would come in as a version that no reader understands, or end in a traceback."""
    document = exported(world)
    _change(document, path, value)
    with pytest.raises(error):
        imported(world, document)


@pytest.mark.parametrize("document", [None, 1, "text", [], {}, {"what": "packstore version", "schema": 1}])
def test_what_is_no_export_is_refused(document: object) -> None:
    """Any other JSON file would end in a traceback."""
    with pytest.raises(UsageError):
        parse_export(document)


def test_a_version_of_another_shape_is_refused(world: World) -> None:
    """A version would be published whose tree does not fit its size."""
    document = exported(world)
    say(world, EventType.REMOVE)
    document["version"]["uid"] = bytes(16).hex()
    document["version"]["size"] = 90_000 * BLOCK
    with pytest.raises(PackstoreError, match="entries"):
        imported(world, document)
