"""Documents: the small files beside the packs. FORMAT.md section 8.

A document is a fixed header, a msgpack body, a MAC and a checksum. The repository file, slots and epochs
are stored twice; intents and lists coordinate writers and collectors.
Before: format.strictmsgpack. After: codec.keyring, repository.coordination.
"""

import hashlib
import hmac
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from packstore.errors import FormatError
from packstore.format.layout import Field, Layout, check_magic, check_reserved
from packstore.format.pack import Mac
from packstore.format.record import Encryption
from packstore.format.strictmsgpack import Key, MapSchema, Value, decode, encode
from packstore.ids import Uid
from packstore.limits import (
    FORMAT_VERSION,
    KEY_ID_BYTES,
    MAX_BLOCK_BYTES,
    MAX_DOCUMENT_BYTES,
    MAX_EXPORT_BYTES,
    MAX_KDF_MEMORY_BYTES,
    MAX_KDF_PASSES,
    MAX_LIST_BYTES,
    MAX_PACK_BYTES,
    MAX_SLOTS,
    MIN_BLOCK_BYTES,
    MIN_KDF_MEMORY_BYTES,
    MIN_KDF_PASSES,
    MIN_PACK_BYTES,
    UID_BYTES,
)

DOCUMENT_MAGIC: Final = b"\x89PSfile\x01"
DIGEST_BYTES: Final = 32
"""Length of the MAC, and of the checksum, at the end of a document."""


class DocumentType(IntEnum):
    """What a document is; an intent renamed to a list stays an intent."""

    REPOSITORY = 1
    SLOT = 2
    EPOCH = 3
    INTENT = 4
    LIST = 5
    EXPORT = 6


class SlotKind(IntEnum):
    """What opens a slot."""

    PASSPHRASE = 1
    KEY_FILE = 2
    RECOVERY = 3


DOCUMENT_HEADER: Final = Layout(
    "document_header",
    Field("magic", "bytes", 8),
    Field("document_type", "u8"),
    Field("reserved1", "u8"),
    Field("reserved2", "u16"),
    Field("body_size", "u32"),
)
REPOSITORY: Final = MapSchema(
    "repository",
    Key("format", "u16"),
    Key("id", "bin16"),
    Key("date_ms", "u64"),
    Key("block_size", "u32"),
    Key("pack_size", "u32"),
    Key("features", "map"),
    Key("root", "bin32?"),
    Key("program", "str"),
)
FEATURES: Final = MapSchema("features", Key("read", "array"), Key("write", "array"), Key("delete", "array"))
SLOT: Final = MapSchema(
    "slot", Key("header", "bin"), Key("commitment", "bin32"), Key("nonce", "bin24"), Key("sealed", "bin80")
)
SLOT_HEADER: Final = MapSchema(
    "slot_header",
    Key("id", "bin16"),
    Key("kind", "u8"),
    Key("salt", "bin16"),
    Key("passes", "u32"),
    Key("memory", "u64"),
    Key("public_key", "bin32"),
    Key("date_ms", "u64"),
    Key("label", "str"),
)
EPOCH: Final = MapSchema(
    "epoch",
    Key("id", "bin16"),
    Key("number", "u32"),
    Key("encryption", "u8"),
    Key("date_ms", "u64"),
    Key("sealed", "array"),
    Key("removed", "array", required=False),
    Key("retired", "array", required=False),
    Key("key_ids", "array", required=False),
)

_SEALED_BOX_BYTES: Final = 80


@dataclass(frozen=True, slots=True)
class Document:
    """A decoded frame: `message` is what the MAC covers."""

    type: DocumentType
    body: bytes
    message: bytes
    mac: bytes


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """The file `packstore`. `root` is None in an encrypted repository, else 32 public bytes."""

    format: int
    id: Uid
    date_ms: int
    block_size: int
    pack_size: int
    features: dict[str, list[str]]
    root: bytes | None
    program: str


@dataclass(frozen=True, slots=True)
class SlotHeader:
    """The clear part of a slot. `passes` and `memory` (bytes) are argon2id's; 0 for a slot with a secret."""

    id: Uid
    kind: SlotKind
    salt: bytes
    passes: int
    memory: int
    public_key: bytes
    date_ms: int
    label: str


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot: its header, as value and as the bytes that are authenticated, and what it wraps."""

    header: SlotHeader
    header_bytes: bytes
    commitment: bytes
    nonce: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch: its secret sealed to each slot, by slot id.

    `removed` are slots that nothing is sealed to any more, `retired` are key ids of epochs whose records are refused;
    `key_ids` are those of its own data key and meta key, which say which epoch it is to whom it is not sealed.
    """

    id: Uid
    number: int
    encryption: Encryption
    date_ms: int
    sealed: dict[Uid, bytes]
    removed: frozenset[Uid] = frozenset()
    retired: frozenset[bytes] = frozenset()
    key_ids: tuple[bytes, ...] = ()


def encode_document(document_type: DocumentType, body: bytes, mac: Mac) -> bytes:
    """Frame a body: header, body, MAC, checksum.

    Raises:
        FormatError: the body is longer than a reader would accept.
    """
    limit = body_limit(document_type)
    if len(body) > limit:
        raise FormatError(document_type.name.lower(), f"a body of {len(body)} bytes", failure="oversize")
    message = DOCUMENT_HEADER.pack(DOCUMENT_MAGIC, document_type, 0, 0, len(body)) + body
    authenticated = message + mac(message)
    return authenticated + hashlib.sha512(authenticated).digest()[:DIGEST_BYTES]


def body_limit(document_type: DocumentType) -> int:
    """Return the largest body of a document of this type, in bytes."""
    larger = {DocumentType.LIST: MAX_LIST_BYTES, DocumentType.EXPORT: MAX_EXPORT_BYTES}
    return larger.get(document_type, MAX_DOCUMENT_BYTES)


def decode_document(data: bytes, expected: DocumentType) -> Document:
    """Take a document out of its frame; the MAC is verified by `check_document_mac`.

    Raises:
        FormatError: not an undamaged document of the expected type.
    """
    name = expected.name.lower()
    magic, document_type, zero1, zero2, body_size = DOCUMENT_HEADER.unpack(data)
    check_magic(name, magic, DOCUMENT_MAGIC)
    if body_size > body_limit(expected):
        raise FormatError(name, f"a body of {body_size} bytes", failure="oversize")
    end = DOCUMENT_HEADER.size + body_size
    if len(data) != end + 2 * DIGEST_BYTES:
        raise FormatError(name, f"{len(data)} bytes where {end + 2 * DIGEST_BYTES} are due", failure="truncated")
    if hashlib.sha512(data[:-DIGEST_BYTES]).digest()[:DIGEST_BYTES] != data[-DIGEST_BYTES:]:
        raise FormatError(name, "checksum differs", failure="bad-checksum")
    check_reserved(name, zero1 | zero2)
    if document_type != expected:
        raise FormatError(name, f"is a document of type {document_type}")
    return Document(expected, data[DOCUMENT_HEADER.size : end], data[:end], data[end : end + DIGEST_BYTES])


def check_document_mac(document: Document, mac: Mac) -> bool:
    """Say whether a document's MAC is the one that its key gives."""
    return hmac.compare_digest(mac(document.message), document.mac)


def encode_repository(file: RepositoryFile) -> bytes:
    """Return the body of the repository file."""
    return encode(
        {
            "format": file.format,
            "id": file.id,
            "date_ms": file.date_ms,
            "block_size": file.block_size,
            "pack_size": file.pack_size,
            "features": file.features,
            "root": file.root,
            "program": file.program,
        }
    )


def decode_repository(body: bytes) -> RepositoryFile:
    """Decode the body of the repository file.

    Raises:
        FormatError: malformed, of another format ("unsupported"), or with sizes out of bounds.
    """
    value = decode(body, MAX_DOCUMENT_BYTES)
    declared = value.get("format") if isinstance(value, dict) else None
    if isinstance(declared, int) and declared != FORMAT_VERSION:
        reason = f"format version {declared}; this program reads version {FORMAT_VERSION}"
        raise FormatError("repository", reason, failure="unsupported")
    found = REPOSITORY.check(value)
    features = FEATURES.check(found["features"])
    for names in features.values():
        if any(not isinstance(name, str) for name in names):
            raise FormatError("repository", "a feature is not a string")
    for key, low, high in (
        ("block_size", MIN_BLOCK_BYTES, MAX_BLOCK_BYTES),
        ("pack_size", MIN_PACK_BYTES, MAX_PACK_BYTES),
    ):
        if not low <= found[key] <= high:
            raise FormatError("repository", f"{key} {found[key]} is outside {low} to {high}", failure="oversize")
    if found["block_size"] & (found["block_size"] - 1):
        raise FormatError("repository", f"block_size {found['block_size']} is not a power of two")
    return RepositoryFile(**(found | {"features": features}))


def encode_slot_header(header: SlotHeader) -> bytes:
    """Return the bytes of a slot header: what the slot's encryption authenticates."""
    return encode({name: getattr(header, name) for name in (key.name for key in SLOT_HEADER.keys)})


def encode_slot(slot: Slot) -> bytes:
    """Return the body of a slot."""
    return encode(
        {
            "header": slot.header_bytes,
            "commitment": slot.commitment,
            "nonce": slot.nonce,
            "sealed": slot.sealed,
        }
    )


def decode_slot(body: bytes) -> Slot:
    """Decode the body of a slot. The costs of its key derivation are checked here, before anything is spent.

    Raises:
        FormatError: malformed, or it asks for more than the limits allow.
    """
    found = SLOT.check(decode(body, MAX_DOCUMENT_BYTES))
    header = SLOT_HEADER.check(decode(found["header"], MAX_DOCUMENT_BYTES))
    if header["kind"] not in tuple(SlotKind):
        raise FormatError("slot", f"unknown kind {header['kind']}", failure="unsupported")
    kind = SlotKind(header["kind"])
    if kind is SlotKind.PASSPHRASE:
        _check_cost("passes", header["passes"], MIN_KDF_PASSES, MAX_KDF_PASSES)
        _check_cost("memory", header["memory"], MIN_KDF_MEMORY_BYTES, MAX_KDF_MEMORY_BYTES)
    elif header["passes"] or header["memory"]:
        raise FormatError("slot", "a secret needs no key derivation")
    decoded = SlotHeader(**(header | {"kind": kind}))
    return Slot(decoded, found["header"], found["commitment"], found["nonce"], found["sealed"])


def _check_cost(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise FormatError("slot", f"{name} {value} is outside {low} to {high}", failure="oversize")


def encode_epoch(epoch: Epoch) -> bytes:
    """Return the body of an epoch."""
    sealed = [[slot, box] for slot, box in sorted(epoch.sealed.items())]
    taken = {"removed": sorted(epoch.removed), "retired": sorted(epoch.retired)}
    return encode(
        {
            "id": epoch.id,
            "number": epoch.number,
            "encryption": epoch.encryption,
            "date_ms": epoch.date_ms,
            "sealed": sealed,
        }
        | {name: ids for name, ids in (taken | {"key_ids": list(epoch.key_ids)}).items() if ids}
    )


def decode_epoch(body: bytes) -> Epoch:
    """Decode the body of an epoch.

    Raises:
        FormatError: malformed, or of an unknown encryption version ("unsupported").
    """
    found = EPOCH.check(decode(body, MAX_DOCUMENT_BYTES))
    if len(found["sealed"]) > MAX_SLOTS:
        raise FormatError("epoch", f"{len(found['sealed'])} slots", failure="oversize")
    sealed = dict(_check_box(row) for row in found["sealed"])
    if [list(pair) for pair in sorted(sealed.items())] != found["sealed"]:
        raise FormatError("epoch", "its boxes are not in ascending order of slot ids, one each")
    if found["number"] == 0 or found["encryption"] not in tuple(Encryption)[1:]:
        reason = f"number {found['number']}, encryption version {found['encryption']}"
        raise FormatError("epoch", reason, failure="unsupported")
    removed = frozenset(Uid(uid) for uid in _check_ids("removed", found["removed"], UID_BYTES))
    retired = frozenset(_check_ids("retired", found["retired"], KEY_ID_BYTES))
    checked = {"encryption": Encryption(found["encryption"]), "sealed": sealed, "removed": removed, "retired": retired}
    return Epoch(**(found | checked | {"key_ids": _check_key_ids(found["key_ids"])}))


def _check_key_ids(ids: list[Value] | None) -> tuple[bytes, ...]:
    if ids is None:
        return ()
    if [len(each) if isinstance(each, bytes) else None for each in ids] != [KEY_ID_BYTES, KEY_ID_BYTES]:
        raise FormatError("epoch", "'key_ids' is not the id of a data key and that of a meta key")
    return tuple(ids)


def _check_ids(key: str, ids: list[Value] | None, size: int) -> list[bytes]:
    """Check a list of ids that is left out when it would be empty."""
    if ids is None:
        return []
    if not ids or any(not isinstance(each, bytes) or len(each) != size for each in ids):
        raise FormatError("epoch", f"{key!r} is not a list of {size} bytes each, one at least")
    if sorted(set(ids)) != ids:
        raise FormatError("epoch", f"{key!r} is not in ascending order, each once")
    return ids


def _check_box(row: Value) -> tuple[Uid, bytes]:
    sizes = [len(item) if isinstance(item, bytes) else None for item in row] if isinstance(row, list) else []
    if sizes != [UID_BYTES, _SEALED_BOX_BYTES]:
        raise FormatError("epoch", "a box is not a pair of slot id and 80 bytes")
    return Uid(row[0]), row[1]
