"""`packstore index`, and the index as something that may be lost at any time."""

import shutil
from pathlib import Path

import pytest

from tests.cli.program import Program, tree_of


def data_file(program: Program) -> Path:
    """The file that holds the index."""
    (found,) = (program.home / "index").glob("*/data.mdb")
    return found


def test_status(stored: Program) -> None:
    """Nobody could find out where the index is and what it costs."""
    done = stored("index", "status").expect(0)
    assert str(stored.home / "index") in done.out
    assert "1 meta pack," in done.out
    found = stored.json("index", "status")
    assert Path(found["directory"]).is_dir()
    assert found["packs"] == 2
    assert found["metas"] == 1


def test_rebuild(stored: Program) -> None:
    """A rebuilt index would know less than the one it replaces, or the repository would be changed."""
    before = tree_of(stored.repo)
    known = stored.json("index", "status")
    made = stored.json("index", "rebuild")
    assert made["rebuilt"] is True
    assert {key: made[key] for key in ("objects", "packs", "metas", "records")} == {
        key: known[key] for key in ("objects", "packs", "metas", "records")
    }
    assert tree_of(stored.repo) == before


def test_rebuild_with_a_wrong_key(stored: Program) -> None:
    """A mistyped secret would throw the index away."""
    stored("ls").expect(0)
    other = Program(stored.home, stored.repo.with_name("other"), stored.key.with_name("other-key"))
    other("init", "--reserve", "0").expect(0)
    before = tree_of(stored.home / "index")
    stored.plain("index", "rebuild", "-r", stored.repo, "--key-file", other.key).refused(22)
    assert tree_of(stored.home / "index") == before


def _delete(program: Program, _old: bytes, _other: bytes) -> None:
    shutil.rmtree(program.home / "index")


def _truncate(program: Program, _old: bytes, _other: bytes) -> None:
    path = data_file(program)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(program: Program, _old: bytes, _other: bytes) -> None:
    data_file(program).write_bytes(b"")


def _garbage(program: Program, _old: bytes, _other: bytes) -> None:
    path = data_file(program)
    path.write_bytes(b"\xff" * path.stat().st_size)


def _garbage_inside(program: Program, _old: bytes, _other: bytes) -> None:
    path = data_file(program)
    data = path.read_bytes()
    path.write_bytes(data[:8192] + b"\xee" * (len(data) - 8192))


def _older(program: Program, old: bytes, _other: bytes) -> None:
    data_file(program).write_bytes(old)


def _foreign(program: Program, _old: bytes, other: bytes) -> None:
    data_file(program).write_bytes(other)


@pytest.mark.parametrize("harm", [_delete, _truncate, _empty, _garbage, _garbage_inside, _older, _foreign])
def test_a_bad_index_costs_nothing_but_time(stored: Program, device: Path, tmp_path: Path, harm: object) -> None:
    """An index that is gone, old, broken or another repository's would change what commands answer."""
    stored("ls").expect(0)
    old = data_file(stored).read_bytes()
    stranger = Program(tmp_path / "stranger", tmp_path / "other", tmp_path / "other-key")
    stranger.home.mkdir()
    stranger("init", "--reserve", "0").expect(0)
    stranger("backup", device).expect(0)
    other = data_file(stranger).read_bytes()
    stored("backup", device, "web1").expect(0)
    before = stored.json("ls")

    for command in (["ls"], ["restore", "web1", "-"], ["index", "rebuild"], ["backup", str(device)]):
        harm(stored, old, other)  # type: ignore[operator]
        done = stored(*command, *([] if command[0] == "restore" else ["--json"])).expect(0)
        if command[0] == "ls":
            assert done.json == before
        elif command[0] == "restore":
            assert done.raw == device.read_bytes()
        elif command[0] == "backup":
            assert done.json["bytes_new"] == 0


def test_no_place_for_the_index(stored: Program) -> None:
    """A missing home directory would end in a traceback instead of a hint."""
    stored("ls", "--index-dir", stored.key / "index").refused(17, "--index-dir")


def test_unknown_subcommand(stored: Program) -> None:
    """A mistyped subcommand would do something else."""
    stored("index", "destroy").refused(2, "destroy")
    stored("index").refused(2, "Missing command")
