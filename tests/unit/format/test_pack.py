"""Pack header, directory and trailer: packstore.format.pack. Whole packs are vectors."""

import hashlib
import hmac
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packstore.errors import FormatError
from packstore.format.pack import (
    PACK_HEADER,
    Entry,
    PackHeader,
    PackType,
    Trailer,
    _decode_any,
    _decode_usual,
    check_mac,
    check_seal,
    decode_directory,
    decode_pack_header,
    decode_trailer,
    encode_directory,
    encode_pack_header,
    encode_trailer,
    entry_of,
)
from packstore.format.record import Compression, Encryption, Kind, RecordHeader
from packstore.format.strictmsgpack import encode
from packstore.ids import ObjectId, PackId, Uid
from packstore.limits import MAX_BLOCK_BYTES, MAX_DIRECTORY_BYTES, MAX_PACK_RECORDS

HEADER = PackHeader(PackType.BLOCKS, PackId(b"\x01" * 16), Uid(b"\x02" * 16), b"\x03" * 8)


def mac(message: bytes) -> bytes:
    """Return a MAC of 32 bytes."""
    return hmac.digest(b"key", message, hashlib.sha256)


def make_entries(count: int) -> list[Entry]:
    """Return the entries of `count` records, one after another."""
    record = RecordHeader(
        Kind.BLOCK, Compression.ZSTD, Encryption.AEGIS_256, MAX_BLOCK_BYTES, 1000, b"\x04" * 8, ObjectId(b"\x05" * 64)
    )
    return [entry_of(record, PACK_HEADER.size + number * record.record_size) for number in range(count)]


DIRECTORY = encode_directory(HEADER.pack_id, make_entries(3))
TRAILER = encode_trailer(HEADER, DIRECTORY, make_entries(4)[3].offset, 3, mac)


def seal_is_good(header_bytes: bytes, directory: bytes, trailer_bytes: bytes) -> bool:
    """Say whether a reader with the pack key accepts these three."""
    header, trailer = decode_pack_header(header_bytes), decode_trailer(trailer_bytes)
    check_seal(header, directory, trailer, trailer_bytes)
    return check_mac(header, directory, trailer, trailer_bytes, mac)


def test_round_trip() -> None:
    """A pack that was sealed could not be opened."""
    assert decode_pack_header(encode_pack_header(HEADER)) == HEADER
    assert decode_directory(DIRECTORY) == (HEADER.pack_id, make_entries(3))
    assert seal_is_good(encode_pack_header(HEADER), DIRECTORY, TRAILER)
    found = decode_trailer(TRAILER)
    assert isinstance(found, Trailer)
    assert (found.directory_size, found.record_count, found.pack_id) == (len(DIRECTORY), 3, HEADER.pack_id)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_every_flipped_bit_is_found(part: int) -> None:
    """Promise: any flipped bit in a stored file is found without a key, here in header, directory and trailer."""
    parts = [encode_pack_header(HEADER), DIRECTORY, TRAILER]
    for place in range(8 * len(parts[part])):
        damaged = bytearray(parts[part])
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(FormatError):
            seal_is_good(*(bytes(damaged) if number == part else data for number, data in enumerate(parts)))


def test_mac_covers_header_directory_and_trailer() -> None:
    """Whoever holds the storage could drop, add or exchange records, for a checksum is theirs to compute."""
    offset = decode_trailer(TRAILER).directory_offset
    genuine = decode_trailer(TRAILER).mac
    other_directory = encode_directory(HEADER.pack_id, make_entries(2))
    for header, directory, count, place in (
        (replace(HEADER, pack_id=PackId(b"\x09" * 16)), DIRECTORY, 3, offset),
        (replace(HEADER, repository_id=Uid(b"\x09" * 16)), DIRECTORY, 3, offset),
        (replace(HEADER, domain=b"\x09" * 8), DIRECTORY, 3, offset),
        (replace(HEADER, pack_type=PackType.META), DIRECTORY, 3, offset),
        (HEADER, other_directory, 3, offset),
        (HEADER, DIRECTORY, 2, offset),
        (HEADER, DIRECTORY, 3, offset - 1),
    ):
        forged = encode_trailer(header, directory, place, count, lambda _: genuine)
        assert not seal_is_good(encode_pack_header(header), directory, forged)
    assert seal_is_good(encode_pack_header(HEADER), DIRECTORY, TRAILER)


def test_header_and_trailer_of_two_packs() -> None:
    """The tail of one pack would be believed at the end of another."""
    stranger = replace(HEADER, pack_id=PackId(b"\x09" * 16))
    trailer = encode_trailer(stranger, DIRECTORY, 0, 3, mac)
    with pytest.raises(FormatError):
        check_seal(HEADER, DIRECTORY, decode_trailer(trailer), trailer)


def test_fullest_directory() -> None:
    """A full pack could not be read again, or one with a record too many could."""
    data = encode_directory(HEADER.pack_id, make_entries(MAX_PACK_RECORDS))
    assert len(data) < MAX_DIRECTORY_BYTES
    assert len(decode_directory(data)[1]) == MAX_PACK_RECORDS
    with pytest.raises(FormatError) as caught:
        decode_directory(encode_directory(HEADER.pack_id, make_entries(MAX_PACK_RECORDS + 1)))
    assert caught.value.failure == "oversize"


def test_directory_of_an_empty_pack() -> None:
    """A directory without records is legal, and its pack id is still compared."""
    assert decode_directory(encode_directory(HEADER.pack_id, [])) == (HEADER.pack_id, [])


@pytest.mark.parametrize("first", [0, 63, 65, 64 + 1104])
def test_records_begin_behind_the_header(first: int) -> None:
    """An entry could point into the header, or leave bytes that nobody looks at."""
    moved = make_entries(1)[0]._replace(offset=first)
    with pytest.raises(FormatError):
        decode_directory(encode_directory(HEADER.pack_id, [moved]))


def test_directory_obeys_the_limits_of_records() -> None:
    """A directory is believed about how much to read: four gigabytes for one record would be allocated."""
    good = make_entries(1)[0]
    for name, value in (
        ("payload_size", (1 << 32) - 1),
        ("payload_size", 0),
        ("plain_size", MAX_BLOCK_BYTES + 1),
        ("plain_size", 0),
        ("key_id", bytes(8)),
        ("encryption", 0),
    ):
        with pytest.raises(FormatError):
            decode_directory(encode({"pack": HEADER.pack_id, "records": [good._replace(**{name: value})]}))


@pytest.mark.parametrize("name", ["kind", "compression", "encryption"])
def test_entries_of_later_programs_are_passed_over(name: str) -> None:
    """One record of a later kind would hide its neighbours, or a number that fits into no header be believed."""
    known, later = make_entries(2)
    for number in (77, 255):
        entries = [known, later._replace(**{name: number})]
        assert decode_directory(encode_directory(HEADER.pack_id, entries))[1] == entries
    for changes in ({name: 256}, {name: 77, "payload_size": 0}, {name: 77, "payload_size": MAX_BLOCK_BYTES + 65}):
        with pytest.raises(FormatError):
            decode_directory(encode_directory(HEADER.pack_id, [known, later._replace(**changes)]))


def test_entry_matches_only_its_header() -> None:
    """A directory that says something else than the record's own header would not be noticed."""
    header = RecordHeader(
        Kind.BLOCK, Compression.ZSTD, Encryption.AEGIS_256, 2000, 1000, b"\x04" * 8, ObjectId(b"\x05" * 64)
    )
    entry = entry_of(header, 64)
    assert entry == entry_of(header, entry.offset)
    assert entry.record_size == header.record_size
    for name, value in (
        ("kind", Kind.PAGE),
        ("compression", Compression.RAW),
        ("encryption", Encryption.NONE),
        ("plain_size", 1999),
        ("payload_size", 999),
        ("key_id", bytes(8)),
        ("object_id", bytes(64)),
    ):
        assert entry != entry_of(replace(header, **{name: value}), entry.offset)


ODD = st.one_of(
    st.integers(0, 300),
    st.sampled_from([-1, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 40, None, True, False]),
    st.sampled_from(["", b"", [], {}, bytes(8), bytes(64)]),
)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 7), ODD), max_size=2), st.booleans())
def test_the_fast_way_accepts_nothing_more(changes: list[tuple[int, int, Any]], extra: bool) -> None:
    """A directory that is wrong would be accepted just because it is decoded as a whole."""
    rows = [list(entry) for entry in make_entries(5)]
    for row, column, value in changes:
        rows[row][column] = value
    try:
        data = encode({"pack": HEADER.pack_id, "records": rows} | ({"other": 1} if extra else {}))
    except FormatError:
        return  # nothing that could be written
    usual = _decode_usual(data)
    assert (usual is not None) or changes or extra
    if usual is not None:
        assert usual == _decode_any(data)
        types = [[list(map(type, entry)) for entry in entries] for _, entries in (usual, _decode_any(data))]
        assert types[0] == types[1]


def test_the_fast_way_wants_the_canonical_form() -> None:
    """Two encodings of one directory would both be accepted, and their ids differ."""
    good = encode_directory(HEADER.pack_id, make_entries(2))
    assert _decode_usual(good)
    turned = {"records": [list(entry) for entry in make_entries(2)], "pack": HEADER.pack_id}
    packed = b"\x82" + b"".join(encode(key) + encode(value) for key, value in turned.items())
    longer = good.replace(b"\xa4pack", b"\xd9\x04pack")
    for data in (packed, longer, good + b"\x00", good[:-1]):
        with pytest.raises(FormatError):
            decode_directory(data)
