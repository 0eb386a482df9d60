"""Version and event records: packstore.format.version. Most malformed ones are vectors."""

from dataclasses import replace

import pytest

from packstore.errors import FormatError
from packstore.format.version import (
    Event,
    EventType,
    Version,
    decode_event,
    decode_version,
    encode_event,
    encode_version,
    volume_name_fault,
)
from packstore.ids import HOLE, ObjectId, Uid
from packstore.limits import MAX_DEVICE_BYTES, MAX_TAGS, MAX_UNREADABLE_RANGES, MIB

VERSION = Version(
    uid=Uid(b"\x01" * 16),
    volume="vm",
    date_ms=1,
    counter=1,
    size=1 << 40,
    block_size=MIB,
    root=ObjectId(b"\x02" * 64),
    source={},
    unreadable=[],
    trusted_runs=0,
    statistics={},
    tags=[],
    base=None,
    program="",
    host="",
)


def test_round_trip() -> None:
    """A committed version could not be read again as what it was."""
    for version in (
        VERSION,
        replace(VERSION, size=MAX_DEVICE_BYTES, base=Uid(b"\x03" * 16)),
        replace(VERSION, size=0, root=HOLE),
        replace(VERSION, source={"type": "file", "size": 1}, statistics={"bytes_new": 2}, tags=["a", "ä"]),
    ):
        assert decode_version(encode_version(version)) == version


def test_as_many_unreadable_ranges_as_there_can_be() -> None:
    """A badly damaged source could be backed up and never restored, or a record grow without end."""
    ranges = [(number * 4096, 4096) for number in range(MAX_UNREADABLE_RANGES)]
    version = replace(VERSION, unreadable=ranges)
    assert decode_version(encode_version(version)) == version
    too_many = replace(VERSION, unreadable=[*ranges, (1 << 39, 1)])
    with pytest.raises(FormatError) as caught:
        decode_version(encode_version(too_many))
    assert caught.value.failure == "oversize"


def test_last_byte_may_be_unreadable() -> None:
    """A device whose last sector is bad could not be backed up."""
    version = replace(VERSION, size=4097, unreadable=[(0, 4096), (4096, 1)])
    assert decode_version(encode_version(version)) == version
    with pytest.raises(FormatError):
        decode_version(encode_version(replace(version, unreadable=[(4096, 2)])))


def test_tags() -> None:
    """A version that packstore wrote would be refused by packstore, or one with endless tags accepted."""
    version = replace(VERSION, tags=[f"{number:0255}" for number in range(MAX_TAGS)])
    assert decode_version(encode_version(version)) == version
    for tags in ([""] * (MAX_TAGS + 1), ["t" * 256], ["ä" * 128]):
        with pytest.raises(FormatError):
            decode_version(encode_version(replace(VERSION, tags=tags)))


def test_needed_features_are_refused() -> None:
    """An old program would misread a version that says it needs a newer one."""
    for data, decoder in (
        (encode_version(replace(VERSION, features=["striped"])), decode_version),
        (encode_event(replace(make_event("remove"), features=["striped"])), decode_event),
    ):
        with pytest.raises(FormatError) as caught:
            decoder(data)
        assert caught.value.failure == "unsupported"


GOOD_NAMES = ["vm", "vm 100", "a" * 255, "ä" * 127, ".hidden", "...", "日本", "a-b", "C:\\disk"]
ODD_NAMES = ["-a", "~a", "a@b", "a~1", "a\u202e", "a\u2028", "a\u00a0b"]
UNSAFE_NAMES = ["", ".", "..", "a/b", "/", "../etc", "a\n", "a\0", "\x1b[2J", "a\x7f", "a" * 256, "ä" * 128]


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_names_of_volumes(name: str) -> None:
    """A good name would be refused, at a commit that cannot be repeated."""
    assert volume_name_fault(name) == ""


@pytest.mark.parametrize("name", GOOD_NAMES + ODD_NAMES)
def test_names_that_are_read(name: str) -> None:
    """A version would be lost because a stricter program, or a newer Unicode, dislikes its volume's name."""
    assert decode_version(encode_version(replace(VERSION, volume=name))).volume == name


@pytest.mark.parametrize("name", ODD_NAMES + UNSAFE_NAMES)
def test_names_that_are_not_given(name: str) -> None:
    """A volume would be taken for an option or a version, or could not be typed."""
    assert volume_name_fault(name)


@pytest.mark.parametrize("name", UNSAFE_NAMES)
def test_names_that_would_escape(name: str) -> None:
    """A version would be mounted outside its directory, or write to the terminal."""
    with pytest.raises(FormatError):
        decode_version(encode_version(replace(VERSION, volume=name)))


def test_lone_surrogates_do_not_get_in() -> None:
    """A name from the file system that is no Unicode would fail with another error than FormatError."""
    assert volume_name_fault("a\udc80")
    with pytest.raises(FormatError):
        encode_version(replace(VERSION, volume="a\udc80"))


def make_event(event_type: str, **changed: object) -> Event:
    """Return an event of a type."""
    event = Event(Uid(b"\x01" * 16), event_type, 1, 2, [Uid(b"\x02" * 16)], [], None, "", "")
    return replace(event, **changed)


@pytest.mark.parametrize("event_type", [*EventType, "a type of the future"])
def test_events_round_trip(event_type: str) -> None:
    """An event of an unknown type would be lost, and a collector would not know that it must not go on."""
    event = make_event(str(event_type), cancels=[Uid(b"\x03" * 16)], value="b_daily")
    assert decode_event(encode_event(event)) == event
