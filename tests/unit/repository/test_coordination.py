"""Intents and lists: who may build on what, and who is dead."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from packstore.errors import DeclaredDead, FormatError, NameNotFound, StorageError
from packstore.fileops import FileOps
from packstore.format.document import DocumentType, encode_document
from packstore.format.intent import CondemnedList, encode_list
from packstore.format.pack import PackType
from packstore.ids import PackId, Uid
from packstore.packs.names import list_packs
from packstore.repository.coordination import other_writers, publish_intent
from packstore.repository.repository import Repository
from packstore.repository.runtime import ProcessIdentity, process_start
from packstore.sources.base import Source
from packstore.storage.file import FileStorage
from tests.support.devices import BLOCK, BytesSource, noise_blocks
from tests.support.recording import RecordingStorage
from tests.support.worlds import PlaceStorage, World, fixed_runtime

DEVICE = noise_blocks("coordination", 5)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A repository with one version."""
    found = World(PlaceStorage(), tmp_path / "index").create()
    found.backup(DEVICE)
    return found


def _condemn(repository: Repository, packs: list[PackId], versions: list[Uid], number: int = 1) -> str:
    uid = Uid(bytes([number]) * 16)
    body = encode_list(CondemnedList(uid, packs, versions))
    name = f"gc/list-{uid.hex()}"
    repository.storage.put(name, encode_document(DocumentType.LIST, body, repository.keyring.pack_mac))
    return name


def test_a_writer_lists_again_after_publishing(world: World) -> None:
    """A collector that did not see the intent could delete what the writer builds on."""
    with world.open() as repository:
        recorder = RecordingStorage(repository.storage)
        publish_intent(recorder, repository.keyring, fixed_runtime(), "test").withdraw()
    order = [name for name, _ in recorder.calls if name in {"list_files", "hold"}]
    assert order == ["list_files", "hold", "list_files"]


def test_a_list_that_appears_in_between_makes_it_begin_again(world: World) -> None:
    """The intent would not name a list that its writer does not honour, or honour less than there is."""
    with world.open() as repository:
        recorder = RecordingStorage(repository.storage)
        made: list[str] = []

        def before_hold(_: str) -> None:
            if not made:
                made.append(_condemn(repository, [PackId(b"p" * 16)], [Uid(b"v" * 16)]))

        recorder.before["hold"] = before_hold
        intent = publish_intent(recorder, repository.keyring, fixed_runtime(), "test")
        assert intent.condemned_packs == {b"p" * 16}
        assert intent.condemned_versions == {b"v" * 16}
        assert recorder.count()["hold"] == 2
        intents = [listed.name for listed in repository.storage.list_files("gc") if "intent" in listed.name]
        assert intents == [intent.name]


def test_condemned_packs_are_not_built_on(world: World) -> None:
    """A new version would refer to blocks that a collector is about to delete."""
    with world.open() as repository:
        old = set(list_packs(world.storage, PackType.BLOCKS)) | set(list_packs(world.storage, PackType.META))
        _condemn(repository, sorted(old), [state.version.uid for state in repository.states()])
    result = world.backup(DEVICE)
    assert result.base is None
    assert (result.counters.new, result.counters.dedup) == (len(DEVICE), 0)
    for name in [name for name in world.storage.files if name.startswith(("packs/", "meta/"))]:  # type: ignore[attr-defined]
        if bytes.fromhex(name[-32:]) in old:
            world.storage.delete(name)
    assert world.restore(result.version)[0] == DEVICE


def test_condemned_versions_are_no_base(world: World) -> None:
    """Pages taken over from a version that is being collected would vanish."""
    with world.open() as repository:
        _condemn(repository, [], [state.version.uid for state in repository.states()])
    result = world.backup(DEVICE)
    assert result.base is None
    assert result.counters.dedup == len(DEVICE)


def test_a_forged_list_stops_every_writer(world: World) -> None:
    """A list that cannot be honoured would be passed over."""
    with world.open() as repository:
        name = _condemn(repository, [], [])
        data = bytearray(repository.storage.read(name))
        forged = encode_document(DocumentType.LIST, bytes(data[16:-64]), lambda _: bytes(32))
        repository.storage.delete(name)
        repository.storage.put(name, forged)
        before = len(repository.storage.list_files("gc"))
        with pytest.raises(FormatError):
            publish_intent(repository.storage, repository.keyring, fixed_runtime(), "test")
        assert len(repository.storage.list_files("gc")) == before


def _dead_process() -> ProcessIdentity:
    process = subprocess.Popen(["sleep", "60"])
    start = process_start(process.pid)
    process.kill()
    process.wait()
    return replace(ProcessIdentity.current(), pid=process.pid, start=start or 1)


ME = ProcessIdentity.current()
CASES: dict[str, tuple[Callable[[], ProcessIdentity], bool]] = {
    "this process": (lambda: ME, False),
    "a process that ended": (_dead_process, True),
    "a pid that was used again": (lambda: replace(ME, start=ME.start + 1), True),
    "another host": (lambda: replace(_dead_process(), host="elsewhere"), False),
    "before the last boot": (lambda: replace(ME, boot="an earlier one"), True),
    "an unknown boot": (lambda: replace(ME, boot=""), False),
    "another pid namespace": (lambda: replace(_dead_process(), pid_namespace="pid:[1]"), False),
}


@pytest.mark.parametrize("case", CASES)
def test_without_locks_only_a_process_that_is_surely_gone_is_dead(world: World, case: str) -> None:
    """A live writer would be taken for dead, where nobody can tell by its lock."""
    make, dead = CASES[case]
    with world.open() as repository:
        recorder = RecordingStorage(repository.storage)
        recorder.is_held = lambda _: None  # type: ignore[attr-defined]
        theirs = publish_intent(recorder, repository.keyring, fixed_runtime(process=make()), "theirs")
        ours = publish_intent(recorder, repository.keyring, fixed_runtime(), "ours")
        found = other_writers(recorder, ours, ME)
        assert found.dead == ([theirs.name] if dead else [])
        assert found.alive == (0 if dead else 1)


def test_with_locks_a_free_one_is_dead_and_a_held_one_alive(tmp_path: Path) -> None:
    """The lock on a local disk is proof; the process must not be asked."""
    world = World(FileStorage(tmp_path / "r"), tmp_path / "index").create()
    with world.open() as repository:
        alive = publish_intent(world.storage, repository.keyring, fixed_runtime(process=_dead_process()), "alive")
        dead = publish_intent(world.storage, repository.keyring, fixed_runtime(), "dead")
        dead.leave()
        ours = publish_intent(world.storage, repository.keyring, fixed_runtime(), "ours")
        found = other_writers(world.storage, ours, ME)
        assert (found.dead, found.alive) == ([dead.name], 1)
        alive.withdraw()


def test_the_temporary_files_of_live_writers_are_left_alone(tmp_path: Path) -> None:
    """A backup would delete the pack that another one is writing."""
    world = World(FileStorage(tmp_path / "r"), tmp_path / "index").create()
    with world.open() as repository:
        other = publish_intent(world.storage, repository.keyring, fixed_runtime(), "other")
    new = world.storage.create("packs/aa/" + "aa" * 16)
    new.write(b"half")
    world.backup(DEVICE)
    assert world.storage.unfinished("packs") == ["packs/aa/" + "aa" * 16 + ".tmp"]
    other.leave()
    world.backup(DEVICE)
    assert world.storage.unfinished("packs") == []
    assert os.listdir(tmp_path / "r" / "gc") == []


def test_what_was_never_announced_is_swept(tmp_path: Path) -> None:
    """Each process killed while it announced itself, or while it listed garbage, would leave a file for ever."""
    world = World(FileStorage(tmp_path / "r"), tmp_path / "index").create()
    for name in ("intent", "list"):
        world.storage.create(f"gc/{name}-" + "aa" * 16).write(b"half")
    with world.open() as repository:
        other = publish_intent(world.storage, repository.keyring, fixed_runtime(), "a collector, at its list")
    world.backup(DEVICE)
    assert len(world.storage.unfinished("gc")) == 2
    other.leave()
    world.backup(DEVICE)
    assert os.listdir(tmp_path / "r" / "gc") == []


class _Sweeping(FileOps):
    """Another writer, which has seen no intent yet, sweeps the first `times` of them."""

    def __init__(self, times: int) -> None:
        self.times = times

    def rename(self, old: Path, new: Path) -> None:
        """Come too late."""
        if self.times and new.parent.name == "gc":
            self.times -= 1
            old.unlink()
        super().rename(old, new)


def test_an_intent_that_was_swept_is_made_again(tmp_path: Path) -> None:
    """Two writers that begin at the same moment would end one of them."""
    world = World(FileStorage(tmp_path / "r", _Sweeping(0)), tmp_path / "index").create()
    world.storage = FileStorage(tmp_path / "r", _Sweeping(2))
    world.backup(DEVICE)
    assert world.verify()
    assert os.listdir(tmp_path / "r" / "gc") == []
    world.storage = FileStorage(tmp_path / "r", _Sweeping(1000))
    with pytest.raises(NameNotFound, match="cannot publish gc/intent"):
        world.backup(DEVICE)  # and yet nobody may try for ever where the whole directory is gone


class _Killer:
    """Deletes every intent when a named file of `meta/` is about to be, or has been, published."""

    def __init__(self, world: World, *, times: int) -> None:
        self.world = world
        self.times = times

    def __call__(self, name: str) -> None:
        if self.times and name.startswith("meta/"):
            self.times -= 1
            for listed in self.world.storage.list_files("gc"):
                self.world.storage.delete(listed.name)


def _backup_with(world: World, killer: _Killer, source: Source) -> World:
    recorder = RecordingStorage(world.storage)
    recorder.before["create"] = killer
    spied = World(recorder, world.index_root)
    spied.backup(source)
    return spied


def test_a_writer_declared_dead_takes_its_version_back_and_starts_over(world: World) -> None:
    """A version over blocks that were collected meanwhile would stay, and count as a success."""
    changed = DEVICE + noise_blocks("more", 2)
    _backup_with(world, _Killer(world, times=1), BytesSource(changed))
    states = world.states()
    assert [state.removed for state in states] == [False, True, False]
    assert world.restore(states[-1].version)[0] == changed
    assert states[-1].version.base == states[0].version.uid
    assert world.storage.list_files("gc") == []


def test_a_writer_that_is_always_declared_dead_gives_up(world: World) -> None:
    """It would try for ever, or report success for nothing."""
    with pytest.raises(DeclaredDead):
        _backup_with(world, _Killer(world, times=99), BytesSource(DEVICE + bytes(BLOCK) + b"x"))
    first, *others = [state.removed for state in world.states()]
    assert not first
    assert others
    assert all(others)
    assert world.check().clean


def test_a_pack_that_vanishes_before_the_commit_stops_it(world: World) -> None:
    """A version would be committed over a pack that is gone."""
    source = BytesSource(noise_blocks("new", 3) + DEVICE)
    packs = [listed.name for listed in world.storage.list_files("packs")]

    def vanish(_: list[str]) -> list[str]:
        for name in packs:
            world.storage.delete(name)
        return []

    source.finish = lambda: vanish([])  # type: ignore[method-assign]
    before = len(world.states())
    with pytest.raises(StorageError):
        world.backup(source, "another")
    assert len(world.states()) == before
