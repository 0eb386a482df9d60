"""People with keys to one repository, and what they do with them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from packstore.codec.key import Key
from packstore.codec.keyring import Keyring
from packstore.codec.slots import Credential
from packstore.format.document import Slot, SlotKind
from packstore.format.record import Encryption
from packstore.ids import Uid
from packstore.operations.gc import GcOptions
from packstore.operations.key_migrate import Migration, migrate
from packstore.operations.key_retire import Retirement, retire_epoch
from packstore.operations.keys import (
    KeyReport,
    KeyStore,
    add_slot,
    announced,
    find_slot,
    open_store,
    remove_slot,
    report_keys,
    rotate,
)
from packstore.progress import NullProgress, StopRequest
from packstore.repository.opening import read_repository_file, unlock
from packstore.storage.base import Storage
from tests.support.worlds import SECRET, World, fixed_runtime


def secret(seed: int, kind: SlotKind = SlotKind.KEY_FILE) -> Credential:
    """A credential that no other seed gives."""
    return Credential.from_secret(Key(bytes([seed]) * 20), kind)


RECOVERY = secret(200, SlotKind.RECOVERY)
PASSPHRASE = Credential.from_passphrase("correct horse battery staple")


class KeyWorld(World):
    """A repository that is opened with a key that can be changed."""

    holder: Credential = SECRET

    @property
    def credential(self) -> Credential | None:
        """The key that it is opened with."""
        return self.holder

    @contextlib.contextmanager
    def as_(self, holder: Credential) -> Iterator["KeyWorld"]:
        """Open it with another key meanwhile, on a host of its own: an index knows what its owner could read."""
        before = self.holder, self.index_root
        self.holder = holder
        self.index_root = self.index_root.parent / f"index of {holder.material.secret.hex()}"
        try:
            yield self
        finally:
            self.holder, self.index_root = before

    def keyring(self) -> Keyring:
        """The keys as this holder sees them."""
        return unlock(self.storage, read_repository_file(self.storage), lambda _: self.holder, expect_encrypted=True)

    def store(self) -> KeyStore:
        """Open the keys."""
        return open_store(self.storage, self.keyring(), fixed_runtime())

    def report(self) -> KeyReport:
        """What `key ls` is made from."""
        return report_keys(self.store())

    def add(self, credential: Credential, label: str = "another") -> Uid:
        """As `key add`."""
        store = self.store()
        with announced(store, "key add"):
            return add_slot(store, credential, label=label, kdf="interactive")

    def rotate(self, encryption: Encryption | None = None) -> int:
        """As `key rotate`; returns the number of the epoch."""
        store = self.store()
        with announced(store, "key rotate"):
            return rotate(store, encryption).number

    def slot_of(self, credential: Credential) -> Slot:
        """The slot that a credential opens."""
        with self.as_(credential):
            own = next(slot.header for slot in self.report().slots if slot.own)
        return find_slot(self.store(), own.id.hex())

    def drop(self, credential: Credential) -> None:
        """As `key rm`."""
        slot, store = self.slot_of(credential), self.store()
        with announced(store, "key rm"):
            remove_slot(store, slot)

    def migrate(self, max_seconds: float | None = None) -> Migration:
        """As `key migrate`."""
        with self.open() as repository:
            options = GcOptions(renew=True, threads=self.threads, max_seconds=max_seconds)
            return migrate(repository, options, StopRequest(), NullProgress())

    def retire(self, spec: str) -> Retirement:
        """As `key retire`."""
        with self.open() as repository:
            return retire_epoch(repository, spec, StopRequest(), NullProgress())


def make_world(root: Path, storage: Storage) -> KeyWorld:
    """A repository with a key file."""
    world = KeyWorld(storage, root / "index")
    world.create()
    return world
