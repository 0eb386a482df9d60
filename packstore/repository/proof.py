"""Prove that a pack holds an object, by the pack's own directory. FORMAT.md section 13.

The index only says where to look; before anything new relies on an object, the directory in the pack
itself, with its checksum and MAC, must hold the full id. Objects that are looked for one after another lie
in few packs, so a few directories are kept.
"""

import threading
from collections import OrderedDict
from typing import Final

from packstore.errors import FormatError, StorageError
from packstore.format.pack import PackType
from packstore.format.record import Kind
from packstore.ids import ObjectId, PackId
from packstore.packs.reader import Owner, read_seal
from packstore.storage.base import Storage

_MAX_KEPT_IDS: Final = 200_000
"""About 40 MB of directories."""


class Prover:
    """Remembers the directories it has read last. Safe to use from many threads."""

    def __init__(self, storage: Storage, owner: Owner) -> None:
        self._storage = storage
        self._owner = owner
        self._lock = threading.Lock()
        self._directories: OrderedDict[PackId, frozenset[tuple[int, ObjectId]]] = OrderedDict()
        self._kept = 0

    def holds(self, pack_type: PackType, pack_id: PackId, kind: Kind, object_id: ObjectId) -> bool:
        """Say whether the pack exists, can be read, is sealed, and lists the object."""
        with self._lock:
            directory = self._directories.get(pack_id)
            if directory is None:
                directory = self._read(pack_type, pack_id)
            self._directories.move_to_end(pack_id)
        return (kind, object_id) in directory

    def _read(self, pack_type: PackType, pack_id: PackId) -> frozenset[tuple[int, ObjectId]]:
        try:
            entries = read_seal(self._storage, pack_type, pack_id, self._owner).entries
        except (FormatError, StorageError):
            entries = []  # gone or unreadable: nothing new relies on it
        directory = frozenset((entry.kind, entry.object_id) for entry in entries)
        self._directories[pack_id] = directory
        self._kept += len(directory)
        while self._kept > _MAX_KEPT_IDS and len(self._directories) > 1:
            _, oldest = self._directories.popitem(last=False)
            self._kept -= len(oldest)
        return directory
