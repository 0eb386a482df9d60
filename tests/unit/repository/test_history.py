"""Folding events, finding versions."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packstore.errors import AmbiguousVersion, PackstoreError, UsageError, VersionNotFound
from packstore.format.version import Event, EventType, Version
from packstore.ids import HOLE, Uid
from packstore.repository.history import find_removed, find_version, fold, standing

DAY = 86_400_000
NOON = 1_763_812_800_000  # 2025-11-22T12:00Z


def version(number: int, volume: str = "disk", **more: Any) -> Version:
    """Return a version; its number is its counter."""
    found = Version(
        uid=Uid(bytes([number]) * 16),
        volume=volume,
        date_ms=NOON + number * DAY,
        counter=number,
        size=0,
        block_size=65_536,
        root=HOLE,
        source={},
        unreadable=[],
        trusted_runs=0,
        statistics={},
        tags=[],
        base=None,
        program="",
        host="",
    )
    return replace(found, **more)


def event(
    number: int, kind: str, versions: list[int], cancels: list[int] | None = None, value: str | None = None
) -> Event:
    """Return an event."""
    uids = [Uid(bytes([at]) * 16) for at in versions]
    return Event(
        id=Uid(bytes([100 + number]) * 16),
        type=kind,
        date_ms=0,
        counter=number,
        versions=uids,
        cancels=[Uid(bytes([100 + at]) * 16) for at in cancels or []],
        value=value,
        program="",
        host="",
    )


EVENTS = [
    event(1, EventType.REMOVE, [1, 2]),
    event(2, EventType.UNDELETE, [1], [1]),
    event(3, EventType.PROTECT, [3]),
    event(4, EventType.REMOVE, [3]),
    event(5, EventType.TAG, [1], value="a"),
    event(6, EventType.TAG, [1], value="b"),
    event(7, EventType.UNTAG, [1], [5], value="a"),
    event(8, EventType.EXPIRE, [1], value="2026-01-01"),
    event(9, EventType.EXPIRE, [1], value="2025-01-01"),
    event(10, EventType.UNTAG, [4], value="given"),
    event(11, "of the future", [1]),
    event(12, EventType.REMOVE, [77]),
]
VERSIONS = [version(1), version(2), version(3), version(4, tags=["given", "kept"])]


@given(st.permutations(EVENTS), st.permutations(VERSIONS))
def test_the_order_of_events_does_not_matter(events: list[Event], versions: list[Version]) -> None:
    """Two copies of one repository would show different versions."""
    one, two, three, four = fold(versions, events)
    assert (one.removed, one.tags, one.expires) == (False, {"b"}, "2025-01-01")
    assert two.removed
    assert (three.removed, three.protected) == (False, True)
    assert four.tags == {"kept"}


def test_latest_goes_by_counter_and_never_by_clock() -> None:
    """A wrong clock would make an old version the latest."""
    states = fold([version(5, date_ms=0), version(4)], [])
    assert find_version("disk", states).version.counter == 5
    assert find_version("disk~1", states).version.counter == 4


STATES = fold(
    [
        *(version(number) for number in (1, 2, 3)),
        version(4, "abcd"),
        version(0xAB, "other", uid=Uid(b"\xab\xcd" * 8)),
        version(0xAC, "other", uid=Uid(b"\xab\xce" + b"\xcd" * 14)),
    ],
    [event(1, EventType.REMOVE, [3])],
)


@pytest.mark.parametrize(
    ("spec", "counter"),
    [
        ("disk", 2),
        ("disk~0", 2),
        ("disk~1", 1),
        ("01" * 16, 1),
        ("0101", 1),
        ("disk@2025-11-23", 1),
        ("disk@2025-11-24", 2),
        ("disk@9999-12-30", 2),
        ("disk@2025-11-23T12:00:00+00:00", 1),
        ("abce", 0xAC),
        ("abcdab", 0xAB),
        ("other@2099-01-01", 0xAC),
    ],
)
def test_each_form_finds_its_version(spec: str, counter: int) -> None:
    """Somebody would restore another version than they asked for."""
    assert find_version(spec, STATES).version.counter == counter


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("nothing", VersionNotFound),
        ("disk~2", VersionNotFound),
        ("disk~" + "9" * 9, VersionNotFound),
        ("disk@2025-11-21", VersionNotFound),
        ("disk@yesterday", UsageError),
        ("03" * 16, VersionNotFound),
        ("010", VersionNotFound),
        ("abcd", AmbiguousVersion),
        ("", VersionNotFound),
        ("disk~", VersionNotFound),
        ("disk~-1", VersionNotFound),
        ("disk@", VersionNotFound),
        ("~1", VersionNotFound),
        ("@2025-11-22", VersionNotFound),
    ],
)
def test_what_is_not_there_or_not_clear_is_an_error(spec: str, error: type[PackstoreError]) -> None:
    """A guess would be restored."""
    with pytest.raises(error):
        find_version(spec, STATES)


def test_a_prefix_of_several_uids_is_ambiguous() -> None:
    """One of several would be chosen by chance."""
    uids = [Uid(b"\xab\xcd" * 8), Uid(b"\xab\xcd\x01" * 5 + b"x")]
    states = fold([version(number, uid=uid) for number, uid in enumerate(uids)], [])
    with pytest.raises(AmbiguousVersion):
        find_version("abcd", states)


@given(st.text(max_size=40) | st.from_regex(r"disk[~@][0-9T:+Z.-]{0,40}", fullmatch=True))
def test_any_text_finds_a_version_or_a_declared_error(spec: str) -> None:
    """What somebody types would end in a traceback."""
    try:
        find_version(spec, STATES)
    except (VersionNotFound, AmbiguousVersion, UsageError):
        return


def test_removed_versions_are_found_by_uid_and_by_volume() -> None:
    """A removed version could not be named, or the wrong one come back."""
    events = [event(1, EventType.REMOVE, [1]), event(2, EventType.REMOVE, [4])]
    states = fold([version(1), version(2), version(4, "other")], events)
    assert find_removed("disk", states).version.counter == 1
    assert find_removed("01" * 16, states).version.counter == 1
    assert find_removed("0404", states).version.counter == 4
    for spec in ("0202", "disk~0", "", "04", "nosuch"):
        with pytest.raises(VersionNotFound):
            find_removed(spec, states)


def test_a_removed_version_that_is_not_the_only_one_needs_its_uid() -> None:
    """One of several removed versions would be chosen for whoever names the volume."""
    removed = [event(1, EventType.REMOVE, [1, 2, 3])]
    volume = "0303"
    states = fold([version(1), version(2), version(3, "other"), version(4, volume)], removed)
    with pytest.raises(AmbiguousVersion, match="2 versions of disk"):
        find_removed("disk", states)
    same = fold(
        [version(1, uid=Uid(bytes([7] * 15 + [1]))), version(2, uid=Uid(bytes([7] * 15 + [2]))), version(3, volume)],
        [event(1, EventType.REMOVE, [3]), replace(removed[0], versions=[Uid(bytes([7] * 15 + [n])) for n in (1, 2)])],
    )
    with pytest.raises(AmbiguousVersion, match="several uids"):
        find_removed("0707", same)
    with pytest.raises(AmbiguousVersion, match="both a volume"):
        find_removed(volume, same)


def test_what_stands_is_what_has_to_be_taken_back() -> None:
    """One of two protections would be left, or one of another version be taken back."""
    events = [
        event(1, EventType.PROTECT, [1, 2]),
        event(2, EventType.PROTECT, [1]),
        event(3, EventType.UNPROTECT, [2], [1]),
        event(4, EventType.UNPROTECT, [1], [2]),
    ]
    assert [found.counter for found in standing(events, version(1).uid, EventType.PROTECT)] == [1]
    assert standing(events, version(2).uid, EventType.PROTECT) == []
    assert standing(events, version(1).uid, EventType.REMOVE) == []


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-12-24T23:59:59Z", datetime(2026, 12, 24, 23, 59, 59, tzinfo=UTC)),
        ("2026-12-24T12:00:00+02:00", datetime(2026, 12, 24, 10, tzinfo=UTC)),
        ("2026-12-24", datetime(2026, 12, 25, tzinfo=UTC)),
        ("2026-12-24T12:00", datetime(2026, 12, 24, 12, tzinfo=UTC)),
        (None, None),
        ("never", None),
        ("", None),
        ("9999-12-31", None),
        ("0001-01-01T00:00:00+05:00", None),
    ],
)
def test_when_a_version_expires(value: str | None, moment: datetime | None) -> None:
    """A date written by another program would make a version expire that nobody wanted to, or end in a traceback."""
    (state,) = fold([version(1)], [event(1, EventType.EXPIRE, [1], value=value)])
    assert state.expires_at == moment
