"""`packstore repair`: what can be saved is saved, and nothing that may be good is destroyed."""

import random
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import BLOCK
from tests.cli.program import Program, tree_of, wait_until
from tests.cli.test_check import flip


def restored(program: Program, version: str, to: Path) -> bytes:
    """Restore a version that must be whole."""
    program("restore", version, to, "--force").expect(0)
    return to.read_bytes()


@pytest.fixture
def copy(stored: Program, tmp_path: Path) -> Path:
    """Another copy of the repository, as rsync makes one."""
    return Path(shutil.copytree(stored.repo, tmp_path / "copy"))


def test_nothing_to_do(stored: Program) -> None:
    """A repair of a good repository would change it."""
    before = tree_of(stored.repo)
    for options in ([], ["--apply"]):
        assert "nothing to repair" in stored("repair", *options).expect(0).out
    assert tree_of(stored.repo) == before


@pytest.mark.parametrize("name", ["packstore", "packstore.copy", "keys/*"])
@pytest.mark.parametrize("how", ["flip", "delete", "empty"])
def test_twins_are_written_again(stored: Program, name: str, how: str) -> None:
    """One bad sector would leave a repository with one copy of its key for ever."""
    path = min(path for path in stored.repo.glob(name) if path.suffix == Path(name).suffix)
    good = path.read_bytes()
    if how == "flip":
        flip(path, len(good) // 2)
    elif how == "delete":
        path.unlink()
    else:
        path.write_bytes(b"")
    before = tree_of(stored.repo)
    assert f"WRITE   {path.relative_to(stored.repo)} again" in stored("repair").expect(0).out
    assert tree_of(stored.repo) == before, "the plan alone changed something"
    stored("repair", "--apply").expect(0)
    assert path.read_bytes() == good
    stored("check").expect(0)
    assert len(list(stored.repo.glob("quarantine/*"))) == (how != "delete")


def test_good_records_are_salvaged(stored: Program, tmp_path: Path) -> None:
    """A pack with one bad block would be thrown away with all the others, or stay for ever."""
    pack = stored.only("packs/*/*")
    flip(pack, BLOCK + BLOCK // 2)
    damaged = pack.read_bytes()
    stored("check").expect(40)
    assert "SALVAGE" in stored("repair").expect(0).out
    assert pack.read_bytes() == damaged

    done = stored("repair", "--apply", "--json").expect(40).json  # one block stays lost
    assert done["objects_lost"] == 1
    assert done["records_copied"] == done["packs"][0]["good_records"] > 3
    assert not pack.exists()
    assert stored.only("quarantine/packs-*").read_bytes() == damaged

    result = stored("restore", "disk.img", tmp_path / "out", "--json").expect(40).json
    assert [extent["length"] for extent in result["damaged_ranges"]] == [BLOCK]
    assert stored.json("ls")["versions"][0]["state"] == "invalid"
    found = stored("check", "--json").expect(40).json
    assert not found["damage"]
    assert not found["missing"]


def test_a_backup_after_a_repair_makes_versions_whole(stored: Program, device: Path, tmp_path: Path) -> None:
    """What was lost would stay lost although the source still has it."""
    flip(stored.only("packs/*/*"), BLOCK + BLOCK // 2)
    stored("check").expect(40)
    stored("repair", "--apply").expect(40)
    stored("backup", device).expect(0)
    assert [version["state"] for version in stored.json("ls")["versions"]] == ["valid", "valid"]
    assert restored(stored, "disk.img~1", tmp_path / "out") == device.read_bytes()
    stored("check").expect(0)
    assert "nothing to repair" in stored("repair").expect(0).out


@pytest.mark.parametrize(
    ("pattern", "how"),
    [
        *(("packs/*/*", how) for how in ("flip", "cut", "empty", "delete")),
        *(("meta/*", how) for how in ("flip", "cut", "empty")),
    ],
)
def test_from_another_copy(stored: Program, copy: Path, device: Path, tmp_path: Path, pattern: str, how: str) -> None:
    """Two copies would not help each other: a file that is torn or missing here is whole there."""
    path = stored.only(pattern)
    good = path.read_bytes()
    if how == "flip":
        flip(path, BLOCK + 77 if pattern == "packs/*/*" else 300)
    elif how == "cut":
        path.write_bytes(good[: len(good) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    assert stored("check").code in {40, 44}
    done = stored("repair", "--from", copy, "--apply", "--json").expect(0).json
    assert done["packs_fetched"] == 1
    assert path.read_bytes() == good
    stored("check").expect(0)
    assert stored.json("ls")["versions"][0]["valid"] is True
    assert restored(stored, "disk.img", tmp_path / "out") == device.read_bytes()


def test_objects_come_one_by_one(stored: Program, copy: Path, device: Path, tmp_path: Path) -> None:
    """Two copies, both damaged in the same pack at different places, could not be made whole."""
    path = stored.only("packs/*/*")
    there = copy / path.relative_to(stored.repo)
    flip(path, BLOCK // 2)
    flip(there, 4 * BLOCK)
    stored("check").expect(40)
    done = stored("repair", "--from", copy, "--apply", "--json").expect(0).json
    assert done["objects_to_fetch"] == 1
    stored("check").expect(0)
    assert restored(stored, "disk.img", tmp_path / "out") == device.read_bytes()


def test_both_damaged_in_the_same_place(stored: Program, copy: Path) -> None:
    """Damage would be copied over damage and called repaired."""
    path = stored.only("packs/*/*")
    flip(path, BLOCK // 2)
    flip(copy / path.relative_to(stored.repo), BLOCK // 2 + 5)
    stored("check").expect(40)
    assert stored("repair", "--from", copy, "--apply", "--json").expect(40).json["objects_lost"] == 1


def test_another_repository_is_refused(stored: Program, tmp_path: Path) -> None:
    """Packs of a stranger would be brought in."""
    other = Program(stored.home, tmp_path / "other", tmp_path / "other key")
    other("init", "--reserve", "0").expect(0)
    stored("repair", "--from", other.repo).refused(2, "another repository")
    stored("repair", "--from", stored.repo).refused(2, "this one")
    stored("repair", "--from", tmp_path / "nothing").refused(11)


def test_a_damaged_pack_stays_while_somebody_writes(stored: Program, tmp_path: Path) -> None:
    """A backup that relies on a good record of a damaged pack would commit what is not there any more."""
    flip(stored.only("packs/*/*"), BLOCK + BLOCK // 2)
    stored("check").expect(40)
    with stored.running("backup", "-", "stream", stdin=-1) as process:
        assert process.stdin
        process.stdin.write(random.Random(3).randbytes(5 * BLOCK))
        process.stdin.flush()
        wait_until(lambda: list(stored.repo.glob("gc/intent-*")), lambda: "the intent")
        done = stored("repair", "--apply", "--json").expect(40).json
        assert done["moved"] == []
        assert len(done["not_moved"]) == 1
        process.communicate()
    assert len(stored("repair", "--apply", "--json").expect(40).json["moved"]) == 1
    assert restored(stored, "stream", tmp_path / "out") == random.Random(3).randbytes(5 * BLOCK)


@pytest.mark.parametrize("gone", ["the meta file", "the meta file and the blocks"])
def test_a_lost_meta_file_comes_back(stored: Program, device: Path, tmp_path: Path, gone: str) -> None:
    """A version whose record is lost would vanish for ever although another copy has it, and nobody be told."""
    stored("tag", "disk.img", "golden").expect(0)
    stored("protect", "disk.img").expect(0)
    copy = Path(shutil.copytree(stored.repo, tmp_path / "copy"))
    before = stored.json("ls")["versions"]
    for path in [*stored.repo.glob("meta/*"), *(stored.repo.glob("packs/*/*") if "blocks" in gone else ())]:
        path.unlink()
    assert stored("ls", "--json").expect(26).json["versions"] == []
    assert "nothing to repair" in stored("repair").expect(26).out

    plan = stored("repair", "--from", copy).expect(26).out
    assert f"RETURN  version {before[0]['uid'][:8]} of disk.img" in plan
    assert "RETURN  2 events" in plan
    assert stored("ls", "--json").expect(26).json["versions"] == []
    done = stored("repair", "--from", copy, "--apply", "--json").expect(0).json
    assert done["versions_to_return"] == [before[0]["uid"]]
    assert done["versions_returned"] == 1
    assert stored.json("ls")["versions"] == before
    assert restored(stored, "disk.img", tmp_path / "out") == device.read_bytes()
    stored("check").expect(0)
    assert "nothing to repair" in stored("repair", "--from", copy).expect(0).out


def test_what_was_removed_here_does_not_come_back(stored: Program, copy: Path) -> None:
    """`repair --from` an old copy would undo each `rm`, or remove what was removed there only."""
    stored("rm", "disk.img", "--force").expect(0)
    assert "nothing to repair" in stored("repair", "--from", copy).expect(0).out
    stored("gc").expect(0)
    stored("gc").expect(0)
    assert "nothing to repair" in stored("repair", "--from", copy).expect(0).out
    there = Program(stored.home, copy, stored.key)
    assert "nothing to repair" in there("repair", "--from", stored.repo, "--apply").expect(0).out
    assert len(there.json("ls")["versions"]) == 1


def test_what_was_said_comes_back(stored: Program, tmp_path: Path) -> None:
    """A lost file of `meta/` would take a protection along, and `prune` the version; or a repair take one away."""
    before = set(stored.repo.glob("meta/*"))
    stored("protect", "disk.img").expect(0)
    stored("tag", "disk.img", "golden").expect(0)
    there = Program(stored.home, Path(shutil.copytree(stored.repo, tmp_path / "copy")), stored.key)
    for path in set(stored.repo.glob("meta/*")) - before:
        path.unlink()
    there("untag", "disk.img", "golden").expect(0)
    document = stored("repair", "--from", there.repo, "--apply", "--json").expect(0).json
    assert document["events_to_return"] == 3
    assert document["versions_to_return"] == []
    (version,) = stored.json("ls")["versions"]
    assert version["protected"]
    assert "golden" not in version["tags"]

    there("unprotect", "disk.img").expect(0)
    there("rm", "disk.img", "--force").expect(0)
    assert "nothing to repair" in stored("repair", "--from", there.repo, "--apply").expect(0).out
    assert stored.json("ls")["versions"] == [version]


def test_a_version_that_is_damaged_there_too(stored: Program, device: Path, copy: Path, tmp_path: Path) -> None:
    """One bad block in the other copy would keep all the rest of a version from coming back, or be hidden."""
    flip(copy / stored.only("packs/*/*").relative_to(stored.repo), BLOCK // 2)
    for pattern in ("meta/*", "packs/*/*"):
        stored.only(pattern).unlink()
    done = stored("repair", "--from", copy, "--apply", "--json").expect(40).json
    assert done["objects_lost"] == 1
    assert [version["state"] for version in stored.json("ls")["versions"]] == ["invalid"]
    result = stored("restore", "disk.img", tmp_path / "out", "--json").expect(40).json
    assert [extent["length"] for extent in result["damaged_ranges"]] == [BLOCK]
    stored("backup", device).expect(0)
    assert {version["state"] for version in stored.json("ls")["versions"]} == {"valid"}


def test_what_has_not_arrived_is_not_called_lost(stored: Program, copy: Path) -> None:
    """Whoever looks at a copy that rsync still fills would be told that his data are lost."""
    pack = stored.only("packs/*/*")
    content = pack.read_bytes()
    pack.unlink()
    stored("check").expect(44)
    plan = stored("repair").expect(0).out
    assert "in 1 pack not here have not arrived" in plan
    assert "LOST" not in plan
    document = stored("repair", "--apply", "--json").expect(44).json
    assert document["packs_not_arrived"] == [str(pack.relative_to(stored.repo))]
    assert document["objects_lost"] == 0
    assert document["objects_not_arrived"] > 3
    pack.write_bytes(content)
    assert "nothing to repair" in stored("repair").expect(0).out
