"""A source as a sequence of blocks and runs of holes.

What cannot be read is tried again in small pieces; what then is still missing is zeros, and is said.
Before: sources. After: operations.backup.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from packstore.blocks import Extent, Geometry, block_runs, merge_extents, zeros
from packstore.errors import SourceReadFailed
from packstore.limits import KIB
from packstore.progress import StopRequest
from packstore.sources.base import Source

_PIECE: Final = 4 * KIB


@dataclass(frozen=True, slots=True)
class ReadBlock:
    """A block as it was read; `unreadable` are ranges of the device that are zeros here for want of better."""

    index: int
    data: bytes
    unreadable: list[Extent] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class HoleRun:
    """Consecutive blocks that the source says are holes; they were not read."""

    blocks: range


def read_blocks(source: Source, block_size: int, stop: StopRequest, first: int = 0) -> Iterator[ReadBlock | HoleRun]:
    """Yield the whole source in order; one whose size is known, from block `first` on.

    Raises:
        SourceError: it is gone, or ended early.
        Interrupted: between two blocks.
    """
    if source.size is None:
        yield from _read_stream(source, block_size, stop)
        return
    geometry = Geometry(source.size, block_size)
    for run, is_data in block_runs(geometry, source.extents()):
        blocks = range(max(run.start, first), max(run.stop, first))
        if not is_data and blocks:
            yield HoleRun(blocks)
        if not is_data:
            continue
        for index in blocks:
            stop.check()
            yield read_block(source, geometry, index)


def _read_stream(source: Source, block_size: int, stop: StopRequest) -> Iterator[ReadBlock]:
    index = 0
    while True:
        with stop.blocking():
            data = source.read(index * block_size, block_size)
        if data:
            yield ReadBlock(index, data)
        if len(data) < block_size:
            return
        index += 1


def read_block(source: Source, geometry: Geometry, index: int) -> ReadBlock:
    """Read one block; around what cannot be read, in pieces of 4 KiB."""
    extent = geometry.extent(index)
    try:
        return ReadBlock(index, source.read(extent.offset, extent.length))
    except SourceReadFailed:
        return _read_in_pieces(source, index, extent)


def _read_in_pieces(source: Source, index: int, extent: Extent) -> ReadBlock:
    parts: list[bytes] = []
    unreadable: list[Extent] = []
    for offset in range(extent.offset, extent.end, _PIECE):
        length = min(_PIECE, extent.end - offset)
        try:
            parts.append(source.read(offset, length))
        except SourceReadFailed:
            parts.append(zeros(length))
            unreadable.append(Extent(offset, length))
    return ReadBlock(index, b"".join(parts), unreadable)


def unreadable_ranges(extents: list[Extent], block_size: int, most: int) -> list[tuple[int, int]]:
    """Return the ranges as a version records them; with small gaps closed where there are more than `most`."""
    merged = merge_extents(extents)
    gap = block_size
    while len(merged) > most:
        merged = _close_gaps(merged, gap)
        gap *= 2
    return [(extent.offset, extent.length) for extent in merged]


def _close_gaps(extents: list[Extent], gap: int) -> list[Extent]:
    closed = [extents[0]]
    for extent in extents[1:]:
        if extent.offset - closed[-1].end <= gap:
            closed[-1] = Extent(closed[-1].offset, extent.end - closed[-1].offset)
        else:
            closed.append(extent)
    return closed
