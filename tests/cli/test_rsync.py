"""Copies made by the real rsync, as docs/COPIES.md has it: while others write, and merged in both directions."""

import os
import random
import re
import shlex
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from packstore.cli.credentials import read_key_file
from packstore.codec.slots import Credential
from packstore.format.version import EventType
from packstore.operations.events import publish_events
from packstore.repository.repository import OpenOptions, Repository
from packstore.repository.runtime import Runtime
from packstore.storage.file import FileStorage
from tests.cli.program import Done, Program, wait_until

MIB = 1024 * 1024
DOCUMENT = (Path(__file__).parents[2] / "docs" / "COPIES.md").read_text()
pytestmark = pytest.mark.skipif(shutil.which("rsync") is None, reason="needs rsync")


def documented() -> list[str]:
    """Return rsync and its options as the document shows them, without the two places."""
    lines = {
        re.sub(r" \S+/ \S+/$", "", line[line.index("rsync -a") :])
        for line in DOCUMENT.splitlines()
        if "rsync -a" in line
    }
    assert len(lines) == 1, "the document shows different commands"
    return shlex.split(lines.pop())


RSYNC = documented()


def at(program: Program, repo: Path) -> Program:
    """The same person at another copy."""
    return replace(program, repo=repo)


def copy(source: Program, destination: Path, *more: str) -> Done:
    """Copy one way with the documented command; `more` stands before the places."""
    inner = [*RSYNC, *more, f"{source.repo}/", f"{destination}/"]
    command = source.bare("-r", source.repo, "--key-file", source.key, "hold", "--")
    if (destination / "packstore").exists():
        command += source.bare("-r", destination, "--key-file", source.key, "hold", "--")
    return source.run([*command, *inner]).expect(0)


def merge(first: Program, second: Program) -> None:
    """Copy in both directions."""
    copy(first, second.repo)
    copy(second, first.repo)


def files(program: Program) -> set[str]:
    """The files that a merge brings to both."""
    names = (path for path in program.repo.rglob("*") if path.is_file())
    found = {str(path.relative_to(program.repo)) for path in names}
    return {name for name in found if not name.startswith(("gc/", "reserve"))}


def image(program: Program, seed: int, size: int = 3 * MIB) -> Path:
    """A device of noise."""
    path = program.home / f"{seed}.img"
    path.write_bytes(random.Random(seed).randbytes(size))
    return path


def require(program: Program, **volumes: bytes) -> None:
    """All these versions are there and no others, each restores, and the check finds nothing."""
    names = [found["volume"] for found in program.json("ls")["versions"]]
    assert sorted(names) == sorted(volumes)
    for volume, content in volumes.items():
        assert program("restore", volume, "-").expect(0).raw == content
    assert "no damage found" in program("check").expect(0).out


@contextmanager
def opened(program: Program) -> Iterator[Repository]:
    """The repository in this process."""
    key = Credential.from_secret(read_key_file(program.key))
    repository = Repository.open(
        FileStorage(program.repo), OpenOptions(program.home / "inner", lambda _: key), Runtime()
    )
    try:
        yield repository
    finally:
        repository.close()


def say(program: Program, event_type: EventType, volume: str) -> None:
    """Publish an event about the latest version of a volume."""
    with opened(program) as repository:
        event = repository.new_event(event_type, [repository.find(volume).version.uid])
        publish_events(repository, "test", lambda _: ([event], []))


def test_a_copy_is_a_repository(stored: Program, device: Path, tmp_path: Path) -> None:
    """The copy that is taken off site could not be read, or two copies share one index and confuse each other."""
    other = at(stored, tmp_path / "other")
    copy(stored, other.repo)
    assert files(other) == files(stored)
    require(other, **{"disk.img": device.read_bytes()})
    stored("ls").expect(0)
    indexes = list((stored.home / "index").iterdir())
    assert len(indexes) == 2
    assert len({path.name.split("-")[0] for path in indexes}) == 1
    assert not list(other.repo.glob("gc/intent-*"))
    other("backup", device, "more").expect(0)
    assert [found["volume"] for found in stored.json("ls")["versions"]] == ["disk.img"]


def test_a_copy_made_while_a_backup_writes(repo: Program, tmp_path: Path) -> None:
    """What was committed before the copy began would lack packs in it, and nobody would know before a restore."""
    first, second, big = image(repo, 1), image(repo, 2), image(repo, 3, 48 * MIB)
    for path in (first, second):
        repo("backup", path).expect(0)
    other = at(repo, tmp_path / "other")
    with repo.running("backup", big, "big") as process:
        wait_until(lambda: len(list(repo.repo.glob("packs/*/*"))) > 10, lambda: "packs")
        process.send_signal(signal.SIGSTOP)  # so that it is surely at work while rsync runs
        copy(repo, other.repo)
        assert process.poll() is None
        process.send_signal(signal.SIGCONT)
        assert not list(other.repo.glob("gc/intent-*"))
        require(other, **{"1.img": first.read_bytes(), "2.img": second.read_bytes()})
        copy(repo, other.repo)  # beside the backup as it runs
        present = [found["volume"] for found in other.json("ls")["versions"]]
        assert set(present) >= {"1.img", "2.img"}
        assert process.wait(60) == 0
    copy(repo, other.repo)
    require(other, **{"1.img": first.read_bytes(), "2.img": second.read_bytes(), "big": big.read_bytes()})


def test_a_copy_made_while_gc_runs(repo: Program, tmp_path: Path) -> None:
    """A collector would move what a version needs behind rsync's back."""
    keep, drop = image(repo, 1), image(repo, 2, 20 * MIB)
    mixed = repo.home / "mixed.img"
    mixed.write_bytes(b"".join(drop.read_bytes()[at * MIB : at * MIB + MIB // 4] for at in range(20)))
    for path in (keep, drop, mixed):
        repo("backup", path).expect(0)
    say(repo, EventType.REMOVE, "2.img")
    other = at(repo, tmp_path / "other")
    rsync = shlex.join([*RSYNC, f"{repo.repo}/", f"{other.repo}/"])
    wrapped = ["sh", "-c", f'"$@" & gc=$!; sleep 0.2; {rsync}; code=$?; wait $gc && exit $code', "sh"]
    inner = [*wrapped, *repo.command("gc", "-q")]
    done = repo.run([*repo.bare("-r", repo.repo, "--key-file", repo.key, "hold", "--"), *inner])
    done.expect(0)
    contents = {"1.img": keep.read_bytes(), "mixed.img": mixed.read_bytes()}
    require(other, **contents)
    for one in (repo, other):
        for _ in range(2):
            one("gc").expect(0)
        require(one, **contents)


def test_two_copies_that_were_both_written_to(repo: Program, tmp_path: Path) -> None:
    """After a merge a version of either side would not restore, or a removal of one side be lost."""
    names = ["common", "dropped", "kept", "mine", "yours"]
    paths = {name: image(repo, number) for number, name in enumerate(names)}
    content = {name: path.read_bytes() for name, path in paths.items()}
    for name in ("common", "dropped", "kept"):
        repo("backup", paths[name], name).expect(0)
    other = at(repo, tmp_path / "other")
    copy(repo, other.repo)
    say(other, EventType.PROTECT, "kept")
    # Here two are removed and collected; there one of them is protected, and the other one's blocks are used again.
    for name in ("dropped", "kept"):
        say(repo, EventType.REMOVE, name)
    for _ in range(2):
        repo("gc").expect(0)
    assert len(files(repo) & files(other)) < len(files(other))
    repo("backup", paths["mine"], "mine").expect(0)
    paths["yours"].write_bytes(content["yours"] + content["dropped"])
    content["yours"] = paths["yours"].read_bytes()
    other("backup", paths["yours"], "yours").expect(0)
    merge(repo, other)
    assert files(repo) == files(other)
    left = {name: content[name] for name in ("common", "kept", "mine", "yours")}
    for one in (repo, other):
        require(one, **left)
        for _ in range(2):
            one("gc").expect(0)
        require(one, **left)
    merge(repo, other)
    for one in (repo, other):
        require(one, **left)


def test_what_has_not_arrived_yet_is_no_damage(stored: Program, device: Path, tmp_path: Path) -> None:
    """A copy that is half there would be given up, or remember as damage what arrives a minute later."""
    other = at(stored, tmp_path / "other")
    copy(stored, other.repo, "--exclude=/packs/*/*")
    assert not list(other.repo.glob("packs/*/*"))
    assert "disk.img" in other("ls").expect(0).out
    done = other("restore", "disk.img", other.home / "half.img")
    assert done.code == 44
    copy(stored, other.repo)
    require(other, **{"disk.img": device.read_bytes()})
    other("check", "--keyless").expect(0)


def test_a_bad_file_never_takes_the_place_of_a_good_one(stored: Program, device: Path, tmp_path: Path) -> None:
    """A copy with a newer date and half its length would destroy the original."""
    other = at(stored, tmp_path / "other")
    copy(stored, other.repo)
    (short,) = other.repo.glob("packs/*/*")
    short.write_bytes(short.read_bytes()[: short.stat().st_size // 2])
    os.utime(short, (2_000_000_000, 2_000_000_000))
    merge(stored, other)
    require(stored, **{"disk.img": device.read_bytes()})
    done = other("check", "--keyless").expect(40)
    assert short.name in done.out
    short.unlink()
    copy(stored, other.repo)
    require(other, **{"disk.img": device.read_bytes()})


def test_without_the_hold_nothing_would_stop_gc(repo: Program) -> None:
    """`hold` would be a word in a document: nothing would be kept while rsync runs."""
    repo("backup", image(repo, 1), "old").expect(0)
    repo("backup", image(repo, 2), "new").expect(0)
    say(repo, EventType.REMOVE, "old")
    before = files(repo)
    hold = repo.bare("-r", repo.repo, "--key-file", repo.key, "hold", "--")
    repo.run([*hold, *repo.command("gc")]).expect(0)
    assert before <= files(repo)
    for _ in range(2):
        repo("gc").expect(0)
    assert not before <= files(repo)
