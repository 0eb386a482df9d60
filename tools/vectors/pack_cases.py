"""Packs: section 7. Sealed ones, torn ones, and ones whose parts do not belong together."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from packstore.checksum import checksum64
from packstore.codec.derivation import kdf, mac
from packstore.codec.key import Key
from packstore.format.pack import (
    PACK_HEADER,
    PACK_TRAILER,
    Entry,
    Mac,
    PackHeader,
    PackType,
    encode_directory,
    encode_pack_header,
    encode_trailer,
    entry_of,
)
from packstore.format.page import Page, encode_page
from packstore.format.record import Kind
from packstore.format.strictmsgpack import encode
from packstore.ids import PackId, Uid
from tools.vectors.case import Case, Group
from tools.vectors.material import (
    AEGIS,
    CLEAR,
    OTHER_REPOSITORY_ID,
    REPOSITORY_ID,
    ROOT,
    XCHACHA,
    Keys,
    Record,
    fixed,
    flip,
    make_record,
    patch,
)

_PACK_ID: Final = PackId(fixed("pack id", 16))
_OTHER_PACK_ID: Final = PackId(fixed("another pack id", 16))
_TRAILER_BYTES: Final = PACK_TRAILER.size


@dataclass(frozen=True)
class _Pack:
    """The parts of a pack, to be put together as they are, however badly they fit."""

    keys: Keys
    header: PackHeader
    records: tuple[Record, ...]
    entries: tuple[Entry, ...]
    mac: Mac

    @property
    def body(self) -> bytes:
        return encode_pack_header(self.header) + b"".join(record.data for record in self.records)

    @property
    def directory(self) -> bytes:
        return encode_directory(self.header.pack_id, self.entries)

    def data(self, directory: bytes | None = None, count: int | None = None) -> bytes:
        """Return the sealed pack; the arguments put a wrong directory or number of records under its seal."""
        directory = self.directory if directory is None else directory
        count = len(self.entries) if count is None else count
        body = self.body
        return body + directory + encode_trailer(self.header, directory, len(body), count, self.mac)

    def value(self) -> dict[str, object]:
        records = [
            {"offset": entry.offset, **record.value()} for entry, record in zip(self.entries, self.records, strict=True)
        ]
        header = self.header
        return {"pack_type": header.pack_type, "pack_id": header.pack_id, "domain": header.domain, "records": records}


def _make(keys: Keys, pack_type: PackType, *records: Record, pack_id: PackId = _PACK_ID) -> _Pack:
    ring = keys.keyring()
    header = PackHeader(pack_type, pack_id, keys.repository_id, ring.domain)
    entries = []
    offset = PACK_HEADER.size
    for record in records:
        entries.append(entry_of(record.header, offset))
        offset += len(record.data)
    return _Pack(keys, header, records, tuple(entries), ring.pack_mac)


def _blocks(keys: Keys, *names: str, pack_id: PackId = _PACK_ID) -> _Pack:
    records = (make_record(keys, Kind.BLOCK, fixed(f"block {name}", 100)) for name in names)
    return _make(keys, PackType.BLOCKS, *records, pack_id=pack_id)


_PAGE: Final = make_record(XCHACHA, Kind.PAGE, encode_page(Page(0, fixed("id", 64), fixed("fingerprint", 16))))
_GOOD: Final = _blocks(AEGIS, "a", "b")


def _group(keys: Keys, pack_type: PackType = PackType.BLOCKS) -> Group:
    place = {"pack_id": _PACK_ID.hex(), "pack_type": str(int(pack_type))}
    return Group("pack", "pack", keys.inputs() | place)


def _bad(name: str, expect: str, section: str, comment: str, data: bytes) -> Case:
    return _group(AEGIS).bad(name, expect, section, comment, data)


def cases() -> Iterator[Case]:
    """Yield the cases of this module."""
    yield from _accepted()
    yield from _torn()
    yield from _header()
    yield from _trailer()
    yield from _exchanged()
    yield from _directory()
    yield from _entries()
    yield from _records()


def _accepted() -> Iterator[Case]:
    yield _group(AEGIS).ok("blocks", "7.4", "A pack of two blocks, sealed.", _GOOD.data(), _GOOD.value())
    clear = _blocks(CLEAR, "a", "b", "c")
    yield _group(CLEAR).ok("clear", "7.4", "A pack of an unencrypted repository.", clear.data(), clear.value())
    copied = _make(XCHACHA, PackType.META, _directory_object(), _PAGE)
    comment = "A meta pack: the directory of a block pack, and a page."
    yield _group(XCHACHA, PackType.META).ok("meta", "7.4", comment, copied.data(), copied.value())


def _directory_object() -> Record:
    return make_record(XCHACHA, Kind.DIRECTORY, _blocks(XCHACHA, "a", pack_id=_OTHER_PACK_ID).directory)


def _torn() -> Iterator[Case]:
    data = _GOOD.data()
    for name, expect, comment, kept in (
        ("empty", "truncated", "No bytes.", 0),
        ("cut_in_header", "truncated", "The header is not whole.", 63),
        ("header_only", "truncated", "Nothing but the header.", 64),
        ("shorter_than_both", "truncated", "One byte less than header and trailer.", 151),
        ("cut_in_record", "bad-magic", "Ends inside the second record.", _GOOD.entries[1].offset + 110),
        ("cut_after_records", "bad-magic", "All records and no directory.", len(_GOOD.body)),
        ("cut_before_trailer", "bad-magic", "All but the trailer.", len(data) - _TRAILER_BYTES),
        ("cut_in_trailer", "bad-magic", "The last byte is missing.", len(data) - 1),
    ):
        yield _bad(name, expect, "7.4", comment, data[:kept])
    yield _bad("trailing_byte", "bad-magic", "7.4", "A byte follows the trailer.", data + b"\x00")


def _header() -> Iterator[Case]:
    data = _GOOD.data()
    for name, expect, comment, changed in (
        ("header_magic", "bad-magic", "The magic of a record.", patch(data, 0, b"\x89PSrecd\x01")),
        ("header_version_2", "unsupported", "A pack of a later version.", _rechecked(patch(data, 7, b"\x02"))),
        ("header_bit", "bad-checksum", "One bit of the repository id changed.", flip(data, 40)),
        ("header_reserved1", "unsupported", "reserved1 is not zero.", _rechecked(patch(data, 9, b"\x01"))),
        ("header_reserved2", "unsupported", "reserved2 is not zero.", _rechecked(patch(data, 11, b"\x01"))),
        ("header_reserved3", "unsupported", "reserved3 is not zero.", _rechecked(patch(data, 12, b"\x01"))),
        ("header_type_0", "unsupported", "There is no pack type 0.", _rechecked(patch(data, 8, b"\x00"))),
        ("header_type_3", "unsupported", "There is no pack type 3.", _rechecked(patch(data, 8, b"\x03"))),
    ):
        yield _bad(name, expect, "7.1", comment, changed)
    comment = "An undamaged pack under the name of another."
    renamed = _group(AEGIS).given({"pack_id": _OTHER_PACK_ID.hex()})
    yield renamed.bad("renamed", "malformed", "7.1", comment, data)
    comment = "An undamaged pack of blocks among the meta packs."
    yield _group(AEGIS, PackType.META).bad("wrong_place", "malformed", "7.1", comment, data)
    strange = _resealed(replace(_GOOD.header, repository_id=OTHER_REPOSITORY_ID))
    yield _bad("other_repository", "malformed", "7.1", "Says that it is of another repository.", strange.data())


def _rechecked(data: bytes) -> bytes:
    checked = PACK_HEADER.offset_of("checksum")
    return patch(data, checked, checksum64((data[:checked],)).to_bytes(8, "little"))


def _resealed(header: PackHeader) -> _Pack:
    return replace(_GOOD, header=header)


def _trailer() -> Iterator[Case]:
    data = _GOOD.data()
    start = len(data) - _TRAILER_BYTES
    offset = len(_GOOD.body)
    for name, expect, comment, at, new in (
        ("trailer_magic", "bad-magic", "One byte of the magic changed.", 1, b"p"),
        ("trailer_version_2", "unsupported", "A trailer of a later version.", 7, b"\x02"),
        ("trailer_bit", "bad-checksum", "The pack id changed.", 24, b"\xff"),
        ("trailer_mac_bit", "bad-checksum", "The MAC damaged: the checksum finds it.", 48, bytes(1)),
        ("trailer_checksum", "bad-checksum", "The checksum itself changed.", 80, bytes(8)),
        ("directory_over_16_mib", "oversize", "Directory of 16 MiB and a byte.", 16, _u32((16 << 20) + 1)),
        ("records_over_65536", "oversize", "65,537 records.", 20, _u32(65_537)),
        ("directory_past_end", "malformed", "The directory ends behind the trailer's begin.", 8, _u64(offset + 1)),
        ("directory_huge_offset", "malformed", "The directory begins at 2^64 - 1.", 8, b"\xff" * 8),
        ("directory_too_short", "malformed", "A gap before the trailer.", 16, _u32(len(_GOOD.directory) - 1)),
    ):
        yield _bad(name, expect, "7.3", comment, patch(data, start + at, new))


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


def _u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _exchanged() -> Iterator[Case]:
    other = _blocks(AEGIS, "c", "d", pack_id=_OTHER_PACK_ID)
    body, directory = _GOOD.body, _GOOD.directory
    trailer = _GOOD.data()[-_TRAILER_BYTES:]
    comment = "Directory and trailer of another pack behind the records of this one."
    data = body + other.data()[len(other.body) :]
    yield _bad("tail_of_another", "bad-checksum", "7.3", comment, data)
    comment = "The same, the checksum made right."
    yield _bad("tail_of_another_rechecked", "malformed", "7.3", comment, _trailer_rechecked(data, other.directory))
    comment = "The records of two blocks replaced by others of the same length, the directory accordingly; MAC kept."
    forged = _blocks(AEGIS, "c", "d")
    data = forged.body + forged.directory + trailer
    yield _bad("forged_directory", "bad-mac", "7.3", comment, _trailer_rechecked(data, forged.directory))
    comment = "An entry taken out of the directory and its record out of the pack, all but the MAC made right."
    shorter = _blocks(AEGIS, "a")
    data = replace(shorter, mac=lambda _: trailer[48:80]).data()
    yield _bad("record_removed", "bad-mac", "7.3", comment, data)
    comment = "The MAC computed under the pack key of another repository id."
    stranger = kdf(Key(ROOT), "pack", OTHER_REPOSITORY_ID)
    data = replace(_GOOD, mac=lambda message: mac(stranger, OTHER_REPOSITORY_ID, message)).data()
    yield _bad("mac_of_stranger", "bad-mac", "7.3", comment, data)
    comment = "The MAC computed under the keys key."
    data = replace(_GOOD, mac=_keys_mac(REPOSITORY_ID)).data()
    yield _bad("mac_under_keys_key", "bad-mac", "7.3", comment, data)
    comment = "A domain in the trailer that is not that of the header, the checksum made right."
    data = _trailer_rechecked(body + directory + patch(trailer, 40, fixed("domain", 8)), directory)
    yield _bad("trailer_domain", "malformed", "7.3", comment, data)


def _keys_mac(repository_id: Uid) -> Mac:
    key = kdf(Key(ROOT), "keys", repository_id)
    return lambda message: mac(key, repository_id, message)


def _trailer_rechecked(data: bytes, directory: bytes) -> bytes:
    """Put the right checksum into a trailer, and where the directory lies."""
    offset = len(data) - _TRAILER_BYTES - len(directory)
    data = patch(data, -_TRAILER_BYTES + 8, _u64(offset))
    checksum = checksum64((data[: PACK_HEADER.size], directory, data[-_TRAILER_BYTES:-8]))
    return patch(data, -8, _u64(checksum))


def _directory() -> Iterator[Case]:
    first, second = _GOOD.entries
    good: dict[str, Any] = {"pack": _PACK_ID, "records": [first, second]}
    gap = [first, second._replace(offset=second.offset + 1)]
    overlap = [first, second._replace(offset=second.offset - 1)]
    for name, comment, directory in (
        ("directory_gap", "A byte between two records that belongs to none.", good | {"records": gap}),
        ("directory_overlap", "Two records that share a byte.", good | {"records": overlap}),
        ("directory_disorder", "The entries in the wrong order.", good | {"records": [second, first]}),
        ("directory_twice", "One record twice.", good | {"records": [first, first]}),
        ("directory_short", "A record that no entry names.", good | {"records": [first]}),
        ("directory_of_another", "The directory names another pack.", good | {"pack": _OTHER_PACK_ID}),
        ("directory_no_pack", "The key pack is missing.", {"records": good["records"]}),
        ("directory_records_map", "The records are a map.", good | {"records": {}}),
        ("directory_array", "An array where the map is due.", good["records"]),
    ):
        yield _bad(name, "malformed", "7.2", f"{comment} Sealed correctly.", _GOOD.data(encode(directory), 2))
    unsorted = b"\x82" + encode("records") + encode(good["records"]) + encode("pack") + encode(_PACK_ID)
    comment = "The keys in the wrong order: not canonical. Sealed correctly."
    yield _bad("directory_not_canonical", "malformed", "7.2", comment, _GOOD.data(unsorted))
    comment = "The trailer counts three records where there are two. Sealed correctly."
    yield _bad("count_differs", "malformed", "7.4", comment, _GOOD.data(count=3))


def _entries() -> Iterator[Case]:
    for name, expect, comment, directory in (
        ("entry_kind_9", "malformed", "There is no kind 9, least of all among blocks.", _changed(0, 9)),
        ("entry_compression_2", "malformed", "Compression 2, which the record does not say.", _changed(5, 2)),
        ("entry_encryption_3", "malformed", "Encryption version 3, which the record does not say.", _changed(6, 3)),
        ("entry_kind_256", "malformed", "A kind that fits into no header.", _changed(0, 256)),
        ("entry_id_short", "malformed", "An object id of 63 bytes.", _changed(1, bytes(63))),
        ("entry_key_id_long", "malformed", "A key id of nine bytes.", _changed(7, bytes(9))),
        ("entry_offset_u64", "malformed", "An offset of 2^32.", _changed(2, 1 << 32)),
        ("entry_size_text", "malformed", "A size that is text.", _changed(3, "228")),
        ("entry_size_bool", "malformed", "A size that is a boolean.", _changed(4, True)),
        ("entry_kind_bool", "malformed", "A kind that is a boolean.", _changed(0, True)),
        ("entry_plain_over", "oversize", "A block of 16 MiB and a byte.", _changed(4, (16 << 20) + 1)),
        ("entry_payload_over", "oversize", "A payload of 2^32 - 1 bytes.", _changed(3, (1 << 32) - 1)),
        ("entry_payload_0", "oversize", "No payload.", _changed(3, 0)),
        ("entry_without_key", "malformed", "Encryption 2 with a key id of zeros.", _changed(7, bytes(8))),
    ):
        yield _bad(name, expect, "7.2", f"{comment} Sealed correctly.", _GOOD.data(directory))
    for name, comment, row in (
        ("entry_seven_fields", "An entry of seven fields.", list(_GOOD.entries[0])[:7]),
        ("entry_nine_fields", "An entry of nine fields.", [*_GOOD.entries[0], 0]),
        ("entry_number", "A number where an entry is due.", 7),
    ):
        directory = encode({"pack": _PACK_ID, "records": [row]})
        yield _bad(name, "malformed", "7.2", f"{comment} Sealed correctly.", _GOOD.data(directory, 1))
    page = _make(XCHACHA, PackType.BLOCKS, _PAGE)
    comment = "A page in a pack of blocks. Sealed correctly."
    yield _group(XCHACHA).bad("page_among_blocks", "malformed", "6.2", comment, page.data())
    block = _make(AEGIS, PackType.META, _GOOD.records[0])
    comment = "A block in a meta pack. Sealed correctly."
    yield _group(AEGIS, PackType.META).bad("block_among_pages", "malformed", "6.2", comment, block.data())


def _changed(place: int, new: object) -> bytes:
    """Return the directory with one field of its last entry replaced."""
    rows = [list(entry) for entry in _GOOD.entries]
    rows[-1][place] = new
    return encode({"pack": _PACK_ID, "records": rows})


def _records() -> Iterator[Case]:
    data = _GOOD.data()
    second = _GOOD.entries[1].offset
    yield _bad("record_bit", "bad-checksum", "7.4", "A bit of the second payload changed.", flip(data, second + 150))
    yield _bad("record_magic", "bad-magic", "7.4", "The magic of the second record changed.", flip(data, second))
    swapped = _blocks(AEGIS, "b", "a").body + data[len(_GOOD.body) :]
    comment = "The two records exchanged: neither is what its entry says."
    yield _bad("records_exchanged", "malformed", "7.4", comment, swapped)
    forged = _make(AEGIS, PackType.BLOCKS, make_record(CLEAR, Kind.BLOCK, fixed("block a", 100)))
    comment = "A record that is not encrypted. Sealed correctly."
    yield _bad("record_clear", "unencrypted", "7.4", comment, forged.data())
