"""Files, loop devices and streams, as sources and as targets."""

import contextlib
import errno
import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from packstore.blocks import Extent, merge_extents
from packstore.errors import (
    SourceChanged,
    SourceError,
    SourceNotFound,
    SourceReadFailed,
    TargetBusy,
    TargetExists,
    TargetTooSmall,
    TargetWriteFailed,
)
from packstore.format.version import Version
from packstore.operations.backup import BackupOptions, backup
from packstore.operations.restore import restore
from packstore.progress import NullProgress, StopRequest
from packstore.sources.file import FileSource
from packstore.sources.stream import StreamSource, StreamTarget
from packstore.sources.target import FileTarget
from tests.support.devices import BLOCK, noise, noise_blocks
from tests.support.worlds import PlaceStorage, World

SIZES = [0, 1, 511, 512, 513, BLOCK - 1, BLOCK, BLOCK + 1]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for loop devices")


@contextlib.contextmanager
def loop_device(backing: Path) -> Iterator[Path]:
    """Attach a file as a block device, and detach it whatever happens."""
    name = subprocess.run(["losetup", "-f", "--show", backing], capture_output=True, check=True, text=True)
    device = Path(name.stdout.strip())
    try:
        yield device
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


def _back_up(world: World, device: Path) -> Version:
    with contextlib.closing(FileSource(device)) as source:
        return world.backup(source).version


def _begin(device: Path, size: int, *, force: bool) -> None:
    target = FileTarget(device, force=force, sparse=True)
    try:
        target.begin(size)
    finally:
        target.close()


def _read_all(source: FileSource) -> bytes:
    assert source.size is not None
    found = bytearray(source.size)
    for extent in source.extents():
        source.read_into(extent.offset, memoryview(found)[extent.offset : extent.end])
    return bytes(found)


@pytest.mark.parametrize("size", SIZES)
def test_a_file_of_any_size_is_read_whole(tmp_path: Path, size: int) -> None:
    """The last bytes of an odd-sized image would be missing."""
    data = noise("size", size)
    (tmp_path / "image").write_bytes(data)
    source = FileSource(tmp_path / "image")
    assert source.size == size
    assert _read_all(source) == data
    assert source.finish() == []
    source.close()


def test_holes_of_a_file_are_not_read(tmp_path: Path) -> None:
    """A sparse file of terabytes would be read to its end."""
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(1 << 34)
        file.seek(1 << 33)
        file.write(b"data" * 1024)
    source = FileSource(path)
    extents = merge_extents(source.extents())
    assert sum(extent.length for extent in extents) <= 1 << 20
    assert any(extent.offset <= 1 << 33 < extent.end for extent in extents)
    source.close()


def test_a_file_that_shrinks_is_refused(tmp_path: Path) -> None:
    """A version would be committed of a device that never was."""
    path = tmp_path / "image"
    path.write_bytes(bytes(1000))
    source = FileSource(path)
    os.truncate(path, 500)
    with pytest.raises(SourceChanged):
        source.read_into(0, memoryview(bytearray(1000)))
    with pytest.raises(SourceChanged):
        source.finish()
    source.close()


def test_what_is_no_source_is_refused(tmp_path: Path) -> None:
    """A directory or a pipe would be backed up as something."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(SourceError):
            FileSource(path)
    with pytest.raises(SourceNotFound):
        FileSource(tmp_path / "nothing")


@pytest.mark.parametrize("size", SIZES)
def test_a_stream_of_any_size_is_backed_up_and_restored_in_order(tmp_path: Path, size: int) -> None:
    """The end of a piped device would be lost."""
    data = noise("stream", size)
    world = World(PlaceStorage(), tmp_path / "index").create()
    output = io.BytesIO()
    result = world.backup(StreamSource(io.BytesIO(data)))
    with world.open() as repository:
        restore(repository, result.version, StreamTarget(output), StopRequest(), NullProgress(), threads=2)
    assert result.version.size == size
    assert output.getvalue() == data


@pytest.mark.root
@needs_root
@pytest.mark.parametrize("size", [512, 513 * 512, BLOCK, BLOCK + 512, 40 * BLOCK + 512])
def test_a_loop_device_goes_in_and_comes_back(tmp_path: Path, size: int) -> None:
    """Backing up a real block device and restoring onto another, used one would not give the same bytes."""
    data = bytearray(noise("loop", size))
    data[size // 3 : size // 3 * 2] = bytes(size // 3 * 2 - size // 3)
    (tmp_path / "a").write_bytes(data)
    (tmp_path / "b").write_bytes(noise("used", size))
    world = World(PlaceStorage(), tmp_path / "index").create()
    with loop_device(tmp_path / "a") as device, loop_device(tmp_path / "b") as other:
        version = _back_up(world, device)
        assert version.size == size
        assert version.source["type"] == "device"
        target = FileTarget(other, force=True, sparse=True)
        with world.open() as repository:
            restore(repository, version, target, StopRequest(), NullProgress(), threads=2)
        target.close()
        assert other.read_bytes() == bytes(data)
    assert (tmp_path / "b").read_bytes() == bytes(data)


@pytest.mark.root
@needs_root
def test_a_used_device_is_not_overwritten_unasked(tmp_path: Path) -> None:
    """A restore would destroy a disk: without --force, too small, or mounted."""
    (tmp_path / "disk").write_bytes(bytes(8 << 20))
    with loop_device(tmp_path / "disk") as device:
        subprocess.run(["mkfs.ext4", "-q", device], check=True)
        before = device.read_bytes()
        with pytest.raises(TargetExists):
            _begin(device, 100, force=False)
        with pytest.raises(TargetTooSmall):
            _begin(device, (8 << 20) + 1, force=True)
        (tmp_path / "mnt").mkdir()
        subprocess.run(["mount", device, tmp_path / "mnt"], check=True)
        try:
            with pytest.raises(TargetBusy) as caught:
                _begin(device, 100, force=True)
            assert str(tmp_path / "mnt") in caught.value.message
        finally:
            subprocess.run(["umount", tmp_path / "mnt"], check=True)
        assert len(device.read_bytes()) == len(before)


@pytest.mark.root
@needs_root
def test_an_unreadable_part_of_a_device_is_recorded_and_read_again(tmp_path: Path) -> None:
    """A bad sector would end the backup, or be remembered as zeros when it can be read again."""
    data = noise_blocks("bad", 8)
    disk = tmp_path / "disk"
    disk.write_bytes(data)
    bad = 5 * BLOCK + 8192
    world = World(PlaceStorage(), tmp_path / "index").create()
    with loop_device(disk) as device:
        os.truncate(disk, bad)
        subprocess.run(["blockdev", "--flushbufs", device], check=True)
        with contextlib.closing(FileSource(device)) as source, pytest.raises(SourceReadFailed):
            source.read_into(6 * BLOCK, memoryview(bytearray(4096)))
        first = _back_up(world, device)
        ranges = merge_extents(Extent(*pair) for pair in first.unreadable)
        assert ranges == [Extent(bad, len(data) - bad)]
        assert world.restore(first)[0] == data[:bad] + bytes(len(data) - bad)
        disk.write_bytes(data)
        subprocess.run(["blockdev", "--flushbufs", device], check=True)
        second = _back_up(world, device)
        assert second.unreadable == []
        assert world.restore(second)[0] == data


def _restore_into(tmp_path: Path, data: bytes, *, sparse: bool) -> os.stat_result:
    world = World(PlaceStorage(), tmp_path / "index").create()
    (tmp_path / "in").write_bytes(data)
    source = FileSource(tmp_path / "in")
    options = BackupOptions("volume", threads=2)
    target = FileTarget(tmp_path / "out", force=False, sparse=sparse)
    with world.open() as repository:
        version = backup(repository, source, options, StopRequest(), NullProgress()).version
        restore(repository, version, target, StopRequest(), NullProgress(), threads=2)
    source.close()
    target.close()
    assert (tmp_path / "out").read_bytes() == data
    return (tmp_path / "out").stat()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sparse", [True, False])
def test_a_restored_file_has_the_size_and_bytes_of_the_device(tmp_path: Path, size: int, sparse: bool) -> None:
    """A restored image would be longer or shorter than the device."""
    assert _restore_into(tmp_path, noise("file", size), sparse=sparse).st_size == size


def test_holes_take_no_space_unless_asked_for(tmp_path: Path) -> None:
    """A sparse restore would fill the disk, and a full one promise space that is not there."""
    data = noise("hole", BLOCK) + bytes(64 * BLOCK)
    (tmp_path / "sparse").mkdir()
    (tmp_path / "full").mkdir()
    assert _restore_into(tmp_path / "sparse", data, sparse=True).st_blocks * 512 < 8 * BLOCK
    assert _restore_into(tmp_path / "full", data, sparse=False).st_blocks * 512 >= len(data)


def test_an_existing_file_is_overwritten_only_by_force(tmp_path: Path) -> None:
    """A restore would replace a file that somebody needs, or leave old bytes where holes belong."""
    path = tmp_path / "file"
    path.write_bytes(b"\xff" * 100_000)
    with pytest.raises(TargetExists):
        FileTarget(path, force=False, sparse=True).begin(10)
    assert path.read_bytes() == b"\xff" * 100_000
    target = FileTarget(path, force=True, sparse=True)
    target.begin(50_000)
    target.zero(0, 50_000)
    target.finish()
    target.close()
    assert path.read_bytes() == bytes(50_000)


def test_a_reader_that_goes_away_ends_a_restore_to_a_pipe() -> None:
    """A broken pipe would leave as an undeclared error."""
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb", buffering=0) as stream, pytest.raises(TargetWriteFailed):
        StreamTarget(stream).write(0, b"x")


def test_a_failure_to_write_back_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel tells one thread, once: another one would note as finished what was lost, and --resume skip it."""
    target = FileTarget(tmp_path / "out", force=False, sparse=True)
    target.begin(2 * BLOCK)
    target.write(0, noise("lost", BLOCK))
    real = os.fdatasync
    failures = [OSError(errno.EIO, "lost")]

    def once(descriptor: int) -> None:
        if failures:
            raise failures.pop()
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", once)
    for act in (lambda: target.note(b"1"), lambda: target.note(b"2"), target.finish):
        with pytest.raises(TargetWriteFailed):
            act()
    assert target.recall() is None
    target.close()
