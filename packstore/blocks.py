"""A device as blocks: indexes, lengths, extents, zeros.

A device of `size` bytes is cut into blocks of `block_size`; the last one has its true length.
Before: sources. After: codec.keyring (ids and fingerprints).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from packstore.checksum import Buffer


class Extent(NamedTuple):
    """A range of a device, in bytes."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """The first byte after the range."""
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a device of `size` bytes is cut into blocks of `block_size` bytes."""

    size: int
    block_size: int

    @property
    def count(self) -> int:
        """The number of blocks."""
        return -(-self.size // self.block_size)

    def length(self, index: int) -> int:
        """Return the length in bytes of the block at `index`; 0 past the end."""
        return max(0, min(self.block_size, self.size - index * self.block_size))

    def extent(self, index: int) -> Extent:
        """Return where the block at `index` lies."""
        return Extent(index * self.block_size, self.length(index))

    def span(self, blocks: range) -> Extent:
        """Return where consecutive blocks lie."""
        begin = blocks.start * self.block_size
        return Extent(begin, min(blocks.stop * self.block_size, self.size) - begin)

    def blocks_of(self, extent: Extent) -> range:
        """Return the indexes of the blocks that `extent` touches."""
        if not extent.length:
            return range(0)
        return range(extent.offset // self.block_size, -(-min(extent.end, self.size) // self.block_size))


def merge_extents(extents: Iterable[Extent]) -> list[Extent]:
    """Return the same ranges sorted, with those that touch or overlap made one."""
    merged: list[Extent] = []
    for extent in sorted(extents):
        if merged and extent.offset <= merged[-1].end:
            last = merged.pop()
            merged.append(Extent(last.offset, max(last.end, extent.end) - last.offset))
        elif extent.length:
            merged.append(extent)
    return merged


def merge_runs(runs: Iterable[range]) -> list[range]:
    """Return the same numbers as ascending runs that do not touch; `runs` are in order of their starts."""
    merged: list[range] = []
    for run in runs:
        if merged and run.start <= merged[-1].stop:
            merged[-1] = range(merged[-1].start, max(run.stop, merged[-1].stop))
        elif run:
            merged.append(run)
    return merged


def block_runs(geometry: Geometry, extents: Iterable[Extent]) -> Iterator[tuple[range, bool]]:
    """Cut the whole device into runs of block indexes, each with whether an extent touches it.

    `extents` are in ascending order. Always moves forward: two extents may fall into one block.
    """
    done = 0
    for extent in extents:
        touched = geometry.blocks_of(extent)
        first = max(touched.start, done)
        if touched.stop <= first:
            continue
        if first > done:
            yield range(done, first), False
        yield range(first, touched.stop), True
        done = touched.stop
    if done < geometry.count:
        yield range(done, geometry.count), False


def is_zero(block: Buffer) -> bool:
    """Say whether a block is all zeros."""
    return same_bytes(zeros(len(block)), block)


def same_bytes(one: bytes, other: Buffer) -> bool:
    """Compare at the speed of memory, which `==` with a memoryview is far from."""
    return len(one) == len(other) and one.startswith(other)


@lru_cache(maxsize=8)
def zeros(length: int) -> bytes:
    """Return that many zero bytes; the same object each time, for there are only a few lengths."""
    return bytes(length)
