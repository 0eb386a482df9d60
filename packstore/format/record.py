"""A record: the clear header in front of every payload. FORMAT.md section 6.

The header says all that is needed to find, copy and check the record without a key or an index. It names
its key and not its pack, so that a collector copies records verbatim.
Before: codec.objectcodec. After: format.pack.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from packstore.checksum import Buffer, checksum64
from packstore.errors import FormatError
from packstore.format.layout import Field, Layout, check_magic, check_reserved
from packstore.ids import ObjectId
from packstore.limits import (
    KEY_ID_BYTES,
    MAX_BLOCK_BYTES,
    MAX_DIRECTORY_BYTES,
    MAX_EVENT_BYTES,
    MAX_LEDGER_BYTES,
    MAX_PAGE_BYTES,
    MAX_VERSION_BYTES,
)

RECORD_MAGIC: Final = b"\x89PSrecd\x01"


class Kind(IntEnum):
    """What an object is. Objects of different kinds are different objects, whatever their bytes."""

    BLOCK = 1
    PAGE = 2
    VERSION = 3
    EVENT = 4
    DIRECTORY = 5
    SCRUB = 6
    DAMAGE = 7
    CHECKPOINT = 8


class Compression(IntEnum):
    """How the plaintext was compressed."""

    RAW = 0
    ZSTD = 1


class Encryption(IntEnum):
    """How the compressed bytes were encrypted: the encryption version."""

    NONE = 0
    XCHACHA20_POLY1305 = 1
    AEGIS_256 = 2


MAX_PLAIN_BYTES: Final = {
    Kind.BLOCK: MAX_BLOCK_BYTES,
    Kind.PAGE: MAX_PAGE_BYTES,
    Kind.VERSION: MAX_VERSION_BYTES,
    Kind.EVENT: MAX_EVENT_BYTES,
    Kind.DIRECTORY: MAX_DIRECTORY_BYTES,
    Kind.SCRUB: MAX_LEDGER_BYTES,
    Kind.DAMAGE: MAX_LEDGER_BYTES,
    Kind.CHECKPOINT: MAX_EVENT_BYTES,
}
"""The largest plaintext of each kind, in bytes; checked before anything is allocated."""

MAX_OVERHEAD_BYTES: Final = 64
"""Nonce and tag of the most generous encryption version."""

NO_KEY: Final = bytes(KEY_ID_BYTES)
"""The key id of a record that is not encrypted."""

RECORD_HEADER: Final = Layout(
    "record_header",
    Field("magic", "bytes", 8),
    Field("kind", "u8"),
    Field("compression", "u8"),
    Field("encryption", "u8"),
    Field("reserved1", "u8"),
    Field("plain_size", "u32"),
    Field("payload_size", "u32"),
    Field("reserved2", "u32"),
    Field("key_id", "bytes", 8),
    Field("object_id", "bytes", 64),
    Field("checksum", "u64"),
)
HEADER_BYTES: Final = RECORD_HEADER.size
AUTHENTICATED_BYTES: Final = RECORD_HEADER.offset_of("checksum")
"""The header up to its checksum: what the encryption authenticates beside the payload."""


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """The fields of a record header; sizes in bytes."""

    kind: Kind
    compression: Compression
    encryption: Encryption
    plain_size: int
    payload_size: int
    key_id: bytes
    object_id: ObjectId

    @property
    def record_size(self) -> int:
        """Bytes of header and payload together."""
        return HEADER_BYTES + self.payload_size

    def authenticated(self) -> bytes:
        """Return the header's bytes up to the checksum: the associated data of the encryption."""
        return _pack(self, 0)[:AUTHENTICATED_BYTES]


def _pack(header: RecordHeader, checksum: int) -> bytes:
    return RECORD_HEADER.pack(
        RECORD_MAGIC,
        header.kind,
        header.compression,
        header.encryption,
        0,
        header.plain_size,
        header.payload_size,
        0,
        header.key_id,
        header.object_id,
        checksum,
    )


def encode_header(header: RecordHeader, payload: Buffer) -> bytes:
    """Return the header's bytes, with the checksum over header and payload."""
    checksum = checksum64((header.authenticated(), payload))
    return _pack(header, checksum)


def decode_header(data: bytes | memoryview) -> tuple[RecordHeader, int]:
    """Decode the header at the start of `data`; return it and the stored checksum.

    Raises:
        FormatError: the fields are not those of a record that this program can read.
    """
    magic, kind, compression, encryption, zero1, plain, payload, zero2, key_id, object_id, checksum = (
        RECORD_HEADER.unpack(data)
    )
    check_magic("record", magic, RECORD_MAGIC)
    check_reserved("record", zero1 | zero2)
    try:
        header = RecordHeader(
            Kind(kind),
            Compression(compression),
            Encryption(encryption),
            plain,
            payload,
            key_id,
            ObjectId(object_id),
        )
    except ValueError as error:
        raise FormatError("record", str(error), failure="unsupported") from None
    check_fields("record", header)
    return header, checksum


def check_fields(what: str, header: RecordHeader) -> None:
    """Verify that sizes are within their limits and that key id and encryption version agree.

    Raises:
        FormatError: they do not ("oversize", "malformed").
    """
    limit = MAX_PLAIN_BYTES[header.kind]
    if not 0 < header.plain_size <= limit:
        reason = f"{header.plain_size} bytes of plaintext, outside 1 to {limit}"
        raise FormatError(what, reason, failure="oversize")
    if not 0 < header.payload_size <= header.plain_size + MAX_OVERHEAD_BYTES:
        reason = f"{header.payload_size} bytes of payload for {header.plain_size} of plaintext"
        raise FormatError(what, reason, failure="oversize")
    if (header.encryption is Encryption.NONE) != (header.key_id == NO_KEY):
        raise FormatError(what, "key id and encryption version contradict each other")


def record_size(data: bytes | memoryview) -> int:
    """Return the size in bytes of the record that begins `data`, as far as its header alone can tell.

    Raises:
        FormatError: nothing that could be the header of a record, of whatever kind, begins there.
    """
    magic, _, _, _, _, plain, payload, *_ = RECORD_HEADER.unpack(data)
    check_magic("record", magic, RECORD_MAGIC)
    if not 0 < payload <= min(plain, max(MAX_PLAIN_BYTES.values())) + MAX_OVERHEAD_BYTES:
        raise FormatError("record", f"{payload} bytes of payload for {plain} of plaintext", failure="oversize")
    return HEADER_BYTES + int(payload)


def decode_record(data: bytes | memoryview) -> tuple[RecordHeader, memoryview]:
    """Decode the record at the start of `data`; return header and payload.

    The checksum is verified before anything is made of the fields: a flipped bit is damage, and not a
    record of some later program.

    Raises:
        FormatError: no whole, undamaged record that this program can read begins there.
    """
    size = record_size(data)
    view = memoryview(data)
    if len(view) < size:
        raise FormatError("record", f"{len(view)} bytes where {size} are needed", failure="truncated")
    payload = view[HEADER_BYTES:size]
    if checksum64((view[:AUTHENTICATED_BYTES], payload)) != checksum_of(view):
        raise FormatError("record", "checksum differs", failure="bad-checksum")
    header, _ = decode_header(view)
    return header, payload


def checksum_of(data: bytes | memoryview) -> int:
    """Return the checksum that the header at the start of `data` holds."""
    return int.from_bytes(data[AUTHENTICATED_BYTES:HEADER_BYTES], "little")
