"""What the next backup makes of what was lost, and what others do meanwhile."""

import shutil
import threading
from pathlib import Path

import pytest

from packstore.errors import StorageGone
from packstore.format.pack import PackType
from packstore.operations.check import check_repository
from packstore.packs.names import list_packs
from packstore.progress import NullProgress, StopRequest
from packstore.storage.file import FileStorage
from tests.support.devices import noise_blocks
from tests.support.worlds import PlaceStorage, World, restore_bytes

DEVICE = noise_blocks("healing", 40)


def first_pack(world: World) -> str:
    """Return the name of one pack of blocks."""
    return next(iter(list_packs(world.storage, PackType.BLOCKS).values())).name


def damaged_world(tmp_path: Path) -> tuple[World, PlaceStorage]:
    """Return a repository with one flipped bit in a block of its only version."""
    storage = PlaceStorage()
    world = World(storage, tmp_path).create()
    world.backup(DEVICE)
    name = first_pack(world)
    data = bytearray(storage.files[name])
    data[300_000] ^= 1
    storage.files[name] = bytes(data)
    return world, storage


def test_after_a_check_the_next_backup_heals(tmp_path: Path) -> None:
    """Good data at hand would be taken for known, and every later version have the same hole."""
    world, _ = damaged_world(tmp_path)
    assert not world.check().clean
    healed = world.backup(DEVICE)
    assert 0 < healed.counters.new <= 64 * 1024
    assert world.verify() == set(world.expected)
    assert not world.check().versions


def test_after_a_restore_the_next_backup_heals(tmp_path: Path) -> None:
    """Damage that a restore has met would be forgotten."""
    world, _ = damaged_world(tmp_path)
    with world.open() as repository:
        _, result = restore_bytes(repository, repository.states()[0].version)
    assert result.damaged
    world.backup(DEVICE)
    assert world.verify() == set(world.expected)


def test_a_keyless_check_is_enough(tmp_path: Path) -> None:
    """A check on a machine without the key, the same one that backs up, would help nothing."""
    world, _ = damaged_world(tmp_path)
    assert not world.check_keyless().clean
    world.backup(DEVICE, "other")
    assert world.verify() == set(world.expected)


def test_a_lost_pack_is_stored_again(tmp_path: Path) -> None:
    """A backup would report success over blocks that nobody has any more."""
    storage = PlaceStorage()
    world = World(storage, tmp_path).create()
    world.backup(DEVICE)
    del storage.files[first_pack(world)]
    world.backup(DEVICE)
    assert world.verify() == set(world.expected)


def test_a_backup_during_a_check_is_no_damage(tmp_path: Path) -> None:
    """Whoever backs up while a check runs would be told that the new version is damaged."""
    world = World(PlaceStorage(), tmp_path).create()
    world.backup(DEVICE)
    other = World(world.storage, tmp_path / "other", threads=1)

    class BackingUp(NullProgress):
        """Backs up once, when the packs have been listed."""

        done = False

        def advance(self, done_bytes: int) -> None:
            """Do it at the first chance."""
            if not self.done:
                self.done = True
                thread = threading.Thread(target=other.backup, args=(noise_blocks("later", 20), "later"))
                thread.start()
                thread.join()
                repository.refresh(NullProgress())  # as where both share an index

    with world.open() as repository:
        progress = BackingUp()
        report = check_repository(repository, StopRequest(), progress, threads=2)
        repository.refresh(NullProgress())
    assert progress.done
    assert report.clean


def test_a_repository_that_is_gone_is_not_damage(tmp_path: Path) -> None:
    """For an unplugged disk a device would be filled with zeros, and called restored but for some ranges."""
    root = tmp_path / "repository"
    world = World(FileStorage(root), tmp_path / "index").create()
    world.backup(DEVICE)
    with world.open() as repository:
        version = repository.states()[0].version
        shutil.move(root, tmp_path / "elsewhere")
        root.mkdir()
        with pytest.raises(StorageGone):
            restore_bytes(repository, version)
        with pytest.raises(StorageGone):
            check_repository(repository, StopRequest(), NullProgress(), threads=2)
