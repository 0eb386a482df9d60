"""Publish how far a backup has come, so that what it has stored is kept and need not be read again.

Of a source whose size is not known nothing is published: a stream cannot be entered in the middle.
Before: repository.session. After: operations.backup.
"""

import time
from dataclasses import dataclass, replace
from typing import Final

from packstore.blocks import Extent
from packstore.format.checkpoint import Checkpoint
from packstore.ids import HOLE
from packstore.limits import GIB, PAGE_ENTRIES
from packstore.operations.reading import unreadable_ranges
from packstore.operations.resume import StartingPoint
from packstore.repository.repository import Repository
from packstore.repository.session import Session
from packstore.repository.tree import TreeWriter
from packstore.sources.base import Source

_SHARE: Final = 64
"""Of what was stored: a backup of 200 TB has some hundreds of checkpoints that are due by size, not 50,000."""
_MAX_RANGES: Final = 32_768
"""19 bytes each at most: a checkpoint of 1 MiB holds them."""


@dataclass(frozen=True)
class CheckpointPolicy:
    """A checkpoint is due after so many bytes newly stored, or so many seconds, whichever comes first."""

    stored_bytes: int = 4 * GIB
    seconds: float = 600.0


class CheckpointWriter:
    """Publishes checkpoints of one backup while it goes on; `unreadable` is filled by whoever reads the source."""

    def __init__(
        self,
        repository: Repository,
        session: Session,
        source: Source,
        tree: TreeWriter,
        start: StartingPoint,
        *,
        volume: str,
        policy: CheckpointPolicy,
    ) -> None:
        self._repository = repository
        self._session = session
        self._source = source
        self._tree = tree
        self._start = start
        self._volume = volume
        self._policy = policy
        self._block_size = repository.file.block_size
        # One that covers less than the one there is would give up what that one keeps.
        self._covered = start.covered if start.is_of_size(source.size) else 0
        self._stored = 0
        self._time = time.monotonic()
        self.unreadable: list[Extent] = []

    def consider(self, *, after_holes: bool) -> None:
        """Publish a checkpoint if one is due; between two leaf pages, or behind holes, where none may ever end."""
        if (after_holes or self._tree.count % PAGE_ENTRIES == 0) and self._is_due():
            self.publish()

    def _is_due(self) -> bool:
        stored = self._session.bytes_stored
        if stored - self._stored >= max(self._policy.stored_bytes, stored // _SHARE):
            return True
        return time.monotonic() - self._time >= self._policy.seconds

    def publish(self) -> None:
        """Publish what is stored and how far that is, if it is further than before.

        Raises:
            StorageError: the storage failed.
            DeclaredDead: somebody took this writer for dead; the checkpoint was taken back.
        """
        covered = self._tree.count * self._block_size
        if self._source.size is None or not self._covered < covered <= self._source.size:
            return
        # Asked only now: all that is covered was read before, from the state that this names.
        immutable_id = self._source.immutable_id
        runtime = self._repository.runtime
        checkpoint = Checkpoint(
            id=runtime.new_uid(),
            volume=self._volume,
            date_ms=runtime.now_ms(),
            counter=self._repository.next_counter(),
            size=self._source.size,
            block_size=self._block_size,
            covered=covered,
            root=self._tree.snapshot(),
            source=dict(self._source.description),
            immutable_id=immutable_id,
            program=runtime.program,
            host=runtime.hostname,
            unreadable=unreadable_ranges(self.unreadable, self._block_size, _MAX_RANGES),
            trusted_runs=self._start.trusted_runs,
        )
        self._session.checkpoint(checkpoint, self._nothing(checkpoint))
        self._covered = covered
        self._stored = self._session.bytes_stored
        self._time = time.monotonic()

    def _nothing(self, checkpoint: Checkpoint) -> Checkpoint:
        """Return a later checkpoint that refers to nothing."""
        return replace(
            checkpoint,
            id=self._repository.runtime.new_uid(),
            counter=checkpoint.counter + 1,
            covered=self._block_size,
            root=HOLE,
            immutable_id="",
            unreadable=[],
        )
