"""Objects to records and back: packstore.codec.objectcodec. What an enemy may try on a record is tried here."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import pytest

from packstore.checksum import Buffer
from packstore.codec import objectcodec
from packstore.codec.compression import CompressionSpec, Compressor
from packstore.codec.objectcodec import ObjectCodec
from packstore.codec.stages import Stages
from packstore.errors import FormatError, PackstoreError
from packstore.format.record import (
    HEADER_BYTES,
    MAX_PLAIN_BYTES,
    NO_KEY,
    Compression,
    Encryption,
    Kind,
    decode_record,
)
from packstore.ids import ObjectId
from tools.vectors.material import AEGIS, BY_ENCRYPTION, CLEAR, ROTATED, STRANGER, XCHACHA, Keys, rechecked

NOISE = random.Random(5).randbytes(300)
TEXT = b"a block that can be compressed. " * 10
ENCRYPTED = [XCHACHA, AEGIS]
EVERY = list(BY_ENCRYPTION.values())


def name_of(keys: Keys) -> str:
    """Return the name under which a set of keys is reported."""
    return f"encryption{int(keys.epochs[0].encryption) if keys.epochs else 0}"


def codec_of(keys: Keys, level: int | None = 3) -> ObjectCodec:
    """Return a codec with those keys."""
    return ObjectCodec(keys.keyring(), Compressor(CompressionSpec(level)), Stages())


def encode(keys: Keys, plain: bytes, kind: Kind = Kind.BLOCK) -> bytes:
    """Return the record of `plain`."""
    encoded = codec_of(keys).encode(kind, keys.keyring().object_id(plain), plain)
    return encoded.header_bytes + encoded.payload


def decode(keys: Keys, record: Buffer) -> bytes:
    """Return the plaintext of a record."""
    header, payload = decode_record(bytes(record))
    return codec_of(keys).decode(header, payload)


def failure(keys: Keys, record: Buffer) -> str:
    """Return the class in which reading a record fails."""
    with pytest.raises(FormatError) as caught:
        decode(keys, record)
    return caught.value.failure


@pytest.mark.parametrize("keys", EVERY, ids=name_of)
@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("plain", [b"\x01", NOISE, TEXT], ids=["one byte", "noise", "text"])
def test_round_trip(keys: Keys, kind: Kind, plain: bytes) -> None:
    """What was stored could not be read."""
    record = encode(keys, plain, kind)
    assert decode(keys, record) == plain
    assert decode_record(record)[0].compression is (Compression.ZSTD if plain == TEXT else Compression.RAW)


@pytest.mark.parametrize("keys", ENCRYPTED, ids=name_of)
def test_nothing_is_readable_and_no_nonce_comes_twice(keys: Keys) -> None:
    """The content would be visible, or two records under one nonce would give it away."""
    records = {encode(keys, NOISE) for _ in range(100)}
    assert len(records) == 100
    assert len({record[HEADER_BYTES : HEADER_BYTES + 24] for record in records}) == 100
    assert not any(NOISE[at : at + 8] in record for record in records for at in range(len(NOISE) - 8))


@pytest.mark.parametrize("keys", ENCRYPTED, ids=name_of)
@pytest.mark.parametrize("repaired", [False, True], ids=["checksum left", "checksum repaired"])
def test_every_header_byte_changed(keys: Keys, repaired: bool) -> None:
    """A header could be changed by whoever holds the storage, and still lead to some content."""
    record = encode(keys, TEXT)
    repair: Callable[[bytes], bytes] = rechecked if repaired else bytes
    for place in range(HEADER_BYTES - 8):
        for mask in (0x01, 0x02, 0x03, 0x80, 0xFF):
            changed = bytearray(record)
            changed[place] ^= mask
            with pytest.raises(FormatError):
                decode(keys, repair(bytes(changed)))


@pytest.mark.parametrize("keys", EVERY, ids=name_of)
@pytest.mark.parametrize("plain", [NOISE, TEXT], ids=["noise", "text"])
def test_every_payload_bit_changed(keys: Keys, plain: bytes) -> None:
    """A payload changed on purpose, its checksum repaired, would give other bytes than were stored."""
    record = encode(keys, plain)
    for place in range(8 * HEADER_BYTES, 8 * len(record)):
        changed = bytearray(record)
        changed[place // 8] ^= 1 << place % 8
        assert failure(keys, changed) == "bad-checksum"
        with suppress(FormatError):
            found = decode(keys, rechecked(bytes(changed)))
            assert keys is CLEAR
            assert found == plain  # an unused bit of a zstd frame: the content is what its id says


@pytest.mark.parametrize("keys", ENCRYPTED, ids=name_of)
@pytest.mark.parametrize("stored", list(Kind))
def test_kind_presented_as_another(keys: Keys, stored: Kind) -> None:
    """A block whose bytes are a page would be read as a page: content chosen by a guest would become structure."""
    record = encode(keys, NOISE, stored)
    for shown in Kind:
        changed = rechecked(record[:8] + bytes([shown]) + record[9:])
        if shown is stored:
            assert decode(keys, changed) == NOISE
        else:
            same_key = Kind.BLOCK not in {stored, shown}
            assert failure(keys, changed) == ("decrypt-failed" if same_key else "unknown-key")


@pytest.mark.parametrize("keys", EVERY, ids=name_of)
def test_short_payloads(keys: Keys) -> None:
    """A payload shorter than nonce and tag is a ValueError in the binding, and would end a restore."""
    header, payload = decode_record(encode(keys, NOISE))
    for length in range(81):
        for data in (bytes(length), bytes(payload[:length])):
            with pytest.raises(FormatError) as caught:
                codec_of(keys).decode(replace(header, payload_size=length), data)
            assert caught.value.failure == ("decompress-failed" if keys is CLEAR else "decrypt-failed")


@pytest.mark.parametrize("keys", ENCRYPTED, ids=name_of)
def test_downgrade(keys: Keys) -> None:
    """Whoever holds the storage could store content of their own, unencrypted, under any id they know."""
    assert failure(keys, encode(CLEAR, NOISE)) == "unencrypted"
    header, payload = decode_record(encode(keys, NOISE))
    stripped = replace(header, encryption=Encryption.NONE, key_id=NO_KEY, payload_size=len(NOISE))
    for data in (NOISE, payload):
        with pytest.raises(FormatError) as caught:
            codec_of(keys).decode(stripped, data)
        assert caught.value.failure == "unencrypted"


@pytest.mark.parametrize("keys", ENCRYPTED, ids=name_of)
def test_another_encryption_version(keys: Keys) -> None:
    """A record could choose a cipher that its epoch does not have."""
    record = encode(keys, NOISE)
    other = 3 - keys.epochs[0].encryption
    assert failure(keys, rechecked(record[:10] + bytes([other]) + record[11:])) == "unknown-key"


def test_transplanted() -> None:
    """A record would open in another repository, even one with the same root secret and epochs."""
    assert AEGIS.root == STRANGER.root
    assert failure(STRANGER, encode(AEGIS, NOISE)) == "unknown-key"
    ours, theirs = AEGIS.keyring(), STRANGER.keyring()
    header, payload = decode_record(encode(AEGIS, NOISE))
    assert theirs.epochs[0].data.id != ours.epochs[0].data.id
    with pytest.raises(FormatError) as caught:
        codec_of(STRANGER).decode(replace(header, key_id=theirs.epochs[0].data.id), payload)
    assert caught.value.failure == "decrypt-failed"


def test_key_id_changed() -> None:
    """A record could be attributed to another epoch than that of its key."""
    header, payload = decode_record(encode(AEGIS, NOISE))
    for epoch in ROTATED.keyring().epochs:
        if epoch.data.id != header.key_id:
            with pytest.raises(FormatError):
                codec_of(ROTATED).decode(replace(header, key_id=epoch.data.id), payload)
    for key_id in (b"\xff" * 8, AEGIS.keyring().epochs[0].meta.id):
        with pytest.raises(FormatError) as caught:
            codec_of(AEGIS).decode(replace(header, key_id=key_id), payload)
        assert caught.value.failure == "unknown-key"


@pytest.mark.parametrize("keys", EVERY, ids=name_of)
def test_wrong_id(keys: Keys) -> None:
    """A record made under another id, by a faulty or hostile writer, would be restored in place of the right one."""
    encoded = codec_of(keys).encode(Kind.BLOCK, ObjectId(bytes(range(64))), NOISE)
    assert failure(keys, encoded.header_bytes + encoded.payload) == "wrong-id"


@pytest.mark.parametrize("keys", ENCRYPTED, ids=name_of)
def test_payloads_exchanged(keys: Keys) -> None:
    """Two records of one size could swap their contents."""
    one, other = encode(keys, NOISE), encode(keys, NOISE[::-1])
    assert failure(keys, rechecked(one[:HEADER_BYTES] + other[HEADER_BYTES:])) == "decrypt-failed"


@pytest.mark.parametrize("kind", list(Kind))
def test_sizes_that_nobody_could_read(kind: Kind) -> None:
    """A record would be written that every reader refuses, and its loss be noticed at the restore."""
    for size in (0, MAX_PLAIN_BYTES[kind] + 1):
        with pytest.raises(FormatError) as caught:
            codec_of(CLEAR).encode(kind, ObjectId(bytes(64)), bytes(size))
        assert caught.value.failure == "oversize"
    largest = codec_of(CLEAR).encode(kind, ObjectId(bytes(64)), bytes(MAX_PLAIN_BYTES[kind]))
    assert largest.header.plain_size == MAX_PLAIN_BYTES[kind]


class FaultyCompressor(Compressor):
    """Compresses something else than it was given, as a machine with bad memory does."""

    def compress(self, plain: Buffer) -> bytes | None:
        """Return a frame with one bit of the content turned over."""
        return super().compress(bytes([bytes(plain)[0] ^ 1]) + bytes(plain)[1:])


@pytest.mark.parametrize("keys", EVERY, ids=name_of)
def test_faulty_compression_is_found_at_once(keys: Keys) -> None:
    """A memory error while a backup runs would be found years later, at the restore."""
    codec = ObjectCodec(keys.keyring(), FaultyCompressor(CompressionSpec(3)), Stages())
    with pytest.raises(PackstoreError, match="does not decode to itself"):
        codec.encode(Kind.BLOCK, keys.keyring().object_id(TEXT), TEXT)


@pytest.mark.parametrize("keys", ENCRYPTED, ids=name_of)
def test_faulty_encryption_is_found_at_once(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bit that flips inside the cipher would make the block unreadable for ever."""
    seal = objectcodec.seal

    def faulty(*arguments: object) -> bytes:
        sealed = seal(*arguments)
        return sealed[:-1] + bytes([sealed[-1] ^ 1])

    monkeypatch.setattr(objectcodec, "seal", faulty)
    with pytest.raises(PackstoreError, match="does not decode to itself"):
        codec_of(keys).encode(Kind.BLOCK, keys.keyring().object_id(TEXT), TEXT)


def test_many_threads() -> None:
    """The workers of a backup share one codec: their blocks would get mixed up."""
    codec = codec_of(AEGIS)
    ring = AEGIS.keyring()

    def work(seed: int) -> bool:
        plain = random.Random(seed).randbytes(1000) * 20
        encoded = codec.encode(Kind.BLOCK, ring.object_id(plain), plain)
        return codec.decode(encoded.header, encoded.payload) == plain

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(400)))


def test_stages_are_counted() -> None:
    """The benchmark could not say where a backup spends its time."""
    stages = Stages()
    codec = ObjectCodec(AEGIS.keyring(), Compressor(CompressionSpec(3)), stages)
    codec.encode(Kind.BLOCK, AEGIS.keyring().object_id(TEXT), TEXT)
    assert set(stages.seconds()) == {"compress", "encrypt", "verify"}
