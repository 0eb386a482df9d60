"""Check the small files: the repository file, slots, epochs, and what lies in `gc/`.

Both copies of each. With keys their MACs too.
Before: repository.documents. After: operations.check.
"""

import re
from collections.abc import Callable
from typing import Final

from packstore.codec.keyring import Keyring
from packstore.errors import FormatError, NameNotFound, StorageError
from packstore.format.document import (
    Document,
    DocumentType,
    Epoch,
    RepositoryFile,
    Slot,
    check_document_mac,
    decode_document,
    decode_epoch,
    decode_repository,
    decode_slot,
)
from packstore.format.intent import CondemnedList, Intent, decode_intent, decode_list
from packstore.format.pack import Mac
from packstore.operations.check_packs import Damage
from packstore.packs.names import BLOCKS_PREFIX, META_PREFIX, parse_pack_name
from packstore.repository.documents import COPY_SUFFIX, GC_PREFIX, KEYS_PREFIX, REPOSITORY_NAME, key_name, key_uids
from packstore.storage.base import Storage

_Value = RepositoryFile | Slot | Epoch | Intent | CondemnedList
_DECODERS: Final[dict[DocumentType, Callable[[bytes], _Value]]] = {
    DocumentType.REPOSITORY: decode_repository,
    DocumentType.SLOT: decode_slot,
    DocumentType.EPOCH: decode_epoch,
    DocumentType.INTENT: decode_intent,
    DocumentType.LIST: decode_list,
}
_GC_NAME: Final = re.compile(r"gc/(intent|list)-[0-9a-f]{32}")
_KEY_FILE: Final = re.compile(r"keys/[0-9a-f]{32}(\.copy)?")


def check_documents(storage: Storage, keyring: Keyring | None) -> list[Damage]:
    """Return what is wrong with the small files, and which files belong to nothing."""
    damage = _check_pair(storage, REPOSITORY_NAME, [DocumentType.REPOSITORY], keyring)
    for uid in key_uids(storage):
        if keyring and uid in keyring.removed:
            continue  # what is left of a slot that was removed: it opens nothing new, and goes with the next change
        damage += _check_pair(storage, key_name(uid), [DocumentType.SLOT, DocumentType.EPOCH], keyring)
    for listed in storage.list_files(GC_PREFIX):
        match = _GC_NAME.fullmatch(listed.name)
        if match:
            damage += document_faults(storage, listed.name, [DocumentType[match[1].upper()]], keyring, optional=True)
        else:
            damage.append(_stranger(listed.name))
    for prefix in (BLOCKS_PREFIX, META_PREFIX):
        names = (listed.name for listed in storage.list_files(prefix))
        damage += [_stranger(name) for name in names if not parse_pack_name(name)]
    names = (listed.name for listed in storage.list_files(KEYS_PREFIX))
    return damage + [_stranger(name) for name in names if not _KEY_FILE.fullmatch(name)]


def _stranger(name: str) -> Damage:
    return Damage(name, 0, 0, "is no file of a repository: it was renamed, or put there by somebody else")


def _check_pair(storage: Storage, name: str, types: list[DocumentType], keyring: Keyring | None) -> list[Damage]:
    names = (name, name + COPY_SUFFIX)
    damage = [found for each in names for found in document_faults(storage, each, types, keyring)]
    if damage or storage.read(names[0]) == storage.read(names[1]):
        return damage
    reason = "differs from its copy, and either is whole: a check with a key says which one belongs here"
    return [Damage(each, 0, 0, reason) for each in names]


def document_faults(
    storage: Storage, name: str, types: list[DocumentType], keyring: Keyring | None, *, optional: bool = False
) -> list[Damage]:
    """Return what is wrong with one document, which is of one of these types; with keys its MAC is checked too."""
    try:
        document = _read(storage, name, types)
    except NameNotFound:
        return [] if optional else [Damage(name, 0, 0, "is missing; its copy serves")]
    except (FormatError, StorageError) as error:
        return [Damage(name, 0, 0, error.message)]
    if keyring and not check_document_mac(document, _mac_of(document.type, keyring)):
        return [Damage(name, 0, 0, "its MAC is wrong: it was not written by anybody who has the key")]
    return []


def _mac_of(document_type: DocumentType, keyring: Keyring) -> Mac:
    return keyring.pack_mac if document_type is DocumentType.LIST else keyring.keys_mac


def _read(storage: Storage, name: str, types: list[DocumentType]) -> Document:
    data = storage.read(name)
    for document_type in types[:-1]:
        try:
            document = decode_document(data, document_type)
        except FormatError:
            continue
        _require_name(name, _DECODERS[document_type](document.body))
        return document
    document = decode_document(data, types[-1])
    _require_name(name, _DECODERS[types[-1]](document.body))
    return document


def _require_name(name: str, value: _Value) -> None:
    """Refuse what lies under the name of another one: readers pass it over."""
    uid = value.header.id if isinstance(value, Slot) else value.id
    if not isinstance(value, RepositoryFile) and uid.hex() not in name:
        raise FormatError(name, "is another one than its name says")
