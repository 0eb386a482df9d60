"""The files in `keys/`: slots and epochs, each stored twice. FORMAT.md sections 8.2, 8.3 and 13.6.

None of them ever changes. An epoch may be written again under another id, for one more slot or to take something
away; what counts is what all of them say together, so that copies of a repository can be merged.
Before: repository.documents. After: repository.opening, repository.creation.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import partial

from packstore.codec.key import Key
from packstore.codec.keyring import Keyring, derive_epoch
from packstore.errors import FormatError, StorageError, TamperedRepository
from packstore.format.document import (
    Document,
    DocumentType,
    Epoch,
    Slot,
    SlotHeader,
    check_document_mac,
    decode_epoch,
    decode_slot,
    encode_epoch,
    encode_slot,
)
from packstore.ids import Uid
from packstore.limits import MAX_EPOCHS, MAX_SLOTS
from packstore.repository.documents import key_name, key_uids, read_doubled, write_doubled
from packstore.storage.base import Storage


@dataclass
class KeyFiles:
    """The slots and epochs that can be read, each with its frame, by id; and the names of what cannot."""

    slots: dict[Uid, tuple[Document, Slot]] = field(default_factory=dict)
    epochs: dict[Uid, tuple[Document, Epoch]] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)


def read_key_files(storage: Storage, known: Collection[Uid] = ()) -> KeyFiles:
    """Read all there is in `keys/`, but for those whose ids are `known`. No MAC is checked.

    Raises:
        TamperedRepository: there are more than a repository can have.
        StorageError: `keys/` cannot be listed.
    """
    found = KeyFiles()
    for uid in key_uids(storage):
        if uid in known:
            continue
        name = key_name(uid)
        try:
            document, slot, _ = read_doubled(storage, name, DocumentType.SLOT, partial(_named_slot, name))
            found.slots[uid] = document, slot
        except (FormatError, StorageError):
            try:
                document, epoch, _ = read_doubled(storage, name, DocumentType.EPOCH, partial(_named_epoch, name))
                found.epochs[uid] = document, epoch
            except (FormatError, StorageError):
                found.unreadable.append(name)  # another slot or epoch may do; `check` says what is wrong with it
        if len(found.slots) > MAX_SLOTS or len(found.epochs) > MAX_EPOCHS:
            raise TamperedRepository("there are more slots or epochs than a repository can have")
    return found


def take_in_epochs(keyring: Keyring, files: KeyFiles) -> None:
    """Make the keys of epochs known.

    Raises:
        TamperedRepository: one carries a wrong MAC.
    """
    for document, epoch in files.epochs.values():
        require_mac(document, keyring, key_name(epoch.id))
    for _, epoch in files.epochs.values():
        try:
            keyring.take_in(epoch)
        except FormatError as error:
            raise TamperedRepository(f"{key_name(epoch.id)} was changed: {error.reason}") from error


def genuine_epochs(keyring: Keyring, files: KeyFiles) -> dict[Uid, tuple[Document, Epoch]]:
    """Return the epochs whose MAC is right, by id."""
    return {uid: pair for uid, pair in files.epochs.items() if check_document_mac(pair[0], keyring.keys_mac)}


def living_slots(keyring: Keyring, files: KeyFiles) -> list[SlotHeader]:
    """Return the slots to which a new epoch is sealed: genuine, and never removed, not in any copy."""
    return [
        slot.header
        for document, slot in files.slots.values()
        if slot.header.id not in keyring.removed and check_document_mac(document, keyring.keys_mac)
    ]


def write_slot(storage: Storage, keyring: Keyring, slot: Slot) -> None:
    """Publish a slot. Raises StorageError."""
    write_doubled(storage, key_name(slot.header.id), DocumentType.SLOT, encode_slot(slot), keyring.keys_mac)


def write_epoch(storage: Storage, keyring: Keyring, epoch: Epoch, secret: Key) -> Epoch:
    """Publish an epoch, with the ids of its keys, and with all that was ever taken away; return it.

    Said in one file only, that would be undone by deleting it.

    Raises:
        StorageError: it may or may not be there.
    """
    data, meta = derive_epoch(keyring.root, keyring.repository_id, epoch.number, secret, epoch.encryption)
    removed, retired = epoch.removed | keyring.removed, epoch.retired | keyring.retired
    epoch = replace(epoch, key_ids=(data.id, meta.id), removed=removed, retired=retired)
    write_doubled(storage, key_name(epoch.id), DocumentType.EPOCH, encode_epoch(epoch), keyring.keys_mac)
    return epoch


def require_mac(document: Document, keyring: Keyring, name: str) -> None:
    """Refuse a document that nobody who has the key has written.

    Raises:
        TamperedRepository: its MAC is wrong.
    """
    if not check_document_mac(document, keyring.keys_mac):
        message = f"{name} carries a wrong MAC: it was not written by anybody who has the key"
        raise TamperedRepository(message, advice="do not write to this repository; compare it with another copy")


def _named_slot(name: str, body: bytes) -> Slot:
    slot = decode_slot(body)
    _require_name(name, slot.header.id)
    return slot


def _named_epoch(name: str, body: bytes) -> Epoch:
    epoch = decode_epoch(body)
    _require_name(name, epoch.id)
    return epoch


def _require_name(name: str, uid: Uid) -> None:
    if name != key_name(uid):
        raise FormatError(name, "is another slot or epoch than its name says")
