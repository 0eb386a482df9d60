"""The keys of an open repository. FORMAT.md section 4.

Everything derives from the root secret; the keys of records from the epochs. In an unencrypted repository
the root is public and stands in the repository file: fingerprints are still seeded and packs still carry a
MAC, which then proves no more than a checksum.
Before: codec.slots. After: codec.objectcodec, repository.opening.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final, NoReturn, SupportsIndex

from packstore.checksum import Buffer, fingerprint128
from packstore.codec.derivation import kdf, key_id, mac, prf
from packstore.codec.key import Key
from packstore.codec.slots import OpenSlot, open_epoch
from packstore.errors import FormatError, KeysUnreadable
from packstore.format.document import Epoch
from packstore.format.record import NO_KEY, Encryption, Kind
from packstore.ids import ObjectId, Uid


@dataclass(frozen=True)
class RecordKey:
    """A key for records, its id, and the encryption version of its epoch."""

    id: bytes
    encryption: Encryption
    key: Key


@dataclass(frozen=True)
class EpochKeys:
    """An epoch that is open: what it was made from, its two record keys, and the slots that open it."""

    number: int
    encryption: Encryption
    date_ms: int
    secret: Key
    data: RecordKey
    meta: RecordKey
    slots: set[Uid] = field(default_factory=set)

    def of_kind(self, kind: Kind) -> RecordKey:
        """Return the key for records of a kind."""
        return self.data if kind is Kind.BLOCK else self.meta

    @property
    def key_ids(self) -> frozenset[bytes]:
        """By what records name the keys of this epoch."""
        return frozenset({self.data.id, self.meta.id})


def derive_epoch(
    root: Key, repository_id: Uid, number: int, secret: Key, encryption: Encryption
) -> tuple[RecordKey, RecordKey]:
    """Return an epoch's data key and meta key."""
    epoch_key = kdf(root, "epoch", repository_id, number.to_bytes(4, "little") + secret.secret)
    data, meta = kdf(epoch_key, "data", repository_id), kdf(epoch_key, "meta", repository_id)
    return (
        RecordKey(key_id(data, repository_id), encryption, data),
        RecordKey(key_id(meta, repository_id), encryption, meta),
    )


_LACKING: Final = "open it with another key and run `packstore key test`, which gives each slot what it lacks"
_UNENCRYPTED = RecordKey(NO_KEY, Encryption.NONE, Key(b""))


class Keyring:
    """Computes ids, fingerprints and MACs, and finds the key of a record. Cannot be shown or pickled."""

    def __init__(self, repository_id: Uid, root: Key, *, encrypted: bool, slot: OpenSlot | None = None) -> None:
        """Derive what the root secret gives; with `slot`, epochs can be taken in."""
        self.repository_id = repository_id
        self.encrypted = encrypted
        self.root = root
        self.slot = slot
        self._id_key = kdf(root, "id", repository_id)
        self._seed = int.from_bytes(prf(root, "seed", repository_id)[:8], "little")
        self._pack_key = kdf(root, "pack", repository_id)
        self._keys_key = kdf(root, "keys", repository_id)
        self.domain = prf(root, "domain", repository_id)[:8]
        self.known: set[Uid] = set()
        self.removed: set[Uid] = set()
        self.retired: set[bytes] = set()
        self.present: dict[bytes, tuple[int, frozenset[bytes], set[Uid]]] = {}
        """All epochs that are there, by the id of their data key: number, ids of both keys, slots that open them."""
        self.missed: set[int] = set()
        """Numbers of epochs that were seen before and are gone."""
        self._epochs: dict[bytes, EpochKeys] = {}
        self._by_id: dict[tuple[bytes, bool], RecordKey] = {}

    def __repr__(self) -> str:
        return f"Keyring({self.repository_id.hex()})"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("keys are not pickled")

    @property
    def highest(self) -> int:
        """The highest number of an epoch, whether or not it is open; 0: there is none."""
        return max([*(number for number, _, _ in self.present.values()), *self.missed], default=0)

    @property
    def foreign(self) -> dict[bytes, int]:
        """The epochs that are there, not retired, and not open: by the id of the data key their numbers."""
        return {
            data_id: number
            for data_id, (number, key_ids, _) in self.present.items()
            if data_id not in self._epochs and not key_ids & self.retired
        }

    @property
    def exposed(self) -> bool:
        """Whether a slot that was removed opens the newest of the open epochs."""
        latest = self._usable()[-1:]
        return any(epoch.slots & self.removed for epoch in latest)

    @property
    def only_owners(self) -> bool:
        """Whether all who ever had a key of this repository still may have one, so that none of them is an enemy.

        Then what a record's encryption authenticates needs no other proof of who wrote it.
        """
        return self.encrypted and not self.removed

    @property
    def epochs(self) -> list[EpochKeys]:
        """The epochs that are open, the newest last: that of the highest number.

        Of two with one number, made in two copies, the one that no removed slot opens, and then the higher key id.
        """
        return sorted(
            self._epochs.values(), key=lambda epoch: (epoch.number, not epoch.slots & self.removed, epoch.data.id)
        )

    @property
    def newest(self) -> EpochKeys:
        """The epoch that new records are written in.

        Raises:
            KeysUnreadable: none is open, or there is a newer one that is not.
        """
        latest = self.latest
        if max(self.missed, default=0) > latest.number:
            raise KeysUnreadable(
                f"epoch {max(self.missed)}, seen here before, is gone: what is written in an older one may be readable "
                "to somebody whom it shut out",
                advice="bring it back with `packstore key import` or rsync; if it is meant to be gone, say `packstore "
                "status --accept-missing`",
            )
        if any(number >= latest.number for number in self.foreign.values()):
            raise KeysUnreadable(
                f"the newest epoch, {self.highest}, cannot be opened with this key, so nothing can be written",
                advice=_LACKING,
            )
        if self.exposed:
            raise KeysUnreadable(
                f"a slot that was removed in another copy opens the newest epoch, {latest.number}",
                advice="`packstore key rotate` starts one that it does not open",
            )
        return latest

    @property
    def latest(self) -> EpochKeys:
        """The newest epoch that is open, whether or not anything may be written in it.

        Raises:
            KeysUnreadable: none is open.
        """
        usable = self._usable()
        if not usable:
            raise KeysUnreadable("no epoch of this repository can be opened with this key", advice=_LACKING)
        return usable[-1]

    def _usable(self) -> list[EpochKeys]:
        return [epoch for epoch in self.epochs if not self.is_retired(epoch)]

    def take_in(self, epoch: Epoch) -> None:
        """Make the keys of an epoch known if it is sealed to the slot that is open, and what it takes away.

        Raises:
            FormatError: it is sealed to the slot, and its box does not open.
        """
        self.known.add(epoch.id)
        self.removed |= epoch.removed
        self.retired |= epoch.retired
        secret = None if self.slot is None else open_epoch(epoch, self.slot)
        if secret is not None:
            self.add_epoch(epoch.number, secret, epoch.encryption, date_ms=epoch.date_ms, slots=set(epoch.sealed))
            return
        # One that does not name its keys is some epoch of its own, for all that can be told.
        key_ids = epoch.key_ids or (epoch.id, epoch.id)
        _, _, slots = self.present.setdefault(key_ids[0], (epoch.number, frozenset(key_ids), set()))
        slots.update(epoch.sealed)

    def add_epoch(
        self, number: int, secret: Key, encryption: Encryption, *, date_ms: int = 0, slots: set[Uid] | None = None
    ) -> None:
        """Make the keys of an epoch known, and which slots open it."""
        data, meta = derive_epoch(self.root, self.repository_id, number, secret, encryption)
        found = EpochKeys(number, encryption, date_ms, secret, data, meta)
        known = self._epochs.setdefault(data.id, found)
        known.slots.update(slots or ())
        _, _, openers = self.present.setdefault(data.id, (number, known.key_ids, known.slots))
        known.slots.update(openers)
        self.present[data.id] = number, known.key_ids, known.slots
        self._by_id[data.id, True] = data
        self._by_id[meta.id, False] = meta

    def is_retired(self, epoch: EpochKeys) -> bool:
        """Say whether the records of an epoch are refused."""
        return bool(epoch.key_ids & self.retired)

    def object_id(self, plain: Buffer) -> ObjectId:
        """Return the id of an object: SHA-512, keyed in an encrypted repository."""
        if self.encrypted:
            return ObjectId(hmac.digest(self._id_key.secret, plain, hashlib.sha512))
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
            KeysUnreadable: the repository is encrypted and its newest epoch is not open.
        """
        if not self.encrypted:
            return _UNENCRYPTED
        return self.newest.of_kind(kind)

    def reading_key(self, kind: Kind, wanted: bytes, encryption: Encryption) -> RecordKey:
        """Return the key that a record names.

        Raises:
            FormatError: unencrypted in an encrypted repository or the reverse ("unencrypted"), an unknown
                key or one of a retired epoch ("unknown-key"), or an encryption version that is not its epoch's.
        """
        if (encryption is Encryption.NONE) == self.encrypted:
            reason = "unencrypted, in an encrypted repository" if self.encrypted else "encrypted, in a clear repository"
            raise FormatError("record", reason, failure="unencrypted")
        if not self.encrypted:
            return _UNENCRYPTED
        if wanted in self.retired:
            raise FormatError("record", f"names the key {wanted.hex()} of a retired epoch", failure="unknown-key")
        key = self._by_id.get((wanted, kind is Kind.BLOCK))
        if key is None:
            raise FormatError("record", f"names the unknown key {wanted.hex()}", failure="unknown-key")
        if key.encryption is not encryption:
            reason = f"encryption version {encryption} where its epoch has {key.encryption}"
            raise FormatError("record", reason, failure="unknown-key")
        return key
