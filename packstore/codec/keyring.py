"""The keys of an open repository. FORMAT.md section 4.

Everything derives from the root secret; the keys of records from the epochs. In an unencrypted repository
the root is public and stands in the repository file: fingerprints are still seeded and packs still carry a
MAC, which then proves no more than a checksum.
Before: codec.slots. After: codec.objectcodec, repository.opening.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import NoReturn

from packstore.checksum import Buffer, fingerprint128
from packstore.codec.derivation import kdf, key_id, mac
from packstore.errors import FormatError, KeysUnreadable
from packstore.format.record import NO_KEY, Encryption, Kind
from packstore.ids import ObjectId, Uid


@dataclass(frozen=True)
class RecordKey:
    """A key for records, its id, and the encryption version of its epoch. The repr is silent."""

    id: bytes
    encryption: Encryption
    key: bytes

    def __repr__(self) -> str:
        return f"RecordKey({self.id.hex()})"


@dataclass(frozen=True)
class EpochKeys:
    """The two record keys of one epoch."""

    number: int
    id: Uid
    data: RecordKey
    meta: RecordKey

    def of_kind(self, kind: Kind) -> RecordKey:
        """Return the key for records of a kind."""
        return self.data if kind is Kind.BLOCK else self.meta


def derive_epoch(
    root: bytes, repository_id: Uid, number: int, secret: bytes, encryption: Encryption
) -> tuple[RecordKey, RecordKey]:
    """Return an epoch's data key and meta key."""
    epoch_key = kdf(root, "epoch", repository_id, number.to_bytes(4, "little") + secret)
    data, meta = kdf(epoch_key, "data", repository_id), kdf(epoch_key, "meta", repository_id)
    return (
        RecordKey(key_id(data, repository_id), encryption, data),
        RecordKey(key_id(meta, repository_id), encryption, meta),
    )


_UNENCRYPTED = RecordKey(NO_KEY, Encryption.NONE, b"")


class Keyring:
    """Computes ids, fingerprints and MACs, and finds the key of a record. Cannot be shown or pickled."""

    def __init__(self, repository_id: Uid, root: bytes, *, encrypted: bool) -> None:
        self.repository_id = repository_id
        self.encrypted = encrypted
        self._root = root
        self._id_key = kdf(root, "id", repository_id)
        self._seed = int.from_bytes(kdf(root, "seed", repository_id)[:8], "little")
        self._pack_key = kdf(root, "pack", repository_id)
        self._keys_key = kdf(root, "keys", repository_id)
        self.domain = kdf(root, "domain", repository_id)[:8]
        self.epochs: list[EpochKeys] = []
        self._by_id: dict[tuple[bytes, bool], RecordKey] = {}

    def __repr__(self) -> str:
        return f"Keyring({self.repository_id.hex()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are not pickled")

    def add_epoch(self, number: int, epoch_id: Uid, secret: bytes, encryption: Encryption) -> None:
        """Make the keys of an epoch known; the newest is the one that writes."""
        data, meta = derive_epoch(self._root, self.repository_id, number, secret, encryption)
        self.epochs.append(EpochKeys(number, epoch_id, data, meta))
        self.epochs.sort(key=lambda epoch: (epoch.number, epoch.id))
        self._by_id[data.id, True] = data
        self._by_id[meta.id, False] = meta

    def object_id(self, plain: Buffer) -> ObjectId:
        """Return the id of an object: SHA-512, keyed in an encrypted repository."""
        if self.encrypted:
            return ObjectId(hmac.digest(self._id_key, plain, hashlib.sha512))
        return ObjectId(hashlib.sha512(plain).digest())

    def fingerprint(self, block: Buffer) -> bytes:
        """Return the 16-byte fingerprint of a block."""
        return fingerprint128(self._seed, block)

    def pack_mac(self, message: bytes) -> bytes:
        """Return the MAC for packs and lists."""
        return mac(self._pack_key, self.repository_id, message)

    def keys_mac(self, message: bytes) -> bytes:
        """Return the MAC for the repository file, slots, epochs and intents."""
        return mac(self._keys_key, self.repository_id, message)

    def writing_key(self, kind: Kind) -> RecordKey:
        """Return the key that new records of a kind are written with: that of the newest epoch.

        Raises:
            KeysUnreadable: the repository is encrypted and no epoch could be opened.
        """
        if not self.encrypted:
            return _UNENCRYPTED
        if not self.epochs:
            raise KeysUnreadable("no epoch of this repository could be opened with this key")
        return self.epochs[-1].of_kind(kind)

    def reading_key(self, kind: Kind, wanted: bytes, encryption: Encryption) -> RecordKey:
        """Return the key that a record names.

        Raises:
            FormatError: unencrypted in an encrypted repository or the reverse ("unencrypted"), an unknown
                key ("unknown-key"), or an encryption version that is not its epoch's.
        """
        if (encryption is Encryption.NONE) == self.encrypted:
            reason = "unencrypted, in an encrypted repository" if self.encrypted else "encrypted, in a clear repository"
            raise FormatError("record", reason, failure="unencrypted")
        if not self.encrypted:
            return _UNENCRYPTED
        key = self._by_id.get((wanted, kind is Kind.BLOCK))
        if key is None:
            raise FormatError("record", f"names the unknown key {wanted.hex()}", failure="unknown-key")
        if key.encryption is not encryption:
            reason = f"encryption version {encryption} where its epoch has {key.encryption}"
            raise FormatError("record", reason, failure="unknown-key")
        return key
