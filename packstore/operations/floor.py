"""Stop a backup before the repository's file system has less free space than somebody wants left.

Before: repository.session. After: operations.backup.
"""

from typing import Final

from packstore.errors import FreeSpaceFloor
from packstore.limits import MIB
from packstore.repository.repository import Repository
from packstore.repository.session import Session

_STEP: Final = 16 * MIB
"""Bytes stored between two looks. As much has to be free above the floor: for what is stored until the next look,
and for the pages and the checkpoint with which a stopped backup ends."""
_ADVICE: Final = (
    "free some space there (`packstore prune`, then `packstore gc`) and run it again: nothing is stored twice"
)


class Floor:
    """So many bytes are to stay free; 0: whatever happens."""

    def __init__(self, repository: Repository, session: Session, min_free: int) -> None:
        self._storage = repository.storage
        self._session = session
        self._min_free = min_free
        self._step = min(_STEP, repository.file.pack_size)
        self._next = 0

    def check(self) -> None:
        """Look, if enough was stored since the last time.

        Raises:
            FreeSpaceFloor: storing more would go below the floor.
        """
        if not self._min_free or self._session.bytes_stored < self._next:
            return
        self._next = self._session.bytes_stored + self._step
        available = self._storage.available()
        if available is not None and available < self._min_free + 2 * self._step:
            free = f"{self._storage.location} has {available // MIB} MiB free"
            message = f"{free}, and {self._min_free // MIB} MiB are to stay free: the backup was stopped"
            raise FreeSpaceFloor(message, advice=_ADVICE)
