"""`packstore restore`."""

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import BLOCK
from tests.cli.program import Program, tree_of
from tests.cli.test_check import flip


def test_to_a_new_file(stored: Program, device: Path, tmp_path: Path) -> None:
    """A restore would not bring back what was backed up, or show it to others."""
    target = tmp_path / "out.img"
    done = stored("restore", "disk.img", target).expect(0)
    assert target.read_bytes() == device.read_bytes()
    assert target.stat().st_mode & 0o077 == 0
    assert str(target) in done.out
    assert not done.err


def test_sparse(stored: Program, tmp_path: Path) -> None:
    """Holes would be written out, or --no-sparse leave them."""
    stored("restore", "disk.img", tmp_path / "sparse").expect(0)
    stored("restore", "disk.img", tmp_path / "full", "--no-sparse").expect(0)
    sparse, full = (os.stat(tmp_path / name).st_blocks * 512 for name in ("sparse", "full"))
    assert full - sparse >= 3 * BLOCK


def test_json(stored: Program, device: Path, tmp_path: Path) -> None:
    """A script could not tell what was restored, nor that nothing was lost."""
    found = stored.json("restore", "disk.img", tmp_path / "out.img")
    assert found["bytes_total"] == device.stat().st_size
    assert found["bytes_data"] + found["bytes_hole"] == found["bytes_total"]
    assert found["bad_ranges"] == []


def test_to_standard_output(stored: Program, device: Path) -> None:
    """What is said about a restore would end up in the restored data."""
    done = stored("restore", "disk.img", "-").expect(0)
    assert done.raw == device.read_bytes()
    assert "restored" in done.err


def test_document_of_a_restore_to_standard_output(stored: Program, device: Path) -> None:
    """The JSON document would end up in the restored data, also when something fails."""
    done = stored("restore", "disk.img", "-", "--json").expect(0)
    assert done.raw == device.read_bytes()
    assert '"schema": 1' in done.err
    failed = stored("restore", "nosuch", "-", "--json").expect(14)
    assert failed.raw == b""
    assert '"schema": 1' in failed.err


def test_onto_a_file(stored: Program, device: Path, tmp_path: Path) -> None:
    """A mistyped target would destroy a file; or --force would leave the tail of a longer one."""
    target = tmp_path / "precious"
    target.write_bytes(b"p" * 2_000_000)
    stored("restore", "disk.img", target).refused(56, str(target), "--force")
    assert target.read_bytes() == b"p" * 2_000_000
    stored("restore", "disk.img", target, "--force").expect(0)
    assert target.read_bytes() == device.read_bytes()


@pytest.mark.parametrize(
    ("name", "word"), [("directory", "neither a file nor a block device"), ("missing/out", "No such file")]
)
def test_impossible_targets(stored: Program, tmp_path: Path, name: str, word: str) -> None:
    """A target that cannot be written would be reported after hours, or by a traceback."""
    (tmp_path / "directory").mkdir()
    stored("restore", "disk.img", tmp_path / name, "--force").refused(55, word)
    assert not (tmp_path / "missing").exists()


def test_unknown_version_touches_nothing(stored: Program, tmp_path: Path) -> None:
    """A mistyped version would empty the target."""
    target = tmp_path / "precious"
    target.write_bytes(b"p")
    stored("restore", "nosuch", target, "--force").refused(14, "nosuch", "disk.img")
    assert target.read_bytes() == b"p"


def test_reader_that_goes_away(stored: Program) -> None:
    """`restore - | head` would look like a finished restore, or end in a traceback."""
    with stored.running("restore", "disk.img", "-") as process:
        assert process.stdout
        process.stdout.close()
        assert process.wait(60) == 59
        assert process.stderr
        err = process.stderr.read().decode()
    assert "reader went away" in err
    assert "Traceback" not in err


def test_target_that_is_full(stored: Program) -> None:
    """A restore onto a full disk would look complete."""
    with open("/dev/full", "wb") as full, stored.running("restore", "disk.img", "-", stdout=full) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 59
    assert b"No space left" in err
    assert b"Traceback" not in err


def test_around_damage(stored: Program, device: Path, tmp_path: Path) -> None:
    """One bad sector would cost the whole device, or be passed over in silence."""
    pack = stored.only("packs/*/*")
    data = bytearray(pack.read_bytes())
    data[BLOCK + BLOCK // 2] ^= 1
    pack.write_bytes(data)

    done = stored("restore", "disk.img", tmp_path / "out", "--json").expect(40)
    (bad,) = done.json["bad_ranges"]
    assert done.json["error"]["name"] == "DamageError"
    assert bad["length"] == BLOCK
    assert f"{bad['length']} bytes at {bad['offset']}" in done.err

    content = bytearray(device.read_bytes())
    content[bad["offset"] : bad["offset"] + BLOCK] = bytes(BLOCK)
    assert (tmp_path / "out").read_bytes() == content

    text = stored("restore", "disk.img", "-").expect(40)
    assert text.raw == content
    assert "1 range" in text.err


def test_changes_nothing_in_the_repository(stored: Program, tmp_path: Path) -> None:
    """A restore would need a writable repository."""
    before = tree_of(stored.repo)
    stored("restore", "disk.img", tmp_path / "out").expect(0)
    assert tree_of(stored.repo) == before


@pytest.mark.parametrize("name", ["packstore", "packs/new", "../repository/meta/x"])
def test_into_the_repository(stored: Program, name: str) -> None:
    """A mistyped target would overwrite the repository's own files."""
    before = tree_of(stored.repo)
    stored("restore", "disk.img", stored.repo / name, "--force").refused(57, "inside the repository")
    assert tree_of(stored.repo) == before


@pytest.mark.root
def test_onto_what_is_behind_a_loop_device(stored: Program, loop: Callable[..., Path], tmp_path: Path) -> None:
    """A file system that is mounted by way of a loop device would be overwritten under its users."""
    image = tmp_path / "image"
    image.write_bytes(b"p" * 1_048_576)
    device = loop(image)
    stored("restore", "disk.img", image, "--force").refused(57, str(device))
    assert image.read_bytes() == b"p" * 1_048_576


def test_what_has_not_arrived(stored: Program, tmp_path: Path) -> None:
    """A copy that rsync still fills would be called damaged, or real damage beside it be excused."""
    content = random.Random(3).randbytes(3 * BLOCK)
    (tmp_path / "small.img").write_bytes(content)
    first = stored.only("packs/*/*")
    stored("backup", tmp_path / "small.img", "disk.img").expect(0)
    second = next(path for path in stored.repo.glob("packs/*/*") if path != first)
    packed = second.read_bytes()
    second.unlink()
    done = stored("restore", "disk.img", tmp_path / "out", "--json").expect(44)
    assert done.json["packs_not_arrived"] == [str(second.relative_to(stored.repo))]
    assert "nothing is damaged" in done.err
    assert "let it finish" in done.err
    assert stored.json("ls")["versions"][-1]["state"] == "incomplete"
    second.write_bytes(packed)
    assert stored.json("ls")["versions"][-1]["state"] == "valid"
    stored("restore", "disk.img", tmp_path / "out", "--force").expect(0)

    first.unlink()
    meta = sorted(stored.repo.glob("meta/*"))
    damaged = bytearray(packed)
    damaged[BLOCK // 2] ^= 1
    second.write_bytes(damaged)
    stored("restore", "disk.img", tmp_path / "out", "--force").expect(40)
    stored("restore", "disk.img~1", tmp_path / "out", "--force").expect(44)
    assert set(meta) <= set(stored.repo.glob("meta/*"))


def test_damage_that_a_restore_meets(stored: Program, device: Path, tmp_path: Path) -> None:
    """Whoever restores would see ranges lost, and `ls` go on to call the version valid, here and on every host."""
    flip(stored.only("packs/*/*"), BLOCK // 2)
    assert stored.json("ls")["versions"][0]["state"] == "valid"
    stored("restore", "disk.img", tmp_path / "out").expect(40)
    elsewhere = Program(tmp_path, stored.repo, stored.key)
    for host in (stored, elsewhere):
        assert host.json("ls")["versions"][0]["state"] == "invalid"
    files = tree_of(stored.repo)
    stored("restore", "disk.img", tmp_path / "out", "--force").expect(40)
    assert tree_of(stored.repo) == files, "the same was said again"
    elsewhere("backup", device).expect(0)
    assert [found["state"] for found in stored.json("ls")["versions"]] == ["valid", "valid"]


@pytest.mark.root
@pytest.mark.parametrize("command", ["restore", "check", "check disk.img"])
@pytest.mark.parametrize("how", ["read-only", "full"])
def test_damage_that_cannot_be_recorded(
    stored: Program, device: Path, tmp_path: Path, mounted: Callable[..., Path], command: str, how: str
) -> None:
    """On a full or read-only disk damage would be forgotten once it was shown, or a restore fail because of it."""
    point = mounted("-t", "tmpfs", "-o", "size=8m", "tmpfs")
    program = Program(stored.home, point / "repository", stored.key)
    shutil.copytree(stored.repo, program.repo)
    flip(program.only("packs/*/*"), BLOCK // 2)
    if how == "full":
        filled = subprocess.run(["dd", "if=/dev/zero", f"of={point}/filler", "bs=4k"], check=False, capture_output=True)
        assert b"No space" in filled.stderr
    else:
        subprocess.run(["mount", "-o", "remount,ro", str(point)], check=True)
    before = tree_of(program.repo)
    if command == "restore":
        done = program("restore", "disk.img", tmp_path / "out", "--json").expect(40)
        assert [extent["length"] for extent in done.json["damaged_ranges"]] == [BLOCK]
    else:
        done = program("--json", *command.split()).expect(40)
        assert done.json["not_recorded"]
        assert "cannot be recorded in the repository, only on this machine" in done.err
        assert ("No space left" if how == "full" else "Read-only") in done.err
    assert tree_of(program.repo) == before
    assert program.json("ls")["versions"][0]["state"] == "invalid"
    assert program.json("show", "disk.img")["version"]["valid"] is False

    subprocess.run(["mount", "-o", "remount,rw,size=40m", str(point)], check=True)
    assert program.json("backup", device)["bytes_stored"] > BLOCK, "the damaged block was relied on"
    assert [found["state"] for found in program.json("ls")["versions"]] == ["valid", "valid"]


def test_a_version_that_is_collected_meanwhile(repo: Program, tmp_path: Path) -> None:
    """Whoever restores what somebody removes would be told of damage, and look for a broken disk."""
    source = tmp_path / "big.img"
    source.write_bytes(random.Random(5).randbytes(40 * 1024 * 1024))
    repo("backup", source).expect(0)
    with repo.running("restore", "big.img", "-", "--threads", "1") as process:
        assert process.stdout
        assert process.stderr
        process.stdout.read(1)
        repo("rm", "big.img", "--force").expect(0)
        for _ in range(2):
            repo("gc").expect(0)
        assert not list(repo.repo.glob("packs/*/*"))
        process.stdout.read()
        said = process.stderr.read().decode()
        assert process.wait() == 14, said
    assert "was removed and collected while it was read" in said
    assert "incomplete" in said
    assert "warning" not in said
