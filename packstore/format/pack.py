"""A pack: header, records, directory, trailer. FORMAT.md section 7.

    header | record | record | … | directory | trailer

Read forward by walking the records, backward from the trailer. A pack without a valid trailer does not
exist as far as writers are concerned; what can still be read of it is salvage.
Before: format.record. After: packs.writer, packs.reader, packs.scanner.
"""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from itertools import accumulate
from operator import sub
from typing import Any, Final, NamedTuple

from packstore.checksum import checksum64
from packstore.errors import FormatError
from packstore.format.layout import Field, Layout, check_magic, check_reserved
from packstore.format.record import (
    HEADER_BYTES,
    MAX_OVERHEAD_BYTES,
    MAX_PLAIN_BYTES,
    NO_KEY,
    Compression,
    Encryption,
    Kind,
    RecordHeader,
    check_fields,
)
from packstore.format.strictmsgpack import Key, MapSchema, Value, decode, decode_shortest, encode
from packstore.ids import ObjectId, PackId, Uid
from packstore.limits import KEY_ID_BYTES, MAX_DIRECTORY_BYTES, MAX_PACK_RECORDS, OBJECT_ID_BYTES, PACK_ID_BYTES

PACK_MAGIC: Final = b"\x89PSpack\x01"
TRAILER_MAGIC: Final = b"\x89PSseal\x01"

Column = tuple[Any, ...]
"""One field of every record of a directory."""
Mac = Callable[[bytes], bytes]
"""Computes the 32-byte MAC of a message under the pack key."""


class PackType(IntEnum):
    """Which records a pack may hold, and so under which prefix it lies."""

    BLOCKS = 1
    META = 2


PACK_HEADER: Final = Layout(
    "pack_header",
    Field("magic", "bytes", 8),
    Field("pack_type", "u8"),
    Field("reserved1", "u8"),
    Field("reserved2", "u16"),
    Field("reserved3", "u32"),
    Field("pack_id", "bytes", 16),
    Field("repository_id", "bytes", 16),
    Field("domain", "bytes", 8),
    Field("checksum", "u64"),
)
PACK_TRAILER: Final = Layout(
    "pack_trailer",
    Field("magic", "bytes", 8),
    Field("directory_offset", "u64"),
    Field("directory_size", "u32"),
    Field("record_count", "u32"),
    Field("pack_id", "bytes", 16),
    Field("domain", "bytes", 8),
    Field("mac", "bytes", 32),
    Field("checksum", "u64"),
)
DIRECTORY: Final = MapSchema("directory", Key("pack", "bin16"), Key("records", "array"))

_HEADER_CHECKED: Final = PACK_HEADER.offset_of("checksum")
_TRAILER_CHECKED: Final = PACK_TRAILER.offset_of("checksum")
_TRAILER_AUTHENTICATED: Final = PACK_TRAILER.offset_of("mac")


@dataclass(frozen=True, slots=True)
class PackHeader:
    """Who a pack is and whose."""

    pack_type: PackType
    pack_id: PackId
    repository_id: Uid
    domain: bytes


class Entry(NamedTuple):
    """One record in a directory: where it begins and what its header says.

    Kind, compression and encryption are plain numbers where this program does not know them.
    """

    kind: int
    object_id: ObjectId
    offset: int
    payload_size: int
    plain_size: int
    compression: int
    encryption: int
    key_id: bytes

    @property
    def record_size(self) -> int:
        """Bytes of header and payload together."""
        return HEADER_BYTES + self.payload_size


@dataclass(frozen=True, slots=True)
class Trailer:
    """Where the directory lies, in bytes from the start of the pack."""

    directory_offset: int
    directory_size: int
    record_count: int
    pack_id: PackId
    domain: bytes
    mac: bytes
    checksum: int


def entry_of(header: RecordHeader, offset: int) -> Entry:
    """Return the directory entry of a record that begins at `offset`."""
    return Entry(
        header.kind,
        header.object_id,
        offset,
        header.payload_size,
        header.plain_size,
        header.compression,
        header.encryption,
        header.key_id,
    )


def encode_pack_header(header: PackHeader) -> bytes:
    """Return the bytes of a pack header."""
    fields = (PACK_MAGIC, header.pack_type, 0, 0, 0, header.pack_id, header.repository_id, header.domain)
    checked = PACK_HEADER.pack(*fields, 0)[:_HEADER_CHECKED]
    return PACK_HEADER.pack(*fields, checksum64((checked,)))


def decode_pack_header(data: bytes | memoryview) -> PackHeader:
    """Decode the header at the start of a pack.

    Raises:
        FormatError: it is not the undamaged header of a pack that this program can read.
    """
    magic, pack_type, zero1, zero2, zero3, pack_id, repository_id, domain, checksum = PACK_HEADER.unpack(data)
    check_magic("pack header", magic, PACK_MAGIC)
    if checksum64((data[:_HEADER_CHECKED],)) != checksum:
        raise FormatError("pack header", "checksum differs", failure="bad-checksum")
    check_reserved("pack header", zero1 | zero2 | zero3)
    if pack_type not in tuple(PackType):
        raise FormatError("pack header", f"unknown pack type {pack_type}", failure="unsupported")
    return PackHeader(PackType(pack_type), PackId(pack_id), Uid(repository_id), domain)


def encode_directory(pack_id: PackId, entries: Sequence[Entry]) -> bytes:
    """Return the bytes of a directory."""
    return encode({"pack": pack_id, "records": [list(entry) for entry in entries]})


def decode_directory(data: bytes) -> tuple[PackId, list[Entry]]:
    """Decode a directory; return the pack it describes and its entries in order of offset.

    Raises:
        FormatError: it is not a directory, or its records do not lie one after another without a gap.
    """
    return _decode_usual(data) or _decode_any(data)


def _decode_any(data: bytes) -> tuple[PackId, list[Entry]]:
    found = DIRECTORY.check(decode(data, MAX_DIRECTORY_BYTES))
    if len(found["records"]) > MAX_PACK_RECORDS:
        raise FormatError("directory", f"{len(found['records'])} records", failure="oversize")
    entries = [_decode_entry(row) for row in found["records"]]
    offset = PACK_HEADER.size
    for entry in entries:
        if entry.offset != offset:
            raise FormatError("directory", f"a record at {entry.offset} where {offset} is due")
        offset += entry.record_size
    return PackId(found["pack"]), entries


def _decode_usual(data: bytes) -> tuple[PackId, list[Entry]] | None:
    """Decode a directory as every one of ours is, column by column; None if it is not like that.

    An index of millions of objects is made of nothing else, and one by one takes several times as long. Whatever is
    unusual is left to `_decode_any`, which accepts all that this does, and says what is wrong with the rest.
    """
    try:
        found = decode_shortest(data, MAX_DIRECTORY_BYTES)
    except FormatError:
        return None
    if not isinstance(found, dict) or list(found) != ["pack", "records"] or not _is_bytes(found["pack"], PACK_ID_BYTES):
        return None
    rows = found["records"]
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_PACK_RECORDS or set(map(type, rows)) != {list}:
        return None
    if set(map(len, rows)) != {_ENTRY_FIELDS}:
        return None
    columns = tuple(zip(*rows, strict=True))
    if not (_are_typed(*columns) and _are_in_bounds(*columns)):
        return None
    kinds, ids, offsets, payloads, plains, compressions, encryptions, key_ids = columns
    known = (map(_KINDS.get, kinds), map(_COMPRESSIONS.get, compressions), map(_ENCRYPTIONS.get, encryptions))
    entries = zip(known[0], ids, offsets, payloads, plains, known[1], known[2], key_ids, strict=True)
    return PackId(found["pack"]), list(map(_make_entry, entries))


_make_entry: Final[Callable[[Column], Entry]] = partial(tuple.__new__, Entry)


def _are_typed(kinds: Column, ids: Column, *rest: Column) -> bool:
    *numbers, key_ids = rest
    return (
        all(set(map(type, column)) == {int} for column in (kinds, *numbers))
        and all(set(map(type, column)) == {bytes} for column in (ids, key_ids))
        and set(map(len, ids)) == {OBJECT_ID_BYTES}
        and set(map(len, key_ids)) == {KEY_ID_BYTES}
    )


def _are_in_bounds(
    kinds: Column, _ids: Column, offsets: Column, payloads: Column, plains: Column, *rest: Column
) -> bool:
    compressions, encryptions, key_ids = rest
    if not (set(kinds) <= _KINDS.keys() and set(compressions) <= _COMPRESSIONS.keys()):
        return False
    if not all(
        encryption in _ENCRYPTIONS and (encryption == Encryption.NONE) == (key_id == NO_KEY)
        for encryption, key_id in set(zip(encryptions, key_ids, strict=True))
    ):
        return False
    limit = min(MAX_PLAIN_BYTES[_KINDS[kind]] for kind in set(kinds))
    due = accumulate(map(HEADER_BYTES.__add__, payloads), initial=PACK_HEADER.size)
    return (
        0 < min(plains) <= max(plains) <= limit
        and min(payloads) > 0
        and max(map(sub, payloads, plains)) <= MAX_OVERHEAD_BYTES
        and offsets == tuple(due)[:-1]
        and max(offsets) >> 32 == 0
    )


_ENTRY_FIELDS: Final = len(Entry._fields)
_KINDS: Final = {int(kind): kind for kind in Kind}
_COMPRESSIONS: Final = {int(compression): compression for compression in Compression}
_ENCRYPTIONS: Final = {int(encryption): encryption for encryption in Encryption}
_MAX_U8: Final = 255


def _decode_entry(row: Value) -> Entry:
    if not isinstance(row, list) or len(row) != _ENTRY_FIELDS:
        raise FormatError("directory", "an entry has the wrong number of fields")
    kind, object_id, offset, payload_size, plain_size, compression, encryption, key_id = row
    numbers = (kind, offset, payload_size, plain_size, compression, encryption)
    if set(map(type, numbers)) != {int} or max(numbers) >> 32 or min(numbers) < 0:
        raise FormatError("directory", "an entry has a field of the wrong type")
    if not _is_bytes(object_id, OBJECT_ID_BYTES) or not _is_bytes(key_id, KEY_ID_BYTES):
        raise FormatError("directory", "an entry has an id of the wrong length")
    if kind in _KINDS and compression in _COMPRESSIONS and encryption in _ENCRYPTIONS:
        header = RecordHeader(
            _KINDS[kind],
            _COMPRESSIONS[compression],
            _ENCRYPTIONS[encryption],
            plain_size,
            payload_size,
            key_id,
            ObjectId(object_id),
        )
        check_fields("directory", header)
        return entry_of(header, offset)
    # A record of some later program: it is there, and is passed over.
    if max(kind, compression, encryption) > _MAX_U8:
        raise FormatError("directory", "an entry has a field of the wrong type")
    if not 0 < payload_size <= max(MAX_PLAIN_BYTES.values()) + MAX_OVERHEAD_BYTES:
        raise FormatError("directory", f"{payload_size} bytes of payload", failure="oversize")
    return Entry(kind, ObjectId(object_id), offset, payload_size, plain_size, compression, encryption, key_id)


def _is_bytes(value: Value, length: int) -> bool:
    return isinstance(value, bytes) and len(value) == length


def encode_trailer(header: PackHeader, directory: bytes, directory_offset: int, count: int, mac: Mac) -> bytes:
    """Return the trailer that seals a pack; it checks and authenticates header and directory too."""
    fields = (TRAILER_MAGIC, directory_offset, len(directory), count, header.pack_id, header.domain)
    before = encode_pack_header(header) + directory
    authenticated = PACK_TRAILER.pack(*fields, b"", 0)[:_TRAILER_AUTHENTICATED]
    tag = mac(before + authenticated)
    checked = authenticated + tag
    return PACK_TRAILER.pack(*fields, tag, checksum64((before, checked)))


def decode_trailer(data: bytes | memoryview) -> Trailer:
    """Decode the last bytes of a pack; the checksum is verified by `check_seal`.

    Raises:
        FormatError: it is not the trailer of a pack that this program can read.
    """
    magic, offset, size, count, pack_id, domain, mac, checksum = PACK_TRAILER.unpack(data)
    check_magic("pack trailer", magic, TRAILER_MAGIC)
    if size > MAX_DIRECTORY_BYTES or count > MAX_PACK_RECORDS:
        raise FormatError("pack trailer", f"directory of {size} bytes, {count} records", failure="oversize")
    return Trailer(offset, size, count, PackId(pack_id), domain, mac, checksum)


def check_seal(header: PackHeader, directory: bytes, trailer: Trailer, trailer_bytes: bytes) -> None:
    """Verify the trailer's checksum over header, directory and itself, and that the three agree.

    Raises:
        FormatError: they do not.
    """
    before = encode_pack_header(header)
    if checksum64((before, directory, trailer_bytes[:_TRAILER_CHECKED])) != trailer.checksum:
        raise FormatError("pack trailer", "checksum differs", failure="bad-checksum")
    if (header.pack_id, header.domain) != (trailer.pack_id, trailer.domain):
        raise FormatError("pack trailer", "belongs to another pack")


def check_mac(header: PackHeader, directory: bytes, trailer: Trailer, trailer_bytes: bytes, mac: Mac) -> bool:
    """Say whether the trailer's MAC is the one that the pack key gives."""
    message = encode_pack_header(header) + directory + trailer_bytes[:_TRAILER_AUTHENTICATED]
    return hmac.compare_digest(mac(message), trailer.mac)
