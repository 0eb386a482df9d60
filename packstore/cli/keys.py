"""What the `key` commands share: from options to slots, and slots as people read them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import click

from packstore.cli.opening import open_keys, state_directory
from packstore.cli.options import Settings
from packstore.cli.versions import iso_date, local_time
from packstore.codec.keyring import EpochKeys
from packstore.codec.slots import KDF_COSTS
from packstore.format.document import SlotHeader
from packstore.operations.keys import KeyStore, announced, open_store
from packstore.repository.rollback import look_at_keys, note_keys
from packstore.repository.runtime import Runtime
from packstore.repository.sightings import Sightings

kdf_option = click.option(
    "--kdf",
    type=click.Choice(list(KDF_COSTS)),
    default="moderate",
    show_default=True,
    help="What a guess at the passphrase costs: 64 MiB, 256 MiB or 1 GiB of memory.",
)

UNSEEN: Final = "--quiet would keep the recovery key from being shown, and it is shown only once"


def open_key_store(settings: Settings) -> KeyStore:
    """Return the open keys of the repository.

    Raises:
        UsageError: it is not encrypted.
        RepositoryError: there is no repository.
        KeyUnavailable: no key, or a wrong one.
    """
    storage, keyring = open_keys(settings)
    return open_store(storage, keyring, Runtime())


@contextmanager
def changing(store: KeyStore, purpose: str) -> Iterator[None]:
    """Be a writer while keys change, and note the epochs that were made: they are not new to this host."""
    with announced(store, purpose):
        yield
    sightings = Sightings(state_directory(), store.keyring.repository_id, store.storage)
    note_keys(sightings, store.keyring, look_at_keys(sightings, store.keyring))


def reach(store: KeyStore) -> str:
    """Say what a slot opens that was just made with what is open here."""
    numbers = ", ".join(str(number) for number in sorted(store.keyring.foreign.values()))
    if not numbers:
        return "it opens everything that is stored"
    return f"it does NOT open epoch {numbers}: run `packstore key test` with a key that does"


def short(header: SlotHeader) -> str:
    """Return by what people call a slot."""
    return header.id.hex()[:8]


def day(date_ms: int) -> str:
    """Return a time as a person expects it: local, to the second."""
    return local_time(datetime.fromtimestamp(date_ms / 1000, UTC))


def epoch_document(epoch: EpochKeys) -> dict[str, Any]:
    """Return what `--json` says about an epoch."""
    return {
        "number": epoch.number,
        "id": epoch.data.id.hex(),
        "encryption_version": int(epoch.encryption),
        "date": iso_date(datetime.fromtimestamp(epoch.date_ms / 1000, UTC)),
    }
