"""Records: section 6. Each header field, each encryption version, and payloads that lie."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import xxhash

from packstore.format.page import Page, encode_page
from packstore.format.record import Compression, Encryption, Kind, RecordHeader, encode_header
from packstore.ids import ObjectId
from tools.vectors.case import Case, Group
from tools.vectors.material import (
    AEGIS,
    BY_ENCRYPTION,
    CLEAR,
    ROTATED,
    STRANGER,
    XCHACHA,
    Keys,
    Record,
    fixed,
    flip,
    make_record,
    patch,
    rechecked,
    rle_frame,
)

_GROUP: Final = Group("record", "record")
_BLOCK: Final = fixed("block", 200)
_RUN: Final = b"\x2a" * 3000
_TEXT: Final = b"packstore keeps each distinct block once. " * 6 + b"A block is stored once, a version is a tree. " * 3
_TEXT_FRAME: Final = bytes.fromhex(
    "28b52ffd608300ad0200f4037061636b73746f7265206b6565707320656163682064697374696e637420626c6f636b206f6e63652e2041697320"
    "642c20612076657273696f6e612074726506000ad5e81ef3f63766b0c28d4d26f46c942a03"
)
"""What zstd 1.5 made of it at level 3: other releases may choose other bytes, and all must read these."""
_PAGE: Final = encode_page(Page(0, fixed("page id", 64), fixed("page fingerprint", 16)))


def cases() -> Iterator[Case]:
    """Yield the cases of this module."""
    yield from _accepted()
    yield from _broken_header()
    yield from _impossible_header()
    yield from _sizes()
    yield from _forged_header()
    yield from _keys()
    yield from _damaged_payload()
    yield from _frames()


def _ok(name: str, section: str, comment: str, keys: Keys, record: Record) -> Case:
    newest = keys.keyring().writing_key(record.header.kind).id
    reencode = record.header.compression is Compression.RAW and record.header.key_id == newest
    return _GROUP.given(keys.inputs()).ok(name, section, comment, record.data, record.value(), reencode=reencode)


def _bad(name: str, expect: str, section: str, comment: str, data: bytes, keys: Keys = AEGIS) -> Case:
    return _GROUP.given(keys.inputs()).bad(name, expect, section, comment, data)


def _accepted() -> Iterator[Case]:
    for encryption, keys in BY_ENCRYPTION.items():
        suffix = f"encryption_{int(encryption)}"
        comment = f"A block, stored raw, encryption version {int(encryption)}."
        yield _ok(f"raw_{suffix}", "6.4", comment, keys, make_record(keys, Kind.BLOCK, _BLOCK))
        comment = f"A block, stored as a zstd frame, encryption version {int(encryption)}."
        yield _ok(f"zstd_{suffix}", "6.4", comment, keys, make_record(keys, Kind.BLOCK, _TEXT, frame=_TEXT_FRAME))
    record = make_record(AEGIS, Kind.BLOCK, _RUN, frame=rle_frame(_RUN[:1], len(_RUN)))
    yield _ok("zstd_run", "6.3", "A frame of one run: 3000 bytes from 13.", AEGIS, record)
    record = make_record(CLEAR, Kind.BLOCK, _RUN, frame=_checked_frame())
    yield _ok("zstd_checksum", "6.3", "A frame with zstd's own checksum, which a writer leaves out.", CLEAR, record)
    yield _ok("one_byte", "6.1", "The smallest plaintext.", XCHACHA, make_record(XCHACHA, Kind.BLOCK, b"\x01"))
    record = make_record(AEGIS, Kind.PAGE, _PAGE)
    yield _ok("page", "6.2", "A page, under the meta key.", AEGIS, record)
    comment = "The bytes of a page, stored as a block: another kind, another key, another object."
    yield _ok("page_as_block", "6.2", comment, AEGIS, make_record(AEGIS, Kind.BLOCK, _PAGE))
    older = make_record(Keys(ROTATED.repository_id, ROTATED.root, True, ROTATED.epochs[:1]), Kind.BLOCK, _BLOCK)
    yield _ok("older_epoch", "6.4", "A record of the first of two epochs stays readable.", ROTATED, older)


def _broken_header() -> Iterator[Case]:
    record = make_record(AEGIS, Kind.BLOCK, _BLOCK).data
    yield _bad("empty", "truncated", "6.1", "No bytes.", b"")
    yield _bad("cut_in_header", "truncated", "6.1", "One byte of the header is missing.", record[:103])
    yield _bad("cut_after_header", "truncated", "6.1", "The whole payload is missing.", record[:104])
    yield _bad("cut_in_payload", "truncated", "6.1", "The last byte of the payload is missing.", record[:-1])
    yield _bad("magic", "bad-magic", "6.1", "The second byte of the magic changed.", flip(record, 1))
    yield _bad("magic_of_pack", "bad-magic", "6.1", "The magic of a pack.", patch(record, 0, b"\x89PSpack\x01"))
    yield _bad("version_2", "unsupported", "6.1", "A record of a later version.", rechecked(patch(record, 7, b"\x02")))
    yield _bad("checksum", "bad-checksum", "6.1", "The checksum itself changed.", flip(record, 96))
    unknown = patch(record, 8, b"\x81")
    yield _bad("kind_damaged", "bad-checksum", "6.1", "A damaged kind is damage, and not a kind of later.", unknown)
    reserved = patch(record, 11, b"\x01")
    yield _bad("reserved_damaged", "bad-checksum", "6.1", "The same in a reserved field.", reserved)
    yield _bad("id_bit", "bad-checksum", "6.1", "One bit of the object id changed.", flip(record, 40))
    yield _bad("first_payload_bit", "bad-checksum", "6.1", "One bit of the nonce changed.", flip(record, 104))
    yield _bad("last_payload_bit", "bad-checksum", "6.1", "One bit of the tag changed.", flip(record, -1))


def _impossible_header() -> Iterator[Case]:
    record = make_record(AEGIS, Kind.BLOCK, _BLOCK).data
    clear = make_record(CLEAR, Kind.BLOCK, _BLOCK).data
    for name, at in (("reserved1", 11), ("reserved2", 23)):
        comment = f"{name} is not zero."
        yield _bad(f"{name}_nonzero", "unsupported", "6.1", comment, rechecked(patch(record, at, b"\x01")))
    for name, section, at, unknown in (
        ("kind", "6.2", 8, (0, 9)),
        ("compression", "6.3", 9, (2,)),
        ("encryption", "6.5", 10, (3,)),
    ):
        for number in unknown:
            data = rechecked(patch(record, at, bytes([number])))
            yield _bad(f"{name}_{number}", "unsupported", section, f"There is no {name} {number}.", data)
    data = rechecked(patch(record, 24, bytes(8)))
    yield _bad("encrypted_without_key", "malformed", "6.1", "Encryption 2 with a key id of zeros.", data)
    data = rechecked(patch(clear, 24, fixed("key id", 8)))
    yield _bad("clear_with_key", "malformed", "6.1", "Encryption 0 with a key id.", data, CLEAR)


def _sizes() -> Iterator[Case]:
    block = make_record(AEGIS, Kind.BLOCK, _BLOCK).data
    page = make_record(AEGIS, Kind.PAGE, _PAGE).data
    for name, comment, record, at, size in (
        ("plain_size_0", "No plaintext at all.", block, 12, 0),
        ("block_over_16_mib", "A block of 16 MiB and one byte.", block, 12, (16 << 20) + 1),
        ("page_over_32_kib", "A page of 32 KiB and one byte.", page, 12, (32 << 10) + 1),
        ("plain_size_max", "A plaintext of 2^32 - 1 bytes.", block, 12, (1 << 32) - 1),
        ("payload_size_0", "No payload.", block, 16, 0),
        ("payload_size_over", "A payload more than 64 bytes longer than the plaintext.", block, 16, len(_BLOCK) + 65),
        ("payload_size_max", "A payload of 2^32 - 1 bytes.", block, 16, (1 << 32) - 1),
    ):
        yield _bad(name, "oversize", "6.1", comment, rechecked(patch(record, at, size.to_bytes(4, "little"))))


def _forged_header() -> Iterator[Case]:
    block = make_record(AEGIS, Kind.BLOCK, _BLOCK)
    page = make_record(AEGIS, Kind.PAGE, _PAGE)
    other = make_record(AEGIS, Kind.BLOCK, _TEXT)
    for name, section, comment, record, header in (
        ("page_as_event", "6.2", "The kind made another of the same key.", page, {"kind": Kind.EVENT}),
        ("plain_size_changed", "6.4", "One byte more of plaintext claimed.", block, {"plain_size": 201}),
        ("compression_changed", "6.4", "Said to be zstd.", block, {"compression": Compression.ZSTD}),
        ("id_exchanged", "6.4", "The id of another block.", block, {"object_id": other.header.object_id}),
    ):
        forged = replace(record, header=replace(record.header, **header))
        yield _bad(f"forged_{name}", "decrypt-failed", section, f"{comment} The checksum is right.", forged.data)
    forged = replace(block, header=replace(block.header, kind=Kind.PAGE))
    comment = "A block said to be a page: there is no meta key of this id."
    yield _bad("forged_block_as_page", "unknown-key", "6.4", comment, forged.data)


def _keys() -> Iterator[Case]:
    block = make_record(AEGIS, Kind.BLOCK, _BLOCK)
    clear = make_record(CLEAR, Kind.BLOCK, _BLOCK).data
    comment = "A record without encryption in an encrypted repository."
    yield _bad("downgraded", "unencrypted", "6.4", comment, clear)
    yield _bad("encrypted_in_clear", "unencrypted", "6.4", "The reverse.", block.data, CLEAR)
    comment = "A record brought in from a repository with the same root secret and another id."
    yield _bad("transplanted", "unknown-key", "6.4", comment, block.data, STRANGER)
    comment = "The key id changed, the checksum right."
    yield _bad("key_id_changed", "unknown-key", "6.4", comment, rechecked(flip(block.data, 24)))
    comment = "Encryption version 1 under a key whose epoch has 2."
    forged = replace(block.header, encryption=Encryption.XCHACHA20_POLY1305)
    yield _bad("version_of_other_epoch", "unknown-key", "6.4", comment, _data(forged, block.payload))
    comment = "A record of a later epoch than any that is known."
    later = make_record(ROTATED, Kind.BLOCK, _BLOCK).data
    yield _bad("later_epoch", "unknown-key", "6.4", comment, later, XCHACHA)
    for encryption, keys in BY_ENCRYPTION.items():
        wrong = make_record(keys, Kind.BLOCK, _BLOCK, object_id=ObjectId(fixed("wrong id", 64)))
        comment = f"A well-made record under the id of something else, encryption version {int(encryption)}."
        yield _bad(f"wrong_id_encryption_{int(encryption)}", "wrong-id", "6.4", comment, wrong.data, keys)
    comment = "A well-made record under the unkeyed SHA-512 of its content."
    unkeyed = make_record(AEGIS, Kind.BLOCK, _BLOCK, object_id=CLEAR.keyring().object_id(_BLOCK))
    yield _bad("unkeyed_id", "wrong-id", "5", comment, unkeyed.data)


def _damaged_payload() -> Iterator[Case]:
    for encryption in (Encryption.XCHACHA20_POLY1305, Encryption.AEGIS_256):
        keys = BY_ENCRYPTION[encryption]
        record = make_record(keys, Kind.BLOCK, _BLOCK)
        overhead = len(record.payload) - len(_BLOCK)
        number = int(encryption)
        for name, comment, payload in (
            ("nonce", "One bit of the nonce changed", flip(record.payload, 0)),
            ("ciphertext", "One bit of the ciphertext changed", flip(record.payload, overhead)),
            ("tag", "One bit of the tag changed", flip(record.payload, -1)),
            ("one_byte_payload", "A payload of one byte", record.payload[:1]),
            ("short_payload", "One byte less than nonce and tag", record.payload[: overhead - 1]),
            ("nonce_and_tag_only", "As long as nonce and tag, and no ciphertext", record.payload[:overhead]),
            ("shortened", "The last byte cut off", record.payload[:-1]),
        ):
            header = replace(record.header, payload_size=len(payload))
            whole = f"{comment}, encryption version {number}, the checksum right."
            data = _data(header, payload)
            yield _bad(f"{name}_encryption_{number}", "decrypt-failed", "6.4", whole, data, keys)


def _frames() -> Iterator[Case]:
    good = rle_frame(_RUN[:1], len(_RUN))
    shorter = rle_frame(_RUN[:1], len(_RUN) - 1)
    bomb = good[:5] + (1 << 31).to_bytes(4, "little") + good[9:]
    huge = good[:4] + b"\xe0" + (1 << 40).to_bytes(8, "little") + good[9:]
    unsized = bytes.fromhex("28b52ffd0058") + good[9:]
    for name, comment, frame in (
        ("not_zstd", "Not a zstd frame.", fixed("no frame", 40)),
        ("cut", "The frame's last byte is missing.", good[:-1]),
        ("magic_only", "A frame that ends after its magic.", good[:4]),
        ("size_one_more", "The frame says one byte more than plain_size, and holds it.", rle_frame(b"\x2a", 3001)),
        ("size_one_less", "The frame says one byte less than plain_size, and holds it.", shorter),
        ("size_lies", "The frame says plain_size and holds one byte less.", good[:9] + shorter[9:]),
        ("size_2_gib", "The frame says 2 GiB.", bomb),
        ("size_1_tib", "The frame says 1 TiB: nothing of that size may be allocated.", huge),
        ("size_absent", "The frame does not say its content size.", unsized),
        ("two", "A second frame follows; the first is right.", good + good),
        ("trailing_byte", "A byte follows the frame.", good + b"\x00"),
        ("skippable", "A skippable frame before the right one.", bytes.fromhex("502a4d1801000000ff") + good),
        ("empty", "A frame of no bytes.", bytes.fromhex("28b52ffd2000010000")),
        ("dictionary", "A frame that names a dictionary.", good[:4] + b"\xa1\x07" + good[5:]),
        ("checksum", "The frame's own checksum is wrong.", flip(_checked_frame(), -1)),
        ("reserved_bit", "The reserved bit of the frame header is set.", good[:4] + b"\xa8" + good[5:]),
    ):
        record = make_record(CLEAR, Kind.BLOCK, _RUN, frame=frame)
        yield _bad(f"frame_{name}", "decompress-failed", "6.3", comment, record.data, CLEAR)
    record = make_record(AEGIS, Kind.BLOCK, _RUN, frame=good[:-1])
    comment = "The same in an encrypted record that opens: the writer was faulty."
    yield _bad("frame_cut_encrypted", "decompress-failed", "6.3", comment, record.data)
    for name, size in (("raw_longer", 199), ("raw_shorter", 201)):
        record = make_record(XCHACHA, Kind.BLOCK, _BLOCK, plain_size=size)
        comment = f"Stored raw, 200 bytes where plain_size says {size}."
        yield _bad(name, "decompress-failed", "6.4", comment, record.data, XCHACHA)


def _checked_frame() -> bytes:
    frame = rle_frame(_RUN[:1], len(_RUN))
    checksum = xxhash.xxh64(_RUN, seed=0).intdigest() & 0xFFFFFFFF
    return patch(frame, 4, b"\xa4") + checksum.to_bytes(4, "little")


def _data(header: RecordHeader, payload: bytes) -> bytes:
    return encode_header(header, payload) + payload
