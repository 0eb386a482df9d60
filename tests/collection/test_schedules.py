"""Schedules that lose data in weaker protocols, step by step; and the three rules without which ours would.

Each runs the real code, stopped before chosen storage operations. Where a rule is taken away, the loss is
shown to happen: a rule of which nobody can show what it is for will be dropped one day.
"""

import builtins
import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import packstore.operations.base
import packstore.operations.gc
import packstore.operations.gc_mark
import packstore.repository.coordination
from packstore.errors import DamageError, Interrupted, PackstoreError
from packstore.format.intent import CondemnedList, IntentRole
from packstore.format.record import Kind
from packstore.format.version import Event, EventType
from packstore.ids import Uid
from packstore.index.tables import KnownPack
from packstore.operations.backup import BackupOptions, backup
from packstore.operations.checkpoints import CheckpointPolicy
from packstore.operations.events import publish_events
from packstore.operations.gc import GcOptions, collect
from packstore.progress import NullProgress, StopRequest
from packstore.repository.coordination import WriterIntent, publish_notice
from packstore.repository.notices import publish_list
from packstore.repository.repository import Repository
from packstore.storage.memory import MemoryStorage
from tests.collection.test_gc import changed, device, is_sound, stored
from tests.collection.test_interleaved import Play
from tests.support.devices import BLOCK, BytesSource
from tests.support.stage import Actor, Stage
from tests.support.worlds import World, restore_bytes

BLOCKS = 12


class Scene:
    """A repository, and actors that are moved by hand."""

    def __init__(self, root: Path) -> None:
        self.stage = Stage(1)
        self.play = Play(root, 1, self.stage)
        self.world = self.play.world(self.play.shared, "outside").create()
        self.world.pack_size = 1 << 20

    @property
    def storage(self) -> MemoryStorage:
        """The files."""
        return self.play.shared

    def act(self, name: str, work: Callable[[Repository], object]) -> Actor:
        """Add an actor."""
        return self.stage.add(name, self.play.acting(name, lambda repository, _: work(repository), 1, self.storage))

    def writer(self, name: str, data: bytes, volume: str = "a") -> Actor:
        """A backup."""

        def work(repository: Repository) -> None:
            result = backup(
                repository, BytesSource(data), BackupOptions(volume, threads=1), StopRequest(), NullProgress()
            )
            self.world.expected[result.version.uid] = data

        return self.act(name, work)

    def collector(self, name: str) -> Actor:
        """A collection that takes everything it may."""

        def work(repository: Repository) -> None:
            options = GcOptions(threshold=1, beside=True, threads=1, merge_blocks=99, merge_metas=99)
            collect(repository, options, StopRequest(), NullProgress())

        return self.act(name, work)

    def run(self, actor: Actor, until: str = "") -> None:
        """Let an actor go on to the end, or up to just before the first step whose text begins with `until`."""
        while not actor.over:
            if until and actor.next.startswith(until):
                return
            actor.go()
        if actor.error is not None and not isinstance(actor.error, PackstoreError):
            raise actor.error


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """An empty repository."""
    return Scene(tmp_path)


def lost(scene: Scene) -> bool:
    """Say whether a version that is there cannot be restored."""
    try:
        scene.world.verify()
    except (AssertionError, DamageError):
        return True
    return False


def a1(scene: Scene) -> None:
    """A writer lists `gc/`; a collector lists packs, sees no intent, and deletes; the writer relies on them."""
    data = device(1, BLOCKS)
    first = scene.world.backup(data, "first").version
    scene.world.remove(first.uid)
    writer = scene.writer("writer", data)
    scene.run(writer, "publish gc/intent")
    collector = scene.collector("collector")
    scene.run(collector, "delete packs/")
    scene.run(writer, "publish meta/")
    scene.run(collector)
    scene.run(writer)


def test_a1(scene: Scene) -> None:
    """An intent that was published too late to be seen, by a writer that has not seen the list."""
    a1(scene)
    assert not lost(scene)
    assert is_sound(scene.world)


def test_a1_without_the_second_listing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second listing looks superfluous, and is dropped."""
    real = packstore.repository.coordination.list_names
    seen: list[set[str]] = []

    def once(storage: MemoryStorage) -> set[str]:
        if getattr(storage, "_actor", None) is not None and storage._actor.name == "writer":
            seen.append(seen[0] if seen else real(storage))
            return seen[0]
        return real(storage)

    monkeypatch.setattr(packstore.repository.coordination, "list_names", once)
    a1(scene)
    assert lost(scene)


def a2(scene: Scene) -> None:
    """What a writer takes over from its base is looked up nowhere: the base itself must be condemned."""
    data = device(1, BLOCKS)
    first = scene.world.backup(data, "a").version
    scene.world.backup(device(2, BLOCKS), "b")
    scene.world.remove(first.uid)
    with scene.world.open() as repository:
        hold = publish_notice(scene.storage, repository.keyring, repository.runtime, "hold", IntentRole.HOLD)
    scene.run(scene.collector("lister"))  # publishes a list that names the version, and cannot go on
    removal = [event for event in _events(scene.world) if event.type == EventType.REMOVE]
    # Undeleted in another copy of the repository, and merged: here nobody was asked.
    scene.world.event(EventType.UNDELETE, first.uid, cancels=(removal[0].id,))
    hold.withdraw()
    writer = scene.writer("writer", changed(data, 3, 0))
    scene.run(writer, "publish meta/")
    scene.world.remove(first.uid)
    scene.run(scene.collector("collector"))
    scene.run(writer)


def _events(world: World) -> list[Event]:
    with world.open() as repository:
        return repository.events()


def test_a2(scene: Scene) -> None:
    """A version that a list names is taken as a base."""
    a2(scene)
    assert not lost(scene)
    assert is_sound(scene.world)


def test_a2_without_the_versions_in_the_list(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Naming packs only looks enough, and the versions are dropped from the list."""
    real = packstore.operations.base.choose_base

    def blind(repository: Repository, intent: WriterIntent, volume: str, asked: str | None) -> object:
        intent.condemned_versions.clear()
        return real(repository, intent, volume, asked)

    monkeypatch.setattr("packstore.operations.backup.choose_base", blind)
    monkeypatch.setattr("packstore.repository.session.Session.undamaged", lambda _session, _kind, ids: set(ids))
    a2(scene)
    assert lost(scene)


def _choose(*arguments: Any) -> Any:
    """Of two copies, the two collectors keep different ones."""
    if len(arguments) > 1:
        return builtins.min(arguments)
    (numbers,) = arguments
    return (builtins.max if threading.current_thread().name == "two" else builtins.min)(numbers)


def a3(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two copies of every object, two collectors, each of which condemns the other's."""
    monkeypatch.setattr(packstore.operations.gc_mark, "min", _choose, raising=False)
    data = device(1, BLOCKS)
    scene.world.backup(data, "a")
    names = [name for name in scene.storage.files if name.startswith(("packs/", "meta/"))]
    half = dict(scene.storage.files)
    for name in names:
        del scene.storage.files[name]
    again = scene.world.backup(data, "b").version
    scene.storage.files.update({name: half[name] for name in names})
    assert again
    one, two = scene.collector("one"), scene.collector("two")
    scene.run(one, "publish gc/list")
    scene.run(two, "publish gc/list")
    scene.run(one, "delete packs/")
    scene.run(two, "delete packs/")
    scene.run(one)
    scene.run(two)


def test_a3(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of two collectors keeps the copy that the other one deletes."""
    a3(scene, monkeypatch)
    assert not lost(scene)
    assert is_sound(scene.world)


def test_a3_with_lists_read_too_early(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lists that were read for the plan look good enough for the deletion."""
    real = packstore.operations.gc.list_names
    calls: dict[str, int] = {}

    def early(storage: MemoryStorage) -> set[str]:
        """What a listing would have shown before the other collector published its list."""
        name = storage._actor.name if getattr(storage, "_actor", None) is not None else ""
        calls[name] = calls.get(name, 0) + 1
        found = real(storage)
        return {found_name for found_name in found if found_name not in foreign(name)}

    def foreign(name: str) -> set[str]:
        return {step.split()[-1] for step in scene.stage.trace if "publish gc/list" in step and name not in step}

    monkeypatch.setattr(packstore.operations.gc, "list_names", early)
    a3(scene, monkeypatch)
    assert calls
    assert lost(scene)


def test_a6_undelete_of_what_a_list_names(scene: Scene) -> None:
    """A version comes back whose packs a collector is about to delete."""
    first = scene.world.backup(device(1, BLOCKS), "a").version
    scene.world.remove(first.uid)
    collector = scene.collector("collector")
    scene.run(collector, "delete packs/")
    seen: list[set[Uid]] = []

    def work(repository: Repository) -> None:
        publish_events(
            repository, "undelete", lambda intent: (seen.append(set(intent.condemned_versions)), ([], []))[1]
        )

    scene.run(scene.act("undelete", work))
    assert first.uid in seen[0]
    scene.run(collector)
    assert stored(scene.storage) == 0


def test_a7_a_writer_that_was_declared_dead(scene: Scene) -> None:
    """A laptop sleeps during a backup, is taken for dead, wakes up and commits a version over nothing."""
    data = device(1, BLOCKS)
    first = scene.world.backup(data, "first").version
    writer = scene.writer("writer", data)
    scene.run(writer, "publish meta/")
    scene.world.remove(first.uid)
    (intent,) = [name for name in scene.storage.files if name.startswith("gc/intent-")]
    del scene.storage.files[intent]
    scene.run(scene.collector("collector"))
    scene.run(writer)
    assert writer.error is None
    assert not lost(scene)
    present = [state for state in scene.world.states() if not state.removed]
    assert [state.version.volume for state in present] == ["a"]  # it has noticed, and has started over
    assert is_sound(scene.world)


def test_a4_what_cannot_be_read_is_not_garbage(scene: Scene) -> None:
    """A page that cannot be read hides blocks, and they are deleted."""
    data = device(1, 600)
    first = scene.world.backup(data, "a").version
    second = scene.world.backup(device(2, BLOCKS), "b").version
    scene.world.remove(second.uid)
    with scene.world.open() as repository:
        (place,) = repository.index.locate(Kind.PAGE, first.root)
    name = f"meta/{place.pack_id.hex()}"
    damaged = bytearray(scene.storage.files[name])
    damaged[place.offset + 150] ^= 1
    scene.storage.files[name] = bytes(damaged)
    before = {name for name in scene.storage.files if name.startswith("packs/")}
    with pytest.raises(PackstoreError, match="nothing was deleted"):
        scene.world.gc()
    assert {name for name in scene.storage.files if name.startswith("packs/")} == before
    scene.world.remove(first.uid)  # what its advice says clears the way
    scene.world.gc()
    assert stored(scene.storage) == 0


def test_a5_a_slow_clock(scene: Scene) -> None:
    """A pack whose name sorts before what was seen already is never seen, and its blocks are deleted."""
    scene.world.backup(device(1, BLOCKS), "a")
    scene.run(scene.collector("before"))
    with scene.world.open() as repository:
        slow = dataclasses.replace(repository.runtime, now_ms=lambda: 1)
    data = device(2, BLOCKS)
    scene.world.backup(data, "b", runtime=slow)
    scene.run(scene.collector("after"))
    assert len(scene.world.verify()) == 2


def test_a8_a_damaged_copy_is_no_copy(scene: Scene) -> None:
    """Of two copies of a block the damaged one is kept."""
    data = device(1, BLOCKS)
    scene.world.backup(data, "a")
    files = {name: content for name, content in scene.storage.files.items() if name.startswith(("packs/", "meta/"))}
    for name in files:
        del scene.storage.files[name]
    scene.world.backup(data, "b")
    for name in [name for name in scene.storage.files if name.startswith("packs/")]:
        content = bytearray(scene.storage.files[name])
        content[len(content) // 2] ^= 1
        scene.storage.files[name] = bytes(content)
    scene.storage.files.update(files)
    for number in range(3):
        scene.run(scene.collector(f"collector {number}"))
    assert not lost(scene)


def interrupted(scene: Scene, data: bytes, at: int) -> None:
    """A backup that is asked to stop at its n-th read, with a checkpoint after each pack."""
    stop = StopRequest()
    source = BytesSource(data)
    source.on_read = lambda number: stop.request() if number == at else None
    with pytest.raises(Interrupted):
        scene.world.backup(source, "long", stop=stop, checkpoints=CheckpointPolicy(stored_bytes=1))


def test_b8_a_checkpoint_keeps_what_an_unfinished_backup_has_stored(scene: Scene) -> None:
    """Ninety per cent of a first backup of many days are collected during the night."""
    data = device(1, 600)
    interrupted(scene, data, 590)
    for number in range(3):
        scene.run(scene.collector(f"collector {number}"))
    before = stored(scene.storage)
    result = scene.world.backup(data, "long")
    assert stored(scene.storage) - before < 120 * BLOCK
    assert result.counters.new < 120 * BLOCK
    assert scene.world.verify()
    # Committed: what only the checkpoint needed goes.
    scene.world.remove(result.version.uid)
    for number in range(3, 6):
        scene.run(scene.collector(f"collector {number}"))
    assert stored(scene.storage) == 0


def test_b8_a_backup_goes_on_beside_a_collector(scene: Scene) -> None:
    """A resumed backup trusts pages whose blocks a collector, which has seen a later version, is deleting."""
    data = device(1, 600)
    interrupted(scene, data, 590)
    other = scene.world.backup(changed(data, 7, 3), "long").version
    scene.world.remove(other.uid)
    collector = scene.collector("collector")
    scene.run(collector, "publish gc/list")
    writer = scene.writer("writer", data, "long")
    scene.run(writer, "publish meta/")
    scene.run(collector)
    scene.run(writer)
    assert not lost(scene)
    assert is_sound(scene.world)


def test_b10_the_base_goes_while_a_writer_begins(scene: Scene) -> None:
    """A base that was chosen before the intent stood is collected before the writer can say so."""
    data = device(1, BLOCKS)
    first = scene.world.backup(data, "a").version
    writer = scene.writer("writer", changed(data, 2, 1))
    scene.run(writer, "publish gc/intent")
    scene.world.remove(first.uid)
    scene.run(scene.collector("collector"))
    scene.run(writer)
    assert not lost(scene)
    assert is_sound(scene.world)


def test_b2_a_list_that_came_with_a_copy_is_no_permission(scene: Scene) -> None:
    """A list made in another copy, where the version was removed, deletes what is needed here."""
    data = device(1, BLOCKS)
    scene.world.backup(data, "a")
    with scene.world.open() as repository:
        packs = [place.pack_id for place in _places(repository)]
        publish_list(scene.storage, repository.keyring, CondemnedList(repository.runtime.new_uid(), packs, []))
    scene.run(scene.collector("collector"))
    assert not [name for name in scene.storage.files if name.startswith("gc/")]
    assert not lost(scene)
    assert is_sound(scene.world)


def _places(repository: Repository) -> list[KnownPack]:
    return repository.index.packs()


def test_b5_a_removal_and_a_protection_meet(scene: Scene) -> None:
    """Of a removal in one copy and a protection in the other the one with the later clock would win."""
    data = device(1, BLOCKS)
    first = scene.world.backup(data, "a").version
    scene.world.event(EventType.PROTECT, first.uid)  # in one copy
    scene.world.event(EventType.REMOVE, first.uid)  # in the other, which had not heard of it
    scene.run(scene.collector("collector"))
    assert scene.world.verify() == {first.uid}


def test_a_reader_finds_what_a_collector_has_moved(scene: Scene) -> None:
    """A long restore fails because the pack that it was about to read was repacked."""
    data = device(1, 40)
    first = scene.world.backup(changed(data, 2, *range(30)), "a").version
    kept = scene.world.backup(data, "a").version
    scene.world.remove(first.uid)
    seen: list[bytes] = []

    def work(repository: Repository) -> None:
        read, result = restore_bytes(repository, kept, 1)
        assert not result.bad_ranges
        seen.append(read)

    reader = scene.act("reader", work)
    for _ in range(12):
        reader.go()
    for number in range(3):
        scene.run(scene.collector(f"collector {number}"))
    scene.run(reader)
    assert seen == [data]
