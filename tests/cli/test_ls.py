"""`packstore ls`."""

from pathlib import Path

from tests.cli.aged import DAY, Aged
from tests.cli.program import Program


def test_empty_repository(repo: Program) -> None:
    """A new repository would look broken."""
    assert repo("ls").expect(0).out == "no versions yet\n"
    assert repo.json("ls")["versions"] == []


def test_table(stored: Program, device: Path) -> None:
    """The versions could not be told apart by a person."""
    stored("backup", device, "web1", "--tag", "old", "--tag", "new").expect(0)
    header, first, second = stored("ls").expect(0).out.splitlines()
    assert header.split() == ["VERSION", "DATE", "VOLUME", "SIZE", "STATE", "EXPIRES", "TAGS"]
    assert "disk.img" in first
    assert second.endswith("new, old")
    uid = second.split()[0]
    assert stored.json("show", uid)["version"]["volume"] == "web1"


def test_json(stored: Program, device: Path) -> None:
    """A script could not find the versions by the keys that are promised."""
    (found,) = stored.json("ls")["versions"]
    assert len(found["uid"]) == 32
    assert found["volume"] == "disk.img"
    assert found["size"] == device.stat().st_size
    assert found["valid"] is True
    assert found["date"].endswith("Z")
    assert found["tags"] == ["b_daily", "b_monthly", "b_weekly"]
    assert found["protected"] is False
    assert found["expires"] is None
    assert found["removed"] is False
    assert found["snapshot"] is None


def test_one_volume(stored: Program, device: Path) -> None:
    """Asking for one volume would show others, or the versions out of order."""
    stored("backup", device, "web1").expect(0)
    second = stored.json("backup", device, "disk.img")["version"]
    uids = [found["uid"] for found in stored.json("ls", "disk.img")["versions"]]
    assert len(uids) == 2
    assert uids[-1] == second
    assert stored("ls", "nosuch").expect(0).out == "no versions of nosuch\n"


def test_filters(aged: Aged) -> None:
    """Somebody who looks for a version would not find it, or find others."""
    first = aged.back_up(40 * DAY, tags=("b_daily", "b_weekly"), snapshot="monday")
    second = aged.back_up(10 * DAY, tags=("b_daily",), incomplete=True)
    third = aged.back_up(DAY, "other", snapshot="tuesday")
    aged.program("expire", second, "2020-01-01").expect(0)
    aged.program("expire", third, "2d").expect(0)
    assert aged.uids("--tag", "b_daily") == [first, second]
    assert aged.uids("--tag", "b_daily", "--tag", "b_weekly") == [first]
    assert aged.uids("--snapshot-name", "monday") == [first]
    assert aged.uids("--since", "14d") == [second, third]
    assert aged.uids("--since", "14d", "disk") == [second]
    assert aged.uids("--since", "2020-01-01T00:00") == [first, second, third]
    assert aged.uids("--since", "2099-01-01") == []
    assert aged.uids("--expired") == [second]
    assert aged.uids("--invalid") == [second]
    assert aged.uids("--removed") == []
    assert aged.program("ls", "--tag", "none").expect(0).out == "no such versions\n"
    assert aged.program("ls", "--removed").expect(0).out == "no removed versions\n"
    assert aged.program("ls", "--removed", "disk").expect(0).out == "no removed versions of disk\n"


def test_state_and_date_are_shown(aged: Aged) -> None:
    """Nobody would see in the list which versions stay, and until when."""
    uid = aged.back_up(10 * DAY, incomplete=True)
    aged.program("protect", uid).expect(0)
    aged.program("expire", uid, "2031-05-06").expect(0)
    line = aged.program("ls").expect(0).out.splitlines()[1]
    assert "partial, protected" in line
    assert "2031-05-06 23:59" in line


def test_chosen_fields(aged: Aged) -> None:
    """A script would have to cut columns out of a table that may change."""
    uid = aged.back_up(10 * DAY, tags=("a",), snapshot="monday")
    assert aged.program.json("ls", "--fields", "tags,uid,snapshot")["versions"] == [
        {"tags": ["a"], "uid": uid, "snapshot": "monday"}
    ]
    header, line = aged.program("ls", "--fields", "uid, valid,snapshot,protected").expect(0).out.splitlines()
    assert header.split() == ["UID", "VALID", "SNAPSHOT", "PROTECTED"]
    assert line.split() == [uid, "yes", "monday", "no"]
    everything = aged.program.json("ls")["versions"][0]
    assert aged.program.json("ls", "--fields", ",".join(everything))["versions"] == [everything]
    aged.program("ls", "--fields", "uid,nonsense").refused(2, "'nonsense'", "uid, volume, snapshot")
    aged.program("ls", "--fields", "").refused(2, "no field")
    aged.program("ls", "--since", "yesterday").refused(2, "not a date")


def test_damaged_metadata_is_said_and_shows_the_rest(stored: Program, device: Path) -> None:
    """Damage in one file would hide every version, or hide itself."""
    stored("backup", device, "web1").expect(0)
    old, new = sorted(stored.repo.glob("meta/*"))
    data = bytearray(new.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 8] = b"\xff" * 8
    new.write_bytes(data)
    done = stored("ls", "--index-dir", stored.home / "fresh").expect(26)
    assert "disk.img" in done.out
    assert "warning" in done.err
    assert new.name in done.err
    assert "packstore check" in done.err
    assert old.name not in done.err


def test_reader_that_goes_away(stored: Program) -> None:
    """`packstore ls | head -1` would end in an error."""
    with stored.running("ls") as process:
        assert process.stdout
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr
        assert process.stderr.read() == b""


def test_output_that_cannot_be_written(stored: Program) -> None:
    """A list cut short by a full disk would look whole."""
    with open("/dev/full", "wb") as full, stored.running("ls", stdout=full) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 59
    assert err == b"packstore: standard output cannot be written: No space left on device\n"


def test_without_standard_output(stored: Program) -> None:
    """A service manager that starts packstore without standard output would see a traceback."""
    done = stored.run(["sh", "-c", 'exec "$@" >&- <&-', "sh", *stored.command("ls")])
    assert done.code == 0
    assert not done.err
