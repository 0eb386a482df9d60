"""A collector that is killed at any step costs nothing, and the next one finishes what it began."""

from pathlib import Path

import pytest

from packstore.format.record import Encryption
from packstore.storage.memory import MemoryStorage
from tests.collection.test_gc import changed, device, gc_files, is_sound
from tests.support.dying import DyingStorage, Killed
from tests.support.worlds import PlaceStorage, World


def prepare(root: Path) -> World:
    """A repository in which a collection has everything to do: delete, copy out, merge, forget."""
    world = World(PlaceStorage(), root / "index", Encryption.NONE).create()
    data = device(1)
    first = world.backup(data).version
    data = changed(data, 2, *range(2, 33))
    world.backup(data)
    gone = world.backup(device(3, 20), "other").version
    for seed in range(3):
        data = changed(data, seed, seed)
        world.backup(data)
    world.remove(first.uid, gone.uid)
    return world


def rounds(world: World) -> None:
    """Collect until nothing is left to do."""
    for _ in range(3):
        world.gc(merge_metas=3, merge_blocks=3)


def test_killed_at_every_change(tmp_path: Path) -> None:
    """Power is lost in the middle of a collection, and a version with it."""
    world = prepare(tmp_path)
    shared = world.storage
    assert isinstance(shared, MemoryStorage)
    files = dict(shared.files)
    world.storage = counting = DyingStorage(shared)
    world.gc(merge_metas=3, merge_blocks=3)
    total = counting.changes
    assert total > 20
    world.storage = shared
    rounds(world)
    final = sum(len(data) for name, data in shared.files.items() if name.startswith("packs/"))
    for at in range(1, total + 1):
        for after in (False, True):
            shared.files.clear()
            shared.files.update(files)
            world.storage = DyingStorage(shared, at, after=after)
            with pytest.raises(Killed):
                world.gc(merge_metas=3, merge_blocks=3)
            world.storage = shared
            assert len(world.verify()) == 4, (at, after)
            rounds(world)
            assert len(world.verify()) == 4, (at, after)
            assert not gc_files(shared), (at, after)
            assert sum(len(data) for name, data in shared.files.items() if name.startswith("packs/")) <= final
    assert is_sound(world)


def test_killed_twice(tmp_path: Path) -> None:
    """A second collector that is killed while it finishes the first one's list would lose what the first had copied."""
    world = prepare(tmp_path)
    shared = world.storage
    assert isinstance(shared, MemoryStorage)
    files = dict(shared.files)
    world.storage = counting = DyingStorage(shared)
    world.gc(merge_metas=3, merge_blocks=3)
    total = counting.changes
    for first in range(3, total, 5):
        for second in range(2, total, 7):
            shared.files.clear()
            shared.files.update(files)
            for at in (first, second):
                world.storage = DyingStorage(shared, at)
                try:
                    world.gc(merge_metas=3, merge_blocks=3)
                except Killed:
                    continue
            world.storage = shared
            assert len(world.verify()) == 4, (first, second)
    assert is_sound(world)
