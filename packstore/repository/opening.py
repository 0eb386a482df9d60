"""Open a repository: its file, its keys. FORMAT.md sections 8 and 11, order of reads in 13.

Whoever offers a key and is shown a repository that claims to need none is being deceived: refused.
Before: repository.documents. After: repository.repository.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from packstore.codec.key import Key
from packstore.codec.keyring import Keyring
from packstore.codec.slots import Credential, OpenSlot, open_slot
from packstore.errors import (
    FormatError,
    KeysUnreadable,
    NameNotFound,
    RepositoryNotFound,
    RepositoryUnreadable,
    TamperedRepository,
    UnsupportedFormat,
    WrongKey,
)
from packstore.format.document import (
    Document,
    DocumentType,
    RepositoryFile,
    SlotKind,
    decode_repository,
)
from packstore.ids import Uid
from packstore.repository.documents import REPOSITORY_NAME, key_name, read_doubled
from packstore.repository.keyfiles import KeyFiles, read_key_files, require_mac, take_in_epochs
from packstore.storage.base import Storage

_KEYS: Final = (
    "copy the files of keys/ that are damaged or missing from another copy of the repository: they are the same there; "
    "or bring them back with `packstore key import`; `packstore check --keyless` names the damaged ones"
)
_ANOTHER: Final = (
    "look for typing errors, also in a recovery key; any of its passphrases, key files and recovery keys will do. "
    "If its slot in keys/ is lost, `packstore key import` brings it back"
)
AskCredential = Callable[[set[SlotKind]], Credential]
"""Asked for a credential, told which kinds of slot there are; called only for an encrypted repository."""


@dataclass(frozen=True)
class OpenedFile:
    """The repository file, its frame, and what is wrong with either of its copies."""

    file: RepositoryFile
    document: Document
    faults: list[str]


def read_repository_file(storage: Storage) -> OpenedFile:
    """Read the repository file.

    Raises:
        RepositoryNotFound: there is none.
        UnsupportedFormat: it is of a newer format, or needs a feature unknown here.
        RepositoryUnreadable: both copies are damaged.
    """
    try:
        document, file, faults = read_doubled(storage, REPOSITORY_NAME, DocumentType.REPOSITORY, decode_repository)
    except NameNotFound:
        message = f"there is no repository at {storage.location}"
        advice = "is its disk mounted? `packstore init` makes a new one"
        raise RepositoryNotFound(message, advice=advice) from None
    except FormatError as error:
        if error.failure == "unsupported":
            message = f"the repository at {storage.location} needs a newer packstore: {error.reason}"
            raise UnsupportedFormat(message) from error
        message = f"the repository file at {storage.location} is damaged, and so is its copy: {error.reason}"
        raise RepositoryUnreadable(message, advice="bring back either from another copy of the repository") from error
    if file.features["read"]:
        message = f"the repository at {storage.location} needs the unknown feature {file.features['read'][0]!r}"
        raise UnsupportedFormat(message, advice="use a newer packstore")
    return OpenedFile(file, document, faults)


def unlock(
    storage: Storage, opened: OpenedFile, ask: AskCredential, *, expect_encrypted: bool, first: Uid | None = None
) -> Keyring:
    """Return the keys of a repository; of the slots `first` is tried first.

    Raises:
        WrongKey: the credential opens no slot.
        KeysUnreadable: no slot or no epoch can be read, or that of the credential may be among those that cannot.
        TamperedRepository: a MAC is wrong, or it claims not to be encrypted to someone who has a key.
    """
    file = opened.file
    if file.root is not None:
        if expect_encrypted:
            message = f"the repository at {storage.location} claims not to be encrypted, and you have a key for it"
            raise TamperedRepository(message, advice="if it really is not encrypted, unset the passphrase and key file")
        keyring = Keyring(file.id, Key(file.root), encrypted=False)
        require_mac(opened.document, keyring, REPOSITORY_NAME)
        return keyring
    files = read_key_files(storage)
    if not files.slots:
        raise KeysUnreadable(f"no key slot of the repository at {storage.location} can be read", advice=_KEYS)
    kinds = {slot.header.kind for _, slot in files.slots.values()}
    if first in files.slots:
        files.slots = {first: files.slots[first]} | files.slots
    document, slot = _open_any(files, ask(kinds), opened, storage)
    keyring = Keyring(file.id, slot.root, encrypted=True, slot=slot)
    require_mac(opened.document, keyring, REPOSITORY_NAME)
    require_mac(document, keyring, key_name(slot.id))
    take_in_epochs(keyring, files)
    keyring.known.update(files.slots)
    if not keyring.epochs:
        raise KeysUnreadable("no epoch of the repository can be opened with this key", advice=_KEYS)
    return keyring


def _open_any(
    files: KeyFiles, credential: Credential, opened: OpenedFile, storage: Storage
) -> tuple[Document, OpenSlot]:
    for document, slot in files.slots.values():
        if not credential.can_open(slot.header.kind):
            continue
        try:
            found = open_slot(slot, credential, opened.file.id)
        except FormatError as error:
            raise TamperedRepository(f"{key_name(slot.header.id)} was changed: {error.reason}") from error
        if found is not None:
            return document, found
    what = {SlotKind.PASSPHRASE: "passphrase", SlotKind.KEY_FILE: "key file", SlotKind.RECOVERY: "recovery key"}
    if files.unreadable:
        names = ", ".join(files.unreadable)
        message = f"this {what[credential.kind]} opens no slot that can be read; {names} cannot be read, nor its copy"
        raise KeysUnreadable(message, advice=f"use another key, if there is one; {_KEYS}")
    message = f"this {what[credential.kind]} does not open the repository at {storage.location}"
    raise WrongKey(message, advice=_ANOTHER)
