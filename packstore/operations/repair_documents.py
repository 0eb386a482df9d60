"""Write the damaged one of two copies of a small file again, from the other one. FORMAT.md sections 11 and 14.

Before: operations.check_documents. After: operations.repair.
"""

from dataclasses import dataclass
from typing import Final

from packstore.codec.keyring import Keyring
from packstore.format.document import DocumentType
from packstore.ids import Uid
from packstore.operations.check_documents import document_faults
from packstore.repository.documents import COPY_SUFFIX, REPOSITORY_NAME, key_name, key_uids, move_aside
from packstore.storage.base import Storage

_KEY_TYPES: Final = [DocumentType.SLOT, DocumentType.EPOCH]


@dataclass(frozen=True)
class DocumentFix:
    """A small file to be written again: its name, what is wrong with it, and where good bytes are; none: nowhere."""

    name: str
    fault: str
    source: str | None
    from_other: bool = False


def plan_documents(storage: Storage, keyring: Keyring, other: Storage | None) -> list[DocumentFix]:
    """Return which copies of small files are to be written again."""
    fixes = _plan_pair(storage, keyring, other, REPOSITORY_NAME, None)
    uids = {*key_uids(storage), *(key_uids(other) if other else ())}
    for uid in sorted(uids):
        fixes += _plan_pair(storage, keyring, other, key_name(uid), uid)
    return fixes


def _plan_pair(
    storage: Storage, keyring: Keyring, other: Storage | None, name: str, uid: Uid | None
) -> list[DocumentFix]:
    names = (name, name + COPY_SUFFIX)
    faults = {each: _fault(storage, keyring, each, uid) for each in names}
    if uid in keyring.removed:
        return []  # a slot that was removed here or there stays so, whichever files come back
    good = next((each for each in names if not faults[each]), None)
    from_other = False
    if good is None and other is not None:
        good = next((each for each in names if not _fault(other, keyring, each, uid)), None)
        from_other = good is not None
    if good is None and not any(storage.exists(each) for each in names):
        return []  # what the other copy has under this name is no key of this repository
    return [DocumentFix(each, fault, good, from_other) for each, fault in faults.items() if fault]


def _fault(storage: Storage, keyring: Keyring, name: str, uid: Uid | None) -> str:
    types = [DocumentType.REPOSITORY] if uid is None else _KEY_TYPES
    found = document_faults(storage, name, types, keyring)
    return found[0].reason if found else ""


def apply_documents(storage: Storage, other: Storage | None, fixes: list[DocumentFix]) -> None:
    """Write copies again; what stood there is moved aside.

    Raises:
        StorageError: at most one of each pair is missing: the good one is never touched.
    """
    for fix in fixes:
        place = other if fix.from_other else storage
        if fix.source is None or place is None:
            continue
        data = place.read(fix.source)
        if storage.exists(fix.name):
            move_aside(storage, fix.name)
        storage.put(fix.name, data)
