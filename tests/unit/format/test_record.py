"""Record headers: packstore.format.record. What encryption adds is tested with packstore.codec.objectcodec."""

from dataclasses import replace

import pytest

from packstore.errors import FormatError
from packstore.format.record import (
    AUTHENTICATED_BYTES,
    HEADER_BYTES,
    MAX_OVERHEAD_BYTES,
    MAX_PLAIN_BYTES,
    NO_KEY,
    Compression,
    Encryption,
    Kind,
    RecordHeader,
    decode_header,
    decode_record,
    encode_header,
    record_size,
)
from packstore.ids import ObjectId

PAYLOAD = bytes(range(50))
HEADER = RecordHeader(
    kind=Kind.BLOCK,
    compression=Compression.ZSTD,
    encryption=Encryption.AEGIS_256,
    plain_size=1000,
    payload_size=len(PAYLOAD),
    key_id=b"\x01" * 8,
    object_id=ObjectId(b"\x02" * 64),
)
RECORD = encode_header(HEADER, PAYLOAD) + PAYLOAD


def test_round_trip() -> None:
    """What is written could not be read; what follows a record in its pack must not matter."""
    for data in (RECORD, RECORD + b"the next record", memoryview(RECORD), bytearray(RECORD)):
        header, payload = decode_record(data)
        assert header == HEADER
        assert bytes(payload) == PAYLOAD
    assert HEADER.record_size == len(RECORD)


def test_every_flipped_bit_is_found() -> None:
    """Promise: any flipped bit in a stored file is found without a key."""
    for place in range(8 * len(RECORD)):
        damaged = bytearray(RECORD)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(FormatError):
            decode_record(damaged)


def test_every_cut_is_found() -> None:
    """A torn record would be taken for a whole one."""
    for length in range(len(RECORD)):
        with pytest.raises(FormatError) as caught:
            decode_record(RECORD[:length])
        assert caught.value.failure == "truncated"


@pytest.mark.parametrize("kind", list(Kind))
def test_largest_plaintext(kind: Kind) -> None:
    """A size in a file is a claim: beyond the limit of its kind it must be refused before anything is allocated."""
    limit = MAX_PLAIN_BYTES[kind]
    for plain, payload, fits in (
        (limit, limit + MAX_OVERHEAD_BYTES, True),
        (1, 1, True),
        (limit + 1, 100, False),
        (0, 1, False),
        (1, 0, False),
        (limit, limit + MAX_OVERHEAD_BYTES + 1, False),
    ):
        data = encode_header(replace(HEADER, kind=kind, plain_size=plain, payload_size=payload), b"")
        if fits:
            assert decode_header(data)[0].plain_size == plain
        else:
            with pytest.raises(FormatError) as caught:
                decode_header(data)
            assert caught.value.failure == "oversize"


def test_key_and_encryption_agree() -> None:
    """A record could claim to be encrypted under no key, or to be clear under one."""
    for encryption in Encryption:
        for key_id in (NO_KEY, b"\x01" * 8):
            data = encode_header(replace(HEADER, encryption=encryption, key_id=key_id), PAYLOAD)
            if (encryption is Encryption.NONE) == (key_id == NO_KEY):
                assert decode_header(data)[0].key_id == key_id
            else:
                with pytest.raises(FormatError):
                    decode_header(data)


def test_unknown_numbers_are_unsupported() -> None:
    """A record of a later program would be called damaged, and a repair would throw it away."""
    for place, known in ((8, Kind), (9, Compression), (10, Encryption)):
        for number in set(range(256)) - {int(member) for member in known}:
            changed = bytearray(RECORD)
            changed[place] = number
            with pytest.raises(FormatError) as caught:
                decode_header(changed)
            assert caught.value.failure == "unsupported"


def test_records_of_later_programs_can_be_passed_over() -> None:
    """One record of an unknown kind would hide every record behind it from whoever walks the pack."""
    for place in (8, 9, 10, 11, 23):
        later = bytearray(RECORD)
        later[place] = 0x77
        assert record_size(later) == len(RECORD)
        with pytest.raises(FormatError) as caught:
            decode_record(later)
        assert caught.value.failure == "bad-checksum"
    for at, size in ((16, 0), (16, 1000 + MAX_OVERHEAD_BYTES + 1), (16, (1 << 32) - 1)):
        with pytest.raises(FormatError):
            record_size(RECORD[:at] + size.to_bytes(4, "little") + RECORD[at + 4 :])
    largest = RECORD[:12] + b"\xff" * 8 + RECORD[20:]
    with pytest.raises(FormatError):
        record_size(largest)


def test_what_is_authenticated() -> None:
    """A field outside the associated data could be changed by whoever holds the storage."""
    assert HEADER.authenticated() == RECORD[:AUTHENTICATED_BYTES]
    assert AUTHENTICATED_BYTES == HEADER_BYTES - 8
    changes = {
        "kind": Kind.PAGE,
        "compression": Compression.RAW,
        "encryption": Encryption.XCHACHA20_POLY1305,
        "plain_size": 999,
        "payload_size": 49,
        "key_id": b"\x03" * 8,
        "object_id": b"\x03" * 64,
    }
    assert set(changes) == set(RecordHeader.__dataclass_fields__)
    for name, value in changes.items():
        assert replace(HEADER, **{name: value}).authenticated() != HEADER.authenticated()
