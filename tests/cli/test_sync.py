"""`packstore sync`: two repositories, two keys."""

import random
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.program import Done, Program, tree_of, wait_until

MIB = 1024 * 1024


@pytest.fixture
def other(program: Program, tmp_path: Path) -> Program:
    """An empty repository with another key."""
    other = Program(program.home, tmp_path / "other", tmp_path / "other-key")
    other("init", "--reserve", "0", "--block-size", "64KiB", "--pack-size", "1MiB").expect(0)
    return other


def command(source: Program, destination: Program, *args: str) -> list[str]:
    """The command line that copies from one to the other."""
    keys = ("--src-key-file", source.key, "--dst-key-file", destination.key)
    return source.bare("sync", source.repo, destination.repo, *keys, *args)


def sync(source: Program, destination: Program, *args: str) -> Done:
    """Copy from one to the other."""
    return source.run(command(source, destination, *args))


def test_text(stored: Program, other: Program, device: Path) -> None:
    """Nobody could see what was copied, or the copy would not restore."""
    out = sync(stored, other).expect(0).out
    assert "copied" in out
    assert "1 version copied" in out
    assert other("restore", "disk.img", "-").expect(0).raw == device.read_bytes()
    assert "no damage found" in other("check").expect(0).out
    assert "0 versions copied, 1 there already" in sync(stored, other).expect(0).out


def test_json(stored: Program, other: Program, device: Path) -> None:
    """A script could not see which versions were copied, and how much that took."""
    stored("backup", device, "second").expect(0)
    document = sync(stored, other, "--json", "second").expect(0).json
    (copied,) = document["copied"]
    assert copied["volume"] == "second"
    assert copied["uid"] == other.json("ls")["versions"][0]["uid"]
    assert document["bytes_new"] > 0
    assert document["bytes_stored"] > document["bytes_new"]
    document = sync(stored, other, "--json").expect(0).json
    assert [found["volume"] for found in document["copied"]] == ["disk.img"]
    assert [found["volume"] for found in document["skipped"]] == ["second"]
    assert document["bytes_new"] == 0


def test_dry_run(stored: Program, other: Program) -> None:
    """A look at what would be copied would write."""
    before = tree_of(other.repo)
    document = sync(stored, other, "--json", "--dry-run").expect(0).json
    assert [found["volume"] for found in document["copied"]] == ["disk.img"]
    assert "would copy" in sync(stored, other, "--dry-run").expect(0).out
    assert tree_of(other.repo) == before


def test_credentials_from_the_environment(program: Program, tmp_path: Path, device: Path) -> None:
    """Two passphrases could not be given, or that of one repository be tried on the other."""
    one, two = tmp_path / "one", tmp_path / "two"
    for place, passphrase in ((one, "first"), (two, "second")):
        words = ("init", "-r", place, "--reserve", "0", "--block-size", "64KiB", "--pack-size", "1MiB")
        program.plain(*words, env={"PACKSTORE_PASSPHRASE": passphrase}).expect(0)
    program.plain("backup", "-r", one, device, env={"PACKSTORE_PASSPHRASE": "first"}).expect(0)
    (tmp_path / "second").write_text("second\n")
    env = {"PACKSTORE_PASSPHRASE": "first", "PACKSTORE_DST_PASSPHRASE_FILE": str(tmp_path / "second")}
    program.plain("sync", one, two, env=env).expect(0)
    env = {"PACKSTORE_SRC_PASSPHRASE_COMMAND": "echo first", "PACKSTORE_PASSPHRASE": "second"}
    program.plain("sync", one, two, env=env).expect(0)
    program.plain("sync", one, two, env={"PACKSTORE_PASSPHRASE": "first"}).refused(22)
    raw = program.plain("restore", "-r", two, "disk.img", "-", env={"PACKSTORE_PASSPHRASE": "second"}).expect(0).raw
    assert raw == device.read_bytes()


def test_wrong_use(stored: Program, other: Program, tmp_path: Path) -> None:
    """A repository would be copied into itself, or a mistake end in a traceback."""
    before = tree_of(stored.repo)
    link = tmp_path / "link"
    link.symlink_to(stored.repo)
    for same in (stored, Program(stored.home, link, stored.key)):
        sync(stored, same).refused(2, "same place")
    stored.run([*command(stored, other), "-r", str(stored.repo)]).refused(2, "leave out -r")
    sync(stored, other, "nosuch").refused(14, "nosuch")
    sync(stored, Program(stored.home, tmp_path / "none", other.key)).refused(11)
    sync(Program(stored.home, tmp_path / "none", other.key), other).refused(11)
    sync(Program(stored.home, stored.repo, other.key), other).refused(22)
    assert tree_of(stored.repo) == before
    assert not other.json("ls")["versions"]


def test_damage_at_the_source(stored: Program, other: Program, device: Path) -> None:
    """One bad block would end the copy of everything, or come over in silence."""
    good = stored.home / "good.img"
    good.write_bytes(random.Random(9).randbytes(MIB))
    stored("backup", good).expect(0)
    first = min(stored.repo.glob("packs/*/*"), key=lambda path: path.name)
    data = bytearray(first.read_bytes())
    data[2000] ^= 1
    first.write_bytes(data)
    done = sync(stored, other, "--json").expect(40)
    assert [found["volume"] for found in done.json["copied"]] == ["good.img"]
    (refused,) = done.json["refused"]
    assert refused["volume"] == "disk.img"
    assert "damaged" in refused["reason"]
    assert done.json["error"]["exit_code"] == 40
    assert [found["volume"] for found in other.json("ls")["versions"]] == ["good.img"]
    assert "no damage found" in other("check").expect(0).out
    assert [found["state"] for found in stored.json("ls")["versions"]] == ["invalid", "valid"]


def sealed(program: Program) -> list[Path]:
    """Its finished packs of blocks."""
    return [path for path in program.repo.glob("packs/*/*") if path.suffix != ".tmp"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("packs", [1, 12])
def test_stopped(repo: Program, other: Program, number: signal.Signals, packs: int) -> None:
    """A copy that is stopped each morning would begin anew each night, or damage what is there."""
    image = repo.home / "big.img"
    image.write_bytes(random.Random(7).randbytes(32 * MIB))
    repo("backup", image).expect(0)
    with subprocess.Popen(
        command(repo, other), env=repo.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        wait_until(lambda: len(sealed(other)) >= packs or running.poll() is not None, lambda: f"{packs} packs")
        running.send_signal(number)
        running.communicate(timeout=60)
        assert running.returncode == (130 if number == signal.SIGINT else -number)
    stored = sum(path.stat().st_size for path in sealed(other))
    assert not other.json("ls")["versions"]
    assert "no damage found" in other("check").expect(0).out
    document = sync(repo, other, "--json").expect(0).json
    assert document["bytes_new"] <= 32 * MIB - stored + MIB
    assert other("restore", "big.img", "-").expect(0).raw == image.read_bytes()
    assert "no damage found" in other("check").expect(0).out
    assert not list(other.repo.glob("gc/intent-*"))
    assert not [path for name in ("packs", "meta") for path in (other.repo / name).rglob("*.tmp")]


def test_after_the_source_is_lost(stored: Program, other: Program, device: Path) -> None:
    """The copy would need something of what it is the copy of."""
    sync(stored, other).expect(0)
    shutil.rmtree(stored.repo)
    stored.key.unlink()
    shutil.rmtree(stored.home / "index")
    assert other("restore", "disk.img", "-").expect(0).raw == device.read_bytes()
