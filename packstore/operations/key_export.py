"""Take slots and epochs out of a repository, and bring them back: for when `keys/` is lost. FORMAT.md section 8.6.

What is exported is wrapped: useless without a passphrase or secret, and enough with one.
Before: repository.keyfiles. After: the command line.
"""

from collections.abc import Callable
from dataclasses import dataclass

from packstore.codec.keyring import Keyring
from packstore.codec.slots import Credential, OpenSlot, open_slot
from packstore.errors import (
    FormatError,
    KeysUnreadable,
    NameNotFound,
    RepositoryError,
    RepositoryNotFound,
    StorageError,
    TamperedRepository,
    WrongKey,
)
from packstore.format.document import (
    Document,
    DocumentType,
    RepositoryFile,
    Slot,
    SlotKind,
    check_document_mac,
    decode_document,
    decode_epoch,
    decode_repository,
    decode_slot,
    encode_document,
)
from packstore.format.export import Export, decode_export, encode_export
from packstore.ids import Uid
from packstore.operations.keys import KeyStore
from packstore.packs.names import BLOCKS_PREFIX, META_PREFIX
from packstore.repository.documents import COPY_SUFFIX, KEYS_PREFIX, REPOSITORY_NAME, key_name, move_aside
from packstore.repository.keyfiles import KeyFiles, genuine_epochs, read_key_files, take_in_epochs
from packstore.storage.base import Storage


@dataclass(frozen=True)
class Exported:
    """An export as bytes, and what is in it."""

    data: bytes
    slots: list[Slot]
    epochs: int


@dataclass(frozen=True)
class _Parsed:
    """What an export holds: the repository file, and slots and epochs with their bytes."""

    repository: tuple[Document, RepositoryFile, bytes]
    files: KeyFiles
    data: dict[Uid, bytes]


def export_keys(store: KeyStore, only: Slot | None = None) -> Exported:
    """Return all slots and epochs of a repository as one document; of the slots perhaps one only.

    Raises:
        StorageError: they cannot be read.
    """
    files = read_key_files(store.storage)
    slots = [slot for _, slot in files.slots.values() if only is None or slot.header.id == only.header.id]
    uids = [*(slot.header.id for slot in slots), *files.epochs]
    keys = [_readable(store.storage, key_name(uid)) for uid in uids]
    export = Export(_readable(store.storage, REPOSITORY_NAME), keys)
    data = encode_document(DocumentType.EXPORT, encode_export(export), store.keyring.keys_mac)
    return Exported(data, slots, len(files.epochs))


def _readable(storage: Storage, name: str) -> bytes:
    """Return the bytes of whichever copy is whole."""
    for candidate in (name, name + COPY_SUFFIX):
        try:
            data = storage.read(candidate)
            _any_document(data)
        except (FormatError, NameNotFound):
            continue
        return data
    raise NameNotFound(f"{name}: neither it nor its copy can be read")


def _any_document(data: bytes) -> Document:
    for document_type in (DocumentType.SLOT, DocumentType.EPOCH):
        try:
            return decode_document(data, document_type)
        except FormatError:
            continue
    return decode_document(data, DocumentType.REPOSITORY)


def import_keys(storage: Storage, data: bytes, ask: Callable[[set[SlotKind]], Credential]) -> list[str]:
    """Bring back what is missing or damaged of the repository file, slots and epochs; return the names written.

    Nothing is written before a slot of the export has been opened, and all that is in it, and the repository it is
    written to, have proven to belong to the root secret inside: a stranger's slot would be sealed to ever after.

    Raises:
        FormatError: it is not an export.
        WrongKey: the credential opens no slot of it.
        TamperedRepository: something in it, or the repository, is not of this root secret.
        RepositoryError: there is no repository, or it is another one.
    """
    frame = decode_document(data, DocumentType.EXPORT)
    parsed = _parse(decode_export(frame.body))
    document, file, repository_bytes = parsed.repository
    if not parsed.files.slots:
        raise KeysUnreadable("there is no slot in this export")
    opened = _open(parsed.files, ask({slot.header.kind for _, slot in parsed.files.slots.values()}), file)
    keyring = Keyring(file.id, opened.root, encrypted=True, slot=opened)
    frames = [frame, document, *(each for each, _ in parsed.files.slots.values())]
    if not all(check_document_mac(each, keyring.keys_mac) for each in frames):
        raise TamperedRepository("this export carries a wrong MAC: it was not written by anybody who has the key")
    take_in_epochs(keyring, parsed.files)
    wanted = _repository_names(storage, keyring, file, repository_bytes)
    there = read_key_files(storage)
    take_in_epochs(keyring, KeyFiles(epochs=genuine_epochs(keyring, there)))
    for uid, content in parsed.data.items():
        if uid not in keyring.removed:
            wanted |= {key_name(uid): content, key_name(uid) + COPY_SUFFIX: content}
    storage.prepare([KEYS_PREFIX])  # the directory may be lost with all that was in it
    return _write(storage, keyring, wanted)


def _parse(export: Export) -> _Parsed:
    document = decode_document(export.repository, DocumentType.REPOSITORY)
    parsed = _Parsed((document, decode_repository(document.body), export.repository), KeyFiles(), {})
    for content in export.keys:
        frame = _any_document(content)
        if frame.type is DocumentType.SLOT:
            slot = decode_slot(frame.body)
            parsed.files.slots[slot.header.id] = frame, slot
            parsed.data[slot.header.id] = content
        elif frame.type is DocumentType.EPOCH:
            epoch = decode_epoch(frame.body)
            parsed.files.epochs[epoch.id] = frame, epoch
            parsed.data[epoch.id] = content
        else:
            raise FormatError("export", "holds what is neither a slot nor an epoch")
    return parsed


def _open(files: KeyFiles, credential: Credential, file: RepositoryFile) -> OpenSlot:
    for _, slot in files.slots.values():
        try:
            opened = open_slot(slot, credential, file.id)
        except FormatError as error:
            raise TamperedRepository(f"a slot in this export was changed: {error.reason}") from error
        if opened is not None:
            return opened
    raise WrongKey("this passphrase or key opens no slot of the export; nothing was written")


def _repository_names(storage: Storage, keyring: Keyring, file: RepositoryFile, content: bytes) -> dict[str, bytes]:
    """Return what is to be written of the repository file, after proving that this is the export's repository.

    Raises:
        RepositoryNotFound: there is none.
        RepositoryError: it is another one.
        TamperedRepository: it has this id and another root secret.
    """
    whole = []
    for name in (REPOSITORY_NAME, REPOSITORY_NAME + COPY_SUFFIX):
        try:
            document = decode_document(storage.read(name), DocumentType.REPOSITORY)
            found = decode_repository(document.body)
        except (FormatError, NameNotFound):
            continue
        if found.id != file.id:
            message = f"this is an export of repository {file.id.hex()}, and at {storage.location} is {found.id.hex()}"
            raise RepositoryError(message, advice="name the repository that it was made of with -r")
        if not check_document_mac(document, keyring.keys_mac):
            raise TamperedRepository(f"{name} carries a wrong MAC: it was not written by anybody who has the key")
        whole.append(name)
    if not whole and not any(True for prefix in (META_PREFIX, BLOCKS_PREFIX) for _ in storage.list_files(prefix)):
        message = f"there is no repository at {storage.location}"
        raise RepositoryNotFound(message, advice="is its disk mounted? keys come back only to where packs are")
    return {REPOSITORY_NAME: content, REPOSITORY_NAME + COPY_SUFFIX: content}


def _write(storage: Storage, keyring: Keyring, wanted: dict[str, bytes]) -> list[str]:
    storage.prepare([KEYS_PREFIX])  # it may have been lost as a whole
    written = []
    for name, content in wanted.items():
        if _is_whole(storage, keyring, name):
            continue
        if storage.exists(name):
            move_aside(storage, name)
        storage.put(name, content)
        written.append(name)
    return written


def _is_whole(storage: Storage, keyring: Keyring, name: str) -> bool:
    try:
        return check_document_mac(_any_document(storage.read(name)), keyring.keys_mac)
    except (FormatError, StorageError):  # a bad sector, too
        return False
