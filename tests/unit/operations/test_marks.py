"""What is said about versions while others write, collect, or take the writer for dead."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from packstore.errors import DeclaredDead, StorageGone, VersionCondemned
from packstore.format.document import DocumentType, encode_document
from packstore.format.intent import CondemnedList, encode_list
from packstore.format.version import EventType
from packstore.ids import Uid
from packstore.operations.guards import AgeGuard, committed_ms
from packstore.operations.marks import add_tags, expire, protect, remove_tags, unprotect
from packstore.operations.removal import remove, undelete
from packstore.repository.history import VersionState
from packstore.repository.repository import Repository
from packstore.storage.base import NewFile
from packstore.storage.memory import MemoryStorage
from tests.support.devices import noise
from tests.support.worlds import PlaceStorage, World

Action = Callable[[Repository], object]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A repository with one version."""
    found = World(PlaceStorage(), tmp_path / "index").create()
    found.backup(noise("marks", 70_000), "disk")
    return found


def shown(state: VersionState) -> tuple[object, ...]:
    """All that events make of a version."""
    return state.removed, state.protected, state.gone, sorted(state.tags), state.expires


def say(repository: Repository, action: str) -> object:
    """Do one of the things that can be said about a version."""
    uid = repository.states()[0].version.uid.hex()
    actions: dict[str, Action] = {
        "tag": lambda repository: add_tags(repository, uid, ["a", "new"]),
        "untag": lambda repository: remove_tags(repository, uid, ["old", "a"]),
        "protect": lambda repository: protect(repository, uid, "reason"),
        "unprotect": lambda repository: unprotect(repository, uid),
        "expire": lambda repository: expire(repository, uid, "2030-01-01T00:00:00Z"),
        "never": lambda repository: expire(repository, uid, None),
        "rm": lambda repository: remove(repository, [uid], AgeGuard(repository), force=True),
        "undelete": lambda repository: undelete(repository, [uid]),
    }
    return actions[action](repository)


BEFORE = {
    "tag": ["tag", "untag"],
    "untag": ["tag"],
    "protect": [],
    "unprotect": ["protect"],
    "expire": [],
    "never": ["expire"],
    "rm": [],
    "undelete": ["rm"],
}


class _DeadAfter(PlaceStorage):
    """A storage where somebody declares the writer dead as soon as it has published a meta pack."""

    def create(self, name: str) -> NewFile:
        if name.startswith("meta/"):
            for intent in [name for name in self.files if name.startswith("gc/intent-")]:
                del self.files[intent]
        return super().create(name)


@pytest.mark.parametrize("action", BEFORE)
def test_who_was_declared_dead_takes_back_what_it_said(world: World, action: str) -> None:
    """A version would be undeleted or protected whose blocks a collector has deleted meanwhile."""
    with world.open() as repository:
        for earlier in BEFORE[action]:
            say(repository, earlier)
        before = shown(repository.states()[0])
        storage = repository.storage
        assert isinstance(storage, PlaceStorage)
        repository.storage = repository.sync._storage = dead = _DeadAfter(storage.files)
        dead.files = storage.files
        with pytest.raises(DeclaredDead):
            say(repository, action)
        repository.storage = repository.sync._storage = storage
        assert shown(repository.states()[0]) == before


@pytest.mark.parametrize("action", BEFORE)
def test_what_is_said_is_so(world: World, action: str) -> None:
    """The test above would compare two states that are the same anyway."""
    with world.open() as repository:
        for earlier in BEFORE[action]:
            say(repository, earlier)
        before = shown(repository.states()[0])
        say(repository, action)
        assert shown(repository.states()[0]) != before
        assert not [name for name in world.storage.files if name.startswith("gc/")]  # type: ignore[attr-defined]


def _condemn(repository: Repository, uids: list[Uid]) -> None:
    found = CondemnedList(repository.runtime.new_uid(), [], uids)
    document = encode_document(DocumentType.LIST, encode_list(found), repository.keyring.pack_mac)
    repository.storage.put(f"gc/list-{found.id.hex()}", document)


def test_a_list_that_appears_while_the_writer_begins_counts(world: World) -> None:
    """A version would be undeleted that a collector has just decided to collect."""
    with world.open() as repository:
        say(repository, "rm")
        uid = repository.states()[0].version.uid
        storage = repository.storage
        made: list[bool] = []

        class Between(PlaceStorage):
            def hold(self, name: str, data: bytes) -> object:  # type: ignore[override]
                if not made:
                    made.append(True)
                    _condemn(repository, [uid])
                return super().hold(name, data)

        assert isinstance(storage, PlaceStorage)
        between = Between(storage.files)
        between.files = storage.files
        repository.storage = between
        with pytest.raises(VersionCondemned):
            say(repository, "undelete")
        assert made
        assert repository.states()[0].removed


def test_two_who_speak_at_once(tmp_path: Path) -> None:
    """One of two writers would overwrite what the other has said."""
    storage = PlaceStorage()
    world = World(storage, tmp_path / "index").create()
    world.backup(noise("marks", 70_000), "disk")
    ready = threading.Barrier(2)

    def work(number: int) -> None:
        other = World(storage, tmp_path / f"index-{number}")
        with other.open() as repository:
            ready.wait()
            for step in range(5):
                add_tags(repository, "disk", [f"{number}-{step}"])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.states()[0].tags == {f"{number}-{step}" for number in range(2) for step in range(5)}


def test_a_failed_write_says_nothing(world: World) -> None:
    """A removal that was reported as failed would count."""

    class Broken(PlaceStorage):
        def create(self, name: str) -> NewFile:
            if name.startswith("meta/"):
                raise StorageGone("unplugged")
            return super().create(name)

    with world.open() as repository:
        storage = repository.storage
        assert isinstance(storage, PlaceStorage)
        broken = Broken(storage.files)
        broken.files = storage.files
        repository.storage = broken
        with pytest.raises(StorageGone):
            say(repository, "rm")
    assert not world.states()[0].removed
    assert world.verify()


def test_the_time_of_a_commit(world: World) -> None:
    """A version's age would be that of a pack which has nothing to do with its commit."""
    with world.open() as repository:
        (state,) = repository.states()
        (name,) = [name for name in world.storage.files if name.startswith("meta/")]  # type: ignore[attr-defined]
        storage = world.storage
        assert isinstance(storage, MemoryStorage)
        storage.modified[name] = 1234
        assert committed_ms(repository, state.version) == 1234
        say(repository, "tag")
        say(repository, "expire")
        assert committed_ms(repository, state.version) == 1234
        del storage.modified[name]
        assert committed_ms(repository, state.version) is None


def test_damage_does_not_make_a_version_older(world: World) -> None:
    """Whoever can flip a bit in a pack could have a version removed that is a day old."""
    with world.open() as repository:
        (state,) = repository.states()
        storage = world.storage
        assert isinstance(storage, MemoryStorage)
        (name,) = [name for name in storage.files if name.startswith("meta/")]
        storage.modified[name] = 1234
        data = bytearray(storage.files[name])
        data[-1] ^= 1
        storage.files[name] = bytes(data)
        assert committed_ms(repository, state.version) == 1234


def test_many_versions_in_one_command(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prune of many versions would make an event that is too large to be read."""
    monkeypatch.setattr("packstore.operations.removal._EVENT_VERSIONS", 2)
    for _ in range(4):
        world.backup(noise("marks", 70_000), "disk")
    with world.open() as repository:
        uids = [state.version.uid.hex() for state in repository.states()]
        remove(repository, uids, AgeGuard(repository), force=True)
        assert all(state.removed for state in repository.states())
        sizes = [len(event.versions) for event in repository.events() if event.type == EventType.REMOVE]
        assert sorted(sizes) == [1, 2, 2]
        undelete(repository, uids)
        assert not any(state.removed for state in repository.states())
