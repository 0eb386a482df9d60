"""The tables of the index, and what their rows mean. FORMAT.md section 12.

Before: index.notes. After: index.changes, index.objectindex.
"""

import struct
from typing import Final, NamedTuple

from packstore.format.pack import PackType
from packstore.ids import ObjectId, PackId
from packstore.index.notes import NOTES

ORPHAN: Final = PackId(bytes(16))
"""Claims a pack that is known from its own directory only; no directory in `meta/` names it yet."""

SCHEMA: Final = b"4"
TABLES: Final = {
    "info": False,  # schema, repository id, next record number
    "objects": True,  # kind, first 16 bytes of the id -> record number, offset, record size
    "packs": False,  # pack id -> number of its first record, count, type
    "numbers": False,  # number of a pack's first record -> pack id
    "directories": True,  # pack id -> object ids of its directory
    "claims": True,  # pack id -> meta packs that carry its directory
    "claimed": True,  # meta pack id -> packs whose directories it carries
    "metas": False,  # meta pack id -> size, damaged
    "records": False,  # kind, uid, meta pack id -> plaintext of a version, an event and the like
    "recorded": True,  # meta pack id -> kind, uid of those it holds
} | NOTES
LOCATION: Final = struct.Struct(">QII")
NUMBER: Final = struct.Struct(">Q")
PACK: Final = struct.Struct(">QIB")
META: Final = struct.Struct(">QB")
UNCLAIMED: Final = 0
"""Stands for the type of a pack that nothing claims any more; its number is kept, for it may be claimed again."""
_PREFIX_BYTES: Final = 16
KEY_BYTES: Final = 1 + _PREFIX_BYTES
"""Bytes of a key of `objects`."""
ROW: Final = struct.Struct(f">B{_PREFIX_BYTES}sQII")
"""Key and value of `objects` together, of the whole id: what is beyond the prefix is cut off."""
MAX_KIND: Final = 255
DAMAGES: Final = b"damages"
"""Under this key `info` counts the changes of damage records."""


class Location(NamedTuple):
    """Where a record is said to lie: pack, offset and size in bytes; and its number in this index."""

    pack_type: PackType
    pack_id: PackId
    offset: int
    record_size: int
    number: int = 0


class KnownPack(NamedTuple):
    """A pack that is claimed: its records have the numbers from `first`, in the order of their offsets."""

    pack_type: PackType
    pack_id: PackId
    first: int
    records: int


class MetaState(NamedTuple):
    """A meta pack that was applied: its size in bytes, and whether all of it could be read."""

    size: int
    damaged: bool


def object_key(kind: int, object_id: ObjectId) -> bytes:
    """Return the key of an object: its kind and the beginning of its id."""
    return bytes([kind]) + object_id[:_PREFIX_BYTES]
