"""Real block devices and streams, of sizes that are a multiple of nothing."""

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import BLOCK
from tests.cli.program import Program

SIZES = [0, 1, 511, 512, 4096 + 512, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 3 * 512, 7 * BLOCK + 12345]
Attach = Callable[..., Path]


def content_of(size: int) -> bytes:
    """Random bytes with holes in the middle and, in the larger ones, at the end."""
    data = bytearray(random.Random(size).randbytes(size))
    if size > 4 * BLOCK:
        data[BLOCK : 2 * BLOCK + 100] = bytes(BLOCK + 100)
        data[-700:] = bytes(700)
    return bytes(data)


@pytest.mark.parametrize("size", SIZES)
def test_files_and_streams(repo: Program, tmp_path: Path, size: int) -> None:
    """A device of an odd size would lose its tail, or get one."""
    image, target = tmp_path / "in.img", tmp_path / "out.img"
    content = content_of(size)
    image.write_bytes(content)
    assert repo.json("backup", image, "file")["bytes_total"] == size
    assert repo.json("backup", "-", "stream", data=content)["bytes_total"] == size
    repo("restore", "file", target).expect(0)
    assert target.read_bytes() == content
    assert repo("restore", "stream", "-").expect(0).raw == content
    repo("check").expect(0)


@pytest.mark.root
@pytest.mark.parametrize("size", [0, 512, 5 * BLOCK + 3 * 512, 9 * BLOCK])
def test_block_devices(repo: Program, tmp_path: Path, loop: Attach, size: int) -> None:
    """A block device would not come back as it was, or what was on the target would shine through the holes."""
    image, spare = tmp_path / "in.img", tmp_path / "out.img"
    content = content_of(size)
    image.write_bytes(content)
    spare.write_bytes(b"\xaa" * (size + 1024))
    source, target = loop(image), loop(spare)
    found = repo.json("backup", source, "volume")
    assert found["bytes_total"] == size
    assert repo.json("show", "volume")["version"]["source"] == {"type": "device", "path": str(source)}
    repo("restore", "volume", target, "--force").expect(0)
    subprocess.run(["blockdev", "--flushbufs", str(target)], check=True)
    assert spare.read_bytes() == content + b"\xaa" * 1024
    assert repo("restore", "volume", "-").expect(0).raw == content


@pytest.mark.root
def test_read_only_block_device(repo: Program, device: Path, tmp_path: Path, loop: Attach) -> None:
    """A snapshot, which is read-only, could not be backed up; or be overwritten by a restore."""
    image = tmp_path / "in.img"
    image.write_bytes(device.read_bytes()[: 4 * BLOCK])
    source = loop(image, "--read-only")
    repo("backup", source, "volume").expect(0)
    repo("restore", "volume", source, "--force").refused(55, "is read-only")
    assert image.read_bytes() == device.read_bytes()[: 4 * BLOCK]


@pytest.mark.root
def test_changed_block_device(repo: Program, tmp_path: Path, loop: Attach) -> None:
    """An incremental backup of a device would miss a change, or store what did not change."""
    image = tmp_path / "in.img"
    image.write_bytes(content_of(8 * BLOCK))
    source = loop(image)
    repo("backup", source, "volume").expect(0)
    with source.open("r+b") as file:
        file.seek(6 * BLOCK + 17)
        file.write(b"changed")
    second = repo.json("backup", source, "volume")
    assert second["bytes_new"] == BLOCK
    assert repo("restore", "volume", "-").expect(0).raw == source.read_bytes()
    assert repo("restore", "volume~1", "-").expect(0).raw == content_of(8 * BLOCK)


def test_onto_a_file_with_other_content(stored: Program, device: Path, tmp_path: Path) -> None:
    """What a file held before would shine through the holes of what is restored."""
    target = tmp_path / "out.img"
    target.write_bytes(b"\xaa" * 3_000_000)
    stored("restore", "disk.img", target, "--force").expect(0)
    assert target.read_bytes() == device.read_bytes()


def test_sparse_file_of_great_length(repo: Program, tmp_path: Path) -> None:
    """A device that is nearly empty would take as long as one that is full."""
    image = tmp_path / "sparse.img"
    with image.open("wb") as file:
        file.truncate(1 << 40)
        file.seek(1 << 39)
        file.write(b"something")
    found = repo.json("backup", image)
    assert found["bytes_read"] <= 2 * BLOCK
    assert found["bytes_hole"] > (1 << 40) - 2 * BLOCK
    assert found["bytes_stored"] < 1024 * 1024
