"""`gc` as people run it; and on a disk that is full to the last byte."""

import json
import random
import subprocess
from pathlib import Path

import pytest

from tests.cli.program import Program

MIB = 1 << 20


def image(path: Path, seed: int, size: int) -> Path:
    """A file of bytes that cannot be compressed."""
    path.write_bytes(random.Random(seed).randbytes(size))
    return path


def test_it_frees_what_was_removed(repo: Program, tmp_path: Path) -> None:
    """`rm` and `gc` would give back nothing, or what another version needs."""
    repo("backup", image(tmp_path / "a", 1, 6 * MIB), "a").expect(0)
    kept = image(tmp_path / "b", 2, 2 * MIB)
    repo("backup", kept, "b").expect(0)
    repo("rm", "--force", "a").expect(0)
    preview = repo.json("gc", "--dry-run")
    assert preview["dry_run"]
    assert preview["plan"]["bytes_freed"] > 5 * MIB
    assert preview["packs_deleted"] == 0
    assert "frees" in repo("gc", "--dry-run").expect(0).out
    done = repo.json("gc")
    assert done["bytes_freed"] > 5 * MIB
    assert sum(path.stat().st_size for path in repo.repo.glob("packs/*/*")) < 3 * MIB
    assert repo("restore", "b", "-").expect(0).raw == kept.read_bytes()
    repo("check").expect(0)
    assert not list(repo.repo.glob("gc/*"))


@pytest.mark.parametrize("word", ["0", "101", "half"])
def test_a_threshold_that_is_none(repo: Program, word: str) -> None:
    """A typing error would copy the whole repository."""
    repo("gc", "--threshold", word).refused(2, "threshold")


def test_a_duration_that_is_none(repo: Program) -> None:
    """A typing error would run for ever."""
    repo("gc", "--max-duration", "soon").refused(2, "duration", "90m")


def test_nothing_is_deleted_under_a_hold(repo: Program, tmp_path: Path) -> None:
    """A copy that is being made would miss what a collection deletes meanwhile."""
    repo("backup", image(tmp_path / "a", 1, 3 * MIB), "a").expect(0)
    repo("rm", "--force", "a").expect(0)
    before = sorted(repo.repo.glob("packs/*/*"))
    repo.env.update(PACKSTORE_REPO=str(repo.repo), PACKSTORE_KEY_FILE=str(repo.key))
    done = repo.plain("hold", "--", *repo.command("--json", "gc")).expect(0)
    assert "hold" in json.loads(done.out)["waiting_for"][0]
    assert sorted(repo.repo.glob("packs/*/*")) == before
    repo("gc").expect(0)
    assert not list(repo.repo.glob("packs/*/*"))


def fill(directory: Path) -> None:
    """Use up the last byte."""
    with (directory / "filler").open("wb", buffering=0) as file:
        for size in (MIB, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def test_a_full_disk(tmp_path: Path, program: Program) -> None:
    """On a full disk nothing could be removed, because removing writes; and no backup ever run again."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", place], check=True)
    try:
        program.repo = place / "repository"
        program("init").expect(0)
        reserve = sum(path.stat().st_size for path in program.repo.glob("reserve/*"))
        assert reserve == 64 * MIB // 100 // 8 * 8
        first = image(tmp_path / "first", 1, 20 * MIB)
        second = image(tmp_path / "second", 2, 20 * MIB)
        program("backup", first, "first").expect(0)
        program("backup", second, "second").expect(0)
        fill(place)
        program("backup", image(tmp_path / "third", 3, 20 * MIB), "third").expect(33)
        fill(place)
        assert program("restore", "first", "-").expect(0).raw == first.read_bytes()
        program("rm", "--force", "first").expect(0)
        fill(place)
        done = program.json("gc")
        assert done["bytes_deleted"] > 19 * MIB
        assert program("restore", "second", "-").expect(0).raw == second.read_bytes()
        program("backup", image(tmp_path / "third", 3, 15 * MIB), "third").expect(0)
        assert program("restore", "third", "-").expect(0).raw == (tmp_path / "third").read_bytes()
        (place / "filler").unlink()
        program("gc").expect(0)
        assert sum(path.stat().st_size for path in program.repo.glob("reserve/*")) == reserve
        program("check").expect(0)
    finally:
        subprocess.run(["umount", place], check=True)
