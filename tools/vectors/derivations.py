"""Known answers for every derivation: sections 4, 5 and 8.2.

Computed from the formulas with nothing but `hmac`, `hashlib`, xxhash and argon2id, on purpose without packstore's own
functions: the vectors then compare two implementations.
"""

import hashlib
import hmac
import unicodedata
from collections.abc import Iterator
from typing import Final

import xxhash
from nacl.pwhash import argon2id

from tools.vectors.case import Case
from tools.vectors.material import REPOSITORY_ID, ROOT, fixed

_EPOCH_X: Final = fixed("epoch x", 32)
_SALT: Final = fixed("salt", 16)
_MEMORY: Final = 8 << 20
_MESSAGE: Final = b"a message of any length"
_BLOCK: Final = bytes(range(256)) * 8


def _prf(key: bytes, label: str, context: bytes = b"") -> bytes:
    message = b"packstore/1/" + label.encode("ascii") + b"\x00" + REPOSITORY_ID + context
    return hmac.new(key, message, hashlib.sha512).digest()


def _kdf(key: bytes, label: str, context: bytes = b"") -> bytes:
    return _prf(key, label, context)[:32]


def _case(name: str, section: str, comment: str, answer: bytes, **inputs: str) -> Case:
    lines = {"derivation": name.partition("_of_")[0], "repository_id": REPOSITORY_ID.hex(), **inputs}
    return Case(f"derivation_{name}", "ok", section, "derivation", comment, answer, lines)


def cases() -> Iterator[Case]:
    """Yield the cases of this module."""
    yield from _functions()
    yield from _from_root()
    yield from _from_epoch()
    yield from _identifiers()
    yield from _from_slot()


def _functions() -> Iterator[Case]:
    for name, context in (("no_context", b""), ("context", b"\x00\x01\x02\xff")):
        inputs = {"key": ROOT.hex(), "label": "example label", "context": context.hex()}
        answer = _prf(ROOT, inputs["label"], context)
        yield _case(f"prf_of_{name}", "4", "All 64 bytes of PRF.", answer, **inputs)
    for name, label in (("pack", "pack"), ("keys", "keys")):
        mac = _kdf(_kdf(ROOT, label), "mac", _MESSAGE)
        inputs = {"root": ROOT.hex(), "message": _MESSAGE.hex()}
        yield _case(f"{name}_mac", "4", f"MAC of a message under the {name} key.", mac, **inputs)


def _from_root() -> Iterator[Case]:
    root = ROOT.hex()
    yield _case("id_key", "4", "The key of object ids.", _kdf(ROOT, "id"), root=root)
    yield _case("seed", "4", "The fingerprint seed, a u64, little-endian.", _kdf(ROOT, "seed")[:8], root=root)
    yield _case("pack_key", "4", "The key of the MACs of packs and lists.", _kdf(ROOT, "pack"), root=root)
    yield _case("keys_key", "4", "The key of the MACs of documents.", _kdf(ROOT, "keys"), root=root)
    yield _case("domain", "4", "The domain in pack headers.", _kdf(ROOT, "domain")[:8], root=root)


def _from_epoch() -> Iterator[Case]:
    for number in (1, 0x01020304):
        epoch = _kdf(ROOT, "epoch", number.to_bytes(4, "little") + _EPOCH_X)
        inputs = {"root": ROOT.hex(), "number": str(number), "secret": _EPOCH_X.hex()}
        comment = f"The epoch key of epoch {number}; the number is a u32, little-endian."
        yield _case(f"epoch_key_of_{number}", "4", comment, epoch, **inputs)
        for label, user in (("data", "blocks"), ("meta", "everything but blocks")):
            key = _kdf(epoch, label)
            comment = f"The {label} key of epoch {number}, for records of {user}."
            yield _case(f"{label}_key_of_{number}", "4", comment, key, **inputs)
            comment = f"The id by which records name that {label} key."
            yield _case(f"{label}_key_id_of_{number}", "4", comment, _prf(key, "key id")[:8], **inputs)


def _identifiers() -> Iterator[Case]:
    inputs = {"root": ROOT.hex(), "plain": _BLOCK.hex()}
    keyed = hmac.new(_kdf(ROOT, "id"), _BLOCK, hashlib.sha512).digest()
    comment = "In an encrypted repository: HMAC-SHA-512 of the plaintext alone, under the id key."
    yield _case("object_id_of_encrypted", "5", comment, keyed, encrypted="yes", **inputs)
    comment = "In an unencrypted repository: plain SHA-512."
    yield _case("object_id_of_clear", "5", comment, hashlib.sha512(_BLOCK).digest(), encrypted="no", **inputs)
    seed = int.from_bytes(_kdf(ROOT, "seed")[:8], "little")
    for size in (1, 200, len(_BLOCK)):
        block = _BLOCK[:size]
        answer = xxhash.xxh3_128(block, seed=seed).intdigest().to_bytes(16, "big")
        comment = f"XXH3-128 of {size} bytes with the seed, most significant byte first."
        yield _case(f"fingerprint_of_{size}", "2", comment, answer, root=ROOT.hex(), plain=block.hex())


def _from_slot() -> Iterator[Case]:
    decomposed = "Zur Sicherung: a\u0308o\u0308u\u0308\r\n"
    password = unicodedata.normalize("NFC", decomposed[:-2]).encode()
    costs = {"salt": _SALT.hex(), "passes": "1", "memory": str(_MEMORY)}
    kek = argon2id.kdf(32, password, _SALT, opslimit=1, memlimit=_MEMORY)
    comment = "KEK: argon2id of a passphrase given decomposed and with a line end; normalized to NFC, without it."
    yield _case("kek", "8.2", comment, kek, passphrase=decomposed.encode().hex(), **costs)
    header = fixed("slot header", 40)
    inputs = {"key": kek.hex(), "header": header.hex()}
    derived = _prf(kek, "slot", header)
    yield _case("slot_key", "8.2", "Bytes 0 to 31 of T: the slot's wrapping key.", derived[:32], **inputs)
    yield _case("slot_commitment", "8.2", "Bytes 32 to 63 of T: the commitment.", derived[32:], **inputs)
    secret = bytes(range(20))
    comment = "The same from a secret of 20 bytes, which is its own KEK."
    inputs = {"key": secret.hex(), "header": header.hex()}
    yield _case("slot_commitment_of_secret", "8.2", comment, _prf(secret, "slot", header)[32:], **inputs)
