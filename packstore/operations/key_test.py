"""Prove that a key opens a repository: by reading a record of every epoch with it.

Before: operations.keys, operations.gc_epochs. After: the command line.
"""

from dataclasses import dataclass, field
from typing import Final

from packstore.errors import FormatError, NameNotFound, StorageError
from packstore.format.pack import PackType
from packstore.format.record import Kind
from packstore.ids import PackId, Uid
from packstore.operations.keys import KeyReport, KeyStore, announced, complete, open_store, report_keys
from packstore.packs.names import list_packs, pack_name
from packstore.packs.reader import read_record, read_seal
from packstore.progress import Progress, StopRequest
from packstore.repository.repository import Repository

_KINDS: Final = {PackType.BLOCKS: Kind.BLOCK, PackType.META: Kind.PAGE}
"""A kind of record for each type of pack, to name the key of all that is in it."""


@dataclass
class KeyTest:
    """What was proven: ids of the keys whose records were read; `granted` are the slots that got an epoch."""

    report: KeyReport
    read: set[bytes] = field(default_factory=set)
    granted: list[Uid] = field(default_factory=list)
    fault: str = ""


def try_keys(repository: Repository, stop: StopRequest, progress: Progress) -> KeyTest:
    """Read one block and one record of metadata of every epoch; give each slot the epochs it lacks.

    Raises:
        UsageError: the repository is not encrypted.
        Interrupted: between two packs.
    """
    store = open_store(repository.storage, repository.keyring, repository.runtime)
    found = KeyTest(report_keys(store))
    try:
        found.granted = _complete(store, found.report)
    except StorageError as error:
        found.fault = f"a slot does not open every epoch, and that cannot be mended: {error.message}"
    if found.granted:
        found.report = report_keys(store)
    usable = [epoch for epoch in found.report.epochs if not store.keyring.is_retired(epoch)]
    progress.start("reading a record of every epoch", None)
    for pack_type in PackType:
        wanted = {epoch.of_kind(_KINDS[pack_type]).id for epoch in usable}
        # The newest first: of the newest epoch there is something in them.
        for pack_id in sorted(list_packs(repository.storage, pack_type), reverse=True):
            if not wanted - found.read:
                break
            stop.check()
            _read_pack(repository, pack_type, pack_id, wanted, found)
    progress.finish()
    return found


def _complete(store: KeyStore, report: KeyReport) -> list[Uid]:
    if not any(slot.lacks for slot in report.living):
        return []
    with announced(store, "key test"):
        return complete(store)


def _read_pack(
    repository: Repository, pack_type: PackType, pack_id: PackId, wanted: set[bytes], found: KeyTest
) -> None:
    """Read one record of a pack for each key that no record was read with yet."""
    name = pack_name(pack_type, pack_id)
    try:
        entries = read_seal(repository.storage, pack_type, pack_id, repository.owner).entries
    except (FormatError, NameNotFound):
        return  # another one will do; `check` says what is wrong with it
    for entry in entries:
        if entry.key_id not in wanted - found.read or entry.kind not in tuple(Kind):
            continue
        try:
            place = (entry.kind, entry.object_id)
            header, payload = read_record(repository.storage, name, entry.offset, entry.record_size, place)
            repository.codec.decode(header, payload)
        except (FormatError, StorageError):
            continue
        found.read.add(entry.key_id)
