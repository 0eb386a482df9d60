"""A source as a sequence of runs of blocks: holes, and what is to be read.

A run is read at once, by whichever thread has time, into a buffer that the thread uses again and again: fresh memory
for every block would cost more than its fingerprint does. What cannot be read is tried again in small pieces; what
then is still missing is zeros, and is said.
Before: sources. After: operations.backup.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from packstore.blocks import Extent, Geometry, block_runs, merge_extents, zeros
from packstore.checksum import Buffer
from packstore.errors import SourceReadFailed
from packstore.limits import KIB, MIB, PAGE_ENTRIES
from packstore.progress import StopRequest
from packstore.sources.base import Source

_PIECE: Final = 4 * KIB
RUN_BYTES: Final = 4 * MIB
"""Large enough for a disk to read at its full rate, small enough to be still in the processor's cache when it is
hashed."""


@dataclass(frozen=True, slots=True)
class ReadBlock:
    """A block as it was read; `unreadable` are ranges of the device that are zeros here for want of better."""

    index: int
    data: Buffer
    unreadable: list[Extent] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class HoleRun:
    """Consecutive blocks that the source says are holes; they need not be read."""

    blocks: range


@dataclass(frozen=True, slots=True)
class DataRun:
    """Consecutive blocks that are to be read, no more than are read at once, and of one leaf page."""

    blocks: range


def runs_of(
    source: Source, geometry: Geometry, stop: StopRequest, first: int = 0, *, run_bytes: int = RUN_BYTES
) -> Iterator[DataRun | HoleRun]:
    """Yield all of a source of known size in order, from block `first` on.

    Raises:
        Interrupted: between two runs.
    """
    for run, is_data in block_runs(geometry, source.extents()):
        blocks = range(max(run.start, first), max(run.stop, first))
        if not is_data and blocks:
            yield HoleRun(blocks)
        if is_data:
            for cut in data_runs(blocks, geometry, run_bytes):
                stop.check()
                yield cut


def data_runs(blocks: range, geometry: Geometry, run_bytes: int = RUN_BYTES) -> Iterator[DataRun]:
    """Cut consecutive blocks into runs that are read at once."""
    step = min(max(run_bytes // geometry.block_size, 1), PAGE_ENTRIES)
    while blocks:
        end = min((blocks.start // step + 1) * step, blocks.stop)
        yield DataRun(range(blocks.start, end))
        blocks = range(end, blocks.stop)


def read_stream(source: Source, block_size: int, stop: StopRequest) -> Iterator[ReadBlock]:
    """Yield the blocks of a source whose size nobody knows.

    Raises:
        SourceError: it cannot be read.
        Interrupted: at any time, also while waiting for data.
    """
    index = 0
    while True:
        data = bytearray(block_size)
        with stop.blocking():
            length = source.read_into(index * block_size, memoryview(data))
        if length:
            yield ReadBlock(index, data if length == block_size else data[:length])
        if length < block_size:
            return
        index += 1


def read_blocks(source: Source, geometry: Geometry, stop: StopRequest) -> Iterator[ReadBlock | HoleRun]:
    """Yield all of a source of known size in order, each block in memory of its own."""
    reader = RunReader(source, geometry)
    for run in runs_of(source, geometry, stop):
        if isinstance(run, HoleRun):
            yield run
        else:
            found = reader.read(run.blocks)
            yield from (ReadBlock(block.index, bytes(block.data), block.unreadable) for block in found)


class RunReader:
    """Reads runs of blocks; safe to use from many threads."""

    def __init__(self, source: Source, geometry: Geometry) -> None:
        self._source = source
        self._geometry = geometry
        self._buffers = threading.local()

    def read(self, blocks: range) -> list[ReadBlock]:
        """Return the blocks of a run. Their data is good until this thread reads the next run.

        Raises:
            SourceError: the source is gone, or ended early.
        """
        span = self._geometry.span(blocks)
        buffer = self._buffer(span.length)
        try:
            self._source.read_into(span.offset, buffer)
        except SourceReadFailed:
            return [self._read_alone(buffer, index, index - blocks.start) for index in blocks]
        return [ReadBlock(index, self._view(buffer, index, index - blocks.start)) for index in blocks]

    def _buffer(self, length: int) -> memoryview:
        if len(getattr(self._buffers, "data", b"")) < length:
            self._buffers.data = bytearray(length)
        return memoryview(self._buffers.data)[:length]

    def _view(self, buffer: memoryview, index: int, at: int) -> memoryview:
        begin = at * self._geometry.block_size
        return buffer[begin : begin + self._geometry.length(index)]

    def _read_alone(self, buffer: memoryview, index: int, at: int) -> ReadBlock:
        """Read one block; around what cannot be read, in pieces of 4 KiB."""
        data, extent = self._view(buffer, index, at), self._geometry.extent(index)
        try:
            self._source.read_into(extent.offset, data)
        except SourceReadFailed:
            return ReadBlock(index, data, self._read_in_pieces(data, extent))
        return ReadBlock(index, data)

    def _read_in_pieces(self, data: memoryview, extent: Extent) -> list[Extent]:
        unreadable: list[Extent] = []
        for at in range(0, extent.length, _PIECE):
            piece = data[at : at + _PIECE]
            try:
                self._source.read_into(extent.offset + at, piece)
            except SourceReadFailed:
                piece[:] = zeros(len(piece))
                unreadable.append(Extent(extent.offset + at, len(piece)))
        return unreadable


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
