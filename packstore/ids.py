"""Identifiers: what names an object, a pack, a version. FORMAT.md section 5.

All of them are plain `bytes` behind a NewType, because they are hot: a volume of 200 TB has hundreds of
millions of object ids.
"""

from typing import Final, NewType

from packstore.errors import UsageError
from packstore.limits import OBJECT_ID_BYTES, PACK_ID_BYTES

ObjectId = NewType("ObjectId", bytes)
"""64 bytes: SHA-512 of an object's plaintext, keyed in an encrypted repository."""

PackId = NewType("PackId", bytes)
"""16 bytes: 48 bits of milliseconds since 1970, big-endian, then 80 random bits."""

Uid = NewType("Uid", bytes)
"""16 random bytes: a version, an event, a slot, an intent, a repository."""

HOLE: Final = ObjectId(bytes(OBJECT_ID_BYTES))
"""Stands where there is no object: a hole in a leaf page, an empty subtree in an inner one."""


def make_pack_id(milliseconds: int, randomness: bytes) -> PackId:
    """Build a pack id from a time in milliseconds and 10 random bytes; nothing relies on the order."""
    return PackId(milliseconds.to_bytes(6, "big") + randomness[: PACK_ID_BYTES - 6])


def show(identifier: bytes) -> str:
    """Return the text form of any id: lower-case hexadecimal."""
    return identifier.hex()


def parse_uid(text: str) -> Uid:
    """Parse 32 hexadecimal digits.

    Raises:
        UsageError: `text` is anything else.
    """
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != PACK_ID_BYTES or len(text) != 2 * PACK_ID_BYTES:
        raise UsageError(f"not an id of 32 hexadecimal digits: {text!r}")
    return Uid(raw)
