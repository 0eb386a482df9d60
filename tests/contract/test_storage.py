"""What every storage must do; memory is the reference."""

import errno
import subprocess
import sys
import time
from pathlib import Path

import pytest

from packstore.errors import NameExists, NameNotFound, StorageDenied, StorageError, StorageFull, StorageGone
from packstore.limits import MIB
from packstore.progress import StopRequest
from packstore.storage.base import Listed, Storage
from packstore.storage.file import FileStorage
from packstore.storage.limited import limited_storage
from packstore.storage.memory import MemoryStorage
from packstore.throttle import TokenBucket
from tests.support.faults import FaultyFileOps

BAD_NAMES = ["", "/etc/passwd", "../up", "a/../b", "a//b", "a/", "UPPER", "sp ace", "ä", "a\n", ".", "a/.", "nul\0"]


@pytest.fixture(params=["memory", "file", "limited"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """Each kind of storage, prepared."""
    found: Storage = MemoryStorage() if request.param == "memory" else FileStorage(tmp_path / "storage")
    if request.param == "limited":
        found = limited_storage(found, TokenBucket(MIB, StopRequest()), TokenBucket(MIB, StopRequest()))
    found.prepare(["a", "a/b", "gc"])
    return found


def test_what_is_put_is_read_back(storage: Storage) -> None:
    """Bytes would come back other than they went in."""
    storage.put("a/one", b"0123456789")
    assert storage.read("a/one") == b"0123456789"
    assert storage.size("a/one") == 10
    assert storage.exists("a/one")


@pytest.mark.parametrize(
    ("offset", "length", "found"),
    [(0, 3, b"012"), (7, None, b"789"), (8, 5, b"89"), (10, 4, b""), (20, 4, b""), (20, None, b""), (3, 0, b"")],
)
def test_ranges_end_where_the_file_does(storage: Storage, offset: int, length: int | None, found: bytes) -> None:
    """A reader could not tell a short file from a failure."""
    storage.put("a/one", b"0123456789")
    assert storage.read("a/one", offset, length) == found


def test_listing_shows_all_below_and_nothing_else(storage: Storage) -> None:
    """A pack would be overlooked, or a neighbour taken for one."""
    for name in ("a/one", "a/b/two", "a/b/three", "gc/x"):
        storage.put(name, name.encode())
    assert storage.list_files("a") == [Listed("a/b/three", 9), Listed("a/b/two", 7), Listed("a/one", 5)]
    assert storage.list_files("a/b") == [Listed("a/b/three", 9), Listed("a/b/two", 7)]
    assert storage.list_files("nothing") == []


def test_when_a_file_was_published(storage: Storage) -> None:
    """A version with a forged date could be removed on the day on which it was made."""
    begin = time.time_ns() // 1_000_000
    storage.put("a/one", b"1")
    end = time.time_ns() // 1_000_000
    found = storage.modified_ms("a/one")
    assert found is not None
    # A file system's clock may stand still for a tick.
    assert begin - 1000 <= found <= end + 1000
    storage.delete("a/one")
    with pytest.raises(NameNotFound):
        storage.modified_ms("a/one")


def test_space_that_is_left(storage: Storage) -> None:
    """A collector could not tell what was free before it freed space."""
    available, capacity = storage.available(), storage.capacity()
    assert (available is None) == (capacity is None)
    if available is not None and capacity is not None:
        assert 0 < available <= capacity


def test_a_file_does_not_exist_before_it_is_published(storage: Storage) -> None:
    """Somebody could read half of a pack."""
    new = storage.create("a/new")
    new.write(b"half", b"", memoryview(b" of it"))
    assert new.size == 10
    assert not storage.exists("a/new")
    assert storage.list_files("a") == []
    with pytest.raises(NameNotFound):
        storage.read("a/new")
    new.publish()
    assert storage.read("a/new") == b"half of it"
    assert storage.unfinished("a") == []
    new.discard()
    assert new.size == 10
    assert storage.exists("a/new")


def test_discarding_leaves_nothing(storage: Storage) -> None:
    """Given-up files would fill the disk."""
    new = storage.create("a/new")
    new.write(b"x")
    new.discard()
    new.discard()
    assert not storage.exists("a/new")
    assert storage.unfinished("a") == []
    storage.put("a/new", b"again")


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_could_leave_the_storage_are_refused(storage: Storage, name: str) -> None:
    """A name from a file would reach outside the repository."""
    for call in (
        storage.read,
        storage.size,
        storage.modified_ms,
        storage.exists,
        storage.delete,
        storage.create,
        storage.list_files,
    ):
        with pytest.raises(StorageError):
            call(name)
    with pytest.raises(StorageError):
        storage.put(name, b"")


def test_a_name_is_never_taken_twice(storage: Storage) -> None:
    """A file that is there would be replaced unnoticed."""
    storage.put("a/one", b"first")
    with pytest.raises(NameExists):
        storage.create("a/one")
    with pytest.raises(NameExists):
        storage.put("a/one", b"second")
    assert storage.read("a/one") == b"first"


def test_deleting_is_final_and_may_be_repeated(storage: Storage) -> None:
    """A removed intent would come back, or removing it twice would fail."""
    storage.put("a/one", b"1")
    storage.delete("a/one")
    storage.delete("a/one")
    assert not storage.exists("a/one")
    for call in (storage.read, storage.size):
        with pytest.raises(NameNotFound):
            call("a/one")


def test_moving_takes_nothing_from_anybody(storage: Storage) -> None:
    """A damaged pack, moved aside, would be lost, or take another one's place."""
    storage.put("a/one", b"one")
    storage.put("a/two", b"two")
    storage.move("a/one", "quarantine/a-one")
    assert storage.read("quarantine/a-one") == b"one"
    assert not storage.exists("a/one")
    with pytest.raises(NameExists):
        storage.move("a/two", "quarantine/a-one")
    with pytest.raises(NameNotFound):
        storage.move("a/three", "quarantine/a-three")
    assert storage.read("a/two") == b"two"
    assert storage.list_files("quarantine") == [Listed("quarantine/a-one", 3)]


def test_a_held_file_is_held_until_it_is_released(storage: Storage) -> None:
    """A live writer would be taken for dead, or a dead one for alive."""
    hold = storage.hold("gc/intent", b"me")
    assert storage.read("gc/intent") == b"me"
    assert storage.is_held("gc/intent") is True
    hold.release()
    hold.release()
    assert storage.is_held("gc/intent") is False
    assert storage.exists("gc/intent")


def test_an_empty_place_is_known_from_one_with_files(storage: Storage) -> None:
    """`init` would write into somebody's directory."""
    storage.put("a/one", b"1")
    assert not storage.is_empty()


def test_a_place_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    """`init` could not make a new directory, or would take a disk's lost+found for somebody's files."""
    assert FileStorage(tmp_path / "none").is_empty()
    (tmp_path / "lost+found").mkdir()
    assert FileStorage(tmp_path).is_empty()
    assert MemoryStorage().is_empty()


_HOLDER = """
import sys
from pathlib import Path
from packstore.storage.file import FileStorage
hold = FileStorage(Path(sys.argv[1])).hold("gc/intent", b"me")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_hold_is_seen_by_other_processes_and_ends_with_its_own(tmp_path: Path) -> None:
    """The intent of a killed writer would look alive for ever, or that of a living one dead."""
    storage = FileStorage(tmp_path)
    storage.prepare(["gc"])
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        assert storage.is_held("gc/intent") is True
    finally:
        process.kill()
        process.communicate()
    assert storage.is_held("gc/intent") is False


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EIO, StorageGone),
        (errno.ENODEV, StorageGone),
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EROFS, StorageDenied),
        (errno.EACCES, StorageDenied),
        (errno.ESTALE, NameNotFound),
        (errno.ENOENT, NameNotFound),
        (errno.EINVAL, StorageError),
    ],
)
@pytest.mark.parametrize("operation", ["create", "write", "fsync", "rename", "fsync_directory"])
def test_errors_are_translated_where_they_happen(
    tmp_path: Path, operation: str, number: int, kind: type[StorageError]
) -> None:
    """An errno of one kind would be handled as another, or leave the storage as OSError."""
    storage = FileStorage(tmp_path, FaultyFileOps(number, 1, frozenset({operation})))
    with pytest.raises(StorageError) as caught:
        storage.put("file", b"data")
    assert type(caught.value) is kind
    assert storage.unfinished("packs") == []
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def test_a_missing_fan_out_directory_is_made(tmp_path: Path) -> None:
    """A copy of a repository that left out empty directories could not be backed up to."""
    storage = FileStorage(tmp_path)
    (tmp_path / "packs").mkdir()
    storage.put("packs/ab/file", b"content")
    assert storage.read("packs/ab/file") == b"content"


def test_an_empty_mount_point_stays_empty(tmp_path: Path) -> None:
    """After a disk has gone, files would be written below its mount point, onto the system disk."""
    storage = FileStorage(tmp_path)
    for name in ("packs/ab/file", "meta/file", "gc/file"):
        with pytest.raises(NameNotFound):
            storage.put(name, b"content")
    assert not list(tmp_path.iterdir())
