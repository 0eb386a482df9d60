"""Which packs hold records of which epochs: asked of the packs' own directories, never of the index.

Before: packs.reader. After: operations.gc, operations.key_retire.
"""

from collections.abc import Collection

from packstore.errors import FormatError, NameNotFound
from packstore.format.pack import PackType
from packstore.format.record import Kind
from packstore.ids import PackId
from packstore.packs.names import list_packs
from packstore.packs.reader import read_seal
from packstore.progress import Progress, StopRequest
from packstore.repository.repository import Repository
from packstore.storage.base import Listed


def key_ids(repository: Repository, pack_type: PackType, pack_id: PackId) -> set[bytes]:
    """Return the ids of the keys that records of a pack name.

    Raises:
        NameNotFound: it is gone.
        FormatError: its directory cannot be read.
    """
    entries = read_seal(repository.storage, pack_type, pack_id, repository.owner).entries
    return {entry.key_id for entry in entries}


def is_outdated(repository: Repository, pack_type: PackType, pack_id: PackId) -> bool:
    """Say whether a pack has records of any epoch but the newest; what cannot be read is left for `repair`."""
    newest = {repository.keyring.writing_key(kind).id for kind in (Kind.BLOCK, Kind.PAGE)}
    try:
        return bool(key_ids(repository, pack_type, pack_id) - newest)
    except (FormatError, NameNotFound):
        return False


def packs_with(
    repository: Repository, wanted: Collection[bytes], stop: StopRequest, progress: Progress
) -> list[Listed]:
    """Return the packs that are there, in the storage, and have records under one of these keys.

    Raises:
        FormatError: the directory of a pack cannot be read: nobody can say what is in it.
        Interrupted: between two packs.
    """
    found = []
    packs = {
        (pack_type, pack_id): listed
        for pack_type in PackType
        for pack_id, listed in list_packs(repository.storage, pack_type).items()
    }
    progress.start("looking for records of the epoch", None)
    for key, listed in packs.items():
        stop.check()
        try:
            if key_ids(repository, *key) & set(wanted):
                found.append(listed)
        except NameNotFound:
            continue  # collected meanwhile
    progress.finish()
    return found
