"""Read one object, from whichever copy is good. FORMAT.md section 13, order of reads.

A copy that cannot be read is passed over for the next. Where none is left the index may be what is wrong:
it is brought up to date, and then made anew, once each, before anything is called lost.
Before: packs.reader, index.objectindex. After: repository.repository.
"""

import threading
from collections.abc import Callable

from packstore.codec.objectcodec import ObjectCodec
from packstore.errors import FormatError, NameNotFound, ObjectCorrupt, ObjectMissing, StorageError
from packstore.format.record import Kind, RecordHeader
from packstore.ids import ObjectId
from packstore.index.objectindex import Location, ObjectIndex
from packstore.packs.names import pack_name
from packstore.packs.reader import read_record
from packstore.repository.documents import require_reachable
from packstore.storage.base import Storage


class ObjectReader:
    """Reads objects by kind and id. Safe to use from many threads."""

    def __init__(
        self, storage: Storage, index: ObjectIndex, codec: ObjectCodec, recoveries: tuple[Callable[[], None], ...]
    ) -> None:
        """Read by `index`; where that does not help, bring it up to date by `recoveries`, cheapest first."""
        self._storage = storage
        self._index = index
        self._codec = codec
        self._recoveries = recoveries
        self._recovering = threading.Lock()
        self._recovered = 0

    def read(self, kind: Kind, object_id: ObjectId) -> bytes:
        """Return the plaintext of an object.

        Raises:
            ObjectMissing: no pack holds it.
            ObjectCorrupt: no copy of it is good.
            StorageGone: the whole repository is out of reach.
        """
        plain, fault = self._try(kind, object_id)
        if plain is None:
            require_reachable(self._storage)
        for number in range(len(self._recoveries)):
            if plain is not None:
                break
            self._recover_once(number)
            plain, fault = self._try(kind, object_id)
        if plain is not None:
            return plain
        if fault:
            raise ObjectCorrupt(f"{kind.name.lower()} {object_id.hex()[:16]}… is damaged: {fault}")
        raise ObjectMissing(f"{kind.name.lower()} {object_id.hex()[:16]}… is in no pack")

    def _try(self, kind: Kind, object_id: ObjectId) -> tuple[bytes | None, str]:
        fault = ""
        for location in self._index.locate(kind, object_id):
            try:
                header, payload = self.read_record(kind, object_id, location)
                return self._codec.decode(header, payload), ""
            except NameNotFound:
                continue
            except FormatError as error:
                self._index.notes.note_damaged(location.pack_id, [location.offset])
                fault = f"{error.message} (pack {location.pack_id.hex()} at {location.offset})"
            except StorageError as error:
                require_reachable(self._storage)
                fault = error.message
        return None, fault

    def read_record(self, kind: Kind, object_id: ObjectId, location: Location) -> tuple[RecordHeader, memoryview]:
        """Read the record of an object at one location, without opening it."""
        name = pack_name(location.pack_type, location.pack_id)
        return read_record(self._storage, name, location.offset, location.record_size, (kind, object_id))

    def _recover_once(self, number: int) -> None:
        with self._recovering:
            if self._recovered == number:
                self._recoveries[number]()
                self._recovered += 1
