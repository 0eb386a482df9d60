"""Slots and epochs of a repository: list, add, remove, rotate. FORMAT.md sections 8.2, 8.3 and 13.6.

Whoever changes keys has one secret only. That is enough: an epoch is sealed to public keys, and slots never change.
Before: repository.keyfiles. After: the commands of `packstore key`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from packstore.codec.keyring import EpochKeys, Keyring
from packstore.codec.slots import KDF_COSTS, Credential, make_epoch, make_slot, open_epoch, open_slot, seal_epoch
from packstore.errors import (
    AmbiguousKey,
    KeyNotFound,
    KeyStillNeeded,
    NameNotFound,
    StorageGone,
    UsageError,
)
from packstore.format.document import Epoch, Slot, SlotHeader, SlotKind, check_document_mac
from packstore.format.record import Encryption
from packstore.ids import Uid
from packstore.limits import MAX_SLOTS
from packstore.repository.coordination import publish_intent
from packstore.repository.documents import COPY_SUFFIX, key_name
from packstore.repository.keyfiles import (
    KeyFiles,
    living_slots,
    read_key_files,
    take_in_epochs,
    write_epoch,
    write_slot,
)
from packstore.repository.runtime import Runtime
from packstore.storage.base import Storage

_MIN_PREFIX: Final = 4
"""Characters of an id; fewer are met by chance."""


@dataclass(frozen=True)
class KeyStore:
    """The keys of one repository, open, and where they lie."""

    storage: Storage
    keyring: Keyring
    runtime: Runtime


@dataclass(frozen=True)
class SlotState:
    """A slot as it stands. `lacks` are the epochs it cannot open; `own`: it opened the repository."""

    header: SlotHeader
    own: bool
    removed: bool
    genuine: bool
    lacks: list[EpochKeys]

    @property
    def living(self) -> bool:
        """Whether it counts: what is written from now on can be read with it."""
        return self.genuine and not self.removed


@dataclass
class KeyReport:
    """All slots and epochs; `unreadable` are names of files, `foreign` are epochs that the open slot cannot open."""

    slots: list[SlotState] = field(default_factory=list)
    epochs: list[EpochKeys] = field(default_factory=list)
    retired: set[bytes] = field(default_factory=set)
    unreadable: list[str] = field(default_factory=list)
    foreign: list[int] = field(default_factory=list)
    exposed: bool = False

    @property
    def living(self) -> list[SlotState]:
        """The slots that count."""
        return [slot for slot in self.slots if slot.living]

    def is_retired(self, epoch: EpochKeys) -> bool:
        """Say whether the records of an epoch are refused."""
        return bool(epoch.key_ids & self.retired)


def open_store(storage: Storage, keyring: Keyring, runtime: Runtime) -> KeyStore:
    """Return the keys of an encrypted repository.

    Raises:
        UsageError: it is not encrypted.
    """
    if not keyring.encrypted:
        advice = "to encrypt it, make a new repository with `packstore init` and copy into it with `packstore sync`"
        raise UsageError(f"the repository at {storage.location} is not encrypted: it has no keys", advice=advice)
    return KeyStore(storage, keyring, runtime)


@contextmanager
def announced(store: KeyStore, purpose: str) -> Iterator[None]:
    """Be a writer meanwhile: an epoch is not retired while somebody is giving it to a slot."""
    intent = publish_intent(store.storage, store.keyring, store.runtime, purpose)
    try:
        take_in_epochs(store.keyring, read_key_files(store.storage, store.keyring.known))
        yield
    finally:
        intent.withdraw()


def report_keys(store: KeyStore) -> KeyReport:
    """Return the state of all slots and epochs.

    Raises:
        TamperedRepository: an epoch was not written by anybody who has the key.
        StorageError: `keys/` cannot be read.
    """
    files = _read(store)
    keyring = store.keyring
    usable = [epoch for epoch in keyring.epochs if not keyring.is_retired(epoch)]
    report = KeyReport(
        epochs=keyring.epochs,
        retired=keyring.retired,
        unreadable=files.unreadable,
        foreign=sorted(keyring.foreign.values()),
        exposed=keyring.exposed,
    )
    for document, slot in sorted(files.slots.values(), key=lambda pair: (pair[1].header.date_ms, pair[1].header.id)):
        header = slot.header
        report.slots.append(
            SlotState(
                header=header,
                own=keyring.slot is not None and header.id == keyring.slot.id,
                removed=header.id in keyring.removed,
                genuine=check_document_mac(document, keyring.keys_mac),
                lacks=[epoch for epoch in usable if header.id not in epoch.slots],
            )
        )
    return report


def find_slot(store: KeyStore, spec: str) -> Slot:
    """Find a slot by its id, the beginning of it, or its label.

    Raises:
        KeyNotFound: there is none.
        AmbiguousKey: there are several.
    """
    slots = [slot for _, slot in read_key_files(store.storage).slots.values()]
    found = [slot for slot in slots if len(spec) >= _MIN_PREFIX and slot.header.id.hex().startswith(spec.lower())]
    found = found or [slot for slot in slots if slot.header.label == spec]
    if not found:
        raise KeyNotFound(f"there is no slot {spec!r}", advice="`packstore key ls` lists them")
    if len(found) > 1:
        ids = ", ".join(slot.header.id.hex()[:8] for slot in found)
        raise AmbiguousKey(f"{spec!r} names several slots: {ids}", advice="name it by its id")
    return found[0]


def add_slot(store: KeyStore, credential: Credential, *, label: str, kdf: str) -> Uid:
    """Make a slot for a credential, prove that it opens everything, and return its id.

    Its epochs come first: publishing the slot is what makes it exist, and it is never there without them.

    Raises:
        KeyStillNeeded: there are as many slots as there can be.
        UsageError: it is a secret that opens a slot already.
        StorageError: it may or may not be there; nothing else has changed.
    """
    keyring = store.keyring
    _refuse_twice(store, credential)
    if len(read_key_files(store.storage).slots) >= MAX_SLOTS:
        raise KeyStillNeeded(f"a repository has at most {MAX_SLOTS} slots", advice="remove one: `packstore key rm`")
    slot = make_slot(
        credential,
        keyring.repository_id,
        keyring.root,
        costs=KDF_COSTS[kdf],
        label=label,
        date_ms=store.runtime.now_ms(),
        random=store.runtime.random,
    )
    _grant(store, [*living_slots(keyring, _read(store)), slot.header])
    write_slot(store.storage, keyring, slot)
    complete(store)
    _prove(store, slot.header.id, credential)
    return slot.header.id


def _refuse_twice(store: KeyStore, credential: Credential) -> None:
    """Refuse a second slot for one secret: whoever removes one of them would believe that it opens nothing more.

    Passphrases are not compared: that costs seconds for each slot there is.
    """
    if credential.kind is SlotKind.PASSPHRASE:
        return
    files = _read(store)
    for header in living_slots(store.keyring, files):
        if open_slot(files.slots[header.id][1], credential, store.keyring.repository_id):
            message = f"this key opens slot {header.id.hex()[:8]} already"
            raise UsageError(message, advice="nothing is to be done; `packstore key ls` lists the slots")


def rotate(store: KeyStore, encryption: Encryption | None = None, *, without: Slot | None = None) -> EpochKeys:
    """Start an epoch, sealed to every living slot but `without`, which is removed by it; return it.

    Raises:
        KeysUnreadable: the newest epoch cannot be opened with this key.
        StorageError: the epoch may or may not be there.
    """
    keyring = store.keyring
    latest = keyring.latest
    gone = {without.header.id} if without else set()
    slots = [header for header in living_slots(keyring, _read(store)) if header.id not in gone]
    epoch, secret = make_epoch(
        keyring.highest + 1,
        encryption or latest.encryption,
        slots,
        date_ms=store.runtime.now_ms(),
        random=store.runtime.random,
        removed=gone,
    )
    keyring.take_in(write_epoch(store.storage, keyring, epoch, secret))
    # Known to whoever made it, even where their own slot was removed: it is not new to this host when they come back.
    keyring.add_epoch(epoch.number, secret, epoch.encryption, date_ms=epoch.date_ms, slots=set(epoch.sealed))
    complete(store)
    return keyring.latest


def require_removable(store: KeyStore, slot: Slot) -> None:
    """Refuse to remove the last slot.

    Raises:
        KeyStillNeeded: no other one could open the repository.
    """
    living = {header.id for header in living_slots(store.keyring, _read(store))}
    if not living - {slot.header.id}:
        advice = "add another one first: `packstore key add`"
        raise KeyStillNeeded("this is the last slot: without it nobody could read anything any more", advice=advice)
    for number, key_ids, openers in store.keyring.present.values():
        if openers & living == {slot.header.id} and not key_ids & store.keyring.retired:
            advice = "give it to the others first: `packstore key test` with the passphrase or key file of this slot"
            raise KeyStillNeeded(f"no other slot opens epoch {number}", advice=advice)


def remove_slot(store: KeyStore, slot: Slot) -> None:
    """Remove a slot: first an epoch that it does not open, then its file.

    Raises:
        KeyStillNeeded: it is the last one.
        StorageError: it is removed once the epoch is there, whether or not its file still is.
    """
    if slot.header.id not in store.keyring.removed:
        require_removable(store, slot)
        rotate(store, without=slot)
    complete(store)


def complete(store: KeyStore) -> list[Uid]:
    """Give every living slot the epochs that it lacks, and delete the files of removed slots; return who got any.

    A removed slot stays for as long as no living one opens some epoch: what was written in that would be lost.

    What is lacking comes from copies that were changed apart and merged, and from two changes at the same moment.

    Raises:
        StorageError: what was done is done; the rest is done the next time.
    """
    keyring = store.keyring
    files = _read(store)
    granted = _grant(store, living_slots(keyring, files))
    living = {header.id for header in living_slots(keyring, files)}
    needed = {
        uid
        for _, key_ids, openers in keyring.present.values()
        if not openers & living and not key_ids & keyring.retired
        for uid in openers
    }
    for uid in (files.slots.keys() & keyring.removed) - needed:
        for name in (key_name(uid), key_name(uid) + COPY_SUFFIX):
            try:
                store.storage.delete(name)
            except NameNotFound:
                continue
    return granted


def _grant(store: KeyStore, slots: list[SlotHeader]) -> list[Uid]:
    """Write each epoch again that one of these slots lacks: for all of them, so that each sees that nothing is."""
    granted: set[Uid] = set()
    for epoch in store.keyring.epochs:
        lacking = [header for header in slots if header.id not in epoch.slots]
        if store.keyring.is_retired(epoch) or not lacking:
            continue
        write_again(store, epoch, slots)
        granted.update(header.id for header in lacking)
    return sorted(granted)


def write_again(
    store: KeyStore, epoch: EpochKeys, slots: list[SlotHeader], *, retired: frozenset[bytes] = frozenset()
) -> None:
    """Write an epoch again, under another id: sealed to more slots, or to say which epochs are retired.

    Raises:
        StorageError: it may or may not be there; either does no harm.
    """
    bare = Epoch(store.runtime.new_uid(), epoch.number, epoch.encryption, epoch.date_ms, {}, retired=retired)
    again = seal_epoch(bare, epoch.secret, slots)
    store.keyring.take_in(write_epoch(store.storage, store.keyring, again, epoch.secret))
    epoch.slots.update(again.sealed)


def _read(store: KeyStore) -> KeyFiles:
    """Read all of `keys/`, and take in what is new of the epochs."""
    files = read_key_files(store.storage)
    new = KeyFiles(epochs={uid: pair for uid, pair in files.epochs.items() if uid not in store.keyring.known})
    take_in_epochs(store.keyring, new)
    return files


def _prove(store: KeyStore, slot_id: Uid, credential: Credential) -> None:
    """Open a slot that was just written, and with it every epoch, as the next client will.

    Raises:
        StorageGone: it does not read back as it was written.
    """
    keyring = store.keyring
    files = read_key_files(store.storage)
    found = files.slots.get(slot_id)
    opened = open_slot(found[1], credential, keyring.repository_id) if found else None
    if opened is None or opened.root != keyring.root:
        raise StorageGone(f"the slot just written to {store.storage.location} does not open as it should")
    secrets = [open_epoch(epoch, opened) for _, epoch in files.epochs.values()]
    for epoch in keyring.epochs:
        if not keyring.is_retired(epoch) and epoch.secret not in secrets:
            raise StorageGone(f"the slot just written to {store.storage.location} does not open epoch {epoch.number}")
