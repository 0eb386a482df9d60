"""Automatic tags, what is due, what is not as promised."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packstore.operations.schedules import (
    Dated,
    Schedule,
    automatic_tags,
    find_breaches,
    find_due,
    months_between,
    volumes_of,
)
from packstore.repository.history import VersionState
from tests.unit.repository.test_history import version

TODAY = datetime(2026, 11, 23, 9, tzinfo=UTC)
ALL = ["b_daily", "b_weekly", "b_monthly"]
DAILY = Schedule("daily", "b_daily", timedelta(days=1), 3, timedelta(hours=2))


def state(made: datetime, *tags: str, **more: Any) -> VersionState:
    """Return a version with tags."""
    return VersionState(version(1, date_ms=int(made.timestamp() * 1000)), set(tags), **more)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (datetime(2026, 11, 23, 0, 1, tzinfo=UTC), []),
        (datetime(2026, 11, 22, 23, 59, tzinfo=UTC), ["b_daily"]),
        (datetime(2026, 11, 17, 0, 0, tzinfo=UTC), ["b_daily"]),
        (datetime(2026, 11, 16, 23, 59, tzinfo=UTC), ["b_daily", "b_weekly"]),
        (datetime(2026, 10, 24, 0, 0, tzinfo=UTC), ["b_daily", "b_weekly"]),
        (datetime(2026, 10, 23, 23, 59, tzinfo=UTC), ALL),
        (datetime(2025, 11, 24, 0, 0, tzinfo=UTC), ALL),
        (datetime(2026, 11, 24, 0, 0, tzinfo=UTC), ALL),
    ],
)
def test_automatic_tags_go_by_the_calendar(made: datetime, expected: list[str]) -> None:
    """Tags would be given on other days than backy2 gives them, or a date in the future would end them."""
    assert automatic_tags("disk", [state(made, *ALL)], TODAY) == expected


def test_which_versions_count_for_automatic_tags() -> None:
    """Another volume, or a version that is of no use, would take the tag away."""
    recent = TODAY - timedelta(hours=1)
    assert automatic_tags("disk", [], TODAY) == ALL
    assert automatic_tags("other", [state(recent, *ALL)], TODAY) == ALL
    assert automatic_tags("disk", [state(recent, *ALL, removed=True)], TODAY) == ALL
    incomplete = VersionState(version(1, date_ms=0, size=9, unreadable=[(0, 9)]), set(ALL))
    assert automatic_tags("disk", [incomplete], datetime(1970, 1, 1, 5, tzinfo=UTC)) == ALL
    both = [state(recent, "b_daily"), state(TODAY - timedelta(days=8), *ALL)]
    assert automatic_tags("disk", both, TODAY) == ["b_weekly"]


def test_days_are_those_of_the_zone() -> None:
    """A backup at midnight would be tagged by the day of Greenwich."""
    made = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    east = TODAY.astimezone(timezone(timedelta(hours=1)))
    assert automatic_tags("disk", [state(made, *ALL)], east) == []
    assert automatic_tags("disk", [state(made, *ALL)], TODAY) == ["b_daily"]


@pytest.mark.parametrize(
    ("first", "second", "months"),
    [
        (date(2026, 1, 31), date(2026, 2, 27), 0),
        (date(2026, 1, 31), date(2026, 2, 28), 1),
        (date(2028, 1, 31), date(2028, 2, 28), 0),
        (date(2028, 1, 30), date(2028, 2, 29), 1),
        (date(2026, 2, 28), date(2026, 3, 27), 0),
        (date(2026, 2, 28), date(2026, 3, 28), 1),
        (date(2025, 12, 15), date(2026, 1, 14), 0),
        (date(2025, 12, 15), date(2026, 1, 15), 1),
        (date(2025, 11, 24), date(2026, 11, 23), 11),
        (date(2025, 11, 23), date(2026, 11, 23), 12),
    ],
)
def test_calendar_months(first: date, second: date, months: int) -> None:
    """A backup on the 31st would have no successor in short months."""
    assert months_between(first, second) == months


DAYS = st.dates(date(1990, 1, 1), date(2090, 1, 1))


@given(DAYS, st.integers(0, 4000))
def test_calendar_months_never_go_back(first: date, days: int) -> None:
    """A monthly tag that was due yesterday would not be due today."""
    second = first + timedelta(days=days)
    assert months_between(first, second) <= months_between(first, second + timedelta(days=1))
    assert days // 31 <= months_between(first, second) <= days / 28 + 1


def dated(*ages_in_days: float, tag: str = "b_daily") -> list[Dated]:
    """Return versions so many days old."""
    return [Dated(f"{age:08}", TODAY - timedelta(days=age), frozenset({tag})) for age in ages_in_days]


@pytest.mark.parametrize(
    ("age", "is_due"),
    [(timedelta(hours=23, minutes=59), False), (timedelta(days=1, seconds=-31), False), (timedelta(days=1), True)],
)
def test_when_a_backup_is_due(age: timedelta, is_due: bool) -> None:
    """A job that asks each day at the same time would find it due each other day only."""
    versions = [Dated("1", TODAY - age, frozenset({"b_daily"}))]
    assert bool(find_due("disk", [DAILY], versions, TODAY)) == is_due
    nearly = [Dated("1", TODAY - timedelta(days=1, seconds=-20), frozenset({"b_daily"}))]
    assert find_due("disk", [DAILY], nearly, TODAY)


def test_what_counts_as_the_last_backup() -> None:
    """Another tag, a schedule for other volumes, or one that keeps nothing would decide."""
    assert [due.last for due in find_due("disk", [DAILY], dated(0.1, tag="other"), TODAY)] == [None]
    assert find_due("disk", [DAILY], dated(-3), TODAY)
    assert not find_due("disk", [DAILY], dated(5, 0.5), TODAY)
    none = Schedule("none", "none", timedelta(days=1), 0, timedelta())
    other = Schedule("other", "x", timedelta(days=1), 1, timedelta(), ("db*", "[ab]"))
    assert not find_due("disk", [none, other], [], TODAY)
    assert not find_breaches("disk", [none, other], [], None, TODAY)
    assert [due.volume for due in find_due("db7", [other], [], TODAY)] == ["db7"]
    assert volumes_of([DAILY, other, Schedule("s", "t", DAILY.interval, 1, DAILY.sla, ("new",))], ["a"]) == ["a", "new"]


@pytest.mark.parametrize(
    ("ages", "first", "kinds"),
    [
        ([2.5, 1.5, 0.5], 2.5, []),
        ([1.05, 0.0], 1.05, []),
        ([], 9, ["never"]),
        ([1.1], 1.1, ["late", "few"]),
        ([1.05], 1.05, []),
        ([0.5], 0.5, []),
        ([0.5], 9, ["few"]),
        ([1.5, 0.5], 9, ["few"]),
        ([2.9, 2.5, 1.5, 0.6, 0.5], 9, []),
        ([2.9, 2.5, 1.5, 0.9, 0.6, 0.5], 9, ["many"]),
        ([2.9, 1.5, 0.5], 9, ["gap"]),
        ([4.2, 3.2, 2.2, 1.2, 0.2], 9, ["old"]),
        ([4.0, 3.0, 2.0, 1.0, 0.0], 9, []),
    ],
)
def test_breaches(ages: list[float], first: float, kinds: list[str]) -> None:
    """A promise would be broken unseen, or one that is kept be reported."""
    found = find_breaches("disk", [DAILY], dated(*ages), TODAY - timedelta(days=first), TODAY)
    assert [breach.kind for breach in found] == kinds
