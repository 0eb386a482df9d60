"""`packstore rm` and `packstore undelete`, and what guards versions."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from packstore.format.pack import PackType
from packstore.format.record import Kind
from packstore.ids import PackId, Uid
from packstore.packs.reader import read_seal
from packstore.repository.session import Session
from tests.cli.aged import DAY, Aged, set_age
from tests.cli.program import Program, tree_of

OLD = 10 * DAY


def test_remove_and_bring_back(aged: Aged) -> None:
    """A removed version would stay in the list, or not come back as it was."""
    first, second = aged.back_up(OLD), aged.back_up(9 * DAY)
    done = aged.program("rm", "disk~1").expect(0)
    assert first[:8] in done.out
    assert "packstore gc" in done.out
    assert aged.uids() == [second]
    assert aged.uids("--removed") == [first]
    aged.program("show", first).refused(14)
    assert f"{first[:8]} of disk is there again" in aged.program("undelete", first[:12]).expect(0).out
    assert aged.uids() == [first, second]
    assert aged.uids("--removed") == []


def test_json(aged: Aged) -> None:
    """A script could not see what was removed, or brought back."""
    uid = aged.back_up(OLD)
    planned = aged.program.json("rm", "disk", "--dry-run")
    assert planned["dry_run"] is True
    assert [(found["uid"], found["removed"]) for found in planned["removed"]] == [(uid, False)]
    done = aged.program.json("rm", "disk")
    assert [(found["uid"], found["removed"]) for found in done["removed"]] == [(uid, True)]
    restored = aged.program.json("undelete", "disk")
    assert [(found["uid"], found["removed"]) for found in restored["restored"]] == [(uid, False)]
    assert restored["not_removed"] == []
    again = aged.program.json("undelete", uid)
    assert [found["uid"] for found in again["not_removed"]] == [uid]


def test_a_dry_run_changes_nothing(aged: Aged) -> None:
    """`--dry-run` would remove, or leave an intent that stops gc."""
    aged.back_up(OLD)
    before = tree_of(aged.program.repo)
    assert "would be removed" in aged.program("rm", "--dry-run", "disk").expect(0).out
    assert tree_of(aged.program.repo) == before


def test_all_or_none(aged: Aged) -> None:
    """A mistake in one name would remove the others."""
    first = aged.back_up(OLD)
    before = tree_of(aged.program.repo)
    aged.program("rm", first, "nosuch").refused(14, "nosuch")
    aged.program("rm").refused(2, "VERSION")
    aged.program("undelete", first, "nosuch").refused(14, "nosuch")
    assert tree_of(aged.program.repo) == before


def test_the_same_version_twice(aged: Aged) -> None:
    """Two names of one version would be counted as two."""
    first = aged.back_up(OLD)
    assert len(aged.program.json("rm", first, "disk")["removed"]) == 1


def test_a_protected_version_stays(aged: Aged) -> None:
    """A version that must not be removed would be."""
    uid = aged.back_up(OLD)
    aged.program("protect", uid, "--reason", "evidence").expect(0)
    before = tree_of(aged.program.repo)
    for arguments in (["rm", uid], ["rm", "--force", uid], ["rm", "--dry-run", uid]):
        aged.program(*arguments).refused(61, "protected: evidence", "packstore unprotect")
    assert aged.program("rm", uid, "--json").expect(61).json["error"]["name"] == "VersionProtected"
    assert tree_of(aged.program.repo) == before
    aged.program("unprotect", uid).expect(0)
    aged.program("rm", uid).expect(0)


def test_a_young_version_needs_force(stored: Program) -> None:
    """Last night's backup would be removed by a slip of the finger."""
    stored("rm", "disk.img").refused(62, "younger than 6 days", "--force")
    stored("rm", "disk.img", "--force").expect(0)
    assert stored("ls").expect(0).out == "no versions yet\n"


@pytest.mark.parametrize(
    ("age", "committed", "code"),
    [
        (7 * DAY, 7 * DAY, 0),
        (5 * DAY, 7 * DAY, 62),
        (7 * DAY, 5 * DAY, 62),
        (3650 * DAY, timedelta(0), 62),
        (-3650 * DAY, 7 * DAY, 62),
        (7 * DAY, -DAY, 62),
    ],
    ids=["old", "young", "committed later", "forged", "future", "storage ahead"],
)
def test_age_counts_from_the_later_time(aged: Aged, age: timedelta, committed: timedelta, code: int) -> None:
    """Somebody who can write a backup could make it old by its date, and have it removed the same day."""
    aged.back_up(age, committed=committed)
    aged.program("rm", "disk", "--dry-run").expect(code)
    aged.program("rm", "disk", "--force").expect(0)
    assert aged.uids() == []


@pytest.mark.parametrize("original", ["there", "gone"])
def test_a_later_copy_of_a_version_does_not_make_it_younger(aged: Aged, original: str) -> None:
    """After a collector has copied its record, a version would be young again, and stay for another week."""
    uid = Uid(bytes.fromhex(aged.back_up(OLD)))
    first = aged.program.only("meta/*")
    with aged.world.open() as repository:
        ((_, plain),) = repository.index.holders(Kind.VERSION, uid)
        pack_id = PackId(bytes.fromhex(first.name))
        entries = read_seal(repository.storage, PackType.META, pack_id, repository.owner).entries
        others = [entry for entry in entries if entry.kind != Kind.VERSION]
        with Session(repository, "copy") as session:
            session.put_record(Kind.VERSION, plain)
            for entry in others:
                session.put_record(Kind(entry.kind), repository.read_object(Kind(entry.kind), entry.object_id))
            session.keep()
    assert len(list(aged.program.repo.glob("meta/*"))) == 2
    if original == "gone":
        first.unlink()
    aged.program("rm", "disk").expect(0)


def test_the_minimum_age_is_configured(aged: Aged, tmp_path: Path) -> None:
    """The guard would be another one than the configuration says."""
    aged.back_up(2 * DAY)
    config = tmp_path / "config.toml"
    env = {"PACKSTORE_CONFIG": str(config)}
    config.write_text('[guards]\nmin_age = "3d"\n')
    aged.program("rm", "disk", env=env).refused(62, "younger than 3 days")
    config.write_text('[guards]\nminimum_age = "1h"\n')
    aged.program("rm", "disk", env=env).refused(70, str(config), "guards.minimum_age")
    config.write_text('[guards]\nmin_age = "36h"\n')
    aged.program("rm", "disk", env=env).expect(0)


def test_no_guard_at_all(aged: Aged, tmp_path: Path) -> None:
    """Whoever turns the guard off would still be stopped by a clock that is ahead."""
    aged.back_up(-DAY)
    config = tmp_path / "config.toml"
    config.write_text('[guards]\nmin_age = "0d"\n')
    aged.program("rm", "disk", env={"PACKSTORE_CONFIG": str(config)}).expect(0)


def test_undelete_by_volume(aged: Aged) -> None:
    """The wrong one of several removed versions would come back."""
    first, second = aged.back_up(OLD), aged.back_up(OLD)
    aged.back_up(OLD, "other")
    aged.program("undelete", "disk").refused(14, "no removed version")
    aged.program("rm", first).expect(0)
    aged.program("undelete", "disk").expect(0)
    aged.program("rm", first, second).expect(0)
    aged.program("undelete", "disk").refused(15, "2 versions of disk are removed", "ls --removed disk")
    assert aged.uids("--removed", "disk") == [first, second]
    aged.program("undelete", first, second).expect(0)
    assert aged.uids("disk") == [first, second]


@pytest.mark.parametrize("command", ["show", "restore"])
def test_what_is_removed_is_named(aged: Aged, tmp_path: Path, command: str) -> None:
    """Whoever has the uid of a version that was removed would be told that there never was one."""
    uid = aged.back_up(10 * DAY)
    aged.program("rm", uid).expect(0)
    rest = ["out"] if command == "restore" else []
    for spec in (uid, uid[:8]):
        done = aged.program(command, spec, *rest).refused(14, f"{uid[:8]} of disk was removed on 20")
        assert f"`packstore undelete {uid[:8]}` brings it back" in done.err
    aged.collect(uid)
    done = aged.program(command, uid, *rest).refused(14, "is collected")
    assert "undelete" not in done.err


def test_undelete_of_what_is_not_removed(aged: Aged) -> None:
    """A script that is run twice would fail, or publish for nothing."""
    uid = aged.back_up(OLD)
    before = tree_of(aged.program.repo)
    assert "was not removed" in aged.program("undelete", uid).expect(0).out
    for spec in ("", "nosuch", uid[:3], "disk~1", "disk@2026-01-01"):
        aged.program("undelete", spec).refused(14, "no removed version")
    assert tree_of(aged.program.repo) == before


def test_undelete_after_a_second_removal(aged: Aged) -> None:
    """One of two removals would be left, and the version stay away."""
    uid = aged.back_up(OLD)
    for _ in range(2):
        aged.program("rm", uid).expect(0)
        aged.program("undelete", uid).expect(0)
    assert aged.uids() == [uid]


def test_what_a_collector_has_begun_with_stays_removed(aged: Aged) -> None:
    """A version would be shown again whose blocks are deleted the next moment."""
    uid = aged.back_up(OLD)
    aged.program("rm", uid).expect(0)
    aged.condemn(uid)
    aged.program("undelete", uid).refused(63, "being collected")
    assert aged.uids("--removed") == [uid]


def test_what_has_been_collected_stays_removed(aged: Aged) -> None:
    """A version would be shown again that cannot be restored."""
    uid = aged.back_up(OLD)
    aged.program("rm", uid).expect(0)
    aged.collect(uid)
    aged.program("undelete", "disk").refused(63, "has been collected")
    assert "collected" in aged.program("ls", "--removed").expect(0).out
    second = aged.back_up(OLD)
    aged.program("rm", second).expect(0)
    aged.program("undelete", "disk").expect(0)
    assert aged.uids() == [second]


def merge(target: Path, source: Path) -> None:
    """Do what `rsync --ignore-existing` does with metadata."""
    for path in source.glob("meta/*"):
        if not (target / "meta" / path.name).exists():
            shutil.copy2(path, target / "meta" / path.name)


def test_protection_in_another_copy_beats_a_removal(aged: Aged, tmp_path: Path) -> None:
    """After merging two copies, a version that somebody protected would be gone."""
    uid = aged.back_up(OLD)
    other = replace(aged.program, repo=tmp_path / "other")
    shutil.copytree(aged.program.repo, other.repo)
    aged.program("rm", uid).expect(0)
    other("protect", uid).expect(0)
    merge(aged.program.repo, other.repo)
    merge(other.repo, aged.program.repo)
    for program in (aged.program, other):
        (found,) = program.json("ls")["versions"]
        assert found["protected"] is True
        assert found["removed"] is False
        assert program.json("ls", "--removed")["versions"] == []


def test_unprotect_says_that_a_removal_counts_now(aged: Aged, tmp_path: Path) -> None:
    """A version would vanish at `unprotect`, and nobody would know why."""
    uid = aged.back_up(OLD)
    other = replace(aged.program, repo=tmp_path / "other")
    shutil.copytree(aged.program.repo, other.repo)
    aged.program("rm", uid).expect(0)
    other("protect", uid).expect(0)
    merge(aged.program.repo, other.repo)
    done = aged.program("unprotect", uid).expect(0)
    assert f"`packstore undelete {uid[:8]}`" in done.err
    aged.program("undelete", uid[:8]).expect(0)
    assert aged.uids() == [uid]


def fill(point: Path) -> None:
    """Write until the file system takes nothing more."""
    with (point / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))


@pytest.mark.root
def test_remove_on_a_full_disk(program: Program, mounted: Callable[..., Path], device: Path) -> None:
    """A full disk could not be emptied."""
    point = mounted("-t", "tmpfs", "-o", "size=12m", "none")
    full = replace(program, repo=point / "repository")
    full("init", "--reserve", "1MiB", "--block-size", "64KiB", "--pack-size", "1MiB").expect(0)
    full("backup", device).expect(0)
    with pytest.raises(OSError, match="No space"):
        fill(point)
    full("rm", "disk.img", "--force").expect(0)
    assert full("ls").expect(0).out == "no versions yet\n"


def test_set_age_is_seen(aged: Aged) -> None:
    """The tests above would test nothing: the times of files would not be what they set."""
    aged.back_up(OLD)
    aged.program("rm", "--dry-run", "disk").expect(0)
    set_age(aged.program.only("meta/*"), DAY)
    aged.program("rm", "--dry-run", "disk").expect(62)
