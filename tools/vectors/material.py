"""Fixed keys, ids and nonces, and ways to spoil bytes. Nothing here is random, nothing is secret."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from packstore.checksum import checksum64
from packstore.codec.key import Key
from packstore.codec.keyring import Keyring
from packstore.codec.sodium import AEADS, seal
from packstore.format.record import (
    AUTHENTICATED_BYTES,
    HEADER_BYTES,
    Compression,
    Encryption,
    Kind,
    RecordHeader,
    encode_header,
)
from packstore.ids import ObjectId, Uid

DATE_MS: Final = 1_795_000_000_000
"""2026-11-18, as good a day as any."""


def fixed(name: str, size: int) -> bytes:
    """Return `size` bytes that depend on nothing but `name`."""
    return hashlib.shake_256(f"packstore vector: {name}".encode()).digest(size)


def stream(name: str) -> Callable[[int], bytes]:
    """Return a source of "random" bytes that gives the same ones each time it is made."""
    calls = iter(range(1 << 20))
    return lambda size: fixed(f"{name} {next(calls)}", size)


@dataclass(frozen=True)
class EpochSecret:
    """One epoch: its number, the encryption version of its records, its id and its secret X."""

    number: int
    encryption: Encryption
    id: Uid
    secret: bytes


@dataclass(frozen=True)
class Keys:
    """A repository's keys, as the lines of a vector and as a keyring."""

    repository_id: Uid
    root: bytes
    encrypted: bool
    epochs: tuple[EpochSecret, ...] = ()

    def inputs(self) -> dict[str, str]:
        """Return the header lines that give a reader these keys."""
        lines = {"repository_id": self.repository_id.hex(), "root": self.root.hex()}
        lines["encrypted"] = "yes" if self.encrypted else "no"
        for place, epoch in enumerate(self.epochs, 1):
            line = f"{epoch.number} {int(epoch.encryption)} {epoch.id.hex()} {epoch.secret.hex()}"
            lines[f"epoch_{place}"] = line
        return lines

    def keyring(self) -> Keyring:
        """Return the keyring."""
        ring = Keyring(self.repository_id, Key(self.root), encrypted=self.encrypted)
        for epoch in self.epochs:
            ring.add_epoch(epoch.number, Key(epoch.secret), epoch.encryption)
        return ring


REPOSITORY_ID: Final = Uid(fixed("repository id", 16))
ROOT: Final = fixed("root secret", 32)
OTHER_REPOSITORY_ID: Final = Uid(fixed("another repository id", 16))


def epoch_secret(number: int, encryption: Encryption) -> EpochSecret:
    """Return the epoch of that number and encryption version."""
    name = f"epoch {number} {int(encryption)}"
    return EpochSecret(number, encryption, Uid(fixed(f"{name} id", 16)), fixed(f"{name} secret", 32))


CLEAR: Final = Keys(REPOSITORY_ID, ROOT, encrypted=False)
XCHACHA: Final = Keys(REPOSITORY_ID, ROOT, True, (epoch_secret(1, Encryption.XCHACHA20_POLY1305),))
AEGIS: Final = Keys(REPOSITORY_ID, ROOT, True, (epoch_secret(1, Encryption.AEGIS_256),))
ROTATED: Final = Keys(
    REPOSITORY_ID,
    ROOT,
    True,
    (epoch_secret(1, Encryption.XCHACHA20_POLY1305), epoch_secret(2, Encryption.AEGIS_256)),
)
STRANGER: Final = Keys(OTHER_REPOSITORY_ID, ROOT, True, AEGIS.epochs)
"""The same root and epochs under another repository id: what was moved from there must not open here."""
BY_ENCRYPTION: Final = {
    Encryption.NONE: CLEAR,
    Encryption.XCHACHA20_POLY1305: XCHACHA,
    Encryption.AEGIS_256: AEGIS,
}


@dataclass(frozen=True)
class Record:
    """A record and what it was made from."""

    header: RecordHeader
    payload: bytes
    plain: bytes

    @property
    def data(self) -> bytes:
        """The bytes of header and payload."""
        return encode_header(self.header, self.payload) + self.payload

    def value(self) -> dict[str, object]:
        """Return what a reader must find."""
        fields = ("kind", "compression", "encryption", "plain_size", "payload_size", "key_id", "object_id")
        return {name: getattr(self.header, name) for name in fields} | {"plain": self.plain}


def make_record(
    keys: Keys,
    kind: Kind,
    plain: bytes,
    *,
    frame: bytes = b"",
    plain_size: int | None = None,
    object_id: ObjectId | None = None,
) -> Record:
    """Return the record of `plain`; with a `frame` it is stored as that frame. The last two make it lie."""
    ring = keys.keyring()
    key = ring.writing_key(kind)
    body = frame or plain
    overhead = sum(AEADS[key.encryption][:2]) if keys.encrypted else 0
    header = RecordHeader(
        kind=kind,
        compression=Compression.ZSTD if frame else Compression.RAW,
        encryption=key.encryption,
        plain_size=len(plain) if plain_size is None else plain_size,
        payload_size=len(body) + overhead,
        key_id=key.id,
        object_id=object_id or ring.object_id(plain),
    )
    if keys.encrypted:
        nonce = fixed(f"nonce {kind} {plain!r}", AEADS[key.encryption].nonce_size)
        body = seal(key.encryption, key.key, nonce, body, header.authenticated())
    return Record(header, body, plain)


def patch(data: bytes, at: int, new: bytes) -> bytes:
    """Return `data` with the bytes from `at` on replaced by `new`; a negative `at` counts from the end."""
    at += len(data) if at < 0 else 0
    return data[:at] + new + data[at + len(new) :]


def flip(data: bytes, at: int) -> bytes:
    """Return `data` with the lowest bit of the byte at `at` turned over."""
    return patch(data, at, bytes([data[at] ^ 1]))


def rechecked(record: bytes) -> bytes:
    """Return a record with the checksum that its other bytes demand: what an enemy would do."""
    checksum = checksum64((record[:AUTHENTICATED_BYTES], record[HEADER_BYTES:]))
    return patch(record, AUTHENTICATED_BYTES, checksum.to_bytes(8, "little"))


def rle_frame(byte: bytes, size: int) -> bytes:
    """Return a zstd frame of one repeated byte, written by hand so that no release of zstd can change it."""
    block = (size << 3 | 0b011).to_bytes(3, "little") + byte
    return bytes.fromhex("28b52ffda0") + size.to_bytes(4, "little") + block
