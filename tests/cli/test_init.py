"""`packstore init`."""

import stat
from pathlib import Path

import pytest

from tests.cli.program import Program, tree_of


def test_says_what_it_made(program: Program) -> None:
    """Whoever made a repository would not know where it is, or whether it is encrypted."""
    done = program("init", "--reserve", "0").expect(0)
    assert str(program.repo) in done.out
    assert "encrypted" in done.out
    assert "1.00 MiB" in done.out
    assert "128.00 MiB" in done.out
    assert not done.err


def test_json(program: Program) -> None:
    """A script could not learn the repository's id and sizes."""
    found = program.json("init", "--reserve", "0", "--block-size", "256KiB", "--pack-size", "8m")
    assert len(found["repository"]) == 32
    assert found["location"] == str(program.repo)
    assert found["block_size"] == 256 * 1024
    assert found["pack_size"] == 8 * 1024 * 1024
    assert found["encryption_version"] in {1, 2}


@pytest.mark.parametrize("version", [1, 2])
def test_encryption_version(program: Program, device: Path, version: int) -> None:
    """A repository would use another cipher than was asked for, or could not be read with it."""
    made = program.json("init", "--reserve", "0", "--encryption-version", str(version))
    assert made["encryption_version"] == version
    program("backup", device).expect(0)
    assert program("restore", "disk.img", "-").expect(0).raw == device.read_bytes()


def test_no_encryption(program: Program, device: Path) -> None:
    """A repository without encryption would ask for a key, or hide what it stores."""
    repo = ["-r", str(program.repo)]
    made = program.plain("init", "--no-encryption", "--reserve", "0", "--json", *repo).expect(0).json
    assert made["encryption_version"] == 0
    program.plain("backup", device, "--compression", "none", *repo).expect(0)
    assert program.plain("restore", "disk.img", "-", *repo).expect(0).raw == device.read_bytes()
    assert any(device.read_bytes()[:4096] in path.read_bytes() for path in program.repo.glob("packs/*/*"))


def test_reserve(program: Program) -> None:
    """Nothing would be set aside, and a full disk could not be freed."""
    program("init", "--reserve", "1MiB").expect(0)
    assert sum(path.stat().st_size for path in program.repo.glob("reserve/*")) == 1024 * 1024


def test_key_file_is_made_once_and_reused(program: Program) -> None:
    """Others could read a key file, or a second repository would destroy the key of the first."""
    program("init", "--reserve", "0").expect(0)
    assert stat.S_IMODE(program.key.stat().st_mode) == 0o600
    secret = program.key.read_text()
    assert len(secret.split("-")) == 9
    other = Program(program.home, program.repo.with_name("other"), program.key)
    other("init", "--reserve", "0").expect(0)
    assert program.key.read_text() == secret
    program("ls").expect(0)
    other("ls").expect(0)


def test_into_an_empty_directory(program: Program) -> None:
    """A freshly made file system, which has a directory lost+found, could not hold a repository."""
    (program.repo / "lost+found").mkdir(parents=True)
    program("init", "--reserve", "0").expect(0)
    program("check").expect(0)


REFUSED = {
    "block size not a power of two": (["--block-size", "65537"], "power of two"),
    "block size too small": (["--block-size", "4KiB"], "power of two"),
    "block size too large": (["--block-size", "32MiB"], "power of two"),
    "block size zero": (["--block-size", "0"], "power of two"),
    "block size no number": (["--block-size", "much"], "is not a size"),
    "block size with a fraction": (["--block-size", "1.5MiB"], "is not a size"),
    "block size negative": (["--block-size=-1"], "is not a size"),
    "block size of many digits": (["--block-size", "9" * 5000], "is not a size"),
    "pack size too small": (["--pack-size", "64KiB"], "pack size"),
    "pack size too large": (["--pack-size", "2GiB"], "pack size"),
    "reserve beyond all disks": (["--reserve", "10T"], "reserve"),
    "unknown encryption": (["--encryption-version", "3"], "--encryption-version"),
    "key without encryption": (["--no-encryption"], "--no-encryption"),
    "strange argument": (["here"], "here"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_options_change_nothing(program: Program, case: str) -> None:
    """A mistyped size would ask for a passphrase first, or leave a key file or half a repository behind."""
    options, word = REFUSED[case]
    program("init", *options).refused(2, word)
    assert not program.repo.exists()
    assert not program.key.exists()


def test_over_a_repository(stored: Program) -> None:
    """A repository with backups in it would be made anew."""
    before = tree_of(stored.repo)
    stored("init").refused(12, "a repository is there already")
    assert tree_of(stored.repo) == before


def test_over_what_is_left_of_a_repository(stored: Program) -> None:
    """A repository whose first file was lost would be taken for a free place."""
    (stored.repo / "packstore").unlink()
    before = tree_of(stored.repo)
    stored("init").refused(12, "a repository is there already")
    assert tree_of(stored.repo) == before


def test_in_a_directory_that_is_not_empty(program: Program) -> None:
    """Somebody's files would be mixed with packs."""
    program.repo.mkdir()
    (program.repo / "thesis.txt").write_text("all I have")
    program("init").refused(12, "not empty")
    assert sorted(tree_of(program.repo)) == [".", "thesis.txt"]
    assert not program.key.exists()


def test_where_a_file_is(program: Program) -> None:
    """A mistyped path would be answered in terms of system calls."""
    program.repo.write_text("all I have")
    program("init").refused(12, "not a directory")
    assert program.repo.read_text() == "all I have"


def test_below_a_directory_that_is_missing(program: Program) -> None:
    """A repository would be made below the mount point of a disk that is not mounted."""
    nowhere = Program(program.home, program.repo / "backup", program.key)
    nowhere("init").refused(11, "is its disk mounted?")
    assert not program.repo.exists()


def test_no_encryption_with_a_passphrase_at_hand(program: Program) -> None:
    """A repository would be made that every later command with the same environment refuses."""
    program("init", "--no-encryption", "--reserve", "0").refused(2, "--no-encryption")
    assert not program.repo.exists()
