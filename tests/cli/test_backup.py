"""`packstore backup`."""

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import BLOCK
from tests.cli.program import Program, tree_of

KEYS = ["bytes_total", "bytes_read", "bytes_hole", "bytes_unchanged", "bytes_dedup", "bytes_new", "bytes_stored"]


def test_text(repo: Program, device: Path) -> None:
    """Whoever made a backup would not be told its version, or how much was new."""
    done = repo("backup", device).expect(0)
    assert "of disk.img" in done.out
    assert "new" in done.out
    assert not done.err


def test_counts(repo: Program, device: Path) -> None:
    """The counts in the document would not add up to the device, so nobody could rely on them."""
    first = repo.json("backup", device)
    assert all(isinstance(first[key], int) for key in KEYS)
    assert first["bytes_total"] == device.stat().st_size
    kinds = [first[key] for key in ("bytes_hole", "bytes_unchanged", "bytes_dedup", "bytes_new")]
    assert sum(kinds) == first["bytes_total"]
    assert first["bytes_hole"] == 3 * BLOCK
    assert first["bytes_stored"] > first["bytes_new"] > 0
    assert first["base"] is None

    second = repo.json("backup", device)
    assert second["bytes_new"] == 0
    assert second["bytes_unchanged"] == first["bytes_new"]
    assert second["bytes_stored"] < 64 * 1024
    assert second["base"] == first["version"]


def test_volume_is_the_last_part_of_the_source(repo: Program, device: Path) -> None:
    """A backup without a name would end up under a name that nobody looks for."""
    assert repo.json("backup", device)["volume"] == "disk.img"
    assert repo.json("backup", device, "web1")["volume"] == "web1"


def test_relative_path(repo: Program, device: Path) -> None:
    """A source named relative to the current directory would count as another source the next time."""
    relative = os.path.relpath(device, repo.home)
    repo("backup", relative).expect(0)
    repo("backup", device).expect(0)


def test_two_devices_of_one_name(stored: Program, device: Path, tmp_path: Path) -> None:
    """Two devices that end in the same name would silently become versions of one volume."""
    other = tmp_path / "elsewhere" / "disk.img"
    other.parent.mkdir()
    other.write_bytes(b"x" * BLOCK)
    before = tree_of(stored.repo)
    stored("backup", other).refused(2, str(device), str(other))
    assert tree_of(stored.repo) == before
    stored("backup", other, "disk.img").expect(0)


def test_from(stored: Program, device: Path) -> None:
    """A backup of a clone would be hashed whole although its origin is known."""
    origin = stored.json("show", "disk.img")["version"]["uid"]
    copy = stored.json("backup", device, "clone", "--from", origin[:8])
    assert copy["base"] == origin
    assert copy["bytes_unchanged"] > 0


def test_from_what_does_not_exist(stored: Program, device: Path) -> None:
    """A mistyped base would be ignored, or leave traces in the repository."""
    before = tree_of(stored.repo)
    stored("backup", device, "--from", "nosuch").refused(14, "nosuch")
    assert tree_of(stored.repo) == before


def test_paranoid(stored: Program, device: Path) -> None:
    """--paranoid would trust the fingerprints that it is there to distrust."""
    found = stored.json("backup", device, "--paranoid")
    assert found["paranoid"] is True
    assert found["bytes_unchanged"] == 0
    assert found["bytes_dedup"] > 0


@pytest.mark.parametrize(("compression", "factor"), [("none", 1.0), ("zstd:1", 0.5), ("zstd", 0.5), ("zstd:22", 0.5)])
def test_compression(repo: Program, tmp_path: Path, compression: str, factor: float) -> None:
    """The level would be ignored, or what it makes could not be read."""
    text = tmp_path / "text"
    text.write_bytes(b"".join(b"%09d\n" % number for number in range(30_000)))
    stored = repo.json("backup", text, "--compression", compression)["bytes_stored"]
    assert (stored >= text.stat().st_size) == (factor == 1.0)
    assert repo("restore", "text", "-").expect(0).raw == text.read_bytes()


def test_tags(repo: Program, device: Path) -> None:
    """Tags would be lost."""
    repo("backup", device, "--tag", "before upgrade", "--tag", "ünïcode").expect(0)
    assert repo.json("ls")["versions"][0]["tags"] == ["before upgrade", "ünïcode"]


@pytest.mark.parametrize("threads", ["1", "7"])
def test_threads(repo: Program, device: Path, threads: str) -> None:
    """The number of threads would change what is stored."""
    repo("backup", device, "--threads", threads).expect(0)
    assert repo("restore", "disk.img", "-", "--threads", threads).expect(0).raw == device.read_bytes()


def test_standard_input(repo: Program, device: Path) -> None:
    """A device could not be piped in."""
    found = repo.json("backup", "-", "web1", data=device.read_bytes())
    assert found["bytes_total"] == device.stat().st_size
    assert repo("restore", "web1", "-").expect(0).raw == device.read_bytes()


def test_standard_input_that_is_empty(repo: Program) -> None:
    """The command before the pipe would fail and nobody be told."""
    done = repo("backup", "-", "web1", data=b"").expect(0)
    assert "empty" in done.err


def test_standard_input_without_a_name(repo: Program) -> None:
    """A volume called - would be made."""
    before = tree_of(repo.repo)
    repo("backup", "-", data=b"x").refused(2, "which volume")
    assert tree_of(repo.repo) == before


def test_standard_input_is_not_eaten_by_the_passphrase_command(program: Program, device: Path) -> None:
    """A passphrase command that reads its input would swallow the beginning of the device, and nobody notice."""
    secret = {"PACKSTORE_PASSPHRASE_COMMAND": "sh -c 'head -c 70000 >/dev/null; echo correct horse'"}
    repo = ["-r", str(program.repo)]
    program.plain("init", "--reserve", "0", *repo, env=secret).expect(0)
    program.plain("backup", "-", "web1", *repo, data=device.read_bytes(), env=secret).expect(0)
    assert program.plain("restore", "web1", "-", *repo, env=secret).expect(0).raw == device.read_bytes()


def test_standard_input_that_does_not_block(repo: Program, device: Path) -> None:
    """A pipe that is empty for a moment would be taken for the end of the device: a silently short version."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with repo.running("backup", "-", "web1", stdin=reading) as process:
        os.close(reading)
        content = device.read_bytes()
        for offset in range(0, len(content), 40_000):
            os.write(writing, content[offset : offset + 40_000])
        os.close(writing)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert repo("restore", "web1", "-").expect(0).raw == content


def test_name_that_is_not_utf8(repo: Program, device: Path, tmp_path: Path) -> None:
    """A source whose path is not UTF-8 could not be backed up, or not be shown."""
    path = os.fsencode(tmp_path) + b"/d\xff.img"
    shutil.copy(device, os.fsdecode(path))
    repo("backup", os.fsdecode(path), "odd").expect(0)
    assert "d\\xff.img" in repo("show", "odd").expect(0).out


BAD_NAMES = ["", ".", "..", "a/b", "a@b", "a~1", "-x", "~x", "a\nb", "x" * 256, "bell\a"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_volume_names(stored: Program, device: Path, name: str) -> None:
    """A version would be stored under a name by which it cannot be asked for."""
    before = tree_of(stored.repo)
    stored.plain("backup", "-r", stored.repo, "--key-file", stored.key, "--", device, name).refused(
        2, "cannot be the name of a volume"
    )
    assert tree_of(stored.repo) == before


@pytest.mark.parametrize(
    "options",
    [
        ["--compression", "gzip"],
        ["--compression", "zstd:23"],
        ["--compression", "zstd:0"],
        ["--compression", "zstd:-1"],
        ["--threads", "0"],
        ["--threads", "x"],
        ["--tag", ""],
        ["--tag", "x" * 256],
        ["--tag", "two\nlines"],
        ["--nonsense"],
        ["third", "argument"],
    ],
)
def test_bad_options_change_nothing(stored: Program, device: Path, options: list[str]) -> None:
    """A mistyped option would be ignored, or be noticed only after an hour of reading."""
    before = tree_of(stored.repo)
    stored("backup", device, "disk.img", *options).refused(2)
    assert tree_of(stored.repo) == before


def test_source_that_is_written_to(repo: Program, tmp_path: Path) -> None:
    """A version that mixes old and new would look like any other."""
    content = random.Random(3).randbytes(40 * 1024 * 1024)
    busy = tmp_path / "busy.img"
    busy.write_bytes(content)
    with repo.running("backup", busy) as process:
        while process.poll() is None:
            with busy.open("r+b") as file:
                file.write(b"x")
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"was written to while it was being read" in err


def test_source_that_shrinks(repo: Program, tmp_path: Path) -> None:
    """A version with a made-up end would be committed."""
    busy = tmp_path / "busy.img"
    busy.write_bytes(random.Random(3).randbytes(40 * 1024 * 1024))
    with repo.running("backup", busy) as process:
        while not list(repo.repo.glob("packs/*/*")) and process.poll() is None:
            pass
        os.truncate(busy, 12345)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 53, err
    assert not repo.json("ls")["versions"]
    repo("check").expect(0)


def test_files_that_are_no_files(stored: Program) -> None:
    """What looks like a file and cannot be sought in would end in a traceback."""
    stored("backup", "/proc/cpuinfo").refused(50, "/proc/cpuinfo")


def test_hints(stored: Program, device: Path, tmp_path: Path) -> None:
    """An administrator who knows what has changed could not say so, or not see whether it was of use."""
    changed = bytearray(device.read_bytes())
    changed[BLOCK : BLOCK + 9] = b"different"
    image = tmp_path / "disk.img"
    image.write_bytes(changed)
    hints = tmp_path / "diff.json"
    hints.write_text(f'[{{"offset":{BLOCK},"length":512,"exists":"true"}}]')
    found = stored.json("backup", image, "disk.img", "--hints", hints)
    assert found["hints_followed"] is True
    assert found["bytes_new"] == BLOCK
    assert found["bytes_skipped"] == len(changed) - BLOCK
    assert stored("restore", "disk.img", "-").expect(0).raw == bytes(changed)
    again = stored.json("backup", image, "disk.img", "--hints", hints, "--hints-from", "disk.img~1")
    assert again["base"] != found["version"]
    assert again["hints_followed"] is True
    assert stored.json("backup", image, "disk.img")["hints_followed"] is None


@pytest.mark.parametrize("content", [None, "", "{}", '[{"offset":0,"length":"1","exists":true}]'])
def test_hints_of_no_use(stored: Program, device: Path, tmp_path: Path, content: str | None) -> None:
    """A night without a usable list would be a night without a backup."""
    hints = tmp_path / "diff.json"
    if content is not None:
        hints.write_text(content)
    done = stored("backup", device, "disk.img", "--json", "--hints", hints).expect(0)
    assert done.json["hints_followed"] is False
    assert done.json["bytes_skipped"] == 0
    assert str(hints) in done.err


def test_hints_used_wrongly(stored: Program, device: Path, tmp_path: Path) -> None:
    """What cannot be meant would be taken for something else, and leave traces."""
    before = tree_of(stored.repo)
    stored("backup", device, "--hints-from", "disk.img").refused(2, "--hints")
    stored("backup", device, "--hints", tmp_path / "x", "--hints-from", "a", "--from", "b").refused(2, "--hints-from")
    stored("backup", "-", "disk.img", "--hints", tmp_path / "x", data=b"").refused(2, "stream")
    assert tree_of(stored.repo) == before
