"""`packstore export` and `packstore import`."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.program import Program, tree_of


@pytest.fixture
def exported(stored: Program) -> Path:
    """The version of the repository, exported."""
    path = stored.home / "version.json"
    stored("export", "disk.img", path).expect(0)
    return path


def test_to_a_file_and_to_standard_output(stored: Program, exported: Path) -> None:
    """What is written to a file and to a pipe would differ, or be mixed with messages."""
    document = json.loads(exported.read_text())
    assert document["version"]["volume"] == "disk.img"
    assert document["version"]["uid"] == stored.json("ls")["versions"][0]["uid"]
    for args in (("export", "disk.img"), ("export", "disk.img", "-"), ("-q", "export", "disk.img", "-")):
        assert json.loads(stored(*args).expect(0).out) == document
    assert stored("--json", "export", "disk.img").expect(0).json == document
    assert list(stored.home.glob(".version*")) == []


def test_nothing_is_overwritten(stored: Program, exported: Path) -> None:
    """An older export, perhaps the only one of its version, would be lost."""
    exported.write_text("mine")
    stored("export", "disk.img", exported).refused(56, "--force")
    assert exported.read_text() == "mine"
    stored("export", "disk.img", exported, "--force").expect(0)
    assert "disk.img" in exported.read_text()


def test_where_nothing_can_be_written(stored: Program) -> None:
    """A wrong path would end in a traceback."""
    stored("export", "disk.img", stored.home / "no" / "where.json").refused(55, "where.json")
    stored("export", "nosuch").refused(14, "nosuch")


def test_import_of_what_is_there(stored: Program, exported: Path) -> None:
    """An import that was not needed would write."""
    before = tree_of(stored.repo)
    assert "is there already" in stored("import", exported).expect(0).out
    assert stored.json("import", exported)["outcome"] == "present"
    assert tree_of(stored.repo) == before


def test_import_through_a_pipe(stored: Program, exported: Path) -> None:
    """A version could not be handed from one machine to another without a file."""
    document = json.loads(exported.read_text())
    document["version"]["uid"] = "ab" * 16
    document["version"]["volume"] = "again"
    done = stored("import", "-", data=json.dumps(document).encode()).expect(0)
    assert "is published again" in done.out
    raw = stored("restore", "again", "-").expect(0).raw
    assert raw == stored("restore", "disk.img", "-").expect(0).raw
    assert "no damage found" in stored("check").expect(0).out


def test_what_is_no_export(stored: Program) -> None:
    """Any other file would end in a traceback, or after a passphrase was asked for."""
    path = stored.home / "file"
    for content in (b"", b"{", b"[]", b'{"what": "else"}', b"\xff\xfe", b"[" * 100_000):
        path.write_bytes(content)
        stored("import", path).refused(2)
    stored("import", stored.home / "none").refused(51, "does not exist")
    stored("import", stored.home).refused(50, "cannot be read")


def test_into_another_repository(stored: Program, exported: Path, templates: dict[str, Path]) -> None:
    """A version would be listed that points at nothing."""
    other = Program(stored.home, stored.home / "other", stored.key)
    shutil.copytree(templates["empty"], other.repo)
    before = tree_of(other.repo)
    other("import", exported).refused(42, "not in this repository")
    assert tree_of(other.repo) == before
