"""`packstore show`, and the ways to name a version."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.program import Program


@pytest.fixture
def three(stored: Program, device: Path) -> tuple[Program, list[str]]:
    """A repository with three versions of one volume, and their uids, the oldest first."""
    for _ in range(2):
        stored("backup", device).expect(0)
    return stored, [found["uid"] for found in stored.json("ls")["versions"]]


def shown(program: Program, spec: str) -> str:
    """The uid of the version that `spec` names."""
    return str(program.json("show", spec)["version"]["uid"])


def test_text(stored: Program, device: Path) -> None:
    """Somebody who must choose a version would not see where it came from."""
    out = stored("show", "disk.img").expect(0).out
    assert str(device) in out
    assert f"({device.stat().st_size} bytes)" in out
    assert "valid" in out


def test_json(stored: Program, device: Path) -> None:
    """A script could not see a version's source, base and statistics."""
    found = stored.json("show", "disk.img")["version"]
    assert found["source"]["path"] == str(device)
    assert found["source"]["type"] == "file"
    assert found["statistics"]["bytes_total"] == device.stat().st_size
    assert found["block_size"] == 64 * 1024
    assert found["unreadable"] == []


def test_names_of_a_version(three: tuple[Program, list[str]]) -> None:
    """A version that is named in one of the promised ways would be another one, at worst when it is restored."""
    program, uids = three
    today = datetime.now().astimezone().date()
    assert shown(program, uids[0]) == uids[0]
    assert shown(program, uids[1][:12]) == uids[1]
    assert shown(program, "disk.img") == uids[2]
    assert shown(program, "disk.img~0") == uids[2]
    assert shown(program, "disk.img~2") == uids[0]
    assert shown(program, f"disk.img@{today}") == uids[2]
    assert shown(program, f"disk.img@{today:%Y%m%d}") == uids[2]
    assert shown(program, f"disk.img@{today + timedelta(days=400)}") == uids[2]
    assert shown(program, "disk.img@9999-12-30") == uids[2]


def test_what_a_date_means_to_the_second(three: tuple[Program, list[str]]) -> None:
    """The date that `ls` prints would not name the version that stands beside it."""
    program, uids = three
    line = next(line for line in program("ls").expect(0).out.splitlines() if uids[0].startswith(line.split()[0]))
    date = " ".join(line.split()[1:3])
    second = program.json("show", f"disk.img@{date}")["version"]
    first = program.json("show", uids[0])["version"]
    assert second["date"] == first["date"]


@pytest.mark.parametrize(
    ("spec", "code", "word"),
    [
        ("nosuch", 14, "disk.img"),
        ("ffffffffffffffffffffffffffffffff", 14, "no version matches"),
        ("disk.img~1", 14, "only one version"),
        ("disk.img~" + "9" * 5000, 14, "no version matches"),
        ("disk.img@2001-01-01", 14, "no version as old"),
        ("disk.img@yesterday", 2, "not a date"),
        ("disk.img@9999-12-31", 2, "not a date"),
        ("disk.img@0001-01-01", 14, "no version as old"),
        ("", 14, "no version matches"),
    ],
)
def test_what_does_not_exist(stored: Program, spec: str, code: int, word: str) -> None:
    """A version that is not there would be answered by another, or by a traceback."""
    stored("show", spec).refused(code, word)


def test_ambiguous_prefix(stored: Program, device: Path) -> None:
    """The first of several versions would be taken for the one that is meant."""
    uid = shown(stored, "disk.img")
    stored("backup", device, uid[:4]).expect(0)
    stored("show", uid[:4]).refused(15, uid[:4])
    assert shown(stored, uid) == uid
    assert shown(stored, f"{uid[:4]}~0") != uid


def test_empty_repository(repo: Program) -> None:
    """Somebody at the wrong disk would search for a mistake in the name."""
    repo("show", "disk.img").refused(14, "the repository is empty")
