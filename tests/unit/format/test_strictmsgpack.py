"""Canonical msgpack and declared maps: packstore.format.strictmsgpack. The byte forms are vectors."""

import time
import tracemalloc
from typing import Any

import pytest

from packstore.errors import FormatError
from packstore.format.strictmsgpack import Key, MapSchema, decode, encode
from packstore.limits import MAX_MSGPACK_DEPTH, MAX_TEXT_BYTES, MIB


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        -1,
        1 << 64,
        {1: 2},
        {b"a": 1},
        {None: 1},
        {"a", "b"},
        bytearray(b"a"),
        object(),
        "\udc80",
        {"\udc80": 1},
        [["\ud800"]],
    ],
)
def test_what_is_not_part_of_the_format_cannot_be_written(value: Any) -> None:
    """Something would be written that no reader accepts, or that fails with another error than FormatError."""
    with pytest.raises(FormatError):
        encode(value)


def test_keys_are_sorted_whatever_their_order() -> None:
    """Two encodings of one value would have two object ids, and pages would not be shared."""
    assert encode({"b": 1, "aa": {"z": 1, "y": 2}, "ä": 3, "": 4}) == encode(
        {"": 4, "ä": 3, "aa": {"y": 2, "z": 1}, "b": 1}
    )


def test_depth() -> None:
    """A deep value would pass one of encoder and decoder and not the other, or exhaust the stack."""
    value: Any = 0
    for _ in range(MAX_MSGPACK_DEPTH):
        value = [value]
    assert decode(encode(value), MIB) == value
    for broken in (lambda: encode([value]), lambda: decode(b"\x91" + encode(value), MIB)):
        with pytest.raises(FormatError) as caught:
            broken()
        assert caught.value.failure == "oversize"


@pytest.mark.parametrize("levels", [500, 2_000, 100_000, 1_000_000])
@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1a", b"\xdd\x00\x00\x00\x01"])
def test_deep_nesting_exhausts_nothing(levels: int, opening: bytes) -> None:
    """A hostile file of nested arrays would end the program by a stack overflow."""
    with pytest.raises(FormatError):
        decode(opening * levels + b"\x00", 16 * MIB)


@pytest.mark.parametrize(
    "data",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xdd\x00\x00\x40\x00" * 8 + bytes(16_384 - 40),
    ],
)
def test_claimed_lengths_are_not_allocated(data: bytes) -> None:
    """Five bytes that claim four billion items would take the machine's memory."""
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            decode(data, 16_384)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()


def test_claims_of_nested_arrays_take_no_time() -> None:
    """A directory of 16 MiB whose arrays each claim millions of items would keep a reader busy for minutes."""
    data = b"\xdd\x00\x80\x00\x00" * 1000
    begin = time.monotonic()
    with pytest.raises(FormatError):
        decode(data + b"\xc0" * (16 * MIB - len(data)), 16 * MIB)
    assert time.monotonic() - begin < 20


def test_longer_than_allowed() -> None:
    """A value longer than its place allows would be decoded before anybody looks at its length."""
    data = encode("a" * 100)
    assert decode(data, len(data)) == "a" * 100
    with pytest.raises(FormatError) as caught:
        decode(data, len(data) - 1)
    assert caught.value.failure == "oversize"


@pytest.mark.parametrize(
    ("declared", "accepted", "refused"),
    [
        ("bool", [True, False], [0, 1, None]),
        ("u8", [0, 255], [256, True, "1", None]),
        ("u16", [0, 65_535], [65_536, False]),
        ("u32", [0, (1 << 32) - 1], [1 << 32]),
        ("u64", [0, (1 << 64) - 1], [b"\x00"]),
        ("str", ["", "a" * MAX_TEXT_BYTES], ["a" * (MAX_TEXT_BYTES + 1), "ä" * (MAX_TEXT_BYTES // 2 + 1), b"a"]),
        ("bin", [b"", bytes(10_000)], ["", [1]]),
        ("bin16", [bytes(16)], [bytes(15), bytes(17), b"", "a" * 16, None]),
        ("bin16?", [bytes(16), None], [bytes(15), False]),
        ("str?", ["", None], [b"", 0]),
        ("array", [[], [1]], [{}, "", b""]),
        ("map", [{}, {"a": 1}], [[], None]),
    ],
)
def test_declared_types(declared: str, accepted: list[Any], refused: list[Any]) -> None:
    """A field of another type or size would travel on into code that relies on it."""
    schema = MapSchema("sample", Key("field", declared))
    for value in accepted:
        assert schema.check({"field": value}) == {"field": value}
    for value in refused:
        with pytest.raises(FormatError) as caught:
            schema.check({"field": value})
        assert caught.value.failure == "malformed"


def test_required_optional_and_unknown_keys() -> None:
    """A missing key would be an exception far away, and a later version could not add keys."""
    schema = MapSchema("sample", Key("must", "u8"), Key("may", "u8", required=False))
    assert schema.check({"must": 1}) == {"must": 1, "may": None}
    assert schema.check({"must": 1, "may": 2, "unknown": 3}) == {"must": 1, "may": 2}
    for value in ({"may": 2}, {}, [], None, 5, {"must": 1, "may": "2"}):
        with pytest.raises(FormatError):
            schema.check(value)
