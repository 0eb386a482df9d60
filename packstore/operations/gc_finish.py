"""Carry ripe lists out: copy what is needed out of the packs they name, delete the packs, then the lists.

A list is work to do and never a permission: what may go is decided by what was marked after the list was ripe.
FORMAT.md section 13.5, steps 3 and 4.
Before: operations.gc_mark, operations.gc_copy. After: operations.gc.
"""

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from packstore.codec.objectcodec import EncodedObject
from packstore.errors import FormatError, NameNotFound, StorageError
from packstore.format.intent import IntentRole
from packstore.format.ledger import Scrub
from packstore.format.pack import Entry, PackType
from packstore.format.record import Kind, RecordHeader
from packstore.format.version import Event, encode_event
from packstore.ids import ObjectId, PackId, Uid
from packstore.operations.gc_copy import Copier
from packstore.operations.gc_mark import Marker
from packstore.operations.pipeline import ordered_map, window_items
from packstore.packs.names import pack_name
from packstore.packs.reader import read_record, read_seal
from packstore.repository.documents import require_reachable
from packstore.repository.notices import list_name, survey
from packstore.repository.repository import Repository

_BATCH_BYTES: Final = 1 << 30
"""Copied before anything is deleted: bounds the space that a collection needs, and the work that a kill wastes."""


class ListedPack(NamedTuple):
    """A pack that ripe lists name, and its size in bytes."""

    pack_type: PackType
    pack_id: PackId
    size: int


@dataclass
class Finished:
    """What came of it; sizes in bytes."""

    packs_deleted: int = 0
    bytes_deleted: int = 0
    bytes_copied: int = 0
    lists: int = 0
    kept: list[str] = field(default_factory=list)
    stopped: str = ""


class _Saved(NamedTuple):
    """Whether a pack may go; if not, `fault` says what is wrong with it, empty if there is no space for copies."""

    ready: bool
    fault: str = ""


class _Secured(NamedTuple):
    """A needed record: the one to copy, None if there is a good copy elsewhere; or that there is none at all."""

    copy: EncodedObject | None
    lost: bool = False


class Finisher:
    """Finishes lists; `copying` is False where there is no space for copies."""

    def __init__(
        self,
        repository: Repository,
        marker: Marker,
        *,
        own: str,
        threads: int,
        copying: bool,
        expired: Callable[[], bool],
    ) -> None:
        self._repository = repository
        self._storage = repository.storage
        self._marker = marker
        self._own = own
        self._threads = threads
        self._copying = copying
        self._expired = expired
        self._copier = Copier(repository)
        self.result = Finished()

    def finish(
        self,
        packs: list[ListedPack],
        lists: Iterable[Uid],
        *,
        gone: list[Event],
        memory: Scrub | None,
        replaced: set[ObjectId],
    ) -> None:
        """Delete `packs` and then `lists`, after `gone` and `memory` are published; `replaced` are not copied.

        Raises:
            StorageError: the storage failed; what was done stays done.
        """
        try:
            for event in gone:
                self._copier.put(Kind.EVENT, encode_event(event))
            if memory is not None:
                self._copier.put_scrub(memory)
            if gone or memory is not None:
                self._copier.publish()
            complete = True
            for batch in _batches(packs):
                complete &= self._finish_batch(batch, replaced)
                if self.result.stopped:
                    return
            if complete:
                for list_id in lists:
                    self._storage.delete(list_name(list_id))
                    self.result.lists += 1
        finally:
            self._copier.close()
            self.result.bytes_copied = self._copier.bytes_copied

    def _finish_batch(self, batch: list[ListedPack], replaced: set[ObjectId]) -> bool:
        """Say whether nothing is left to do for the packs of this batch."""
        ready: list[ListedPack] = []
        complete = True
        for pack in batch:
            self._marker.stop.check()
            # One pack at least, however long it took to find out which: or runs that are too short would never end.
            if self._expired() and (ready or self.result.packs_deleted):
                self.result.stopped = "the time is over"
                complete = False
                break
            saved = self._save(pack, replaced)
            if saved.ready:
                ready.append(pack)
            elif saved.fault:
                self.result.kept.append(f"{pack_name(pack.pack_type, pack.pack_id)}: {saved.fault}")
            else:
                complete = False
        if ready:
            self._copier.publish()
        for pack in ready:
            if not self._may_delete():
                return False
            self._storage.delete(pack_name(pack.pack_type, pack.pack_id))
            self.result.packs_deleted += 1
            self.result.bytes_deleted += pack.size
        return complete

    def _may_delete(self) -> bool:
        """Look for a hold: it takes effect when this collection has stopped."""
        found = survey(self._storage, self._repository.keyring, self._repository.runtime.process, self._own)
        for notice in found.notices:
            if notice.intent is None or notice.intent.role is IntentRole.HOLD:
                self.result.stopped = "somebody holds everything"
                return False
        return True

    def _save(self, pack: ListedPack, replaced: set[ObjectId]) -> _Saved:
        """Copy out of a pack what is needed and has no good copy elsewhere."""
        name = pack_name(pack.pack_type, pack.pack_id)
        try:
            entries = read_seal(self._storage, pack.pack_type, pack.pack_id, self._repository.owner).entries
        except NameNotFound:
            return _Saved(ready=True)  # another collector was quicker
        except FormatError as error:
            return _Saved(ready=False, fault=error.message)
        if any(entry.kind not in tuple(Kind) for entry in entries):
            return _Saved(ready=False, fault="it holds records of an unknown kind")
        needed = [entry for entry in entries if entry.object_id not in replaced and self._is_needed(entry)]
        window = window_items(self._threads, 1 << 20)
        results = ordered_map(lambda entry: self._secure(name, entry), needed, threads=self._threads, window=window)
        with closing(results):
            for secured in results:
                if secured.lost:
                    return self._lost(name)
                if secured.copy is not None and not self._copying:
                    return _Saved(ready=False)
                if secured.copy is not None:
                    self._copier.copy(secured.copy, pack.pack_id)
        return _Saved(ready=True)

    def _lost(self, name: str) -> _Saved:
        """Say what becomes of a pack of which a record cannot be read: another collector may have been quicker."""
        if not self._storage.exists(name):
            return _Saved(ready=True)
        return _Saved(ready=False, fault="a record that is needed is damaged")

    def _is_needed(self, entry: Entry) -> bool:
        return not self._copier.has(entry.kind, entry.object_id) and self._marker.is_needed(
            Kind(entry.kind), entry.object_id
        )

    def _secure(self, name: str, entry: Entry) -> _Secured:
        """Look for a good copy in a pack that no list names; else return the record to copy, proven good."""
        kind = Kind(entry.kind)
        for place in self._repository.index.locate(kind, entry.object_id):
            if self._marker.is_place(place):
                other = pack_name(place.pack_type, place.pack_id)
                if self._read(other, place.offset, place.record_size, kind, entry.object_id) is not None:
                    return _Secured(None)
        found = self._read(name, entry.offset, entry.record_size, kind, entry.object_id)
        return _Secured(found and self._repository.codec.renew(*found), lost=found is None)

    def _read(
        self, name: str, offset: int, record_size: int, kind: Kind, object_id: ObjectId
    ) -> tuple[RecordHeader, bytes] | None:
        """Read a record and prove that it is good; None if it is not."""
        try:
            header, payload = read_record(self._storage, name, offset, record_size, (kind, object_id))
            self._repository.codec.decode(header, payload)
        except FormatError:
            return None
        except StorageError:
            require_reachable(self._storage)
            return None
        return header, bytes(payload)


def _batches(packs: list[ListedPack]) -> Iterable[list[ListedPack]]:
    """Cut into batches by size; packs of blocks first, whose copies are named by meta packs."""
    batch: list[ListedPack] = []
    held = 0
    for pack in sorted(packs):
        batch.append(pack)
        held += pack.size
        if held >= _BATCH_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
