"""An older state put back where a newer one was: noticed by whoever saw the newer one, and nothing is deleted."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import Program, tree_of


@pytest.fixture
def rolled_back(stored: Program, device: Path) -> Program:
    """A repository put back to what it was before the second version."""
    older = stored.home / "older"
    shutil.copytree(stored.repo, older)
    stored("backup", device, "second").expect(0)
    put_back(stored, older)
    return stored


def put_back(program: Program, older: Path) -> None:
    """Put an older copy in place of a repository: the same directory, as its disk has it."""
    for path in list(program.repo.iterdir()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(older, program.repo, dirs_exist_ok=True)


def elsewhere(program: Program, name: str = "elsewhere") -> dict[str, Any]:
    """Be another host: its own home, state and index."""
    home = program.home / name
    home.mkdir(exist_ok=True)
    names = {"HOME": home, "XDG_STATE_HOME": home / "state", "PACKSTORE_INDEX_DIR": home / "index"}
    return {"env": {key: str(value) for key, value in names.items()}}


def test_an_older_state_is_noticed(rolled_back: Program, device: Path) -> None:
    """Backups would go on for months on top of a state from which the newest ones were taken away."""
    repo = rolled_back
    done = repo("ls").expect(26)
    assert "disk.img" in done.out, "what is there is shown nevertheless"
    assert "missing from" in done.err
    assert "status --accept-missing" in done.err
    document = repo("--json", "ls").expect(26).json
    assert document["error"]["exit_code"] == 26
    assert len(document["versions"]) == 1
    before = tree_of(repo.repo)
    assert "missing from" in repo("gc").expect(26).err
    assert tree_of(repo.repo) == before
    assert repo("restore", "disk.img", "-").expect(26).raw == device.read_bytes()
    repo("backup", device, "third").expect(26)
    assert repo("restore", "third", "-").expect(26).raw == device.read_bytes()
    repo("ls", **elsewhere(repo)).expect(0)


def test_accepting(rolled_back: Program) -> None:
    """The warning could not be ended, and would be filtered away by everybody."""
    repo = rolled_back
    repo("status").expect(0)
    accepted = repo.json("status", "--accept-missing")
    assert len(accepted["accepted_versions"]) == 1
    assert accepted["accepted_epochs"] == []
    repo("ls").expect(0)
    repo("gc").expect(0)
    assert "nothing is missing" in repo("status", "--accept-missing").expect(0).out


def test_brought_back(stored: Program, device: Path) -> None:
    """A lost file that was copied back from elsewhere would be missed for ever."""
    before = set(stored.repo.glob("meta/*"))
    stored("backup", device, "second").expect(0)
    (lost,) = set(stored.repo.glob("meta/*")) - before
    content = lost.read_bytes()
    lost.unlink()
    stored("ls").expect(26)
    lost.write_bytes(content)
    stored("ls").expect(0)
    stored("gc").expect(0)


def test_what_is_no_rollback(stored: Program, device: Path, tmp_path: Path) -> None:
    """False alarms: after the third nobody would look any more."""
    copy = tmp_path / "copy"
    shutil.copytree(stored.repo, copy)
    stored("backup", device, "second").expect(0)
    stored.plain("ls", "-r", copy, "--key-file", stored.key).expect(0)
    stored.plain("gc", "-r", copy, "--key-file", stored.key).expect(0)
    stored("rm", "second", "--force").expect(0)
    for _ in range(3):
        stored("gc").expect(0)
    stored("ls").expect(0)
    stored("gc", **elsewhere(stored)).expect(0)
    stored("ls").expect(0)


def test_removed_and_collected_by_another_host(stored: Program, device: Path) -> None:
    """What a colleague has removed would be taken for an attack."""
    stored("backup", device, "second").expect(0)
    there = elsewhere(stored)
    stored("rm", "second", "--force", **there).expect(0)
    for _ in range(3):
        stored("gc", **there).expect(0)
    stored("ls").expect(0)
    stored("gc").expect(0)


def test_an_epoch_of_another_host_is_announced_once(stored: Program) -> None:
    """Somebody with a stolen key could make an epoch of their own, and read whatever is stored from then on."""
    stored("ls").expect(0)
    there = elsewhere(stored)
    stored("ls", **there).expect(0)
    assert not stored("key", "rotate", **there).expect(0).err
    assert not stored("ls", **there).expect(0).err
    told = stored("ls").expect(0)
    assert "epoch 2" in told.err
    assert "is new to this host" in told.err
    assert not stored("ls").expect(0).err
    assert not stored("ls", **elsewhere(stored, "a third")).expect(0).err, "whoever sees it first knows no older one"


def test_a_lost_epoch(stored: Program, device: Path) -> None:
    """The newest key taken away: writers would fall back to one from which somebody was shut out."""
    before = set(stored.repo.glob("keys/*"))
    stored("key", "rotate").expect(0)
    lost = {path: path.read_bytes() for path in set(stored.repo.glob("keys/*")) - before}
    assert len(lost) == 2
    path, copy = sorted(lost)
    path.unlink()
    stored("ls").expect(0)
    copy.unlink()
    document = stored("--json", "ls").expect(26).json
    assert "epochs" in document["error"]["message"]
    assert "(2)" in document["error"]["message"]
    stored("key", "ls").expect(26)
    stored("gc").expect(26)
    refused = stored("backup", device).expect(24).err
    assert "epoch 2, seen here before, is gone" in refused
    assert "key import" in refused
    assert stored("restore", "disk.img", "-").expect(26).raw == device.read_bytes()
    for name, content in lost.items():
        name.write_bytes(content)
    stored("ls").expect(0)
    path.unlink()
    copy.unlink()
    assert stored.json("status", "--accept-missing")["accepted_epochs"] == [2]
    stored("ls").expect(0)
    stored("backup", device).expect(0)


def test_a_clear_repository_in_place_of_an_encrypted_one(stored: Program, device: Path) -> None:
    """The nightly job would write everything in the clear."""
    stored("ls").expect(0)
    clear = stored.home / "clear"
    without = {"PACKSTORE_KEY_FILE": ""}
    stored.plain("init", "--no-encryption", "--reserve", "0", "-r", clear, env=without).expect(0)
    put_back(stored, clear)
    before = tree_of(stored.repo)
    for command in (["ls"], ["backup", device], ["gc"], ["check"], ["key", "ls"], ["status"]):
        stored(*command).refused(25, "claims not to be encrypted")
        done = stored.plain(*command, "-r", stored.repo, env=without)
        if command != ["status"]:
            done.refused(25, "claims not to be encrypted", "delete")
    assert tree_of(stored.repo) == before
    there = elsewhere(stored)
    stored.plain("ls", "-r", stored.repo, env=there["env"] | without).expect(0)


def test_a_note_that_is_damaged(stored: Program, device: Path) -> None:
    """A full disk in the home directory would stop every backup."""
    stored("ls").expect(0)
    (note,) = (stored.home / ".local" / "state" / "packstore" / "seen").iterdir()
    for content in (b"", b"rubbish", note.read_bytes()[:-5]):
        note.write_bytes(content)
        stored("backup", device).expect(0)
    note.unlink()
    note.mkdir()
    stored("backup", device).expect(0)
