"""Write errors: what failed to reach the disk is never reported as done."""

import errno
from pathlib import Path

import pytest

from packstore.errors import PackstoreError, StorageError, StorageFull
from packstore.storage.file import FileStorage
from tests.support.devices import noise_blocks
from tests.support.faults import FaultyFileOps
from tests.support.worlds import World

DEVICE = noise_blocks("write errors", 18) + b"tail"


def _is_of_data(operation: str, *args: object) -> bool:
    """Leave out what follows the commit: the intent is removed, and its lock given up."""
    return operation != "fsync_directory" or args[0].name != "gc"  # type: ignore[attr-defined]


@pytest.mark.parametrize("operation", ["fsync", "fsync_directory", "rename", "write"])
def test_a_failed_write_is_never_success(fast_path: Path, operation: str) -> None:
    """A backup would report success although the kernel had thrown away what it could not write."""
    fired = 0
    for at in range(1, 200):
        root = fast_path / f"{at}"
        World(FileStorage(root), fast_path / "index").create()
        ops = FaultyFileOps(errno.EIO, at, frozenset({operation}))
        ops.applies = _is_of_data
        world = World(FileStorage(root, ops), fast_path / "index", threads=1)
        try:
            world.backup(DEVICE)
        except StorageError:
            assert ops.fired
        else:
            assert not ops.fired, f"{operation} number {at} failed and the backup said nothing"
            break
        fired += 1
    assert fired >= 3


def test_a_file_whose_fsync_failed_is_given_up(fast_path: Path) -> None:
    """A second fsync on the same file may succeed without the data: the kernel forgets them."""
    ops = FaultyFileOps(errno.EIO, 1, frozenset({"fsync"}))
    storage = FileStorage(fast_path, ops)
    new = storage.create("file")
    new.write(b"data")
    with pytest.raises(StorageError):
        new.publish()
    new.discard()
    assert ops.calls == 1
    assert list(fast_path.iterdir()) == []


@pytest.mark.parametrize("sticky", [False, True])
def test_a_full_disk_has_its_own_error(fast_path: Path, sticky: bool) -> None:
    """A full disk would look like any other failure, and nobody would think of making room."""
    World(FileStorage(fast_path / "r"), fast_path / "index").create()
    ops = FaultyFileOps(errno.ENOSPC, 30, frozenset({"write"}), sticky=sticky)
    world = World(FileStorage(fast_path / "r", ops), fast_path / "index", threads=1)
    with pytest.raises(StorageFull) as caught:
        world.backup(noise_blocks("full", 60))
    assert isinstance(caught.value, PackstoreError)
    assert caught.value.advice


def test_a_failed_publication_leaves_no_lock(fast_path: Path) -> None:
    """An intent that could not be published would be held by this process until it ends, and look alive."""
    ops = FaultyFileOps(errno.EIO, 1, frozenset({"fsync_directory"}))
    fast_path.joinpath("gc").mkdir()
    storage = FileStorage(fast_path, ops)
    with pytest.raises(StorageError):
        storage.hold("gc/intent", b"data")
    if storage.exists("gc/intent"):
        assert storage.is_held("gc/intent") is False
