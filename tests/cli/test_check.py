"""`packstore check`."""

import random
import shutil
import signal
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import BLOCK
from tests.cli.program import Program, tree_of, wait_until


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
        ["--percent", "5", "--bytes", "5"],
        ["--bytes", "0"],
        ["--max-duration", "0h"],
        ["--max-duration", "soon"],
        ["--status", "--percent", "5"],
        ["--status", "disk.img"],
        ["--source", "x"],
        ["disk.img", "disk.img", "--source", "x"],
        ["disk.img", "--max-duration", "5m"],
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


def many(repo: Program, tmp_path: Path, count: int = 5) -> None:
    """Store several volumes, each in packs of its own."""
    for number in range(count):
        image = tmp_path / f"image{number}"
        image.write_bytes(bytes([number + 1]) * 100_000 + image.name.encode())
        repo("backup", image, "--compression", "none").expect(0)


def status(program: Program) -> dict[str, Any]:
    """What `check --status` says."""
    return program.json("check", "--status")


def test_the_memory_is_in_the_repository(repo: Program, tmp_path: Path) -> None:
    """Each host, and whoever loses a cache, would begin to read everything again."""
    many(repo, tmp_path)
    assert status(repo)["percent_read"] == 0
    first = repo.json("check", "--percent", "50")
    shutil.rmtree(repo.home / "index")
    found = status(repo)
    assert 0 < found["bytes_read"] == first["bytes_checked"]
    before = found["bytes_total"]
    second = repo.json("check", "--percent", "50")
    assert first["bytes_checked"] + second["bytes_checked"] >= before
    found = status(repo)
    assert [run["run"] for run in found["runs"]] == [2, 1]
    assert all(run["complete"] for run in found["runs"])
    assert found["runs"][-1]["bytes_since"] == found["bytes_read"]
    assert found["oldest_read"] is not None
    assert set(found["never_read"]) <= {f"meta/{path.name}" for path in repo.repo.glob("meta/*")}
    text = repo("check", "--status", env={"TZ": "EAST-13:30"}).expect(0).out
    assert "were read by checks" in text
    ended = datetime.fromisoformat(found["runs"][0]["date"]).astimezone(timezone(timedelta(hours=13, minutes=30)))
    assert f"of {ended:%Y-%m-%d %H:%M:%S}" in text


def test_a_number_of_bytes(repo: Program, tmp_path: Path) -> None:
    """Whoever pays for each byte read could not say how many."""
    many(repo, tmp_path)
    found = repo.json("check", "--bytes", "150K")
    assert 150 * 1024 <= found["bytes_checked"] < found["bytes_total"]


def test_a_check_that_runs_out_of_time_goes_on_the_next_time(repo: Program, tmp_path: Path) -> None:
    """A nightly check of an hour would read the same packs each night."""
    many(repo, tmp_path)
    done = repo.json("check", "--max-duration", "10h")
    assert done["complete"] is True
    assert done["packs_checked"] == done["packs_total"]


def test_an_interrupted_check_counts(repo: Program, tmp_path: Path) -> None:
    """A check of days that is ended by a reboot would have been for nothing."""
    image = tmp_path / "large.img"
    image.write_bytes(random.Random(5).randbytes(150 * 1024 * 1024))
    repo("backup", image, "--compression", "none").expect(0)
    with repo.running("check", "--threads", "1") as process:
        wait_until(
            lambda: (repo.home / "index").exists() and _read_bytes(process.pid) > 40 * 1024 * 1024,
            lambda: "some reading",
        )
        process.send_signal(signal.SIGINT)
        assert process.wait() in {0, 130}
    shutil.rmtree(repo.home / "index")
    found = status(repo)
    assert found["bytes_read"] > 0
    assert len(found["runs"]) == 1
    if found["never_read"]:
        assert found["runs"][0]["complete"] is False


def _read_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/io").read_text(encoding="ascii").split()
    return int(lines[1])


@pytest.mark.root
def test_a_read_only_repository_is_checked(stored: Program, mounted: Callable[..., Path]) -> None:
    """A disk that was attached read-only for safety could not be checked, or the check would be forgotten."""
    point = mounted("--bind", str(stored.repo))
    subprocess.run(["mount", "-o", "remount,bind,ro", str(point)], check=True)
    reader = Program(stored.home, point, stored.key)
    before = tree_of(stored.repo)
    done = reader("check").expect(0)
    assert "no damage found" in done.out
    assert "only on this machine" in done.err
    assert status(reader)["percent_read"] == 100
    assert tree_of(stored.repo) == before


def test_damage_is_known_to_every_host(stored: Program, device: Path, tmp_path: Path) -> None:
    """Another host would deduplicate against a block that is known to be lost, and list its versions as good."""
    flip(stored.only("packs/*/*"), BLOCK + BLOCK // 2)
    stored("check").expect(40)
    other = Program(tmp_path, stored.repo, stored.key)
    (version,) = other.json("ls")["versions"]
    assert (version["valid"], version["state"]) == (False, "invalid")
    assert "invalid" in other("ls").expect(0).out
    assert "invalid" in other("show", "disk.img").expect(0).out
    assert status(other)["versions"][0]["state"] == "invalid"
    image = tmp_path / "same.img"
    shutil.copy(device, image)
    made = other.json("backup", image, "new")
    assert made["bytes_new"] == BLOCK if "bytes_new" in made else made
    assert [each["state"] for each in other.json("ls")["versions"]] == ["valid", "valid"]
    restored = tmp_path / "restored"
    other("restore", "disk.img", restored).expect(0)
    assert restored.read_bytes() == device.read_bytes()


def test_the_same_damage_is_recorded_once(stored: Program) -> None:
    """A check each night over known damage would fill the repository with the same record."""
    flip(stored.only("packs/*/*"), BLOCK + BLOCK // 2)
    stored("check").expect(40)
    sizes = []
    for _ in range(2):
        before = set(stored.repo.glob("meta/*"))
        stored("check").expect(40)
        (new,) = set(stored.repo.glob("meta/*")) - before
        sizes.append(new.stat().st_size)
    assert sizes[1] - sizes[0] < 200  # one rank more, for the pack that the last check has written


def test_what_is_good_again_is_taken_back(stored: Program) -> None:
    """A pack that was brought back from another copy would be called damaged for ever."""
    pack = stored.only("packs/*/*")
    good = pack.read_bytes()
    flip(pack, BLOCK + BLOCK // 2)
    stored("check").expect(40)
    pack.write_bytes(good)
    stored("check").expect(0)
    shutil.rmtree(stored.home / "index")
    assert stored.json("ls")["versions"][0]["valid"] is True


def test_a_version_against_its_source(stored: Program, device: Path, tmp_path: Path) -> None:
    """Nobody could tell a change of the source from damage in the repository."""
    image = tmp_path / "live.img"
    shutil.copy(device, image)
    found = stored.json("check", "disk.img", "--source", image)
    assert found["bytes_equal"] == found["bytes_total"] == device.stat().st_size

    flip(image, 2 * BLOCK + 5)
    with image.open("ab") as file:
        file.write(b"more")
    found = stored("check", "disk.img", "--source", image, "--json").expect(68).json
    changed = [(extent["offset"], extent["length"]) for extent in found["changed_ranges"]]
    assert changed == [(2 * BLOCK, BLOCK), (device.stat().st_size, 4)]
    assert not found["damaged_ranges"]
    assert "DIFFERS" in stored("check", "disk.img", "--source", image).expect(68).out

    flip(stored.only("packs/*/*"), BLOCK // 2)
    found = stored("check", "disk.img", "--source", image, "--json").expect(40).json
    assert len(found["damaged_ranges"]) == 1
    assert found["damaged_ranges"] == found["mendable_ranges"]
    assert (2 * BLOCK, BLOCK) in [(extent["offset"], extent["length"]) for extent in found["changed_ranges"]]

    image.write_bytes(device.read_bytes()[: 5 * BLOCK])
    found = stored("check", "disk.img", "--source", image, "--json").expect(40).json
    assert found["changed_ranges"][-1]["offset"] >= 5 * BLOCK
    stored("check", "disk.img", "--source", tmp_path / "nothing").refused(51)
    stored("check", "disk.img", "--source", "-").refused(2, "stream")


def test_what_no_version_needs_is_not_missed(repo: Program, device: Path) -> None:
    """What a collector has deleted would be called missing, for its directory may outlive it."""
    repo("backup", device, "first").expect(0)
    (pack,) = repo.repo.glob("packs/*/*")
    data = pack.read_bytes()
    flip(pack, BLOCK // 2)
    repo("check").expect(40)
    repo("repair", "--apply").expect(40)
    repo("backup", device, "second").expect(0)
    assert len(data) > BLOCK
    found = repo.json("check")
    assert found["missing"] == []
    assert not pack.exists()


def test_the_status_of_checks_without_a_key(stored: Program) -> None:
    """Whoever keeps the disk could not see how far the checks without the key have come."""
    here = ("-r", stored.repo, "--keyless", "--json")
    before = stored.plain("check", "--status", *here).expect(0).json
    assert (before["bytes_read"], len(before["never_read"])) == (0, 2)
    stored.plain("check", *here).expect(0)
    after = stored.plain("check", "--status", *here).expect(0).json
    assert after["percent_read"] == 100
    assert after["runs"][0]["complete"] is True
    assert status(stored)["bytes_read"] == 0  # it vouches for nothing that only a key can tell
