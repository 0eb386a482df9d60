"""`packstore prune`: retention, volume by volume."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.cli.aged import DAY, HOUR, Aged
from tests.cli.program import Program, tree_of


@pytest.fixture
def month(aged: Aged) -> tuple[Aged, list[str]]:
    """A repository with versions of 24, 16, 12, 8 and 1 days ago, and one of another volume."""
    uids = [aged.back_up(days * DAY) for days in (24, 16, 12, 8, 1)]
    aged.back_up(20 * DAY, "other")
    return aged, uids


def reasons(aged: Aged, *arguments: str) -> dict[str, tuple[bool, list[str]]]:
    """What is said about each version."""
    found = aged.program.json("prune", *arguments)["versions"]
    return {version["uid"]: (version["keep"], version["reasons"]) for version in found}


def test_what_no_rule_keeps_goes(month: tuple[Aged, list[str]]) -> None:
    """A version that is to be kept would go, or one that is not would stay."""
    aged, uids = month
    done = aged.program("prune", "disk", "--keep-last", "2").expect(0)
    lines = {line.split()[1]: line.split()[0] for line in done.out.splitlines()[1:-1]}
    assert lines == {uid[:8]: "remove" for uid in uids[:3]} | {uid[:8]: "keep" for uid in uids[3:]}
    assert "no rule keeps it" in done.out
    assert "3 versions removed; `packstore gc` frees the space" in done.out
    assert aged.uids("disk") == uids[3:]
    assert len(aged.uids("other")) == 1
    assert aged.uids("--removed") == uids[:3]
    aged.program("undelete", *uids[:3]).expect(0)
    assert aged.uids("disk") == uids


def test_a_dry_run_changes_nothing_and_says_the_same(month: tuple[Aged, list[str]]) -> None:
    """What `--dry-run` shows would not be what happens."""
    aged, _ = month
    before = tree_of(aged.program.repo)
    planned = aged.program.json("prune", "--keep-within", "10d", "--dry-run")
    assert tree_of(aged.program.repo) == before
    done = aged.program.json("prune", "--keep-within", "10d")
    assert planned | {"dry_run": False} == done
    assert (done["kept"], done["removed"]) == (3, 3)


def test_each_volume_by_itself(aged: Aged) -> None:
    """A volume that is backed up often would push out the versions of another."""
    rare = aged.back_up(100 * DAY, "rare")
    often = [aged.back_up(days * DAY, "often") for days in (10, 9, 8)]
    aged.program("prune", "--keep-last", "1").expect(0)
    assert aged.uids() == [rare, often[-1]]


def test_what_is_never_pruned(month: tuple[Aged, list[str]]) -> None:
    """A protected, a young or a tagged version would go by a rule that nobody thought through."""
    aged, uids = month
    aged.program("protect", uids[0]).expect(0)
    aged.program("tag", uids[1], "golden").expect(0)
    young = aged.back_up(-5 * DAY, committed=timedelta(0))
    aged.back_up(30 * DAY)
    options = ["disk", "--keep-tag", "golden"]
    found = reasons(aged, *options)
    assert found[uids[0]] == (True, ["protected"])
    assert found[uids[1]] == (True, ["tag golden"])
    assert found[uids[4]] == (True, ["too young"])
    assert found[young] == (True, ["too young"])
    assert aged.uids("disk") == [uids[0], uids[1], uids[4], young, aged.uids("disk")[-1]]


def test_force(month: tuple[Aged, list[str]]) -> None:
    """`--force` would not remove what is young, or remove what is protected."""
    aged, uids = month
    aged.program("protect", uids[0]).expect(0)
    found = reasons(aged, "disk", "--keep-tag", "golden", "--force")
    assert found[uids[0]] == (True, ["protected"])
    assert {uid for uid, (keep, _) in found.items() if not keep} == set(uids[1:])
    assert aged.uids("disk") == [uids[0]]


def test_a_forged_date_does_not_help(aged: Aged) -> None:
    """Somebody who can back up could have last night's versions removed by the next prune."""
    good = aged.back_up(3000 * DAY, committed=HOUR)
    aged.back_up(10 * DAY)
    found = reasons(aged, "--keep-last", "1")
    assert found[good] == (True, ["too young"])


def test_versions_from_the_future_take_no_place(aged: Aged) -> None:
    """Versions with dates in the future would push all others out."""
    good = [aged.back_up(days * DAY) for days in (12, 11, 10)]
    for days in (2, 3, 4):
        aged.back_up(-days * DAY, committed=20 * DAY)
    found = reasons(aged, "--keep-daily", "3", "--dry-run")
    assert [found[uid][0] for uid in good] == [True, True, True]


def test_expired(month: tuple[Aged, list[str]]) -> None:
    """A version would outlive its date, or go before it."""
    aged, uids = month
    aged.program("expire", uids[1], "2020-01-01").expect(0)
    aged.program("expire", uids[2], "5d").expect(0)
    aged.program("expire", uids[4], "2020-01-01").expect(0)
    found = reasons(aged, "--expired", "--dry-run")
    assert found[uids[0]] == (True, ["not expired"])
    assert found[uids[1]] == (False, ["expired"])
    assert found[uids[2]] == (True, ["not expired"])
    assert found[uids[4]] == (True, ["the latest"])
    assert aged.uids("--expired") == [uids[1], uids[4]]
    aged.program("prune", "--expired").expect(0)
    assert aged.uids("disk") == [uids[0], *uids[2:]]
    found = reasons(aged, "disk", "--keep-last", "1")
    assert found[uids[0]] == (False, ["no rule keeps it"])
    assert found[uids[2]] == (True, ["has not expired yet"])


def test_the_latest_valid_version_stays(aged: Aged) -> None:
    """The only version that can be restored whole would go, because an incomplete one is later."""
    good = aged.back_up(20 * DAY)
    aged.back_up(10 * DAY, incomplete=True)
    assert reasons(aged, "--keep-last", "1", "--dry-run")[good] == (True, ["the latest"])


def test_without_a_rule(month: tuple[Aged, list[str]]) -> None:
    """A forgotten option would remove everything."""
    aged, _ = month
    before = tree_of(aged.program.repo)
    aged.program("prune").refused(2, "--keep")
    aged.program("prune", "disk", "--force").refused(2, "--keep")
    aged.program("prune", "--keep-last", "0").refused(2, "keep-last")
    aged.program("prune", "--keep-within", "14").refused(2, "not a duration")
    aged.program("prune", "nosuch", "--keep-last", "1").refused(14, "nosuch")
    assert tree_of(aged.program.repo) == before


def test_nothing_to_do(stored: Program) -> None:
    """A nightly job would publish for nothing."""
    before = tree_of(stored.repo)
    assert "nothing to remove" in stored("prune", "--keep-last", "1").expect(0).out
    assert tree_of(stored.repo) == before


def test_empty_repository(repo: Program) -> None:
    """A nightly job would fail on a new repository."""
    assert repo("prune", "--keep-last", "1").expect(0).out == "no versions yet\n"


def test_a_misspelt_configuration_removes_nothing(month: tuple[Aged, list[str]], tmp_path: Path) -> None:
    """A guard with a typing error would guard nothing."""
    aged, uids = month
    config = tmp_path / "config.toml"
    config.write_text('[guard]\nmin_age = "30d"\n')
    aged.program("prune", "--keep-last", "1", env={"PACKSTORE_CONFIG": str(config)}).refused(70, "guard is not known")
    assert aged.uids("disk") == uids
