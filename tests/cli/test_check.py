"""`packstore check`."""

from pathlib import Path

import pytest

from tests.cli.conftest import BLOCK
from tests.cli.program import Program, tree_of


def flip(path: Path, offset: int) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize(
    "options",
    [["--no-record"], ["--keyless"], ["disk.img"], ["--percent", "40", "--no-record"], ["--keyless", "--bytes", "5"]],
)
def test_clean(stored: Program, options: list[str]) -> None:
    """A good repository would be called damaged, or a check would write where it was not to."""
    before = tree_of(stored.repo)
    done = stored("check", *options).expect(0)
    assert "no damage found" in done.out
    assert not done.err
    assert tree_of(stored.repo) == before


def test_json(stored: Program) -> None:
    """A script could not tell how much was read."""
    stored_bytes = sum(path.stat().st_size for name in ("packs/*/*", "meta/*") for path in stored.repo.glob(name))
    found = stored.json("check")
    assert found["clean"] is True
    assert found["packs_checked"] == found["packs_total"] == 2
    assert found["bytes_checked"] == found["bytes_total"] == stored_bytes
    assert found["damage"] == found["versions"] == []


def test_keyless_needs_no_secret(stored: Program) -> None:
    """Whoever keeps the disk could not check it without being trusted with the key."""
    done = stored.plain("check", "--keyless", "-r", stored.repo).expect(0)
    assert "by checksum" in done.out


def test_damage_in_a_block(stored: Program) -> None:
    """A flipped bit would not be found, or nobody told what it costs."""
    pack = stored.only("packs/*/*")
    flip(pack, BLOCK + BLOCK // 2)
    name = str(pack.relative_to(stored.repo))

    found = stored("check", "--json").expect(40).json
    assert not found["clean"]
    assert found["damage"][0]["file"] == name
    (hit,) = found["versions"]
    assert hit["volume"] == "disk.img"
    assert hit["bad_ranges"][0]["length"] == BLOCK
    assert found["error"]["exit_code"] == 40

    done = stored("check").expect(40)
    assert f"DAMAGED {name}" in done.out
    assert "HIT" in done.out
    assert "damage in 1 file; it hits 1 version" in done.err

    keyless = stored.plain("check", "--keyless", "-r", stored.repo).expect(40)
    assert f"DAMAGED {name}" in keyless.out

    one = stored("check", "disk.img", "--json").expect(40).json
    assert one["versions"][0]["bad_ranges"] == hit["bad_ranges"]


def test_missing_pack(stored: Program) -> None:
    """A pack that is gone would not be missed, or a copy still under way would be called damaged."""
    pack = stored.only("packs/*/*")
    data = pack.read_bytes()
    pack.unlink()
    for options in ([], ["disk.img"]):
        done = stored("check", *options).expect(44)
        assert f"MISSING {pack.relative_to(stored.repo)}: is not here" in done.out
        assert "LACKING" in done.out
    assert stored.json("ls")["versions"][0]["state"] == "incomplete"
    assert "incomplete" in stored("ls").expect(0).out
    pack.write_bytes(data)
    assert stored.json("ls")["versions"][0]["valid"] is True
    stored("check").expect(0)


@pytest.mark.parametrize("name", ["packstore", "packstore.copy", "keys/*"])
def test_damaged_small_files(stored: Program, name: str) -> None:
    """The last copy of a key would be trusted until it is gone as well."""
    path = min(path for path in stored.repo.glob(name) if path.suffix == Path(name).suffix)
    flip(path, path.stat().st_size // 2)
    for options in ([], ["--keyless"]):
        done = stored("check", *options).expect(40)
        assert f"DAMAGED {path.relative_to(stored.repo)}" in done.out


def test_strangers(stored: Program) -> None:
    """A pack that lost its name would be ignored for ever."""
    (stored.repo / "meta" / "notes.txt").write_text("hello")
    assert "DAMAGED meta/notes.txt" in stored("check").expect(40).out


def test_percent_reads_everything_in_the_end(repo: Program, tmp_path: Path) -> None:
    """A part of the repository would never be read."""
    for number in range(4):
        image = tmp_path / f"image{number}"
        image.write_bytes(bytes([number + 1]) * 100_000 + image.name.encode())
        repo("backup", image, "--compression", "none").expect(0)
    flip(max(repo.repo.glob("packs/*/*")), 5000)
    codes = [repo("check", "--percent", "34").code for _ in range(3)]
    assert 40 in codes


@pytest.mark.parametrize(
    "options",
    [
        ["--percent", "0"],
        ["--percent", "101"],
        ["--percent", "nan"],
        ["--percent", "x"],
        ["disk.img", "--keyless"],
        ["disk.img", "--percent", "5"],
    ],
)
def test_bad_options(stored: Program, options: list[str]) -> None:
    """A check that was asked for nonsense would say that all is well."""
    stored("check", *options).refused(2)


def test_unknown_version(stored: Program) -> None:
    """A check of a version that does not exist would say that all is well."""
    stored("check", "nosuch").refused(14, "nosuch")
