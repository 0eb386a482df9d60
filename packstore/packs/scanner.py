"""Walk a pack from its first byte, whatever state it is in. FORMAT.md sections 7.5 and 14.

Needs no index and no key. Where bytes are not a record it searches for the next record magic and goes on:
one bad sector costs the records it touches and no others. A torn pack yields its whole prefix.
Before: packs.reader. After: operations.check, index.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from packstore.errors import FormatError
from packstore.format.pack import PACK_HEADER
from packstore.format.record import HEADER_BYTES, RECORD_MAGIC, RecordHeader, decode_record, record_size
from packstore.limits import MIB
from packstore.storage.base import Storage

_WINDOW: Final = 8 * MIB


@dataclass(frozen=True, slots=True)
class Scanned:
    """A whole record whose checksum is right."""

    offset: int
    header: RecordHeader
    payload: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes of a pack that are no record: damage, or the torn end."""

    offset: int
    length: int
    reason: str


@dataclass(frozen=True, slots=True)
class Foreign:
    """A whole record, by its checksum, that this program cannot read: of some later one."""

    offset: int
    length: int


class PackWindow:
    """Reads one file forward in large steps, and serves any range near the current one from memory."""

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage = storage
        self._name = name
        self._start = 0
        self._data = b""

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`; fewer only at the end of the file."""
        at = offset - self._start
        if at < 0 or at + length > len(self._data):
            self._start, at = offset, 0
            self._data = self._storage.read(self._name, offset, max(length, _WINDOW))
        return self._data[at : at + length]


def scan_records(window: PackWindow, end: int) -> Iterator[Scanned | Foreign | Gap]:
    """Yield the records of a pack, and the gaps between them, from its header up to `end` bytes."""
    offset = PACK_HEADER.size
    while offset < end:
        try:
            found = _record_at(window, offset, end)
        except FormatError as error:
            resumed = _next_record(window, offset + 1, end)
            yield Gap(offset, resumed - offset, error.reason)
            offset = resumed
        else:
            yield found
            offset += found.header.record_size if isinstance(found, Scanned) else found.length


def _record_at(window: PackWindow, offset: int, end: int) -> Scanned | Foreign:
    size = record_size(window.read(offset, min(HEADER_BYTES, end - offset)))
    data = window.read(offset, min(size, end - offset))
    try:
        header, payload = decode_record(data)
    except FormatError as error:
        if error.failure != "unsupported":
            raise
        return Foreign(offset, size)  # its magic and its checksum were right
    return Scanned(offset, header, bytes(payload))


def _next_record(window: PackWindow, offset: int, end: int) -> int:
    """Return where the next whole record begins, `end` if there is none."""
    while offset < end:
        data = window.read(offset, min(_WINDOW, end - offset))
        at = data.find(RECORD_MAGIC)
        while at >= 0:
            try:
                _record_at(window, offset + at, end)
            except FormatError:
                at = data.find(RECORD_MAGIC, at + 1)
            else:
                return offset + at
        # The next window begins inside this one: a magic may lie across the border.
        offset += max(len(data) - len(RECORD_MAGIC) + 1, 1) if data else end
    return end
