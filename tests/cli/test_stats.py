"""`packstore stats` and `packstore du`."""

from pathlib import Path

import pytest

from tests.cli.program import Program

BLOCK = 64 * 1024


@pytest.fixture
def two(stored: Program, device: Path) -> Program:
    """A repository with two versions of one volume and one of another; the last block differs."""
    content = device.read_bytes()
    changed = stored.home / "changed.img"
    changed.write_bytes(content[:-77] + b"x" * 77)
    stored("backup", changed, "disk.img").expect(0)
    stored("backup", device, "other").expect(0)
    return stored


def test_stats(two: Program, device: Path) -> None:
    """Nobody could see what the nightly backup read, stored and took."""
    document = two.json("stats")
    assert document["totals"]["versions"] == 3
    for name, total in document["totals"].items():
        if name != "versions":
            assert total == sum(found[name] for found in document["versions"])
    first, second, _ = document["versions"]
    assert first["bytes_new"] + first["bytes_hole"] == device.stat().st_size
    assert second["bytes_new"] == 77
    assert second["bytes_unchanged"] + second["bytes_hole"] == device.stat().st_size - 77
    assert second["duration_ms"] >= 0
    header, *rows, total = two("stats").expect(0).out.splitlines()
    assert header.split()[:4] == ["VERSION", "DATE", "VOLUME", "TOTAL"]
    assert len(rows) == 3
    assert total.startswith("total     3 versions")


def test_stats_of_a_volume_and_of_a_version(two: Program) -> None:
    """The statistics of one volume would be hidden among those of a hundred."""
    assert len(two.json("stats", "disk.img")["versions"]) == 2
    assert len(two.json("stats", "disk.img~1")["versions"]) == 1
    two("stats", "nosuch").refused(14, "nosuch")


def test_nothing_there(repo: Program) -> None:
    """A new repository would look broken."""
    assert repo("stats").expect(0).out == "no versions yet\n"
    assert repo.json("stats")["versions"] == []
    assert "no versions yet" in repo("du").expect(0).out
    assert repo.json("du")["versions"] == []


def test_du(two: Program) -> None:
    """Somebody short of space could not see which version takes it."""
    document = two.json("du")
    first, second, other = document["versions"]
    assert [found["volume"] for found in (first, second, other)] == ["disk.img", "disk.img", "other"]
    assert first["own"] == 0  # the other volume has the same
    assert 77 <= second["own"] < BLOCK
    assert first["shared"] > 7 * BLOCK
    assert second["freed"] > second["own"]
    on_disk = sum(
        path.stat().st_size for name in ("packs", "meta") for path in (two.repo / name).rglob("*") if path.is_file()
    )
    assert 0.8 * on_disk < document["bytes_needed"] < on_disk
    assert document["complete"] is True
    lines = two("du").expect(0).out.splitlines()
    assert lines[0].split() == ["VERSION", "DATE", "VOLUME", "SIZE", "OWN", "SHARED", "FREED"]
    assert len(lines) == 5
    assert "all versions together need" in lines[-1]


def test_du_of_one_version(two: Program) -> None:
    """The row that is asked for would be another one."""
    (row,) = two.json("du", "disk.img~1")["versions"]
    assert row == two.json("du")["versions"][0]
    two("du", "nosuch").refused(14, "nosuch")


def test_du_with_damage(two: Program) -> None:
    """Sizes that are too small would be shown as if they were right."""
    two("ls").expect(0)
    for path in two.repo.glob("meta/*"):
        data = bytearray(path.read_bytes())
        for at in range(200, len(data), 150):
            data[at] ^= 0xFF
        path.write_bytes(data)
    done = two("--json", "du").expect(40)
    assert len(done.json["versions"]) == 3
    assert done.json["complete"] is False
    assert "too small" in done.err
