"""`packstore diff`."""

from pathlib import Path

from tests.cli.program import Program

BLOCK = 64 * 1024


def test_ranges(stored: Program, device: Path) -> None:
    """Nobody could see where two versions differ without restoring both."""
    content = bytearray(device.read_bytes())
    content[5] ^= 1
    content[BLOCK + 9] ^= 1
    content[8 * BLOCK] ^= 1
    changed = stored.home / "changed.img"
    changed.write_bytes(content + b"more")
    stored("backup", changed, "disk.img").expect(0)
    document = stored.json("diff", "disk.img~1", "disk.img")
    tail = {"offset": 10 * BLOCK, "length": 81}
    assert document["ranges"] == [{"offset": 0, "length": 2 * BLOCK}, {"offset": 8 * BLOCK, "length": BLOCK}, tail]
    assert document["bytes_changed"] == 3 * BLOCK + 81
    assert document["sizes"] == [len(content), len(content) + 4]
    assert document["unknown_ranges"] == []
    out = stored("diff", "disk.img~1", "disk.img").expect(0).out.splitlines()
    assert out[0].split() == ["OFFSET", "LENGTH"]
    assert out[1].split() == ["0", str(2 * BLOCK)]
    assert out[-1].endswith("in 3 ranges differ")


def test_no_difference(stored: Program) -> None:
    """Equal versions would look different."""
    assert stored("diff", "disk.img", "disk.img").expect(0).out == "no differences found\n"


def test_wrong_use(stored: Program) -> None:
    """A version that is not there would be compared with another one."""
    stored("diff", "disk.img").refused(2, "VERSION")
    stored("diff", "disk.img", "nosuch").refused(14, "nosuch")


def test_damage(stored: Program, device: Path) -> None:
    """A range that nobody can read would be shown as equal."""
    changed = stored.home / "changed.img"
    changed.write_bytes(b"x" + device.read_bytes()[1:])
    stored("backup", changed, "disk.img").expect(0)
    stored("ls").expect(0)
    for path in stored.repo.glob("meta/*"):
        data = bytearray(path.read_bytes())
        for at in range(200, len(data), 150):
            data[at] ^= 0xFF
        path.write_bytes(data)
    done = stored("--json", "diff", "disk.img~1", "disk.img").expect(40)
    assert done.json["unknown_ranges"] == [{"offset": 0, "length": device.stat().st_size}]
    assert done.json["error"]["exit_code"] == 40
