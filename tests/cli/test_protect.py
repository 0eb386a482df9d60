"""`packstore protect`, `unprotect` and `expire`."""

from datetime import UTC, datetime

import pytest

from tests.cli.aged import DAY, Aged
from tests.cli.program import Program, tree_of


def state(program: Program, spec: str = "disk.img") -> dict[str, object]:
    """What `show` says."""
    found: dict[str, object] = program.json("show", spec)["version"]
    return found


def test_protect_and_unprotect(stored: Program) -> None:
    """Protection would not be seen, or could not be taken back."""
    stored("protect", "disk.img", "--reason", "for legal").expect(0)
    assert state(stored)["protected"] is True
    assert "protected" in stored("ls").expect(0).out
    text = stored("show", "disk.img").expect(0).out
    assert "protect for legal on " in text
    stored("unprotect", "disk.img").expect(0)
    assert state(stored)["protected"] is False
    assert "taken back" in stored("show", "disk.img").expect(0).out


def test_history(stored: Program) -> None:
    """Nobody could find out who protected a version, and why."""
    stored("protect", "disk.img", "--reason", "for legal").expect(0)
    stored("unprotect", "disk.img").expect(0)
    stored("expire", "disk.img", "2030-01-01T00:00:00Z").expect(0)
    history = state(stored)["history"]
    assert isinstance(history, list)
    assert [(event["type"], event["value"], event["taken_back"]) for event in history] == [
        ("protect", "for legal", True),
        ("unprotect", None, False),
        ("expire", "2030-01-01T00:00:00Z", False),
    ]


def test_what_is_so_already_is_not_said_again(stored: Program) -> None:
    """A script that runs each night would fill the repository with events."""
    stored("protect", "disk.img").expect(0)
    before = tree_of(stored.repo)
    assert "was protected already" in stored("protect", "disk.img").expect(0).out
    assert tree_of(stored.repo) == before
    assert "the reason is added" in stored("protect", "disk.img", "--reason", "other").expect(0).out
    before = tree_of(stored.repo)
    assert "was protected already" in stored("protect", "disk.img", "--reason", "other").expect(0).out
    assert tree_of(stored.repo) == before
    stored("rm", "disk.img", "--force").refused(61, "other")
    stored("unprotect", "disk.img").expect(0)
    before = tree_of(stored.repo)
    assert "was not protected" in stored("unprotect", "disk.img").expect(0).out
    assert stored.json("expire", "disk.img", "never")["changed"] is False
    assert tree_of(stored.repo) == before


def test_protect_refuses_what_is_being_collected(aged: Aged) -> None:
    """A version would be called protected whose blocks are deleted the next moment."""
    uid = aged.back_up(10 * DAY)
    aged.condemn(uid)
    aged.program("protect", uid).refused(63, "being collected")
    assert state(aged.program, uid)["protected"] is False
    aged.program("tag", uid, "harmless").expect(0)


def test_protect_does_not_bring_back(aged: Aged) -> None:
    """A removed version would be shown again by a command that does not say so."""
    uid = aged.back_up(10 * DAY)
    aged.program("rm", uid).expect(0)
    aged.program("protect", uid).refused(14)
    assert aged.uids() == []


def test_wrong_use(stored: Program) -> None:
    """A reason that nobody can read would be stored."""
    before = tree_of(stored.repo)
    stored("protect").refused(2, "VERSION")
    stored("protect", "nosuch").refused(14, "nosuch")
    stored("unprotect", "nosuch").refused(14, "nosuch")
    stored("expire", "disk.img").refused(2, "DATE")
    stored("protect", "disk.img", "--reason", "a\nb").refused(2, "printable")
    stored("protect", "disk.img", "--reason", "x" * 4097).refused(2, "4096")
    assert tree_of(stored.repo) == before


@pytest.mark.parametrize(
    ("date", "value"),
    [
        ("2026-12-24", "2026-12-24T23:59:59Z"),
        ("2026-12-24T12:00", "2026-12-24T12:00:00Z"),
        ("2026-12-24 12:00:30", "2026-12-24T12:00:30Z"),
        ("2026-12-24T12:00+02:00", "2026-12-24T10:00:00Z"),
        ("2000-01-01", "2000-01-01T23:59:59Z"),
        ("never", None),
    ],
)
def test_dates(stored: Program, date: str, value: str | None) -> None:
    """A version would expire on another day than the one that was given."""
    env = {"TZ": "UTC"}
    stored("expire", "disk.img", "1d").expect(0)
    assert stored.json("expire", "disk.img", date, env=env)["version"]["expires"] == value


def test_a_date_is_local(stored: Program) -> None:
    """On the last day, a version would be removed hours before it ends."""
    done = stored.json("expire", "disk.img", "2026-12-24", env={"TZ": "America/New_York"})
    assert done["version"]["expires"] == "2026-12-25T04:59:59Z"


@pytest.mark.parametrize(("text", "hours"), [("30d", 720), ("12h", 12), ("2w", 336), ("1d12h", 36), ("90min", 1.5)])
def test_durations(stored: Program, text: str, hours: float) -> None:
    """A version would expire earlier or later than was said."""
    before = datetime.now(UTC).replace(microsecond=0)
    value = stored.json("expire", "disk.img", text)["version"]["expires"]
    after = datetime.now(UTC)
    assert (before.timestamp()) <= datetime.fromisoformat(value).timestamp() - hours * 3600 <= after.timestamp()


@pytest.mark.parametrize("date", ["soon", "30", "3 d x", "2026-02-30", "", "9999-12-31T23:59:59-23:00", "1e3d"])
def test_what_is_no_date(stored: Program, date: str) -> None:
    """A version would expire at a time that nobody meant."""
    before = tree_of(stored.repo)
    stored("expire", "disk.img", date).refused(2, "not a date")
    assert tree_of(stored.repo) == before
