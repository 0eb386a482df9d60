"""Every wrong use: a message of one or two lines, an exit code of its own, nothing changed."""

import os
import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from packstore.checksum import Buffer
from packstore.format.document import (
    DocumentType,
    decode_document,
    decode_repository,
    encode_document,
    encode_repository,
)
from tests.cli.program import WITHOUT_PRIVILEGES, Program, tree_of

READING = [["ls"], ["show", "disk.img"], ["check"], ["check", "--keyless"], ["restore", "disk.img", "-"]]
Mount = Callable[..., Path]


def everything(program: Program) -> dict[str, str]:
    """All files but the index, which is a cache."""
    found = tree_of(program.repo.parent)
    return {name: what for name, what in found.items() if not name.startswith("home")}


NO_REPOSITORY = {
    "missing": lambda _: None,
    "empty directory": lambda path: path.mkdir(),
    "other files": lambda path: (path.mkdir(), (path / "photo.jpg").write_bytes(b"x")),
    "a file": lambda path: path.write_bytes(b"x"),
}


@pytest.mark.parametrize("case", NO_REPOSITORY)
@pytest.mark.parametrize("command", [["backup", "DEVICE"], ["ls"], ["restore", "a", "b"], ["check", "--keyless"]])
def test_no_repository(program: Program, device: Path, case: str, command: list[str]) -> None:
    """A backup onto a disk that is not mounted would fill the disk below it."""
    NO_REPOSITORY[case](program.repo)
    before = everything(program)
    arguments = [str(device) if word == "DEVICE" else word for word in command]
    program.plain(*arguments, "-r", program.repo).refused(11, "there is no repository", "is its disk mounted?")
    assert everything(program) == before


def test_source_that_is_missing(stored: Program) -> None:
    """A mistyped source would be backed up as nothing."""
    before = everything(stored)
    stored("backup", "/nonexistent/disk").refused(51, "/nonexistent/disk does not exist")
    assert everything(stored) == before


def test_source_that_is_a_directory(stored: Program, tmp_path: Path) -> None:
    """Somebody who takes packstore for a backup of files would get a backup of nothing."""
    before = everything(stored)
    stored("backup", tmp_path).refused(50, "is a directory")
    assert everything(stored) == before


def test_sources_that_are_no_devices(stored: Program, tmp_path: Path) -> None:
    """A pipe or a socket by name would hang, or be an empty version."""
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(tmp_path)
        listening.bind("socket")
        for name in (tmp_path / "fifo", tmp_path / "socket", "/dev/zero"):
            before = everything(stored)
            stored("backup", name, "odd").refused(50, str(name))
            assert everything(stored) == before


def test_source_without_permission(stored: Program, device: Path, tmp_path: Path) -> None:
    """A device that may not be read would be backed up as nothing, or end in a traceback."""
    closed = tmp_path / "closed.img"
    closed.write_bytes(device.read_bytes())
    closed.chmod(0)
    before = set(everything(stored))
    stored("backup", closed, before=WITHOUT_PRIVILEGES).refused(52, str(closed), "may not be read")
    assert set(everything(stored)) == before


def test_target_without_permission(stored: Program, tmp_path: Path) -> None:
    """A directory that may not be written to would end in a traceback."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    stored("restore", "disk.img", closed / "out", before=WITHOUT_PRIVILEGES).refused(55, "Permission denied")


def test_repository_without_permission(stored: Program, device: Path) -> None:
    """A repository of another user would look like none, or like a damaged one."""
    stored("ls").expect(0)
    for path in [stored.repo, *stored.repo.rglob("*")]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    before = everything(stored)
    stored("backup", device, before=WITHOUT_PRIVILEGES).refused(34, "permissions")
    for command in READING:
        stored(*command, before=WITHOUT_PRIVILEGES).expect(0)
    assert everything(stored) == before
    stored.repo.chmod(0)
    stored("ls", before=WITHOUT_PRIVILEGES).refused(34, "permissions")
    for path in [stored.repo, *stored.repo.rglob("*")]:
        path.chmod(0o700)


def test_cache_without_permission(stored: Program) -> None:
    """A home directory that is read-only would end in a traceback, and nobody know the way round."""
    closed = stored.home / "closed"
    closed.mkdir(mode=0o500)
    stored("ls", "--index-dir", closed / "index", before=WITHOUT_PRIVILEGES).refused(17, "--index-dir")


def test_index_without_permission(stored: Program) -> None:
    """An index that another user has made would end in a traceback."""
    stored("ls").expect(0)
    (directory,) = (stored.home / "index").iterdir()
    for path in directory.iterdir():
        path.chmod(0o400)
    directory.chmod(0o500)
    stored("ls", before=WITHOUT_PRIVILEGES).refused(17, str(directory))
    directory.chmod(0o700)


def no_mac(_parts: Buffer) -> bytes:
    """Stand in for the MAC that only a key could make."""
    return bytes(32)


def rewritten(program: Program, **changes: object) -> None:
    """Write the repository file anew with other values and a correct checksum."""
    for name in ("packstore", "packstore.copy"):
        path = program.repo / name
        file = decode_repository(decode_document(path.read_bytes(), DocumentType.REPOSITORY).body)
        body = encode_repository(replace(file, **changes))  # type: ignore[arg-type]
        path.write_bytes(encode_document(DocumentType.REPOSITORY, body, no_mac))


@pytest.mark.parametrize(
    "changes",
    [{"format": 2}, {"format": 99}, {"features": {"read": ["quantum"], "write": [], "delete": []}}],
    ids=["format 2", "format 99", "feature"],
)
@pytest.mark.parametrize("command", [["ls"], ["backup", "/dev/null"], ["check", "--keyless"]], ids=lambda it: it[0])
def test_newer_format(stored: Program, device: Path, changes: dict[str, object], command: list[str]) -> None:
    """An old program would misread, or write into, a repository that it does not understand."""
    rewritten(stored, **changes)
    before = everything(stored)
    arguments = [word if word != "/dev/null" else str(device) for word in command]
    stored(*arguments).refused(13, str(stored.repo), "newer packstore")
    assert everything(stored) == before


def test_newer_format_at_init(stored: Program) -> None:
    """A repository of a newer program would be taken for nothing."""
    rewritten(stored, format=2)
    stored("init").refused(12, "a repository is there already")


def test_both_repository_files_damaged(stored: Program) -> None:
    """A damaged repository would look like a disk that is not mounted."""
    for name in ("packstore", "packstore.copy"):
        data = bytearray((stored.repo / name).read_bytes())
        data[len(data) // 2] ^= 1
        (stored.repo / name).write_bytes(data)
    stored("ls").refused(16, "damaged")


def test_one_repository_file_damaged(stored: Program) -> None:
    """One bad sector would lock everybody out, or be passed over in silence."""
    (stored.repo / "packstore").write_bytes(b"")
    done = stored("ls").expect(0)
    assert "packstore check" in done.err
    assert "disk.img" in done.out


def test_forged_repository_file(stored: Program) -> None:
    """Whoever holds the disk could change what the repository says of itself."""
    rewritten(stored)
    stored("ls").refused(25, "wrong MAC")


def test_keys_lost(stored: Program) -> None:
    """Lost keys would look like a wrong passphrase, and be searched for in the wrong place."""
    for path in stored.repo.glob("keys/*"):
        path.unlink()
    stored("ls").refused(24, "no key slot", "another copy of the repository")


def test_one_key_file_and_its_copy_damaged(stored: Program) -> None:
    """A bad epoch or slot would look like a wrong key, or be reported without a word about where a good one is."""
    said = []
    for path in [path for path in stored.repo.glob("keys/*") if not path.suffix]:
        twins = {twin: twin.read_bytes() for twin in (path, path.with_suffix(".copy"))}
        for twin, content in twins.items():
            twin.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        done = stored("ls")
        if done.code:  # that of the recovery key is not needed
            done.refused(24, "another copy of the repository", "check --keyless", "key import")
            said += [word for word in ("no slot", "no epoch") if word in done.err]
        assert str(path.name) in stored.plain("check", "--keyless", "-r", stored.repo).expect(40).out
        for twin, content in twins.items():
            twin.write_bytes(content)
    assert sorted(said) == ["no epoch", "no slot"]
    stored("ls").expect(0)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["restore", "disk.img"], "Missing argument"),
        (["backup"], "Missing argument"),
        (["show"], "Missing argument"),
        (["ls", "a", "b"], "unexpected extra argument"),
        (["frobnicate"], "No such command"),
        (["ls", "--frobnicate"], "No such option"),
        ([], "Missing command"),
    ],
)
def test_wrong_usage(program: Program, arguments: list[str], word: str) -> None:
    """A typing error would be answered by a page of text, or not at all."""
    program.plain(*arguments).refused(2, word, "--help")


@pytest.mark.parametrize(
    ("command", "code"), [(["backup", "-", "web1"], 50), (["restore", "disk.img", "-"], 55)], ids=["backup", "restore"]
)
def test_streams_that_are_terminals(
    stored: Program, terminal: Callable[..., object], command: list[str], code: int
) -> None:
    """A forgotten pipe would wait for somebody to type a device, or print one onto the screen."""
    shown = terminal(*command, "-r", stored.repo, "--key-file", stored.key)
    assert shown.end() == code  # type: ignore[attr-defined]
    assert "is a terminal" in shown.shown  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("command", "code"), [(["backup", "-", "web1"], 50), (["restore", "disk.img", "-"], 55)], ids=["backup", "restore"]
)
def test_streams_that_are_closed(stored: Program, command: list[str], code: int) -> None:
    """A backup of nothing, or a restore to nowhere, would look like a success."""
    done = stored.run(["sh", "-c", 'exec "$@" <&- >&-', "sh", *stored.command(*command)])
    done.refused(code, "is closed")


@pytest.mark.root
def test_mounted_target(stored: Program, tmp_path: Path, loop: Mount, mounted: Mount) -> None:
    """A restore would overwrite a file system that is in use."""
    image = tmp_path / "mounted.img"
    image.write_bytes(bytes(4 * 1024 * 1024))
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    target = loop(image)
    where = mounted(str(target))
    stored("restore", "disk.img", target, "--force").refused(57, f"mounted at {where}")


@pytest.mark.root
def test_device_as_target(stored: Program, tmp_path: Path, loop: Mount) -> None:
    """A restore would overwrite a device that nobody allowed it to, or stop where the device ends."""
    image = tmp_path / "target.img"
    image.write_bytes(b"p" * 1024 * 1024)
    target = loop(image)
    stored("restore", "disk.img", target).refused(56, "--force")
    small = tmp_path / "small.img"
    small.write_bytes(b"p" * 64 * 1024)
    stored("restore", "disk.img", loop(small), "--force").refused(58, "65536 bytes")
    for path in (image, small):
        subprocess.run(["sync", str(path)], check=True)
        assert set(path.read_bytes()) == {ord("p")}


@pytest.mark.root
def test_full_disk(stored: Program, tmp_path: Path, mounted: Mount) -> None:
    """A full disk would lose what was committed, or leave what cannot be read."""
    disk = mounted("-t", "tmpfs", "-o", "size=6m", "tmpfs")
    full = Program(stored.home, disk / "repository", stored.key)
    full("init", "--reserve", "0", "--block-size", "64KiB", "--pack-size", "1MiB").expect(0)
    small, big = tmp_path / "small", tmp_path / "big"
    small.write_bytes(os.urandom(1_000_000))
    big.write_bytes(os.urandom(12_000_000))
    full("backup", small).expect(0)
    full("backup", big).refused(33, "No space left on device", "what was committed is safe")
    assert full("restore", "small", "-").expect(0).raw == small.read_bytes()
    full("check").expect(0)
    assert [found["volume"] for found in full.json("ls")["versions"]] == ["small"]
    subprocess.run(["mount", "-o", "remount,size=40m", str(disk)], check=True)
    assert full.json("backup", big)["bytes_stored"] < 10_000_000
    full("check").expect(0)
    assert not list(full.repo.glob("gc/*"))


@pytest.mark.root
def test_disk_full_at_init(program: Program, mounted: Mount) -> None:
    """A repository that is only half there would be taken for a whole one."""
    disk = mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs")
    full = Program(program.home, disk / "repository", program.key)
    full("init", "--reserve", "4MiB").refused(33, "No space left on device")
    full("ls").refused(11, "there is no repository")


@pytest.mark.root
@pytest.mark.parametrize("command", [*READING, ["index", "rebuild"]], ids=" ".join)
def test_read_only_disk(stored: Program, device: Path, mounted: Mount, command: list[str]) -> None:
    """A disk that is write-protected, which is how one restores in an emergency, could not be read."""
    where = mounted("--bind", str(stored.repo))
    subprocess.run(["mount", "-o", "remount,bind,ro", str(where)], check=True)
    protected = Program(stored.home, where, stored.key)
    done = protected(*command).expect(0)
    assert not done.err or command[0] in {"restore", "check"}
    assert command[0] != "restore" or done.raw == device.read_bytes()
    if command == ["ls"]:
        protected("backup", device).refused(34, "read-only")
