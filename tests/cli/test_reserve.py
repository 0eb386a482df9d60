"""The space set aside for a full disk: who may use it, how it comes back, and what a full disk can do with it."""

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.program import Program

MIB = 1 << 20
RESERVE = 64 * MIB // 100 // 8 * 8
"""Of a file system of 64 MiB."""

pytestmark = pytest.mark.root


@pytest.fixture
def small(program: Program, mounted: Callable[..., Path]) -> Program:
    """A repository on a file system of 64 MiB."""
    small = replace(program, repo=mounted("-t", "tmpfs", "-o", "size=64m", "none") / "repository")
    small("init", "--block-size", "64KiB", "--pack-size", "1MiB").expect(0)
    return small


def image(path: Path, seed: int, size: int) -> Path:
    """A file of bytes that cannot be compressed."""
    path.write_bytes(random.Random(seed).randbytes(size))
    return path


def fill(small: Program) -> None:
    """Use up the last byte."""
    with (small.repo.parent / "filler").open("ab", buffering=0) as file:
        for size in (MIB, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def empty(small: Program) -> None:
    """Give the space back."""
    (small.repo.parent / "filler").unlink()


def reserve(small: Program) -> list[int]:
    """The sizes of the files of the reserve."""
    return [path.stat().st_size for path in sorted(small.repo.glob("reserve/*"))]


def stored(small: Program) -> int:
    """What all block packs take."""
    return sum(path.stat().st_size for path in small.repo.glob("packs/*/*"))


def test_a_copy_without_a_reserve_gets_one(small: Program, tmp_path: Path) -> None:
    """On the disk of a copy nothing could ever be removed, once it is full: rsync leaves the reserve out."""
    copy = replace(small, repo=small.repo.with_name("copy"))
    shutil.copytree(small.repo, copy.repo, ignore=shutil.ignore_patterns("reserve"))
    copy("backup", image(tmp_path / "image", 1, MIB), "image").expect(0)
    assert reserve(copy) == []
    copy("gc").expect(0)
    assert reserve(copy) == [RESERVE // 8] * 8
    fill(copy)
    copy("rm", "--force", "image").expect(0)


def test_a_repository_that_wants_none_gets_none(small: Program) -> None:
    """`init --reserve 0` would mean: until the first collection."""
    bare = replace(small, repo=small.repo.with_name("bare"))
    bare("init", "--reserve", "0").expect(0)
    bare("gc").expect(0)
    assert sum(reserve(bare)) == 0


def test_only_what_frees_space_may_use_it(small: Program, tmp_path: Path) -> None:
    """Tags and dates would eat up, one by one, what `rm` and `gc` need; or a protected version could not be let go."""
    small("backup", image(tmp_path / "image", 1, MIB), "image").expect(0)
    small("protect", "image").expect(0)
    fill(small)
    for command in (("tag", "image", "x"), ("expire", "image", "2030-01-01")):
        small(*command).expect(33)
    assert reserve(small) == [RESERVE // 8] * 8
    small("unprotect", "image").expect(0)
    fill(small)
    small("rm", "--force", "image").expect(0)
    assert len(reserve(small)) < 8


def test_the_last_of_it_is_used_too(small: Program, tmp_path: Path) -> None:
    """An eighth of what was set aside would lie there while `rm` fails; or it would never come back."""
    small("backup", image(tmp_path / "image", 1, MIB), "image").expect(0)
    for number in range(1, 8):
        (small.repo / "reserve" / str(number)).unlink()
    fill(small)
    small("rm", "--force", "image").expect(0)
    assert reserve(small) == []
    empty(small)
    small("gc").expect(0)
    assert reserve(small) == [RESERVE // 8] * 8


def test_what_was_freed_can_be_stored_again(small: Program, tmp_path: Path) -> None:
    """After `rm` and `gc` on a full disk the next backup would fail for want of what the reserve has taken back."""
    small("backup", image(tmp_path / "kept", 1, 20 * MIB), "kept").expect(0)
    small("backup", image(tmp_path / "old", 2, 20 * MIB), "old").expect(0)
    new = image(tmp_path / "new", 3, 20 * MIB)
    fill(small)
    small("rm", "--force", "old").expect(0)
    small("gc").expect(0)
    small("backup", new, "new").expect(0)
    assert small("restore", "new", "-").expect(0).raw == new.read_bytes()
    assert len(reserve(small)) >= 4
    empty(small)
    small("gc").expect(0)
    assert reserve(small) == [RESERVE // 8] * 8
    small("check").expect(0)


def test_what_a_failed_backup_left_goes_at_once(small: Program, tmp_path: Path) -> None:
    """The next backup would fail like the last one, although garbage was collected between them."""
    small("backup", image(tmp_path / "kept", 1, 20 * MIB), "kept").expect(0)
    new = image(tmp_path / "new", 3, 40 * MIB)
    fill(small)
    os.truncate(small.repo.parent / "filler", (small.repo.parent / "filler").stat().st_size - 30 * MIB)
    small("backup", new, "new").expect(33)
    assert stored(small) > 45 * MIB
    small("gc").expect(0)
    assert stored(small) < 21 * MIB
