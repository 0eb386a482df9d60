"""A sealed pack in a few large pieces, by its directory. FORMAT.md section 14.

For a pack whose directory and trailer are sound: pieces can be read by several threads, and a record looked at where
it was read to. Whoever finds that anything is not as the directory says goes back to the scanner, which finds
records without one.
Before: packs.reader. After: operations.check_packs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from packstore.errors import FormatError
from packstore.format.pack import PACK_HEADER, Entry, entry_of
from packstore.format.record import RecordHeader, decode_record
from packstore.limits import MIB

_SEGMENT_BYTES: Final = 4 * MIB


@dataclass(frozen=True, slots=True)
class Segment:
    """Neighbouring records, of at least one and as many as are read at once; sizes in bytes."""

    offset: int
    length: int
    entries: Sequence[Entry]


def segments_of(entries: Sequence[Entry], end: int) -> list[Segment]:
    """Cut the records of a pack, which end at `end`, into segments.

    Raises:
        FormatError: they do not lie one behind another.
    """
    segments: list[Segment] = []
    first, start, offset = 0, PACK_HEADER.size, PACK_HEADER.size
    for number, entry in enumerate(entries):
        if entry.offset != offset:
            raise FormatError("pack directory", f"nothing is said about what is at {offset}", offset=offset)
        offset += entry.record_size
        if offset - start >= _SEGMENT_BYTES or number + 1 == len(entries):
            segments.append(Segment(start, offset - start, entries[first : number + 1]))
            first, start = number + 1, offset
    if offset != end:
        raise FormatError("pack directory", "its records do not end where it begins", offset=offset)
    return segments


def records_of(segment: Segment, data: bytes) -> Iterator[tuple[RecordHeader, memoryview]]:
    """Yield header and payload of each record of a segment's bytes; checksums are verified, payloads not opened.

    Raises:
        FormatError: a record is damaged, or not the one that the directory names.
    """
    view = memoryview(data)
    for entry in segment.entries:
        at = entry.offset - segment.offset
        header, payload = decode_record(view[at : at + entry.record_size])
        if entry_of(header, entry.offset) != entry:
            raise FormatError("record", "the directory says something else than the record", offset=entry.offset)
        yield header, payload
