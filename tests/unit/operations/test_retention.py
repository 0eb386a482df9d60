"""Retention: what the rules pick, and what no rules can remove."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packstore.ids import Uid
from packstore.operations.retention import Candidate, Decision, KeepRules, PruneOptions, plan_prune

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def candidate(number: int, date: datetime, tags: frozenset[str] = frozenset()) -> Candidate:
    """Return a version; its number is its place in the order of commits."""
    return Candidate(Uid(number.to_bytes(16, "big")), date, tags)


def history(*ages: float) -> list[Candidate]:
    """Return versions so many days old, in the order of their commits."""
    return [candidate(number, NOW - age * DAY) for number, age in enumerate(ages)]


def plan(
    candidates: list[Candidate], rules: KeepRules, *, expired: bool = False, force: bool = False
) -> list[Decision]:
    """Decide, with nothing too young."""
    return plan_prune(candidates, PruneOptions(rules, expired=expired, force=force), NOW, lambda _: False)


def kept(candidates: list[Candidate], rules: KeepRules) -> list[int]:
    """Return the places of the versions that are kept."""
    return [place for place, decision in enumerate(plan(candidates, rules)) if decision.keep]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (KeepRules(last=2), [5, 6]),
        (KeepRules(hourly=2), [4, 6]),
        (KeepRules(daily=1), [6]),
        (KeepRules(daily=2), [3, 6]),
        (KeepRules(daily=3), [2, 3, 6]),
        (KeepRules(weekly=2), [3, 6]),
        (KeepRules(monthly=2), [1, 6]),
        (KeepRules(yearly=2), [0, 6]),
        (KeepRules(yearly=9), [0, 6]),
        (KeepRules(monthly=9), [0, 1, 6]),
        (KeepRules(within=3 * DAY), [2, 3, 4, 5, 6]),
        (KeepRules(daily=2, yearly=2), [0, 3, 6]),
    ],
)
def test_rules(rules: KeepRules, expected: list[int]) -> None:
    """A rule would pick other versions than restic does, and than the manual says."""
    # 2025-10-01 · October · Friday (3 days) · Sunday 12:00 · today at 9:30, 11:10 and 11:50
    versions = history(418, 40, 3, 1, 0.104, 0.0347, 0.0069)
    assert kept(versions, rules) == expected


def test_a_week_without_backups_costs_nothing() -> None:
    """After a long holiday of the backup, all older versions would go."""
    assert kept(history(400, 399, 398), KeepRules(daily=2)) == [1, 2]
    assert kept(history(400, 399, 398), KeepRules(within=DAY)) == [1, 2]


def test_the_oldest_stays_while_a_rule_is_not_full() -> None:
    """History would never grow to the length that was asked for."""
    versions = [candidate(number, NOW - timedelta(hours=5 - number)) for number in range(5)]
    decisions = plan(versions, KeepRules(daily=7))
    assert [decision.keep for decision in decisions] == [True, False, False, False, True]
    assert decisions[0].reasons == ["oldest for daily"]
    assert decisions[-1].reasons == ["daily 2026-11-23"]


def test_a_valid_version_of_a_period_is_preferred() -> None:
    """An incomplete version would take the place of the one that can be restored."""
    versions = [candidate(1, NOW - DAY), candidate(2, NOW - timedelta(hours=2))]
    versions += [replace(candidate(3, NOW - timedelta(hours=1)), valid=False)]
    assert kept(versions, KeepRules(daily=1)) == [1]


def test_order_goes_by_commit_and_not_by_date() -> None:
    """A wrong clock would make the latest version the one to go."""
    assert kept(history(1, 50, 2), KeepRules(last=1)) == [2]


def test_days_are_those_of_the_zone_of_the_dates() -> None:
    """Two versions of one evening would count as two days, and yesterday's go."""
    zone = timezone(timedelta(hours=-5))
    late = datetime(2026, 11, 22, 23, 30, tzinfo=zone)
    versions = [candidate(1, late - timedelta(hours=23)), candidate(2, late), candidate(3, late + timedelta(hours=1))]
    assert kept(versions, KeepRules(daily=2)) == [1, 2]
    assert kept([replace(one, date=one.date.astimezone(UTC)) for one in versions], KeepRules(daily=2)) == [0, 2]


def test_only_who_would_go_is_asked_about_its_age() -> None:
    """A prune would read a pack for each version that there ever was."""
    asked: list[Candidate] = []
    versions = history(30, 20, 10)

    def is_young(one: Candidate) -> bool:
        asked.append(one)
        return one is versions[0]

    decisions = plan_prune(versions, PruneOptions(KeepRules(last=1)), NOW, is_young)
    assert asked == versions[:2]
    assert [decision.keep for decision in decisions] == [True, False, True]
    assert decisions[0].reasons == ["too young"]


def test_nothing_at_all() -> None:
    """An empty volume would be a traceback."""
    assert plan([], KeepRules(last=1)) == []


TAGS = st.frozensets(st.sampled_from(["a", "b"]))
DATES = st.one_of(
    st.integers(-100, 4000).map(lambda hours: NOW - timedelta(hours=hours)),
    st.integers(-10, 1500).map(lambda days: NOW - timedelta(days=days)),
)
CANDIDATES = st.lists(
    st.tuples(DATES, TAGS, st.booleans(), st.integers(0, 9), st.one_of(st.none(), DATES)), max_size=12
).map(
    lambda rows: [
        Candidate(Uid(number.to_bytes(16, "big")), date, tags, valid, protected == 0, expires)
        for number, (date, tags, valid, protected, expires) in enumerate(rows)
    ]
)
COUNTS = st.integers(0, 4)
RULES = st.builds(
    KeepRules,
    COUNTS,
    COUNTS,
    COUNTS,
    COUNTS,
    COUNTS,
    COUNTS,
    TAGS,
    st.one_of(st.none(), st.integers(0, 90).map(lambda days: timedelta(days=days))),
)


@given(CANDIDATES, RULES, st.booleans(), st.booleans(), st.sets(st.integers(0, 11)))
def test_what_no_rules_remove(
    candidates: list[Candidate], rules: KeepRules, expired: bool, force: bool, young: set[int]
) -> None:
    """A combination of rules would remove what must stay whatever they say."""
    uids = {candidates[place].uid for place in young if place < len(candidates)}
    options = PruneOptions(rules, expired=expired, force=force)
    decisions = plan_prune(candidates, options, NOW, lambda one: one.uid in uids)
    assert [decision.candidate for decision in decisions] == candidates
    valid = [one for one in candidates if one.valid]
    latest = valid[-1] if valid else candidates[-1] if candidates else None
    for decision in decisions:
        one = decision.candidate
        assert decision.reasons
        if not decision.keep:
            assert not one.protected
            assert not one.tags & rules.tags
            assert force or one.uid not in uids
            assert force or one is not latest
            has_expired = one.expires is not None and one.expires < NOW
            assert rules.any or (expired and has_expired)
            assert one.expires is None or has_expired
    if not rules.any and not expired:
        assert all(decision.keep for decision in decisions)


@given(CANDIDATES, RULES, RULES)
def test_more_rules_never_remove_more(candidates: list[Candidate], rules: KeepRules, other: KeepRules) -> None:
    """Somebody who asks for more to be kept would have less."""
    more = KeepRules(
        last=max(rules.last, other.last),
        hourly=max(rules.hourly, other.hourly),
        daily=max(rules.daily, other.daily),
        weekly=max(rules.weekly, other.weekly),
        monthly=max(rules.monthly, other.monthly),
        yearly=max(rules.yearly, other.yearly),
        tags=rules.tags | other.tags,
        within=max((one for one in (rules.within, other.within) if one is not None), default=None),
    )
    if not rules.any:
        return
    fewer = [decision for decision in plan(candidates, rules) if decision.keep]
    many = {decision.candidate.uid for decision in plan(candidates, more) if decision.keep}
    # While a rule is not full it keeps the oldest too, and that stays when it is asked for more.
    assert {decision.candidate.uid for decision in fewer} <= many


@given(CANDIDATES, RULES)
def test_a_second_prune_has_nothing_to_do(candidates: list[Candidate], rules: KeepRules) -> None:
    """Each nightly prune would remove a little more, until nothing is left."""
    first = [decision.candidate for decision in plan(candidates, rules) if decision.keep]
    if rules.any:
        assert all(decision.keep for decision in plan(first, rules))
