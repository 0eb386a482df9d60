"""`packstore tag`, `untag`, and the tags and dates that `backup` gives."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.aged import DAY, HOUR, Aged
from tests.cli.program import Program, tree_of


def tags(program: Program, spec: str = "disk.img") -> list[str]:
    """The tags of a version."""
    found: list[str] = program.json("show", spec)["version"]["tags"]
    return found


def test_tag_and_untag(stored: Program, device: Path) -> None:
    """A tag would get lost, or could not be taken away again."""
    stored("backup", device, "--tag", "given").expect(0)
    assert "is tagged a, b now" in stored("tag", "disk.img", "b", "a", "b").expect(0).out.replace("b, a", "a, b")
    assert tags(stored) == ["a", "b", "given"]
    stored("untag", "disk.img", "a", "given").expect(0)
    assert tags(stored) == ["b"]
    assert tags(stored, "disk.img~1") == ["b_daily", "b_monthly", "b_weekly"]


def test_a_tag_can_be_given_and_taken_again_and_again(stored: Program) -> None:
    """An untag would take back a tag that is given later."""
    for _ in range(2):
        stored("untag", "disk.img", "b_daily").expect(0)
        assert tags(stored) == ["b_monthly", "b_weekly"]
        stored("tag", "disk.img", "b_daily").expect(0)
        assert tags(stored) == ["b_daily", "b_monthly", "b_weekly"]


def test_json(stored: Program) -> None:
    """A script could not see whether anything was changed."""
    done = stored.json("tag", "disk.img", "a", "b_daily")
    assert done["changed"] is True
    assert len(done["events"]) == 1
    assert done["version"]["tags"] == ["a", "b_daily", "b_monthly", "b_weekly"]
    assert stored.json("untag", "disk.img", "a")["version"]["tags"] == ["b_daily", "b_monthly", "b_weekly"]


def test_what_is_so_already_is_not_said_again(stored: Program) -> None:
    """A script that runs each night would fill the repository with events."""
    before = tree_of(stored.repo)
    assert "was tagged b_daily already" in stored("tag", "disk.img", "b_daily").expect(0).out
    assert "was not tagged other" in stored("untag", "disk.img", "other").expect(0).out
    assert stored.json("tag", "disk.img", "b_daily")["changed"] is False
    assert tree_of(stored.repo) == before


def test_wrong_use(stored: Program) -> None:
    """A tag that nobody can type would be stored, or the wrong version tagged."""
    before = tree_of(stored.repo)
    stored("tag", "disk.img").refused(2, "T...")
    stored("tag", "nosuch", "a").refused(14, "nosuch")
    stored("tag", "disk.img", "").refused(2, "cannot be a tag")
    stored("tag", "disk.img", "a\nb").refused(2, "cannot be a tag")
    assert len(stored("tag", "disk.img", "t" * 5000).refused(2, "cannot be a tag").err) < 200
    stored("tag", "disk.img", "x" * 256).refused(2, "255")
    stored.run([*stored.command("tag", "disk.img"), b"\xff"]).refused(2, "cannot be a tag")  # type: ignore[list-item]
    stored("tag", "disk.img", *(f"t{number}" for number in range(1022))).refused(2, "1024 tags")
    assert tree_of(stored.repo) == before


def test_automatic_tags(aged: Aged, device: Path) -> None:
    """Retention by tags would keep every version, or none."""
    aged.back_up(40 * DAY, "disk.img", tags=("b_daily", "b_weekly", "b_monthly"))
    aged.back_up(3 * DAY, "disk.img", tags=("b_weekly",))
    aged.back_up(HOUR, "other", tags=("b_daily", "b_weekly", "b_monthly"))
    assert aged.program.json("backup", device, "disk.img")["tags"] == ["b_daily", "b_monthly"]
    assert aged.program.json("backup", device, "disk.img")["tags"] == []
    assert aged.program.json("backup", device, "new")["tags"] == ["b_daily", "b_monthly", "b_weekly"]


def test_no_automatic_tags(repo: Program, device: Path) -> None:
    """A version would have tags that nobody asked for."""
    assert repo.json("backup", device, "--tag", "mine")["tags"] == ["mine"]
    assert repo.json("backup", device, "--no-auto-tags")["tags"] == []
    assert repo.json("backup", device)["tags"] == ["b_daily", "b_monthly", "b_weekly"]


def test_backup_with_an_expire_date(repo: Program, device: Path) -> None:
    """A version would stay for ever although a date was given, or go at once."""
    repo("backup", device, "--expire", "2d").expect(0)
    assert repo.only("meta/*")  # date and version in one file: there is no moment between them
    (found,) = repo.json("ls")["versions"]
    ahead = datetime.fromisoformat(found["expires"]) - datetime.now(UTC)
    assert timedelta(days=1, hours=23) < ahead <= timedelta(days=2)
    repo("backup", device, "--expire", "2020-02-29").expect(0)
    assert len(repo.json("ls", "--expired")["versions"]) == 1


@pytest.mark.parametrize("date", ["tomorrow", "30", "30 parsecs", "2026-13-01", "", "999999y999999y9999d"])
def test_backup_refuses_what_is_no_date(repo: Program, device: Path, date: str) -> None:
    """A version would be stored without the date that it was to have."""
    before = tree_of(repo.repo)
    repo("backup", device, "--expire", date).refused(2, "not a date")
    assert tree_of(repo.repo) == before
