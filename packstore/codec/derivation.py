"""The one derivation from which every key comes. FORMAT.md section 4.

PRF(k, label, ctx) = HMAC-SHA-512(k, "packstore/1/" || label || 0x00 || repository id || ctx)
"""

import hashlib
import hmac

from packstore.codec.key import Key
from packstore.ids import Uid


def prf(key: Key, label: str, repository_id: Uid, context: bytes = b"") -> bytes:
    """Return 64 bytes derived from `key` for the purpose `label`."""
    message = b"packstore/1/" + label.encode() + b"\x00" + repository_id + context
    return hmac.digest(key.secret, message, hashlib.sha512)


def kdf(key: Key, label: str, repository_id: Uid, context: bytes = b"") -> Key:
    """Return a 32-byte key derived from `key` for the purpose `label`."""
    return Key(prf(key, label, repository_id, context)[:32])


def mac(key: Key, repository_id: Uid, message: bytes) -> bytes:
    """Return the 32-byte MAC of `message`."""
    return prf(key, "mac", repository_id, message)[:32]


def key_id(key: Key, repository_id: Uid) -> bytes:
    """Return the 8 bytes by which a record names its key."""
    return prf(key, "key id", repository_id)[:8]
