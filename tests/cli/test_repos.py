"""`packstore repos` and `--repo-id`: repositories on disks that come, go, take turns and may not be written to."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from packstore.repository.creation import CreateOptions, create_repository
from packstore.repository.runtime import Runtime
from packstore.storage.file import FileStorage
from tests.cli.program import Program

MIB = 1 << 20
READING = [
    ["ls"],
    ["show", "disk.img"],
    ["check"],
    ["check", "--percent", "50"],
    ["check", "disk.img"],
    ["check", "--keyless"],
    ["check", "--status"],
    ["stats"],
    ["du"],
    ["diff", "disk.img", "disk.img"],
    ["status"],
    ["export", "disk.img"],
    ["key", "ls"],
    ["key", "test"],
    ["key", "export", "--output", "keys.txt"],
    ["index", "status"],
    ["index", "rebuild"],
    ["prune", "--keep-last", "1", "--dry-run"],
    ["rm", "disk.img", "--force", "--dry-run"],
    ["repair"],
    ["gc", "--dry-run"],
    ["restore", "disk.img", "-"],
]


@pytest.fixture
def disk(mounted: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Makes an ext4 file system in a file, and mounts it."""

    def make(name: str, *options: str) -> Path:
        image = tmp_path / f"{name}.img"
        if not image.exists():
            with image.open("wb") as file:
                file.truncate(32 * MIB)
            subprocess.run(["mkfs.ext4", "-q", image], check=True)
        return mounted("-o", ",".join(("loop", *options)), str(image))

    return make


def found_at(program: Program, path: Path) -> dict[str, Any]:
    """What `repos` says of a place; nothing if it is not there."""
    found: list[dict[str, Any]] = program.plain("repos", "--json").expect(0).json["repositories"]
    return next((one for one in found if one["path"] == str(path)), {})


def configure(program: Program, text: str) -> None:
    """Write a configuration."""
    path = program.home / ".config" / "packstore" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.root
def test_found_wherever_it_is_mounted(stored: Program, disk: Callable[..., Path], device: Path) -> None:
    """A disk that is mounted elsewhere than the last time would be one that is not there."""
    point = disk("one")
    place = point / "backups" / "linux"
    assert not found_at(stored, place)
    shutil.copytree(stored.repo, place)
    shutil.rmtree(stored.repo)
    found = found_at(stored, place)
    assert (found["writable"], found["encrypted"], found["names"], found["last_backup"]) == (True, True, [], None)
    key = ("--key-file", stored.key)
    opened = stored.plain("ls", "--json", "--repo-id", found["id"][:8], *key).expect(0).json
    assert found_at(stored, place)["last_backup"] == opened["versions"][0]["date"]
    configure(
        stored,
        f'[repositories.usb]\nid = "{found["id"]}"\nkey_file = "{stored.key}"\n'
        f'[repositories.nas]\npath = "/nowhere"\n[volumes.disk]\nsource = "{device}"\nrepositories = ["usb"]\n',
    )
    assert found_at(stored, place)["names"] == ["usb"]
    text = stored.plain("repos").expect(0).out
    assert any(line.split()[:3] == [found["id"][:8], str(place), "usb"] for line in text.splitlines())
    assert stored.plain("repos", "--json").expect(0).json["not_there"] == ["nas"]
    stored.plain("run", "--repo-id", found["id"][:10]).expect(0)
    assert len(stored.plain("ls", "-r", "usb", "--json").expect(0).json["versions"]) == 2
    subprocess.run(["umount", point], check=True)
    for words in (["-r", "usb"], ["--repo-id", found["id"][:8], *key]):
        stored.plain("ls", *words).refused(11, found["id"][:8], "is its disk mounted?")


@pytest.mark.root
def test_too_deep_and_too_little(stored: Program, disk: Callable[..., Path]) -> None:
    """A listing would walk through all files of all disks; or an id of two digits mean somebody else's repository."""
    deep = disk("deep") / "a" / "b" / "c"
    shutil.copytree(stored.repo, deep)
    assert not found_at(stored, deep)
    configure(stored, f'[repositories.deep]\npath = "{deep}"\n')
    repository_id = found_at(stored, deep)["id"]
    stored.plain("ls", "--repo-id", repository_id[:4]).refused(2, "at least 8 digits")
    stored.plain("ls", "--repo-id", repository_id, "-r", "deep").refused(2, "not both")
    stored.plain("ls", "--repo-id", "zzzzzzzz").refused(11, "zzzzzzzz")


@pytest.mark.root
def test_two_copies_of_one_repository(stored: Program, disk: Callable[..., Path]) -> None:
    """Which of two copies is written to would be a matter of luck."""
    place = disk("copy") / "repository"
    shutil.copytree(stored.repo, place)
    repository_id = found_at(stored, place)["id"]
    configure(stored, f'[repositories.here]\npath = "{stored.repo}"\n')
    stored.plain("ls", "--repo-id", repository_id).refused(2, str(place), str(stored.repo), "-r")


@pytest.mark.root
def test_disks_that_take_turns(stored: Program, tmp_path: Path, device: Path) -> None:
    """What is on one disk would be taken for being on the other, mounted at the same place the next day.

    Both are copies of one repository, and each is backed up to while the other is in a drawer.
    """
    point = tmp_path / "turns"
    point.mkdir()
    configure(
        stored,
        f'[repositories.usb]\npath = "{point}/repository"\nkey_file = "{stored.key}"\n'
        f'[volumes.disk]\nsource = "{device}"\n',
    )
    images = [tmp_path / "a.img", tmp_path / "b.img"]
    for image in images:
        with image.open("wb") as file:
            file.truncate(32 * MIB)
        subprocess.run(["mkfs.ext4", "-q", image], check=True)

    def with_disk(image: Path, *args: str) -> list[dict[str, Any]]:
        subprocess.run(["mount", "-o", "loop", image, point], check=True)
        try:
            if not (point / "repository").exists():
                shutil.copytree(stored.repo, point / "repository")
            stored.plain(*args).expect(0)
            versions: list[dict[str, Any]] = stored.plain("ls", "-r", "usb", "--json").expect(0).json["versions"]
            stored.plain("check", "-r", "usb").expect(0)
            return versions
        finally:
            subprocess.run(["umount", point], check=True)

    for turns in (1, 2):
        for image in images:
            assert len(with_disk(image, "run")) == 1 + turns
    uids = [{one["uid"] for one in with_disk(image, "config", "check")} for image in images]
    assert len(uids[0] & uids[1]) == 1, "the version that both were copied with"
    assert len(list((stored.home / "index").iterdir())) == 2, "an index for each disk"


@pytest.mark.root
def test_read_only(stored: Program, disk: Callable[..., Path], tmp_path: Path) -> None:
    """A disk that is mounted read-only, because it begins to fail or is not ours, could not even be looked at."""
    point = disk("readonly")
    shutil.copytree(stored.repo, point / "repository")
    subprocess.run(["umount", point], check=True)
    stored.repo = disk("readonly", "ro") / "repository"
    assert found_at(stored, stored.repo)["writable"] is False
    for command in READING:
        done = stored(*command).expect(0)
        assert "Traceback" not in done.err
    config = tmp_path / "schedules.toml"
    config.write_text('[schedules.daily]\ninterval = "1d"\nkeep = 3\nvolumes = ["disk.img"]\n')
    for name in ("due", "sla"):
        stored(name, env={"PACKSTORE_CONFIG": str(config)}).expect(0)
    target = tmp_path / "copy"
    stored.plain("init", "-r", target, "--no-encryption", "--reserve", "0").expect(0)
    stored.plain("sync", stored.repo, target, "--src-key-file", stored.key).expect(0)
    stored("backup", config, "x").refused(34, "read-only")


def test_one_that_has_only_the_id(stored: Program, tmp_path: Path) -> None:
    """Whoever mounts a repository with our id, which is no secret, would be given our data, not even encrypted."""
    stored("ls").expect(0)
    configure(stored, f'[repositories.ours]\npath = "{stored.repo}"\n')
    repository_id = bytes.fromhex(found_at(stored, stored.repo)["id"])
    draws = iter([repository_id])
    runtime = replace(Runtime(), random=lambda length: next(draws, b"") or os.urandom(length))
    create_repository(FileStorage(tmp_path / "theirs"), CreateOptions(reserve_bytes=0), runtime)
    configure(stored, f'[repositories.theirs]\npath = "{tmp_path}/theirs"\n')
    asked = ("--repo-id", repository_id.hex())
    for key in ((), ("--key-file", stored.key)):
        stored.plain("backup", stored.key, "x", *asked, *key).refused(25, "claims not to be encrypted")


def test_json(stored: Program) -> None:
    """A script would rely on keys that another version does not have."""
    configure(stored, f"[repositories.usb]\npath = {json.dumps(str(stored.repo))}\n")
    assert set(found_at(stored, stored.repo)) == {"id", "path", "names", "last_backup", "writable", "encrypted"}
