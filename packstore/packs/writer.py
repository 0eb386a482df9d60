"""A pack being written: append records, then seal. FORMAT.md section 7.

The open pack is a temporary file of the storage; sealing it writes directory and trailer and publishes it.
Before: codec.objectcodec. After: repository.session.
"""

from packstore.codec.objectcodec import EncodedObject
from packstore.errors import FormatError, PackstoreError
from packstore.format.pack import (
    PACK_HEADER,
    PACK_TRAILER,
    Entry,
    Mac,
    PackHeader,
    decode_directory,
    encode_directory,
    encode_pack_header,
    encode_trailer,
    entry_of,
)
from packstore.limits import MAX_PACK_RECORDS
from packstore.packs.names import pack_name
from packstore.storage.base import Storage


class PackWriter:
    """One open pack. Not safe to use from two threads at once."""

    def __init__(self, storage: Storage, header: PackHeader, mac: Mac) -> None:
        self.header = header
        self.entries: list[Entry] = []
        self.directory = b""
        self._mac = mac
        self._file = storage.create(pack_name(header.pack_type, header.pack_id))
        try:
            self._file.write(encode_pack_header(header))
        except BaseException:
            self._file.discard()
            raise

    @property
    def size(self) -> int:
        """Bytes of header and records so far; the published size once it is sealed."""
        return self._file.size

    def has_room_for(self, encoded: EncodedObject, target_bytes: int) -> bool:
        """Say whether a record fits; a pack without any takes one of whatever size."""
        if not self.entries:
            return True
        return len(self.entries) < MAX_PACK_RECORDS and self.size + encoded.header.record_size <= target_bytes

    def append(self, encoded: EncodedObject) -> Entry:
        """Write one record; return where it lies."""
        entry = entry_of(encoded.header, self._file.size)
        self._file.write(encoded.header_bytes, encoded.payload)
        self.entries.append(entry)
        return entry

    def seal(self) -> None:
        """Write directory and trailer and publish the pack; after this it never changes.

        Raises:
            StorageError: nothing relies on the pack yet; it is to be discarded.
            PackstoreError: the directory does not decode to itself (a fault of this machine).
        """
        offset = self._file.size
        self.directory = encode_directory(self.header.pack_id, self.entries)
        self._verify()
        trailer = encode_trailer(self.header, self.directory, offset, len(self.entries), self._mac)
        self._file.write(self.directory, trailer)
        self._file.publish()

    def _verify(self) -> None:
        try:
            same = decode_directory(self.directory) == (self.header.pack_id, self.entries)
        except FormatError:
            same = False
        if not same:
            raise PackstoreError(
                "the directory of a pack does not decode to itself: this machine has a hardware or software fault"
            )

    def discard(self) -> None:
        """Forget the pack, unless it is published."""
        self._file.discard()


def empty_pack_bytes() -> int:
    """Return the size of a sealed pack without records or directory, in bytes."""
    return PACK_HEADER.size + PACK_TRAILER.size
