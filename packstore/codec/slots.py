"""Slots and epochs: how a passphrase or a secret leads to the keys. FORMAT.md sections 8.2 and 8.3.

A slot wraps what never changes: the root secret and the slot's own X25519 secret. An epoch's secret is
sealed to the public key of every slot, so a new epoch needs no other slot's passphrase. It may be written again: for
one more slot, or to say more about others.
Before: format.document. After: codec.keyring.
"""

import hmac
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from packstore.codec.derivation import prf
from packstore.codec.key import Key
from packstore.codec.secret import SECRET_BYTES
from packstore.codec.sodium import argon2id, box_open, box_public_key, box_seal, seal, unseal
from packstore.errors import FormatError, UsageError
from packstore.format.document import Epoch, Slot, SlotHeader, SlotKind, encode_slot_header
from packstore.format.record import Encryption
from packstore.ids import Uid
from packstore.limits import GIB, MIB

Random = Callable[[int], bytes]
"""Returns so many random bytes; injected, so that vectors can be made."""

KIND_WORDS: Final = {
    SlotKind.PASSPHRASE: "passphrase",
    SlotKind.KEY_FILE: "key file",
    SlotKind.RECOVERY: "recovery key",
}
"""What people call that which opens a slot; its label, too, unless they choose another."""

ROOT_BYTES: Final = 32
_NONCE_BYTES: Final = 24

KDF_COSTS: Final = {"interactive": (2, 64 * MIB), "moderate": (3, 256 * MIB), "sensitive": (4, 1 * GIB)}
"""Passes and memory in bytes of argon2id, by name."""


@dataclass(frozen=True)
class Credential:
    """What a person or a file offers to open a slot."""

    kind: SlotKind
    material: Key

    @classmethod
    def from_passphrase(cls, passphrase: str) -> "Credential":
        """Make one from a passphrase: NFC, UTF-8, one final newline taken off.

        Raises:
            UsageError: the passphrase is empty, or not Unicode.
        """
        text = unicodedata.normalize("NFC", passphrase.removesuffix("\n").removesuffix("\r"))
        if not text:
            raise UsageError("an empty passphrase protects nothing")
        try:
            return cls(SlotKind.PASSPHRASE, Key(text.encode()))
        except UnicodeEncodeError:
            raise UsageError("the passphrase is not valid UTF-8") from None

    @classmethod
    def from_secret(cls, secret: Key, kind: SlotKind = SlotKind.KEY_FILE) -> "Credential":
        """Make one from the 20 bytes of a key file or a recovery key."""
        if len(secret.secret) != SECRET_BYTES:
            raise UsageError(f"a secret has {SECRET_BYTES} bytes")
        return cls(kind, secret)

    def can_open(self, kind: SlotKind) -> bool:
        """Say whether it is worth trying on a slot of this kind: secrets fit both kinds that take one."""
        return (self.kind is SlotKind.PASSPHRASE) == (kind is SlotKind.PASSPHRASE)


@dataclass(frozen=True)
class OpenSlot:
    """What a slot wraps: the root secret, and the secret to which epochs are sealed."""

    id: Uid
    root: Key
    box_secret: Key


def make_slot(
    credential: Credential,
    repository_id: Uid,
    root: Key,
    *,
    costs: tuple[int, int],
    label: str,
    date_ms: int,
    random: Random,
) -> Slot:
    """Wrap the root secret under a credential; `costs` are passes and bytes of memory of argon2id."""
    box_secret = Key(random(32))
    passes, memory = costs if credential.kind is SlotKind.PASSPHRASE else (0, 0)
    header = SlotHeader(
        id=Uid(random(16)),
        kind=credential.kind,
        salt=random(16),
        passes=passes,
        memory=memory,
        public_key=box_public_key(box_secret),
        date_ms=date_ms,
        label=label,
    )
    header_bytes = encode_slot_header(header)
    key, commitment = _wrapping_key(credential, header, header_bytes, repository_id)
    nonce = random(_NONCE_BYTES)
    sealed = seal(Encryption.XCHACHA20_POLY1305, key, nonce, root.secret + box_secret.secret, header_bytes)
    return Slot(header, header_bytes, commitment, nonce, sealed[_NONCE_BYTES:])


def open_slot(slot: Slot, credential: Credential, repository_id: Uid) -> OpenSlot | None:
    """Open a slot; None if the credential is not the one it was made with.

    Raises:
        FormatError: the credential is right and the slot is damaged or forged.
    """
    if not credential.can_open(slot.header.kind):
        return None
    key, commitment = _wrapping_key(credential, slot.header, slot.header_bytes, repository_id)
    if not hmac.compare_digest(commitment, slot.commitment):
        return None
    body = Key(unseal(Encryption.XCHACHA20_POLY1305, key, slot.nonce + slot.sealed, slot.header_bytes))
    opened = OpenSlot(slot.header.id, Key(body.secret[:ROOT_BYTES]), Key(body.secret[ROOT_BYTES:]))
    if box_public_key(opened.box_secret) != slot.header.public_key:
        raise FormatError("slot", "its public key is not that of its secret")
    return opened


def _wrapping_key(
    credential: Credential, header: SlotHeader, header_bytes: bytes, repository_id: Uid
) -> tuple[Key, bytes]:
    """Return the key of a slot's body, and what it is recognised by."""
    material = credential.material
    if header.kind is SlotKind.PASSPHRASE:
        material = argon2id(material, header.salt, header.passes, header.memory)
    derived = Key(prf(material, "slot", repository_id, header_bytes))
    return Key(derived.secret[:32]), derived.secret[32:]


def make_epoch(
    number: int,
    encryption: Encryption,
    slots: list[SlotHeader],
    *,
    date_ms: int,
    random: Random,
    removed: Iterable[Uid] = (),
) -> tuple[Epoch, Key]:
    """Make an epoch sealed to `slots`; return it and its 32-byte secret. `removed` are slots that nothing is sealed to.

    Raises:
        FormatError: the public key of a slot is no valid one.
    """
    epoch = Epoch(Uid(random(16)), number, encryption, date_ms, {}, frozenset(removed))
    secret = Key(random(32))
    return seal_epoch(epoch, secret, slots), secret


def seal_epoch(epoch: Epoch, secret: Key, slots: list[SlotHeader]) -> Epoch:
    """Return the epoch with its secret sealed to `slots`.

    Raises:
        FormatError: the public key of a slot is no valid one.
    """
    return replace(epoch, sealed={slot.id: box_seal(secret, slot.public_key) for slot in slots})


def open_epoch(epoch: Epoch, slot: OpenSlot) -> Key | None:
    """Return an epoch's secret; None if the epoch was not sealed to this slot.

    Raises:
        FormatError: it was, and the box does not open.
    """
    sealed = epoch.sealed.get(slot.id)
    return None if sealed is None else box_open(sealed, slot.box_secret)
