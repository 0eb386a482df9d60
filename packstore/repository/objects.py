"""Read one object, from whichever copy is good. FORMAT.md section 13, order of reads.

A copy that cannot be read is passed over for the next. Where none is left a collector may have moved it: the
index is brought up to date for each pack that turns out to be gone, however long the reader runs. Then the
index itself may be what is wrong: it is searched for more, and made anew, once each, before anything is
called lost.
Before: packs.reader, index.objectindex. After: repository.repository.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from packstore.codec.objectcodec import ObjectCodec
from packstore.codec.stages import FETCH
from packstore.errors import FormatError, NameNotFound, ObjectCorrupt, ObjectMissing, StorageDenied, StorageError
from packstore.format.page import NO_FINGERPRINT
from packstore.format.record import Kind, RecordHeader
from packstore.ids import ObjectId, PackId
from packstore.index.objectindex import ObjectIndex
from packstore.index.tables import Location
from packstore.packs.names import pack_name
from packstore.packs.reader import read_record
from packstore.repository.documents import require_reachable
from packstore.storage.base import Storage

_MAX_LOOKS: Final = 64
"""Looks for one object: each finds packs gone that no look before it has met, so more would be a mistake."""


class _Wanted(NamedTuple):
    kind: Kind
    object_id: ObjectId
    fingerprint: bytes


@dataclass
class _Attempt:
    """What came of reading an object once: its plaintext, or what was wrong with its copies."""

    plain: bytes | None = None
    fault: str = ""
    gone: set[PackId] = field(default_factory=set)


class ObjectReader:
    """Reads objects by kind and id. Safe to use from many threads."""

    def __init__(
        self,
        storage: Storage,
        index: ObjectIndex,
        codec: ObjectCodec,
        refresh: Callable[[], None],
        recoveries: tuple[Callable[[], None], ...],
    ) -> None:
        """Read by `index`, kept up to date by `refresh`; what is missing then is looked for by `recoveries` in turn."""
        self._storage = storage
        self._index = index
        self._codec = codec
        self._refresh = refresh
        self._recoveries = recoveries
        self._recovering = threading.Lock()
        self._recovered = 0
        self._gone: set[PackId] = set()
        self._updates = 0
        self._failures = 0

    def read(self, kind: Kind, object_id: ObjectId, fingerprint: bytes = NO_FINGERPRINT) -> bytes:
        """Return the plaintext of an object; of a block, the fingerprint that a version has for it may be the proof.

        Raises:
            ObjectMissing: no pack holds it.
            ObjectCorrupt: no copy of it is good.
            StorageGone: the whole repository is out of reach.
        """
        updates = self._updates
        wanted = _Wanted(kind, object_id, fingerprint)
        attempt = self._try(wanted)
        if attempt.plain is None:
            require_reachable(self._storage)
            attempt = self._look_again(wanted, attempt, updates)
        for number in range(len(self._recoveries)):
            if attempt.plain is not None:
                break
            self._recover_once(number)
            attempt = self._try(wanted)
        if attempt.plain is not None:
            return attempt.plain
        if attempt.fault:
            raise ObjectCorrupt(f"{kind.name.lower()} {object_id.hex()[:16]}… is damaged: {attempt.fault}")
        raise ObjectMissing(f"{kind.name.lower()} {object_id.hex()[:16]}… is in no pack")

    def _look_again(self, wanted: _Wanted, attempt: _Attempt, updates: int) -> _Attempt:
        """Try again for as long as the index learns of something since the last attempt."""
        with self._recovering:
            self._failures += 1
            # Packs are deleted whole: what is lost for good costs few looks, whatever the number of its objects.
            due = self._failures & (self._failures - 1) == 0
        for _ in range(_MAX_LOOKS):
            if attempt.plain is not None or not self._update(attempt.gone, updates, due=due):
                break
            due = False
            updates = self._updates
            attempt = self._try(wanted)
        return attempt

    def _update(self, gone: set[PackId], updates: int, *, due: bool) -> bool:
        """Bring the index up to date if one of these packs was not known to be gone; say whether it has moved on."""
        with self._recovering:
            if self._updates != updates:
                return True  # another thread has, since this one has looked
            if gone <= self._gone and not due:
                return False
            self._gone |= gone
            self._refresh()
            self._updates += 1
            return True

    def _try(self, wanted: _Wanted) -> _Attempt:
        attempt = _Attempt()
        kind, object_id, fingerprint = wanted
        for location in self._index.locate(kind, object_id):
            try:
                header, payload = self.read_record(kind, object_id, location)
                return _Attempt(self._codec.decode(header, payload, fingerprint))
            except NameNotFound:
                attempt.gone.add(location.pack_id)
            except FormatError as error:
                self._index.notes.note_damaged(location.pack_id, [location.offset])
                attempt.fault = f"{error.message} (pack {location.pack_id.hex()} at {location.offset})"
            except StorageError as error:
                require_reachable(self._storage)
                if not isinstance(error, StorageDenied):  # a bad sector, and not whoever may not read
                    self._index.notes.note_damaged(location.pack_id, [location.offset])
                attempt.fault = error.message
        return attempt

    def read_record(self, kind: Kind, object_id: ObjectId, location: Location) -> tuple[RecordHeader, memoryview]:
        """Read the record of an object at one location, without opening it."""
        name = pack_name(location.pack_type, location.pack_id)
        with self._codec.stages.time(FETCH):
            return read_record(self._storage, name, location.offset, location.record_size, (kind, object_id))

    def _recover_once(self, number: int) -> None:
        with self._recovering:
            if self._recovered == number:
                self._recoveries[number]()
                self._recovered += 1
                self._updates += 1
