"""How to recover from each loss: the table at the end of docs/SECURITY.md, command by command."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.program import Program


@pytest.fixture
def exported(stored: Program, tmp_path: Path) -> Program:
    """A repository with a version, an export of its keys and a copy of it; two epochs, and a slot that was removed."""
    stored.json("key", "ls")
    stored.env["PACKSTORE_KEY_FILE"] = str(stored.key)
    stored.env["PACKSTORE_REPO"] = str(stored.repo)
    stored.plain("key", "change", "recovery key").expect(0)
    stored.plain("key", "export", "-o", tmp_path / "keys.txt").expect(0)
    shutil.copytree(stored.repo, tmp_path / "copy")
    return stored


def all_keys(program: Program) -> None:
    """Lose the whole directory."""
    shutil.rmtree(program.repo / "keys")


def all_key_files(program: Program) -> None:
    """Lose what is in the directory."""
    for path in program.repo.glob("keys/*"):
        path.unlink()


def own_slot(program: Program) -> None:
    """Lose both copies of the slot that opens the repository."""
    (slot,) = (slot["id"] for slot in program.json("key", "ls")["slots"] if slot["own"])
    for path in program.repo.glob(f"keys/{slot}*"):
        path.unlink()


def repository_file(program: Program) -> None:
    """Lose both copies of the repository file."""
    for path in program.repo.glob("packstore*"):
        path.unlink()


LOSSES = [all_keys, all_key_files, own_slot, repository_file]


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_key_import(exported: Program, tmp_path: Path, device: Path, lose: Callable[[Program], None]) -> None:
    """The export would be of no use on the one day it is made for."""
    before = {path.name for path in exported.repo.glob("keys/*")}
    lose(exported)
    assert exported.plain("ls").code in {11, 22, 24}
    exported.plain("key", "import", tmp_path / "keys.txt").expect(0)
    assert {path.name for path in exported.repo.glob("keys/*")} == before
    assert exported.plain("restore", "disk.img", "-").expect(0).raw == device.read_bytes()
    exported.plain("key", "test").expect(0)


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_another_copy(exported: Program, tmp_path: Path, device: Path, lose: Callable[[Program], None]) -> None:
    """Files of another copy would not be accepted, though they are the same."""
    lose(exported)
    shutil.copytree(tmp_path / "copy" / "keys", exported.repo / "keys", dirs_exist_ok=True)
    shutil.copy2(tmp_path / "copy" / "packstore", exported.repo / "packstore")
    exported.plain("repair", "--apply").expect(0)
    assert not exported.plain("restore", "disk.img", tmp_path / "restored").expect(0).err
    assert (tmp_path / "restored").read_bytes() == device.read_bytes()


def test_one_copy_of_everything(exported: Program) -> None:
    """`repair` would not write again what it has a copy of."""
    names = sorted(path.name for path in exported.repo.rglob("*.copy"))
    for path in [*exported.repo.glob("keys/*.copy"), exported.repo / "packstore.copy"]:
        path.unlink()
    exported.plain("check", "--keyless").expect(40)
    exported.plain("repair", "--apply").expect(0)
    assert sorted(path.name for path in exported.repo.rglob("*.copy")) == names


def test_an_epoch(exported: Program) -> None:
    """An epoch that is gone would go unnoticed, or the advice would not bring it back."""
    before = set(exported.repo.glob("keys/*"))
    exported.plain("key", "rotate").expect(0)
    exported.plain("key", "export", "-o", exported.home / "keys.txt").expect(0)
    for path in set(exported.repo.glob("keys/*")) - before:
        path.unlink()
    assert "key import" in exported.plain("ls").expect(26).err
    exported.plain("gc").expect(26)
    exported.plain("key", "import", exported.home / "keys.txt").expect(0)
    assert not exported.plain("ls").expect(0).err


def test_the_state_directory(exported: Program) -> None:
    """A host without its notes would refuse to work."""
    exported.plain("ls").expect(0)
    shutil.rmtree(exported.home / ".local" / "state" / "packstore")
    shutil.rmtree(exported.home / "index")
    assert not exported.plain("ls").expect(0).err


def test_an_epoch_from_another_copy(exported: Program, tmp_path: Path, device: Path) -> None:
    """`repair --from` would pass over a key that is gone as if it had been removed, or bring a removed one back."""
    exported.plain("key", "rotate").expect(0)
    copy = shutil.copytree(exported.repo, tmp_path / "newer copy")
    exported.plain("key", "add", "--recovery", "--label", "soon gone").expect(0)
    shutil.copytree(exported.repo / "keys", copy / "keys", dirs_exist_ok=True)
    exported.plain("key", "rm", "soon gone").expect(0)
    kept = {path.name for path in exported.repo.glob("keys/*")}
    for path in exported.repo.glob("keys/*"):
        if exported.json("key", "ls") and path.exists() and path.name not in own_files(exported):
            path.unlink()
            path.with_suffix(".copy").unlink(missing_ok=True)
            break
    exported.plain("repair", "--from", copy, "--apply")
    assert {path.name for path in exported.repo.glob("keys/*")} == kept
    assert exported.plain("restore", "disk.img", "-").expect(0).raw == device.read_bytes()


def own_files(program: Program) -> set[str]:
    """The names of slots: what is left out is an epoch."""
    return {slot["id"] + suffix for slot in program.json("key", "ls")["slots"] for suffix in ("", ".copy")}


@pytest.mark.parametrize("name", ["gc", "packs", "meta", "reserve"])
def test_empty_directories_that_a_copy_left_out(repo: Program, device: Path, name: str) -> None:
    """A tool that copies files leaves empty directories out: the next backup would fail in a riddle."""
    for path in sorted(repo.repo.glob(f"{name}/**/"), reverse=True):
        for file in path.glob("*"):
            file.unlink() if file.is_file() else None
        path.rmdir()
    repo("backup", device).expect(0)
    assert repo("restore", "disk.img", "-").expect(0).raw == device.read_bytes()
    repo("gc").expect(0)
